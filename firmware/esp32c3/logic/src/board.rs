//! What the firmware needs of its board, but for the flash.

use core::fmt;

/// The one connection that there is at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// There is none, and none is being opened.
    Closed,
    /// It is being opened.
    Opening,
    /// Bytes can go both ways.
    Open,
}

/// A board with a network, a serial line and a clock. Nothing of it waits.
pub trait Board {
    /// Milliseconds of a clock that does not run backwards.
    fn now(&mut self) -> u64;

    /// Moves on what goes on by itself, such as the network. Called all the time: whoever watches over the program can
    /// take it for a sign of life.
    fn poll(&mut self);

    /// Nothing is to be done at present: it may sleep for a few milliseconds.
    fn rest(&mut self);

    /// Whether there is a network with an address in it.
    fn is_up(&mut self) -> bool;

    /// Opens the connection, to this name or address.
    fn open(&mut self, host: &str, port: u16);

    /// What became of it.
    fn connection(&mut self) -> Connection;

    /// How many bytes can be sent now.
    fn room(&mut self) -> usize;

    /// Sends these bytes, of which there are no more than there is room for.
    fn send(&mut self, bytes: &[u8]);

    /// Takes bytes that came; how many.
    fn receive(&mut self, into: &mut [u8]) -> usize;

    /// Breaks the connection off.
    fn close(&mut self);

    /// Sends bytes on the serial line; how many it took.
    fn line_send(&mut self, bytes: &[u8]) -> usize;

    /// Takes bytes that came on the serial line; how many.
    fn line_receive(&mut self, into: &mut [u8]) -> usize;

    /// Tells whoever is looking on.
    fn say(&mut self, what: fmt::Arguments<'_>);
}
