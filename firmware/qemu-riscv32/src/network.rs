//! One TCP connection after the other, in the network that QEMU makes up.

use core::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint};

use crate::card::Card;
use crate::machine;

/// The address that QEMU has for its first guest, and the way out.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// Bytes that may wait to be sent.
const SEND: usize = 8 << 10;

/// Card, addresses, and the connection.
pub struct Network<'a> {
    card: Card,
    interface: Interface,
    sockets: SocketSet<'a>,
    connection: SocketHandle,
    port: u16,
}

impl<'a> Network<'a> {
    /// Sets all up; `None` if there is no card. As many bytes as `receive` says may come before they are read.
    pub fn new(storage: &'a mut [SocketStorage<'a>; 1], receive: usize) -> Option<Self> {
        let mut card = Card::find()?;
        let chance = machine::chance();
        let mut config = Config::new(EthernetAddress(card.address()).into());
        config.random_seed = chance;
        let mut interface = Interface::new(config, &mut card, instant(machine::millis()));
        interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::new(ADDRESS.into(), 24));
        });
        interface.routes_mut().add_default_ipv4_route(GATEWAY).ok()?;
        let mut sockets = SocketSet::new(&mut storage[..]);
        let buffers = [receive, SEND].map(|len| SocketBuffer::new(machine::take(len)));
        let [receive, send] = buffers;
        let mut socket = Socket::new(receive, send);
        // A small message must not wait for the acknowledgement of the one before.
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        let connection = sockets.add(socket);
        Some(Self { card, interface, sockets, connection, port: 49_152 + (chance >> 10) as u16 % 16_384 })
    }

    /// Receives and sends frames.
    pub fn poll(&mut self, now: u64) {
        self.interface.poll(instant(now), &mut self.card, &mut self.sockets);
    }

    /// Opens a connection. `false` if that cannot be.
    pub fn open(&mut self, to: SocketAddrV4) -> bool {
        self.port = self.port.checked_add(1).unwrap_or(49_152);
        let socket = self.sockets.get_mut::<Socket>(self.connection);
        socket.connect(self.interface.context(), IpEndpoint::from(to), self.port).is_ok()
    }

    /// Breaks the connection off.
    pub fn close(&mut self) {
        self.socket().abort();
    }

    /// Whether the connection is there.
    pub fn is_open(&mut self) -> bool {
        self.socket().state() == State::Established
    }

    /// Whether there is none, and none is being opened.
    pub fn is_closed(&mut self) -> bool {
        !matches!(self.socket().state(), State::SynSent | State::Established)
    }

    /// How many bytes can be sent now.
    pub fn room(&mut self) -> usize {
        let socket = self.socket();
        socket.send_capacity() - socket.send_queue()
    }

    /// Sends these bytes, of which there are no more than there is room for.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.socket().send_slice(bytes);
    }

    /// Takes bytes that came; how many.
    pub fn receive(&mut self, into: &mut [u8]) -> usize {
        self.socket().recv_slice(into).unwrap_or(0)
    }

    fn socket(&mut self) -> &mut Socket<'a> {
        self.sockets.get_mut(self.connection)
    }
}

fn instant(millis: u64) -> Instant {
    Instant::from_millis(millis as i64)
}
