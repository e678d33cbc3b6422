use std::io::{self, Read, Write};

use bytes::{Buf as _, BytesMut};

/// Longest record: payload, and what encryption may add to it.
const MAX_RECORD: usize = 16 * 1024 + 2048;

/// Type, version, length.
const HEAD: usize = 5;

/// Both ways of a connection as OpenSSL sees them: bytes in memory. So it never waits for a socket, and a
/// handshake can be carried to another thread. Empty, it holds no memory.
///
/// OpenSSL is given whole records only: what is not read yet always begins with one.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    /// Came from the peer.
    pub(super) input: BytesMut,
    /// Is to go to the peer.
    pub(super) output: BytesMut,
    /// The peer sends nothing more.
    pub(super) ended: bool,
    /// What OpenSSL has not read yet of the record that it reads, in bytes.
    begun: usize,
}

impl Pipe {
    /// Whether OpenSSL can do anything with the input.
    pub(super) fn has_record(&self) -> bool {
        self.begun > 0 || self.record().is_some()
    }

    /// The length of the first record, once it is whole. What is too long to be any is for OpenSSL to
    /// refuse.
    fn record(&self) -> Option<usize> {
        let length = self.input.get(3..HEAD)?;
        let length = HEAD + usize::from(u16::from_be_bytes([length[0], length[1]]));
        if length > HEAD + MAX_RECORD {
            Some(self.input.len())
        } else {
            Some(length).filter(|&length| length <= self.input.len())
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.begun == 0 {
            match self.record() {
                Some(length) => self.begun = length,
                None if self.ended => return Ok(0),
                None => return Err(io::ErrorKind::WouldBlock.into()),
            }
        }
        let length = out.len().min(self.begun);
        self.input.copy_to_slice(&mut out[..length]);
        self.begun -= length;
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        Ok(length)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe(input: &[u8]) -> Pipe {
        Pipe { input: input.into(), ..Pipe::default() }
    }

    #[test]
    fn a_record_is_whole_with_its_last_byte_and_no_length_is_waited_for_in_vain() {
        let record = [0x16, 3, 1, 0, 2, 7, 7];
        for cut in 0..record.len() {
            assert!(!pipe(&record[..cut]).has_record(), "{cut}");
        }
        assert!(pipe(&record).has_record());
        assert!(pipe(&[0x16, 3, 1, 0, 0]).has_record());
        assert!(pipe(&[0x16, 3, 1, 0xff, 0xff]).has_record(), "longer than any");
        assert!(!pipe(&[0x16, 3, 1, 0x48, 0]).has_record(), "the longest");
    }

    #[test]
    fn records_are_read_whole_and_their_memory_is_given_back() {
        let mut pipe = pipe(&[0x16, 3, 1, 0, 2, 7, 7, 0x16, 3, 1, 0, 1]);
        let mut out = [0; 16];
        assert_eq!(pipe.read(&mut out[..5]).unwrap(), 5);
        assert!(pipe.has_record());
        assert_eq!(pipe.read(&mut out).unwrap(), 2);
        assert_eq!(pipe.read(&mut out).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        pipe.input.extend_from_slice(&[9]);
        assert_eq!(pipe.read(&mut out).unwrap(), 6);
        assert_eq!(pipe.input.capacity(), 0);
        pipe.ended = true;
        assert_eq!(pipe.read(&mut out).unwrap(), 0);
    }
}
