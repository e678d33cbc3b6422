//! What the system is told of a device's socket.

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::Config;

/// Bytes that the system takes of a session's blocks before they leave. On a slow line a ping's answer, an
/// acknowledgement or a notice waits behind these and what is under way; left to itself the system takes
/// megabytes.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 32 * 1024;

/// Sends small answers at once, and finds out when a peer has silently gone: a session behind a NAT
/// that forgot it would otherwise last as long as its keepalive, up to half an hour.
///
/// A socket that takes no options is served without them; what is wrong with it will show.
pub(crate) fn tune(stream: &TcpStream, config: &Config) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_notsent_lowat(UNSENT);
    if !config.tcp_idle.is_zero() {
        let keepalive = TcpKeepalive::new()
            .with_time(config.tcp_idle)
            .with_interval(config.tcp_interval)
            .with_retries(config.tcp_probes);
        let _ = socket.set_tcp_keepalive(&keepalive);
    }
    #[cfg(target_os = "linux")]
    if !config.tcp_user_timeout.is_zero() {
        let _ = socket.set_tcp_user_timeout(Some(config.tcp_user_timeout));
    }
}

/// Lets the system take as much of a file as it likes: on this connection nothing overtakes it.
pub(crate) fn tune_for_files(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(0);
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    async fn tuned(config: &Config) -> std::io::Result<TcpStream> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let stream = TcpStream::connect(listener.local_addr()?).await?;
        tune(&stream, config);
        Ok(stream)
    }

    #[tokio::test]
    async fn a_socket_asks_its_silent_peer_and_gives_up_in_time() {
        let stream = tuned(&Config::default()).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(15));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(120)));
    }

    #[tokio::test]
    async fn zero_leaves_the_system_its_way() {
        let off = Config { tcp_idle: Duration::ZERO, tcp_user_timeout: Duration::ZERO, ..Config::default() };
        let stream = tuned(&off).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(!socket.keepalive().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
    }
}
