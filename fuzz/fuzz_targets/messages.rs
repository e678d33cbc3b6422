//! Every JSON message, of either direction: what has been read is written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::Emit;
use wire::message::{
    BlockRequest, ConfigGet, ConfigPushReply, ConfigReply, Get, GetReply, Inform, MAX_DESC, MAX_ID,
    MAX_VERSION, Notice, OldRequest, Post, PostReply, Progress, Registered, RegistrationReply, Shadow,
    TimeRequest,
};

macro_rules! round_trip {
    ($type:ident, $bytes:expr) => {
        match $type::parse($bytes) {
            Ok(message) => {
                let mut buffer = vec![0; message.encoded_len()];
                let text = message.emit_into(&mut buffer).expect("it is as long as it says");
                assert_eq!($type::parse(text.as_bytes()).as_ref(), Ok(&message), "{text}");
                Some(message)
            }
            Err(_) => None,
        }
    };
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(Inform { id, version, .. }) = round_trip!(Inform, bytes) {
        assert!(id.raw().len() <= MAX_ID);
        assert!((1..=MAX_VERSION).contains(&version.len_chars()));
        assert!(!version.to_string().contains('\0'));
    }
    if let Some(Progress { desc, .. }) = round_trip!(Progress, bytes) {
        assert!(desc.len_chars() <= MAX_DESC && !desc.to_string().contains('\0'));
    }
    round_trip!(Get, bytes);
    round_trip!(OldRequest, bytes);
    round_trip!(BlockRequest, bytes);
    if let Some(notice) = round_trip!(Notice, bytes) {
        let _ = notice.offer().check();
    }
    round_trip!(GetReply, bytes);
    if let Ok(ConfigGet { id }) = ConfigGet::parse(bytes) {
        is_json(&ConfigReply::error(id, 6710));
    }
    if let Ok(Post { id, .. }) = Post::parse(bytes) {
        is_json(&PostReply::no_logs(id));
    }
    let _ = (ConfigPushReply::parse(bytes), Shadow::parse(bytes), TimeRequest::parse(bytes));
    round_trip!(Registered, bytes);
    round_trip!(RegistrationReply, bytes);
});

fn is_json(message: &impl Emit) {
    let mut buffer = vec![0; message.encoded_len()];
    let text = message.emit_into(&mut buffer).expect("it is as long as it says");
    assert!(wire::json::parse(text.as_bytes()).is_ok(), "{text}");
}
