//! What C hands over and gets: values, texts, bytes.

use core::ffi::{CStr, c_char};
use core::fmt;

use crate::fault::Fault;

/// The longest text that is taken from C, in bytes.
const LONGEST: usize = 512;

/// Text of at most `N - 1` bytes that C can read: what follows it is a zero. What is longer is cut off between two
/// characters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<const N: usize>([u8; N]);

impl<const N: usize> Line<N> {
    pub(crate) const EMPTY: Self = Self([0; N]);

    pub(crate) fn of(value: impl fmt::Display) -> Self {
        let mut line = Self::EMPTY;
        Lines(&mut line.0).add(value);
        line
    }

    pub(crate) fn written(write: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result) -> Self {
        let mut line = Self::EMPTY;
        let _ = write(&mut End { bytes: &mut line.0, len: 0, full: false });
        line
    }

    /// Where it is, as C reads it.
    pub(crate) fn place(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }

    pub(crate) fn chars(self) -> [c_char; N] {
        self.0.map(|byte| byte as c_char)
    }

    pub(crate) fn as_str(&self) -> &str {
        CStr::from_bytes_until_nul(&self.0).ok().and_then(|text| text.to_str().ok()).unwrap_or_default()
    }
}

/// Memory that one text after the other is written into, each with its zero.
pub(crate) struct Lines<'m>(pub(crate) &'m mut [u8]);

impl Lines<'_> {
    /// The place of the text, as C reads it; null if there is no room even for the zero.
    pub(crate) fn add(&mut self, value: impl fmt::Display) -> *const c_char {
        if self.0.is_empty() {
            return core::ptr::null();
        }
        let mut end = End { bytes: self.0, len: 0, full: false };
        let _ = fmt::write(&mut end, format_args!("{value}"));
        let len = end.len;
        let (line, rest) = core::mem::take(&mut self.0).split_at_mut(len + 1);
        line[len] = 0;
        self.0 = rest;
        line.as_ptr().cast()
    }
}

struct End<'m> {
    bytes: &'m mut [u8],
    len: usize,
    full: bool,
}

impl fmt::Write for End<'_> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let mut take = if self.full { 0 } else { more.len().min(self.bytes.len() - 1 - self.len) };
        while !more.is_char_boundary(take) {
            take -= 1;
        }
        self.full |= take < more.len();
        self.bytes[self.len..self.len + take].copy_from_slice(&more.as_bytes()[..take]);
        self.len += take;
        Ok(())
    }
}

/// Checks that there is something at a pointer, and that it can be what its type says. `what` names it in the fault.
pub(crate) fn check<T>(pointer: *const T, what: &'static str) -> Result<(), Fault> {
    match pointer {
        pointer if pointer.is_null() => Err(Fault::Missing(what)),
        pointer if !pointer.is_aligned() => Err(Fault::Unaligned(what)),
        _ => Ok(()),
    }
}

/// The value that C points to. `what` names it in the fault.
///
/// # Safety
/// `pointer` is null or points to a whole `T`, of which any bytes are one, and which stays as it is for `'a`.
pub(crate) unsafe fn value<'a, T>(pointer: *const T, what: &'static str) -> Result<&'a T, Fault> {
    check(pointer, what)?;
    // SAFETY: not null, aligned, and by contract a whole value.
    Ok(unsafe { &*pointer })
}

/// The text that C hands over, without its zero. `what` names it in the fault.
///
/// # Safety
/// `text` is null or points to bytes up to a zero that can be read and stay as they are for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char, what: &'static str) -> Result<&'a str, Fault> {
    if text.is_null() {
        return Err(Fault::Missing(what));
    }
    // SAFETY: not null; by contract every byte up to the zero can be read, and none behind it is looked at.
    let end = (0..=LONGEST).find(|at| unsafe { text.add(*at).read() } == 0);
    let len = end.ok_or(Fault::TooLong { what, longest: LONGEST })?;
    // SAFETY: these bytes were read just now, and by contract stay as they are.
    let bytes = unsafe { core::slice::from_raw_parts(text.cast::<u8>(), len) };
    core::str::from_utf8(bytes).map_err(|_| Fault::NotText(what))
}

/// The bytes that C hands over. `what` names them in the fault.
///
/// # Safety
/// `bytes` is null or points to `len` bytes that can be read and stay as they are for `'a`.
pub(crate) unsafe fn bytes<'a>(bytes: *const u8, len: usize, what: &'static str) -> Result<&'a [u8], Fault> {
    if len == 0 {
        return Ok(&[]);
    }
    if bytes.is_null() {
        return Err(Fault::Missing(what));
    }
    if len > isize::MAX as usize {
        return Err(Fault::TooLong { what, longest: isize::MAX as usize });
    }
    // SAFETY: not null, no longer than a slice can be, and by contract readable and unchanged.
    Ok(unsafe { core::slice::from_raw_parts(bytes, len) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_between_characters_and_end_with_a_zero() {
        assert_eq!(Line::<5>::of("a升级").as_str(), "a升");
        let mut memory = [b'x'; 8];
        let mut lines = Lines(&mut memory);
        assert!(!lines.add("ab").is_null() && !lines.add("cdefgh").is_null() && lines.add("").is_null());
        assert_eq!(&memory, b"ab\0cdef\0");
    }

    #[test]
    fn text_of_others_is_looked_at_first() {
        let long = [b'x'; 600];
        // SAFETY: null, texts with a zero, and one that is longer than what is read of it.
        let read = |bytes: &'static [u8]| unsafe { text(bytes.as_ptr().cast(), "it") };
        assert_eq!(read(b"lamp\0").ok(), Some("lamp"));
        assert!(matches!(read(b"\xFF\0"), Err(Fault::NotText("it"))));
        // SAFETY: null is allowed.
        assert!(matches!(unsafe { text(core::ptr::null(), "it") }, Err(Fault::Missing("it"))));
        // SAFETY: no more than 513 of these 600 bytes are read.
        assert!(matches!(unsafe { text(long.as_ptr().cast(), "it") }, Err(Fault::TooLong { .. })));
    }
}
