//! The one pass that decides whether a text is JSON, and the search for the end of a value in a text that is.

use super::{Error, ErrorKind, MAX_DEPTH};

/// Checks a whole text, white space around it included.
pub(super) fn document(text: &str) -> Result<(), Error> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0, objects: 0, depth: 0 };
    loop {
        if scan.value()? {
            continue;
        }
        if !scan.after_value()? {
            return Ok(());
        }
    }
}

/// Checks the inside of a string literal.
pub(super) fn string_content(text: &str) -> Result<(), Error> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0, objects: 0, depth: 0 };
    while scan.at < scan.bytes.len() {
        if scan.peek() == Some(b'"') {
            return Err(scan.error(ErrorKind::Unexpected));
        }
        scan.character()?;
    }
    Ok(())
}

/// Length of the value at the start of a checked text.
pub(super) fn value_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0_u32;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at += string_len(&bytes[at..]) - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return at,
            _ if depth == 0 => {
                at += 1;
                continue;
            }
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    at
}

/// Length of the string literal at the start, quotes included.
fn string_len(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    /// One bit a level, the innermost lowest: 1 = object, 0 = array.
    objects: u32,
    depth: u32,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error { at: self.at, kind }
    }

    fn unexpected(&self) -> Error {
        self.error(match self.peek() {
            None => ErrorKind::End,
            Some(0) => ErrorKind::Nul,
            Some(_) => ErrorKind::Unexpected,
        })
    }

    fn space(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    /// One value, or the opening of an object or array that has content: then `true`.
    fn value(&mut self) -> Result<bool, Error> {
        match self.space() {
            Some(b'{') => self.open(true, b'}'),
            Some(b'[') => self.open(false, b']'),
            Some(b'"') => self.string().map(|()| false),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| false),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(self.unexpected()),
        }
    }

    fn open(&mut self, object: bool, close: u8) -> Result<bool, Error> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(ErrorKind::Depth));
        }
        self.at += 1;
        if self.space() == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u32::from(object);
        if object {
            self.key()?;
        }
        Ok(true)
    }

    /// Closes what ends after a value; `true` when another value follows, `false` at the end of the text.
    fn after_value(&mut self) -> Result<bool, Error> {
        loop {
            let next = self.space();
            if self.depth == 0 {
                return if next.is_none() { Ok(false) } else { Err(self.unexpected()) };
            }
            let object = self.objects & 1 == 1;
            let close = if object { b'}' } else { b']' };
            let comma = next == Some(b',');
            if comma {
                self.at += 1;
                self.space();
            }
            if self.peek() == Some(close) {
                self.at += 1;
                self.depth -= 1;
                self.objects >>= 1;
            } else if comma {
                if object {
                    self.key()?;
                }
                return Ok(true);
            } else {
                return Err(self.unexpected());
            }
        }
    }

    fn key(&mut self) -> Result<(), Error> {
        if self.space() != Some(b'"') {
            return Err(self.unexpected());
        }
        self.string()?;
        if self.space() != Some(b':') {
            return Err(self.unexpected());
        }
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Result<bool, Error> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                return Err(self.unexpected());
            }
            self.at += 1;
        }
        Ok(false)
    }

    fn number(&mut self) -> Result<(), Error> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected()) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<(), Error> {
        self.at += 1;
        while self.peek() != Some(b'"') {
            self.character()?;
        }
        self.at += 1;
        Ok(())
    }

    fn character(&mut self) -> Result<(), Error> {
        match self.peek() {
            None => Err(self.error(ErrorKind::End)),
            Some(b'\\') => self.escape(),
            Some(0) => Err(self.error(ErrorKind::Nul)),
            Some(..0x20) => Err(self.error(ErrorKind::Control)),
            Some(_) => {
                self.at += 1;
                Ok(())
            }
        }
    }

    fn escape(&mut self) -> Result<(), Error> {
        let start = self.at;
        match self.bytes.get(start + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match self.unit(start)? {
                0 => return Err(self.error(ErrorKind::Nul)),
                0xD800..=0xDBFF => self.low_surrogate(start + 6)?,
                0xDC00..=0xDFFF => return Err(self.error(ErrorKind::Surrogate)),
                _ => self.at += 6,
            },
            Some(_) => return Err(self.error(ErrorKind::Escape)),
            None => return Err(self.error(ErrorKind::End)),
        }
        Ok(())
    }

    fn low_surrogate(&mut self, second: usize) -> Result<(), Error> {
        let escaped = self.bytes.get(second) == Some(&b'\\') && self.bytes.get(second + 1) == Some(&b'u');
        if escaped && (0xDC00..=0xDFFF).contains(&self.unit(second)?) {
            self.at = second + 6;
            return Ok(());
        }
        Err(self.error(if second >= self.bytes.len() { ErrorKind::End } else { ErrorKind::Surrogate }))
    }

    /// The four hex digits of the `\u` that starts at `start`.
    fn unit(&self, start: usize) -> Result<u32, Error> {
        let Some(digits) = self.bytes.get(start + 2..start + 6) else {
            return Err(self.error(ErrorKind::End));
        };
        hex(digits).ok_or(self.error(ErrorKind::Escape))
    }
}

/// Value of up to eight hex digits.
pub(super) fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}
