//! What a server sends a device, whole and in two parts: the client comes to rest after it, and says the same of both.
#![no_main]

use device::client::{Client, Login, Received, Todo};
use libfuzzer_sys::fuzz_target;
use mqtt::Version;

const ROOM: usize = 300;

fn online(version: Version) -> Client<'static> {
    let login =
        Login { product_key: "a1TestPk001", device_name: "dev001", secret: "s", version, keep_alive: 60 };
    let mut client = Client::new(login);
    assert_eq!(client.poll(0, &mut [0; 256]), Todo::Open);
    client.handle_opened(0);
    client.poll(0, &mut [0; 256]);
    client
}

fuzz_target!(|bytes: &[u8]| {
    let [options, bytes @ ..] = bytes else { return };
    let version = if options & 1 == 0 { Version::V311 } else { Version::V5 };
    let (mut client, mut other) = (online(version), online(version));
    let mut rest = bytes;
    loop {
        let seen = client.receive(1, &rest[..rest.len().min(ROOM)], ROOM);
        let _ = other.receive(1, &rest[..rest.len() / 2], ROOM);
        let len = match seen {
            Received::Packet { len } => len,
            Received::Message { len, payload, .. } => {
                assert!(payload.len() < len);
                len
            }
            Received::TooLong { len, .. } => {
                assert!(len > ROOM);
                return;
            }
            Received::Part | Received::Broken => return,
        };
        assert!(len <= rest.len().min(ROOM));
        rest = &rest[len..];
        assert!((0..20).any(|_| matches!(client.poll(1, &mut [0; 256]), Todo::Wait(_))));
    }
});
