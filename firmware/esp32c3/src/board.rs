//! The chip as the logic sees it.

use alloc::boxed::Box;
use core::cell::RefCell;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Waker};

use esp_hal::Blocking;
use esp_hal::peripherals::WIFI;
use esp_hal::rtc_cntl::Rwdt;
use esp_hal::time::{Duration, Instant};
use esp_hal::uart::Uart;
use esp_println::println;
use esp_radio::wifi::Interface;
use esp_rtos::CurrentThreadHandle;
use logic::{Board, Connection, Settings};

use crate::network::Network;
use crate::wifi;

/// How long it sleeps when there is nothing to be done: the radio's own threads go on.
const REST: Duration = Duration::from_millis(2);

/// Radio, network, serial line, clock and watchdog.
pub struct Chip<'w> {
    /// Keeps the Wi-Fi.
    wifi: Pin<Box<dyn Future<Output = ()>>>,
    network: Network,
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
        Self { wifi, network: Network::new(Interface::station(), now()), line, watchdog }
    }
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
        self.network.poll(now());
    }

    fn rest(&mut self) {
        CurrentThreadHandle::get().delay(REST);
    }

    fn is_up(&mut self) -> bool {
        self.network.is_up()
    }

    fn open(&mut self, host: &str, port: u16) {
        self.network.open(host, port);
    }

    fn connection(&mut self) -> Connection {
        self.network.connection()
    }

    fn room(&mut self) -> usize {
        self.network.room()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.network.send(bytes);
    }

    fn receive(&mut self, into: &mut [u8]) -> usize {
        self.network.receive(into)
    }

    fn close(&mut self) {
        self.network.close();
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
