//! A door on a free port, a platform behind it, devices in front of it.

pub(crate) mod client;
pub(crate) mod platform;
pub(crate) mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use client::{Client, Credentials};
use otaru_door::{Config, Counters, Downlink, Sessions, Tls, listen, serve};
use platform::{TestPlatform, Told};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wire::topic::Kind;

pub(crate) struct House {
    pub(crate) platform: Arc<TestPlatform>,
    pub(crate) sessions: Sessions,
    pub(crate) counters: Arc<Counters>,
    pub(crate) told: mpsc::UnboundedReceiver<Told>,
    addresses: [SocketAddr; 2],
    served: JoinHandle<()>,
}

impl Drop for House {
    fn drop(&mut self) {
        self.served.abort();
    }
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self::with_tls(config, Tls::new(None).unwrap()).await
    }

    pub(crate) async fn with_tls(config: Config, tls: Tls) -> Self {
        let (platform, told) = TestPlatform::new();
        let (sessions, counters) = (Sessions::new(), Arc::new(Counters::default()));
        let listeners = [(); 2].map(|()| listen(([127, 0, 0, 1], 0).into()).unwrap());
        let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        let served = tokio::spawn(serve(
            listeners.into(),
            platform.clone(),
            sessions.clone(),
            config,
            counters.clone(),
            tls,
        ));
        Self { platform, sessions, counters, told, addresses, served }
    }

    pub(crate) async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.addresses[0]).await.unwrap()
    }

    /// By the other listener.
    pub(crate) async fn dial_other(&self) -> TcpStream {
        TcpStream::connect(self.addresses[1]).await.unwrap()
    }

    /// Device 1 is `dev001`, device 2 is `dev002`.
    pub(crate) async fn enter(&self, device_name: &str) -> Client<TcpStream> {
        Client::enter(self.dial().await, &Credentials::of(device_name)).await
    }

    /// As [`House::enter`], behind what a balancer sends first.
    pub(crate) async fn enter_behind(&self, header: &[u8], device_name: &str) -> Client<TcpStream> {
        let mut stream = self.dial().await;
        stream.write_all(header).await.unwrap();
        Client::enter(stream, &Credentials::of(device_name)).await
    }

    /// Enters as soon as there is a place.
    pub(crate) async fn enter_soon(&self, device_name: &str) -> Client<TcpStream> {
        let entered = async {
            loop {
                let mut client = Client::new(self.dial().await);
                let hello = client::bytes(&Credentials::of(device_name).packet());
                if client.stream.write_all(&hello).await.is_ok() && client.next().await.is_some() {
                    return client;
                }
            }
        };
        timeout(Duration::from_secs(20), entered).await.expect("there never was a place")
    }

    pub(crate) async fn told(&mut self) -> Told {
        timeout(Duration::from_secs(20), self.told.recv())
            .await
            .expect("the platform was told nothing")
            .unwrap()
    }

    pub(crate) fn counted(&self, name: &str) -> u64 {
        self.counters.snapshot().find(|(counter, _)| *counter == name).unwrap().1
    }

    /// Waits until a counter has this value.
    pub(crate) async fn await_count(&self, name: &str, value: u64) {
        let reached = timeout(Duration::from_secs(20), async {
            while self.counted(name) != value {
                tokio::task::yield_now().await;
            }
        });
        assert!(reached.await.is_ok(), "{name} is {} instead of {value}", self.counted(name));
    }

    /// Sends a notice to the session that serves the device.
    pub(crate) fn notify(&self, device: i64, payload: &'static str) -> bool {
        let Some(epoch) = self.sessions.epoch(device) else { return false };
        let downlink = Downlink { kind: Kind::Upgrade, payload: Bytes::from_static(payload.as_bytes()) };
        self.sessions.deliver(device, epoch, downlink)
    }
}
