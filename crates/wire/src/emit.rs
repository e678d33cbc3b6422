use core::fmt::{self, Write};

/// The buffer given to [`Emit::emit_into`] is shorter than the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferTooSmall;

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer is too small for the message")
    }
}

impl core::error::Error for BufferTooSmall {}

/// What can be written as compact JSON, in the dialect of docs/protocol.md 4.2.
pub trait Emit {
    /// Writes the text; fails only if `out` does.
    fn emit(&self, out: &mut dyn Write) -> fmt::Result;

    /// Writes into a buffer and gives the text written.
    fn emit_into<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b str, BufferTooSmall> {
        written(buffer, &mut |out| self.emit(out))
    }

    /// Bytes that [`Emit::emit`] writes.
    fn encoded_len(&self) -> usize {
        let mut counter = Counter(0);
        // A counter takes everything.
        let _ = self.emit(&mut counter);
        counter.0
    }
}

/// What is written into a buffer; once for all messages.
fn written<'b>(
    buffer: &'b mut [u8],
    write: &mut dyn FnMut(&mut dyn Write) -> fmt::Result,
) -> Result<&'b str, BufferTooSmall> {
    let mut slice = SliceWriter { buffer, len: 0 };
    write(&mut slice).map_err(|_| BufferTooSmall)?;
    let SliceWriter { buffer, len } = slice;
    core::str::from_utf8(&buffer[..len]).map_err(|_| BufferTooSmall)
}

struct SliceWriter<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl Write for SliceWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.buffer.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

struct Counter(usize);

impl Write for Counter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}
