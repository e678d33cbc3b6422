//! An address by DHCP, names by DNS, and one TCP connection after the other.

use alloc::vec;
use core::net::Ipv4Addr;
use core::task::{Context, Waker};

use embassy_net_driver::{Driver, LinkState};
use esp_hal::rng::Rng;
use esp_radio::wifi::Interface as Radio;
use logic::{Connection, PACKET, WINDOW};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{dhcpv4, dns, tcp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{DnsQueryType, EthernetAddress, IpAddress, IpCidr};

use crate::tls::Stream;

/// Bytes that may wait to be sent.
const SEND: usize = 4 << 10;

/// A peer that acknowledges nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// The radio's frames.
struct Card(Radio);

/// Nobody is to be woken: everything is polled all the time.
fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl Device for Card {
    type RxToken<'a> = Frame<<Radio as Driver>::RxToken<'a>>;
    type TxToken<'a> = Frame<<Radio as Driver>::TxToken<'a>>;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        Driver::receive(&mut self.0, &mut context()).map(|(came, answer)| (Frame(came), Frame(answer)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        Driver::transmit(&mut self.0, &mut context()).map(Frame)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.0.capabilities().max_transmission_unit;
        capabilities
    }
}

/// A frame that came, or may be sent.
struct Frame<T>(T);

impl<T: embassy_net_driver::RxToken> RxToken for Frame<T> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        self.0.consume(|bytes| read(bytes))
    }
}

impl<T: embassy_net_driver::TxToken> TxToken for Frame<T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        self.0.consume(len, write)
    }
}

/// A name that is being looked up, for this port.
struct Lookup {
    query: dns::QueryHandle,
    port: u16,
}

/// The network.
pub struct Network {
    card: Card,
    interface: Interface,
    sockets: SocketSet<'static>,
    dhcp: SocketHandle,
    dns: SocketHandle,
    connection: SocketHandle,
    lookup: Option<Lookup>,
    is_linked: bool,
    random: Rng,
}

impl Network {
    /// Over this radio, without an address yet.
    pub fn new(radio: Radio, now: u64) -> Self {
        let random = Rng::new();
        let mut config = Config::new(EthernetAddress(radio.mac_address()).into());
        config.random_seed = u64::from(random.random()) << 32 | u64::from(random.random());
        let mut card = Card(radio);
        let interface = Interface::new(config, &mut card, instant(now));
        let mut sockets = SocketSet::new(vec![]);
        let buffer = |len| tcp::SocketBuffer::new(vec![0; len]);
        let mut connection = tcp::Socket::new(buffer(WINDOW * PACKET), buffer(SEND));
        // A small message must not wait for the acknowledgement of the one before.
        connection.set_nagle_enabled(false);
        connection.set_timeout(Some(PATIENCE));
        Self {
            card,
            interface,
            dhcp: sockets.add(dhcpv4::Socket::new()),
            dns: sockets.add(dns::Socket::new(&[], vec![])),
            connection: sockets.add(connection),
            sockets,
            lookup: None,
            is_linked: false,
            random,
        }
    }

    /// Receives and sends frames.
    pub fn poll(&mut self, now: u64) {
        self.follow_link();
        self.interface.poll(instant(now), &mut self.card, &mut self.sockets);
        self.follow_dhcp();
        self.follow_lookup();
    }

    /// An address is asked for anew each time the Wi-Fi is back, which may be another one.
    fn follow_link(&mut self) {
        let is_linked = matches!(self.card.0.link_state(&mut context()), LinkState::Up);
        if is_linked != self.is_linked {
            self.is_linked = is_linked;
            self.sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp).reset();
            self.close();
        }
    }

    fn follow_dhcp(&mut self) {
        let Some(event) = self.sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp).poll() else { return };
        let (mut address, mut router, mut servers) = (None, None, vec![]);
        if let dhcpv4::Event::Configured(config) = event {
            (address, router) = (Some(config.address), config.router);
            servers.extend(config.dns_servers.iter().map(|server| IpAddress::Ipv4(*server)));
        }
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            addresses.extend(address.map(IpCidr::Ipv4));
        });
        let routes = self.interface.routes_mut();
        routes.remove_default_ipv4_route();
        if let Some(router) = router {
            let _ = routes.add_default_ipv4_route(router);
        }
        self.sockets.get_mut::<dns::Socket<'_>>(self.dns).update_servers(&servers);
    }

    fn follow_lookup(&mut self) {
        let Some(lookup) = &self.lookup else { return };
        let found = self.sockets.get_mut::<dns::Socket<'_>>(self.dns).get_query_result(lookup.query);
        let port = lookup.port;
        match found {
            Err(dns::GetQueryResultError::Pending) => return,
            Ok(found) => found.first().into_iter().for_each(|address| self.connect(*address, port)),
            Err(dns::GetQueryResultError::Failed) => {}
        }
        self.lookup = None;
    }

    /// Whether there is an address.
    pub fn is_up(&self) -> bool {
        self.is_linked && self.interface.ipv4_addr().is_some()
    }

    /// Opens a connection. What cannot be opened is closed.
    pub fn open(&mut self, host: &str, port: u16) {
        self.close();
        if let Ok(address) = host.parse::<Ipv4Addr>() {
            return self.connect(address.into(), port);
        }
        let resolver = self.sockets.get_mut::<dns::Socket<'_>>(self.dns);
        let query = resolver.start_query(self.interface.context(), host, DnsQueryType::A);
        self.lookup = query.ok().map(|query| Lookup { query, port });
    }

    fn connect(&mut self, address: IpAddress, port: u16) {
        let own = 49_152 + (self.random.random() % 16_384) as u16;
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.connection);
        let _ = socket.connect(self.interface.context(), (address, port), own);
    }

    /// Breaks the connection off, and what would have become one.
    pub fn close(&mut self) {
        if let Some(lookup) = self.lookup.take() {
            self.sockets.get_mut::<dns::Socket<'_>>(self.dns).cancel_query(lookup.query);
        }
        self.socket().abort();
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.connection)
    }
}

impl Stream for Network {
    fn connection(&mut self) -> Connection {
        match self.socket().state() {
            tcp::State::Established => Connection::Open,
            tcp::State::SynSent => Connection::Opening,
            _ if self.lookup.is_some() => Connection::Opening,
            _ => Connection::Closed,
        }
    }

    fn room(&mut self) -> usize {
        let socket = self.socket();
        socket.send_capacity() - socket.send_queue()
    }

    fn send(&mut self, bytes: &[u8]) {
        let _ = self.socket().send_slice(bytes);
    }

    fn receive(&mut self, into: &mut [u8]) -> usize {
        self.socket().recv_slice(into).unwrap_or(0)
    }
}

fn instant(millis: u64) -> Instant {
    Instant::from_millis(millis as i64)
}
