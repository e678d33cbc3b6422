//! Passing an image on to a part behind a serial line, and being that part (docs/mcu-serial.md).
//!
//! [`Host`] is the side that has the image, [`Loader`] and [`Application`] are the other: what runs on the part until
//! its image is whole and right, and what runs then. Neither knows the line: they are handed the bytes that came and
//! hand out the bytes to send. A line may lose, change or repeat bytes, and either side may lose its power at any time.

mod frame;
mod host;
mod message;
mod part;
mod store;

pub use frame::FRAME_SIZE;
pub use host::{Event, Failure, Host, Output};
pub use message::{Image, MAX_DATA, MAX_TEXT, Phase};
pub use part::{Application, Loader};
pub use store::{FlashStore, Store, Stored};
