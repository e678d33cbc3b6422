//! What is written can be read again: by this crate, by serde_json, and, for what goes down to devices, by a textual
//! search as the C SDK 4.x does it (docs/protocol.md 4.2).

use otaru_wire::Emit;
use otaru_wire::block::BlockHead;
use otaru_wire::json::RawStr;
use otaru_wire::message::{
    BlockRequest, Digest, ExtData, File, Files, Get, GetReply, Id, Inform, Notice, Offer, OldRequest,
    Progress, Source,
};
use proptest::prelude::*;
use serde_json::{Value as Serde, json};

/// Finds a value by the first `"key":`, without regard to structure: a string ends at the next quote, an object or
/// array where its brackets, also those in strings, balance, a number at the next separator.
fn search<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let pattern = format!("\"{key}\":");
    let value = &text[text.find(&pattern)? + pattern.len()..];
    match value.chars().next()? {
        '"' => value[1..].find('"').map(|end| &value[1..=end]),
        '{' => balanced(value, '{', '}'),
        '[' => balanced(value, '[', ']'),
        c if c == '-' || c.is_ascii_digit() => value.find([',', '}', ']']).map(|end| &value[..end]),
        _ => None,
    }
}

fn balanced(text: &str, open: char, close: char) -> Option<&str> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        depth += i32::from(c == open) - i32::from(c == close);
        if depth == 0 {
            return Some(&text[..=at]);
        }
    }
    None
}

#[derive(Clone, Debug)]
struct OwnedFile {
    size: u64,
    name: String,
    url: String,
    md5: String,
    sha256: String,
}

#[derive(Clone, Debug)]
struct Owned {
    version: String,
    module: Option<String>,
    digest: Digest,
    is_diff: bool,
    ext_data: Option<String>,
    digest_sign: Option<String>,
    stream: Option<(u32, u32)>,
    multi: bool,
    files: Vec<OwnedFile>,
}

impl OwnedFile {
    fn sign(&self, digest: Digest) -> &str {
        if digest == Digest::Md5 { &self.md5 } else { &self.sha256 }
    }

    fn view(&self, digest: Digest) -> File<'_> {
        File {
            size: self.size,
            name: plain(&self.name),
            url: plain(&self.url),
            md5: Some(&self.md5),
            sign: self.sign(digest),
        }
    }

    fn source(&self, digest: Digest, stream: Option<(u32, u32)>) -> Source<'_> {
        let (size, sign, md5) = (self.size, self.sign(digest), Some(self.md5.as_str()));
        match stream {
            Some((stream_id, file_id)) => Source::Mqtt { stream_id, file_id, size, sign, md5 },
            None => Source::Http { url: plain(&self.url), size, sign, md5 },
        }
    }
}

impl Owned {
    fn with_offer(&self, check: impl FnOnce(Offer<'_>)) {
        let files: Vec<File<'_>> = self.files.iter().map(|file| file.view(self.digest)).collect();
        let source = match &self.files[..] {
            [single] if !self.multi => single.source(self.digest, self.stream),
            _ => Source::Files(Files::List(&files)),
        };
        check(Offer {
            version: plain(&self.version),
            module: self.module.as_deref(),
            sign_method: self.digest,
            is_diff: self.is_diff,
            ext_data: self.ext_data.as_deref().map(|text| ExtData::new(text).unwrap()),
            digest_sign: self.digest_sign.as_deref().map(plain),
            source,
        });
    }

    /// The members of `data` by name, from docs/protocol.md 5.2, as a reader of JSON should see them.
    fn expected(&self) -> Serde {
        let mut data = json!({ "version": self.version, "signMethod": self.digest.as_str() });
        let mut set =
            |key: &str, value: Serde| drop(data.as_object_mut().unwrap().insert(key.to_owned(), value));
        self.module.iter().for_each(|module| set("module", json!(module)));
        self.digest_sign.iter().for_each(|sign| set("digestsign", json!(sign)));
        self.ext_data.iter().for_each(|text| set("extData", serde_json::from_str(text).unwrap()));
        if self.is_diff {
            set("isDiff", json!(1));
        }
        let one = |f: &OwnedFile| {
            let sign = f.sign(self.digest);
            json!({"fileSize": f.size, "fileName": f.name, "fileUrl": f.url, "fileMd5": f.md5, "fileSign": sign})
        };
        match (&self.files[..], self.stream) {
            ([file], stream) if !self.multi => {
                set("size", json!(file.size));
                set("sign", json!(file.sign(self.digest)));
                set("md5", json!(file.md5));
                match stream {
                    Some((stream_id, file_id)) => {
                        set("dProtocol", json!("mqtt"));
                        set("streamId", json!(stream_id));
                        set("streamFileId", json!(file_id));
                    }
                    None => set("url", json!(file.url)),
                }
            }
            (files, _) => set("files", files.iter().map(one).collect()),
        }
        data
    }
}

const MEMBERS: [&str; 14] = [
    "version",
    "signMethod",
    "module",
    "digestsign",
    "extData",
    "isDiff",
    "size",
    "sign",
    "md5",
    "dProtocol",
    "streamId",
    "streamFileId",
    "url",
    "files",
];

/// Searches a message for every member of `data`; what is absent must not be found anywhere.
fn assert_found_by_search(message: &str, expected: &Serde) {
    let data = search(message, "data").unwrap();
    for key in MEMBERS {
        for place in [message, data] {
            let found = search(place, key);
            match &expected[key] {
                Serde::Null => assert_eq!(found, None, "{key} in {place}"),
                Serde::String(text) => assert_eq!(found, Some(text.as_str()), "{key} in {place}"),
                value => {
                    let found: Serde = serde_json::from_str(found.unwrap()).unwrap();
                    assert_eq!(&found, value, "{key} in {place}");
                }
            }
        }
    }
    if let Serde::Array(files) = &expected["files"] {
        let mut rest = search(data, "files").unwrap();
        assert!(data.ends_with(&format!("{rest}}}")), "files is not last in {data}");
        for file in files {
            let found = balanced(&rest[rest.find('{').unwrap()..], '{', '}').unwrap();
            for (key, value) in file.as_object().unwrap() {
                let text = value.as_str().map_or(value.to_string(), str::to_owned);
                assert_eq!(search(found, key), Some(text.as_str()), "{key} in {found}");
            }
            rest = &rest[rest.find('{').unwrap() + found.len()..];
        }
    }
}

fn plain(text: &str) -> RawStr<'_> {
    RawStr::plain(text).unwrap()
}

