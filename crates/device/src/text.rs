//! Text of bounded length that needs no allocator.

use core::fmt;

/// UTF-8 text of at most `N` bytes. What is written beyond that is cut off between two characters,
/// so a `Text` is always valid UTF-8 and writing to it never fails.
#[derive(Clone, Copy)]
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: u16,
    full: bool,
}

impl<const N: usize> Text<N> {
    /// The empty text.
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], len: 0, full: false }
    }

    /// What `value` displays, cut to `N` bytes.
    pub(crate) fn of(value: impl fmt::Display) -> Self {
        let mut text = Self::new();
        let _ = fmt::write(&mut text.end(), format_args!("{value}"));
        text
    }

    /// Where more is written.
    pub(crate) fn end(&mut self) -> End<'_> {
        End { bytes: &mut self.bytes, len: &mut self.len, full: &mut self.full }
    }

    /// What `value` displays, or `None` if that does not fit.
    pub(crate) fn whole(value: impl fmt::Display) -> Option<Self> {
        let text = Self::of(value);
        (!text.full).then_some(text)
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// The end of a [`Text`] of any length: its code is there once.
pub(crate) struct End<'t> {
    bytes: &'t mut [u8],
    len: &'t mut u16,
    full: &'t mut bool,
}

impl fmt::Write for End<'_> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if *self.full {
            return Ok(());
        }
        let start = usize::from(*self.len);
        let mut take = more.len().min(self.bytes.len() - start);
        while !more.is_char_boundary(take) {
            take -= 1;
        }
        *self.full = take < more.len();
        self.bytes[start..start + take].copy_from_slice(&more.as_bytes()[..take]);
        *self.len = (start + take) as u16;
        Ok(())
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> PartialEq for Text<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl<const N: usize> Eq for Text<N> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_characters() {
        assert_eq!(Text::<4>::of("a升级").as_str(), "a升");
        assert_eq!(Text::<4>::of("ab升x").as_str(), "ab", "what follows a cut is cut too");
        assert_eq!(Text::<4>::whole("a升级"), None);
        assert_eq!(Text::<4>::whole("a升"), Some(Text::of("a升")));
    }
}
