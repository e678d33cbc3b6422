//! Block frames: the payload of `file/download_reply` (docs/protocol.md 6.2).
//!
//! A frame is the length of a JSON head (2 bytes, high byte first), the head, the data, and the CRC of the data
//! (2 bytes, low byte first). An error frame ends after its head.

mod crc;
mod frame;
mod head;

pub use crc::crc16;
pub use frame::{Frame, FrameError};
pub use head::{BlockHead, ErrorHead, MAX_FRAME_OVERHEAD, frame_prefix};

/// Error code: a parameter is missing or out of range.
pub const CODE_PARAMETER: u16 = 460;

/// Error code: no such stream or file.
pub const CODE_UNKNOWN: u16 = 404;

/// Error code: the task of the stream is cancelled or finished.
pub const CODE_TASK_OVER: u16 = 403;

/// Error code: too many requests are waiting.
pub const CODE_TOO_MANY: u16 = 429;

/// Error code: the sub-device is not logged in (9).
pub const CODE_NO_SESSION: u16 = 520;

/// Error code: the file cannot be read.
pub const CODE_READ_FAILED: u16 = 500;
