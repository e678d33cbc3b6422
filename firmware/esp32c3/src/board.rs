//! The chip as the logic sees it.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::rc::Rc;
use core::cell::RefCell;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Waker};

use esp_hal::Blocking;
use esp_hal::peripherals::WIFI;
use esp_hal::rng::Trng;
use esp_hal::rtc_cntl::Rwdt;
use esp_hal::time::{Duration, Instant};
use esp_hal::uart::Uart;
use esp_println::println;
use esp_radio::wifi::Interface;
use esp_rtos::CurrentThreadHandle;
use logic::{Board, Connection, Settings};
use mbedtls_rs::{Certificate, Tls, X509};

use crate::network::Network;
use crate::tls::{Secure, Stream as _};
use crate::wifi;

/// How long it sleeps when there is nothing to be done: the radio's own threads go on.
const REST: Duration = Duration::from_millis(2);

/// Radio, network, serial line, clock and watchdog.
pub struct Chip<'w> {
    /// Keeps the Wi-Fi.
    wifi: Pin<Box<dyn Future<Output = ()>>>,
    network: Rc<RefCell<Network>>,
    /// If it is spoken.
    tls: Option<Secure<Network>>,
    line: Uart<'static, Blocking>,
    watchdog: &'w RefCell<Rwdt>,
}

impl<'w> Chip<'w> {
    /// Starts the radio.
    pub fn new(
        radio: WIFI<'static>,
        line: Uart<'static, Blocking>,
        watchdog: &'w RefCell<Rwdt>,
        settings: &Settings,
    ) -> Self {
        let wifi = Box::pin(wifi::keep(wifi::start(radio, settings)));
        let network = Rc::new(RefCell::new(Network::new(Interface::station(), now())));
        let tls = (!settings.ca.is_empty()).then(|| secure(&settings.ca, network.clone()));
        Self { wifi, network, tls, line, watchdog }
    }
}

/// TLS over this network. The radio is on: without it there would be no true random numbers.
fn secure(ca: &str, network: Rc<RefCell<Network>>) -> Secure<Network> {
    let random = Trng::try_new().expect("the radio is on");
    let tls = Tls::new(Box::leak(Box::new(random))).expect("it is the only one");
    let ca = CString::new(ca).expect("a setting has no zeroes");
    let ca = Certificate::new(X509::PEM(&ca)).unwrap_or_else(|error| panic!("the setting ca: {error:?}"));
    Secure::new(Box::leak(Box::new(tls)), ca, network)
}

fn now() -> u64 {
    Instant::now().duration_since_epoch().as_millis()
}

impl Board for Chip<'_> {
    fn now(&mut self) -> u64 {
        now()
    }

    fn poll(&mut self) {
        self.watchdog.borrow_mut().feed();
        let _ = self.wifi.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.network.borrow_mut().poll(now());
        if let Some(Err(error)) = self.tls.as_mut().and_then(Secure::poll) {
            println!("TLS: {error:?}");
        }
    }

    fn rest(&mut self) {
        CurrentThreadHandle::get().delay(REST);
    }

    fn is_up(&mut self) -> bool {
        self.network.borrow_mut().is_up()
    }

    fn open(&mut self, host: &str, port: u16) {
        self.network.borrow_mut().open(host, port);
        if let Some(tls) = &mut self.tls {
            tls.open(host);
        }
    }

    fn connection(&mut self) -> Connection {
        match &self.tls {
            Some(tls) => tls.connection(),
            None => self.network.borrow_mut().connection(),
        }
    }

    fn room(&mut self) -> usize {
        match &self.tls {
            Some(tls) => tls.room(),
            None => self.network.borrow_mut().room(),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            Some(tls) => tls.send(bytes),
            None => self.network.borrow_mut().send(bytes),
        }
    }

    fn receive(&mut self, into: &mut [u8]) -> usize {
        match &mut self.tls {
            Some(tls) => tls.receive(into),
            None => self.network.borrow_mut().receive(into),
        }
    }

    fn close(&mut self) {
        self.tls.iter_mut().for_each(Secure::close);
        self.network.borrow_mut().close();
    }

    fn line_send(&mut self, bytes: &[u8]) -> usize {
        self.line.write(bytes).unwrap_or(0)
    }

    fn line_receive(&mut self, into: &mut [u8]) -> usize {
        // What came wrong is dropped with its frame.
        self.line.read_buffered(into).unwrap_or(0)
    }

    fn say(&mut self, what: fmt::Arguments<'_>) {
        println!("{what}");
    }
}