/// Texts that devices of every kind can read, with what might lead a search astray.
fn safe_text(max: usize) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("size:".to_owned()),
        Just("[1],[2]".to_owned()),
        Just("'version':1".to_owned()),
        "[a-zA-Z0-9./?&=+%_:,; -]{1,8}",
        "[中é😀]",
    ];
    let pieces = prop::collection::vec(piece, 1..8);
    pieces
        .prop_map(move |pieces| pieces.concat().chars().take(max).collect())
        .prop_filter("cut within a bracket", |text: &String| {
            text.matches('[').count() == text.matches(']').count()
        })
}

fn file() -> impl Strategy<Value = OwnedFile> {
    (0..=1_u64 << 53, safe_text(256), safe_text(1024), "[0-9a-f]{32}", "[0-9a-f]{64}")
        .prop_map(|(size, name, url, md5, sha256)| OwnedFile { size, name, url, md5, sha256 })
}

fn ext_data() -> impl Strategy<Value = String> {
    let key = prop_oneof![Just("_package_udi".to_owned()), "[a-zA-Z中:,{}]{0,5}", Just("size:".to_owned())];
    let value = prop_oneof![
        any::<String>(),
        safe_text(30),
        Just(r#"{"size":1,"version":"x"}"#.to_owned()),
        Just("\"url\":\"".to_owned()),
        Just("url".to_owned()),
        "[{}\"\\\\:,]{0,8}",
    ];
    prop::collection::btree_map(key, value, 0..4)
        .prop_map(|map| serde_json::to_string(&map).unwrap())
        .prop_filter("refused by ExtData::new", |text| ExtData::new(text).is_ok())
}

fn owned() -> impl Strategy<Value = Owned> {
    let digest = prop_oneof![Just(Digest::Md5), Just(Digest::Sha256)];
    let module =
        prop::option::of("[A-Za-z0-9._-]{1,12}").prop_map(|name| name.filter(|name| name != "default"));
    let stream = prop::option::of(any::<(u32, u32)>());
    let files = prop_oneof![prop::collection::vec(file(), 1), prop::collection::vec(file(), 1..4)];
    let ext_data = prop::option::of(ext_data());
    let sign = prop::option::of(safe_text(200));
    (safe_text(64), module, digest, any::<bool>(), ext_data, sign, stream, any::<bool>(), files).prop_map(
        |(version, module, digest, is_diff, ext_data, digest_sign, stream, multi, files)| Owned {
            version,
            module,
            digest,
            is_diff,
            ext_data,
            digest_sign,
            stream,
            multi,
            files,
        },
    )
}

fn emitted(message: &impl Emit) -> String {
    let mut out = String::new();
    message.emit(&mut out).unwrap();
    out
}

/// The inside of a JSON string, escapes and all.
fn raw_text(max: usize) -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9.|/]{0,8}", any::<String>()].prop_map(move |text| {
        let text: String = text.chars().filter(|&c| c != '\0').take(max).collect();
        let quoted = serde_json::to_string(&text).unwrap();
        quoted[1..quoted.len() - 1].to_owned()
    })
}

