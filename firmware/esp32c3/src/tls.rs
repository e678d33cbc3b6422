//! TLS, by mbedTLS: the platform's certificate must come from the CA in the settings, and be for the name in them.
//! Dates are not looked at, as the device has no clock.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::ffi::CString;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use embassy_futures::select::{Either, select};
use logic::Connection;
use mbedtls_rs::io::{ErrorKind, ErrorType, Read, Write};
use mbedtls_rs::{Certificate, ClientSessionConfig, Session, SessionConfig, SessionError, Split, Tls};

/// Bytes that may wait on either side of it.
const WAITING: usize = 4 << 10;

/// A connection that was opened, or is being.
pub trait Stream {
    /// What became of it.
    fn connection(&mut self) -> Connection;
    /// How many bytes can be sent now.
    fn room(&mut self) -> usize;
    /// Sends these bytes, of which there are no more than there is room for.
    fn send(&mut self, bytes: &[u8]);
    /// Takes bytes that came; how many.
    fn receive(&mut self, into: &mut [u8]) -> usize;
}

/// TLS over one connection after the other. It goes on when it is polled, and wakes nobody.
pub struct Secure<S> {
    tls: &'static Tls<'static>,
    ca: Certificate<'static>,
    stream: Rc<RefCell<S>>,
    pipe: Rc<Pipe>,
    session: Option<Talk>,
}

type Talk = Pin<Box<dyn Future<Output = Result<(), SessionError>>>>;

/// What passes between the session and those who use it.
#[derive(Default)]
struct Pipe {
    /// The handshake is done.
    is_open: Cell<bool>,
    came: RefCell<VecDeque<u8>>,
    to_go: RefCell<VecDeque<u8>>,
}

impl<S: Stream + 'static> Secure<S> {
    /// Over this stream.
    pub fn new(tls: &'static Tls<'static>, ca: Certificate<'static>, stream: Rc<RefCell<S>>) -> Self {
        Self { tls, ca, stream, pipe: Rc::default(), session: None }
    }

    /// Shakes hands once the stream is open. A name that cannot be one is no connection.
    pub fn open(&mut self, host: &str) {
        self.close();
        let Ok(host) = CString::new(host) else { return };
        let (stream, pipe) = (Wire(self.stream.clone()), self.pipe.clone());
        self.session = Some(Box::pin(talk(self.tls, self.ca.clone(), host, stream, pipe)));
    }

    /// Forgets the session and what is left of it.
    pub fn close(&mut self) {
        (self.session, self.pipe) = (None, Rc::default());
    }

    /// Goes on; how the session ended, if it did so now.
    pub fn poll(&mut self) -> Option<Result<(), SessionError>> {
        let session = self.session.as_mut()?;
        let Poll::Ready(end) = session.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            return None;
        };
        self.close();
        Some(end)
    }

    /// What became of it.
    pub fn connection(&self) -> Connection {
        match &self.session {
            None => Connection::Closed,
            Some(_) if self.pipe.is_open.get() => Connection::Open,
            Some(_) => Connection::Opening,
        }
    }

    /// How many bytes can be sent now.
    pub fn room(&self) -> usize {
        WAITING.saturating_sub(self.pipe.to_go.borrow().len())
    }

    /// Sends these bytes, of which there are no more than there is room for.
    pub fn send(&mut self, bytes: &[u8]) {
        self.pipe.to_go.borrow_mut().extend(bytes);
    }

    /// Takes bytes that came; how many.
    pub fn receive(&mut self, into: &mut [u8]) -> usize {
        take(&mut self.pipe.came.borrow_mut(), into)
    }
}

fn take(from: &mut VecDeque<u8>, into: &mut [u8]) -> usize {
    let len = from.len().min(into.len());
    for (place, byte) in into.iter_mut().zip(from.drain(..len)) {
        *place = byte;
    }
    len
}

/// A whole session: the handshake, then both ways until one of them ends.
async fn talk<S: Stream>(
    tls: &'static Tls<'static>,
    ca: Certificate<'static>,
    host: CString,
    stream: Wire<S>,
    pipe: Rc<Pipe>,
) -> Result<(), SessionError> {
    if !stream.opened().await {
        return Ok(());
    }
    let client =
        ClientSessionConfig { ca_chain: Some(ca), server_name: Some(&host), ..ClientSessionConfig::new() };
    let mut session = Session::new(tls.reference(), stream, &SessionConfig::Client(client))?;
    let (reader, writer) = session.split().await?;
    pipe.is_open.set(true);
    match select(receive(reader, &pipe), send(writer, &pipe)).await {
        Either::First(end) | Either::Second(end) => end,
    }
}

async fn receive(mut reader: impl Read<Error = SessionError>, pipe: &Pipe) -> Result<(), SessionError> {
    let mut bytes = [0; 512];
    loop {
        poll_fn(|_| ready(pipe.came.borrow().len() < WAITING)).await;
        let len = reader.read(&mut bytes).await?;
        if len == 0 {
            return Ok(());
        }
        pipe.came.borrow_mut().extend(&bytes[..len]);
    }
}

async fn send(mut writer: impl Write<Error = SessionError>, pipe: &Pipe) -> Result<(), SessionError> {
    let mut bytes = [0; 512];
    loop {
        poll_fn(|_| ready(!pipe.to_go.borrow().is_empty())).await;
        let len = take(&mut pipe.to_go.borrow_mut(), &mut bytes);
        writer.write_all(&bytes[..len]).await?;
        writer.flush().await?;
    }
}

fn ready(now: bool) -> Poll<()> {
    if now { Poll::Ready(()) } else { Poll::Pending }
}

/// The stream as mbedTLS sees it.
struct Wire<S>(Rc<RefCell<S>>);

impl<S: Stream> Wire<S> {
    /// Waits until it is open; `false` if it will not be.
    async fn opened(&self) -> bool {
        poll_fn(|_| match self.0.borrow_mut().connection() {
            Connection::Opening => Poll::Pending,
            state => Poll::Ready(state == Connection::Open),
        })
        .await
    }
}

impl<S> ErrorType for Wire<S> {
    type Error = ErrorKind;
}

impl<S: Stream> Read for Wire<S> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        poll_fn(|_| {
            let mut stream = self.0.borrow_mut();
            match stream.receive(into) {
                0 if !into.is_empty() && stream.connection() == Connection::Open => Poll::Pending,
                len => Poll::Ready(Ok(len)),
            }
        })
        .await
    }
}

impl<S: Stream> Write for Wire<S> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        poll_fn(|_| {
            let mut stream = self.0.borrow_mut();
            let len = bytes.len().min(stream.room());
            match stream.connection() {
                Connection::Open if len == 0 && !bytes.is_empty() => Poll::Pending,
                Connection::Open => {
                    stream.send(&bytes[..len]);
                    Poll::Ready(Ok(len))
                }
                _ => Poll::Ready(Err(ErrorKind::NotConnected)),
            }
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl<S: Stream> Split for Wire<S> {
    type Read<'a>
        = Wire<S>
    where
        Self: 'a;
    type Write<'a>
        = Wire<S>
    where
        Self: 'a;

    fn split(&mut self) -> (Self::Read<'_>, Self::Write<'_>) {
        (Wire(self.0.clone()), Wire(self.0.clone()))
    }
}