fn module() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[A-Za-z0-9._-]{1,64}").prop_map(|name| name.filter(|name| name != "default"))
}

proptest! {
    #[test]
    fn notices_are_read_by_everyone(owned in owned(), id_ms in 0..=u64::MAX / 2) {
        owned.with_offer(|offer| {
            let notice = Notice::new(id_ms, offer).unwrap();
            let text = emitted(&notice);
            assert_eq!(Notice::parse(text.as_bytes()), Ok(notice), "{text}");
            let whole = json!({"code": "1000", "data": owned.expected(), "id": id_ms, "message": "success"});
            assert_eq!(serde_json::from_str::<Serde>(&text).unwrap(), whole);
            assert_found_by_search(&text, &owned.expected());
            assert_eq!(search(&text, "message"), Some("success"));
            assert_eq!(search(&text, "code"), Some("1000"));
        });
    }

    #[test]
    fn answers_are_read_by_everyone(owned in owned(), id in raw_text(10)) {
        owned.with_offer(|offer| {
            let reply = GetReply::offer(Id::from_raw(&id).unwrap(), offer).unwrap();
            let text = emitted(&reply);
            assert_eq!(GetReply::parse(text.as_bytes()), Ok(reply), "{text}");
            let oracle: Serde = serde_json::from_str(&text).unwrap();
            assert_eq!((&oracle["code"], &oracle["data"]), (&json!(200), &owned.expected()));
        });
    }

    #[test]
    fn block_heads_are_found_by_search(offset: u32, size: u32, length in any::<u32>(), token in prop::option::of("[0-9A-Za-z_.,:]{1,16}"), id in raw_text(10)) {
        let id = Id::from_raw(&id).unwrap();
        let head = BlockHead { id, offset, size, file_length: length.into(), file_token: token.as_deref().map(plain) };
        let text = emitted(&head);
        let data = search(&text, "data").unwrap();
        prop_assert_eq!(search(&text, "code"), Some("200"));
        for (key, value) in [("bOffset", offset), ("bSize", size), ("fileLength", length)] {
            let value = value.to_string();
            prop_assert_eq!(search(data, key), Some(value.as_str()));
        }
        prop_assert_eq!(search(data, "fileToken"), token.as_deref());
        prop_assert!(serde_json::from_str::<Serde>(&text).is_ok());
    }

    #[test]
    fn reports_and_questions_survive(id in raw_text(15), version in raw_text(64), desc in raw_text(128), step: i32, module in module()) {
        let id = Id::from_raw(&id).unwrap();
        let (version, desc) = (RawStr::from_raw(&version).unwrap(), RawStr::from_raw(&desc).unwrap());
        let module = module.as_deref();
        let progress = Progress { id, step, desc, module };
        assert_eq!(Progress::parse(emitted(&progress).as_bytes()), Ok(progress));
        let get = Get { id, module };
        assert_eq!(Get::parse(emitted(&get).as_bytes()), Ok(get));
        let request = OldRequest { id, version: Some(version).filter(|version| !version.is_empty()) };
        assert_eq!(OldRequest::parse(emitted(&request).as_bytes()), Ok(request));
        if !version.is_empty() {
            let inform = Inform { id, version, module };
            assert_eq!(Inform::parse(emitted(&inform).as_bytes()), Ok(inform));
        }
    }

    #[test]
    fn block_requests_survive(
        id in raw_text(15), token in prop::option::of("[0-9A-Za-z_.]{1,16}"), stream_id: u32, file_id: u32,
        size in 1..=131_072_u32, offset in 0..=16_777_216_u32,
    ) {
        let id = Id::from_raw(&id).unwrap();
        let request = BlockRequest { id, file_token: token.as_deref().map(plain), stream_id, file_id, size, offset };
        assert_eq!(BlockRequest::parse(emitted(&request).as_bytes()), Ok(request));
    }

    #[test]
    fn any_bytes_are_taken_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        text in r#"\{("(id|params|data|version|module|step|files|size)":(\{|\[|"a"|1|"1"|null|\}|\])?,?){0,8}[\]\}]{0,4}"#,
    ) {
        for payload in [&bytes[..], text.as_bytes()] {
            let _ = (Inform::parse(payload), Progress::parse(payload), Get::parse(payload), GetReply::parse(payload));
            let _ = (OldRequest::parse(payload), Notice::parse(payload), BlockRequest::parse(payload));
        }
    }
}
