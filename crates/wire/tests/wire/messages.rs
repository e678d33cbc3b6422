//! The JSON messages: docs/protocol.md 3.5, 4.1, 5, 6.1, 8.

use otaru_wire::Emit;
use otaru_wire::json::RawStr;
use otaru_wire::message::{
    BlockRequest, Config, ConfigGet, ConfigPush, ConfigPushReply, ConfigReply, Digest, Error, ExtData, Fault,
    File, Files, Get, GetReply, Id, Inform, Notice, Offer, OldRequest, Post, PostReply, Progress,
    RequestError, Shadow, ShadowReply, Source, TimeReply, TimeRequest,
};

const MD5: &str = "93230c3bde425a9d7984a594ac55ea1e";
const SHA256: &str = "58d88330f96b9f460b64709e1793f1cb76a912928185dc6978b41c2c03e3c7ac";

fn text(plain: &str) -> RawStr<'_> {
    RawStr::plain(plain).unwrap()
}

fn id(raw: &str) -> Id<'_> {
    Id::from_raw(raw).unwrap()
}

fn emitted(message: &impl Emit) -> String {
    let mut out = String::new();
    message.emit(&mut out).unwrap();
    assert_eq!(message.encoded_len(), out.len());
    let mut buffer = vec![0; out.len()];
    assert_eq!(message.emit_into(&mut buffer).unwrap(), out);
    assert!(message.emit_into(&mut buffer[1..]).is_err());
    out
}

fn field(field: &'static str, fault: Fault) -> Error {
    Error::Field { field, fault }
}

fn http(version: &str) -> Offer<'_> {
    let url = text("https://host/path.bin?auth_key=1-2-3&x=/y");
    let source = Source::Http { url, size: 432_945, sign: MD5, md5: Some(MD5) };
    let version = text(version);
    Offer {
        version,
        module: None,
        sign_method: Digest::Md5,
        is_diff: false,
        ext_data: None,
        digest_sign: None,
        source,
    }
}

fn mqtt() -> Offer<'static> {
    let source = Source::Mqtt { stream_id: 12332, file_id: 1, size: 4252, sign: MD5, md5: Some(MD5) };
    Offer { source, ..http("1.1") }
}

#[test]
fn version_reports_of_every_sdk() {
    for (payload, raw_id, version, module) in [
        (r#"{"id":"123","params":{"version":"1.0.1","module":"MCU"}}"#, "123", "1.0.1", Some("MCU")),
        (r#"{"id": 1, "params": {"version": "1.0.0"}}"#, "1", "1.0.0", None),
        (r#"{"id":1, "params":{"version":"1.0.0","module":"MCU"}}"#, "1", "1.0.0", Some("MCU")),
        (r#"{"id":"0","params":{"version":"1.0.0"}}"#, "0", "1.0.0", None),
        (
            r#"{"id":"1","params":{"version":"app-1.0.0-20180101.1000"}}"#,
            "1",
            "app-1.0.0-20180101.1000",
            None,
        ),
        (r#"{"params":{"version":1.5,"module":"default",},}"#, "", "1.5", None),
        (r#"{"id":null,"params":{"version":"1","module":null},"sys":{"ack":0},"x":[]}"#, "", "1", None),
        (r#"{"id":true,"params":{"module":"","version":"\u0031\u4e2d"}}"#, "true", "1中", None),
    ] {
        let report = Inform::parse(payload.as_bytes()).unwrap();
        assert_eq!(
            (report.id.raw(), report.version.to_string().as_str(), report.module),
            (raw_id, version, module)
        );
        assert_eq!(Inform::parse(emitted(&report).as_bytes()), Ok(report), "{payload}");
    }
}

#[test]
fn version_reports_are_written_as_documented() {
    let report = Inform { id: id("123"), version: text("1.0.1"), module: Some("MCU") };
    assert_eq!(emitted(&report), r#"{"id":"123","params":{"version":"1.0.1","module":"MCU"}}"#);
    assert_eq!(emitted(&Inform { module: None, ..report }), r#"{"id":"123","params":{"version":"1.0.1"}}"#);
}

#[test]
fn version_reports_that_cannot_be_taken_say_why() {
    let long = format!(r#"{{"params":{{"version":"{}"}}}}"#, "中".repeat(65));
    let module = Fault::Not("1-64 letters, digits, '.', '-' or '_'");
    for (payload, error) in [
        ("{}", field("params", Fault::Missing)),
        (r#"{"params":[]}"#, field("params", Fault::Type)),
        (r#"{"params":{}}"#, field("params.version", Fault::Missing)),
        (r#"{"params":{"version":""}}"#, field("params.version", Fault::Missing)),
        (r#"{"params":{"version":{}}}"#, field("params.version", Fault::Type)),
        (long.as_str(), field("params.version", Fault::TooLong(64))),
        (r#"{"params":{"version":"1","module":1}}"#, field("params.module", Fault::Type)),
        (r#"{"params":{"version":"1","module":"a b"}}"#, field("params.module", module)),
        (r#"{"params":{"version":"1","module":"\u0041"}}"#, field("params.module", module)),
        ("[]", Error::NotAnObject),
        ("\"x\"", Error::NotAnObject),
    ] {
        assert_eq!(Inform::parse(payload.as_bytes()), Err(error), "{payload}");
    }
    let fits = format!(r#"{{"params":{{"version":"{}"}}}}"#, "中".repeat(64));
    assert!(Inform::parse(fits.as_bytes()).is_ok());
    let error = Inform::parse(long.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "params.version is too long: at most 64 characters");
}

#[test]
fn an_id_has_a_limit_and_no_nul() {
    let payload = |id: &str| format!(r#"{{"id":{id},"params":{{"version":"1"}}}}"#);
    let fits = payload(&"9".repeat(192));
    assert_eq!(Inform::parse(fits.as_bytes()).unwrap().id.raw().len(), 192);
    let long = payload(&"9".repeat(193));
    assert_eq!(Inform::parse(long.as_bytes()), Err(field("id", Fault::TooLong(192))));
    assert!(matches!(Inform::parse(payload(r#""\u0000""#).as_bytes()), Err(Error::Json(_))));
    assert!(Id::from_raw(&"9".repeat(193)).is_none());
    assert!(Id::from_raw("a\"").is_none());
}

#[test]
fn numbers_become_ids() {
    let mut buffer = [0; 10];
    for number in [0, 9, 10, 4_294_967_295] {
        assert_eq!(Id::decimal(number, &mut buffer).raw(), number.to_string());
    }
}

#[test]
fn progress_reports_of_every_sdk() {
    for (payload, step, desc, module) in [
        (
            r#"{"id":"123","params":{"step":"-1","desc":"download failed","module":"MCU"}}"#,
            -1,
            "download failed",
            Some("MCU"),
        ),
        (r#"{"id":2, "params":{"step":"20","desc":""}}"#, 20, "", None),
        (r#"{"id":0,"params":{"step":"28","desc":""}}"#, 28, "", None),
        (
            r#"{"id":"0","params":{"step":"0","desc":"Enter in downloading state"}}"#,
            0,
            "Enter in downloading state",
            None,
        ),
        (r#"{"params":{"step":100}}"#, 100, "", None),
        (r#"{"params":{"step":"-2147483648","desc":404}}"#, i32::MIN, "404", None),
        (r#"{"params":{"step":50.0,"desc":{"a":1}}}"#, 50, "", None),
    ] {
        let report = Progress::parse(payload.as_bytes()).unwrap();
        assert_eq!(
            (report.step, report.desc.to_string().as_str(), report.module),
            (step, desc, module),
            "{payload}"
        );
        assert_eq!(Progress::parse(emitted(&report).as_bytes()), Ok(report));
    }
    let report = Progress { id: id("123"), step: -1, desc: text("download failed"), module: Some("MCU") };
    assert_eq!(
        emitted(&report),
        r#"{"id":"123","params":{"step":"-1","desc":"download failed","module":"MCU"}}"#
    );
}

#[test]
fn a_long_description_is_cut_between_characters() {
    let payload = format!(r#"{{"params":{{"step":1,"desc":"{}"}}}}"#, r"\ud83d\ude00中\n".repeat(60));
    let report = Progress::parse(payload.as_bytes()).unwrap();
    assert_eq!(report.desc.to_string(), "😀中\n".repeat(60).chars().take(128).collect::<String>());
}

#[test]
fn steps_that_are_no_whole_number_are_refused() {
    let range = Fault::Range(i32::MIN.into(), i32::MAX.into());
    for (step, fault) in [
        ("\"\"", Fault::Type),
        ("\"abc\"", Fault::Type),
        ("\"12%\"", Fault::Type),
        ("1.5", Fault::Type),
        ("true", Fault::Type),
        ("[]", Fault::Type),
        ("null", Fault::Missing),
        ("1e999", Fault::Type),
        ("2147483648", range),
        ("\"-2147483649\"", range),
        ("99999999999999999999999999", range),
        ("\"-99999999999999999999999999\"", range),
    ] {
        let payload = format!(r#"{{"params":{{"step":{step}}}}}"#);
        assert_eq!(Progress::parse(payload.as_bytes()), Err(field("params.step", fault)), "{step}");
    }
}

#[test]
fn questions_for_an_upgrade() {
    let full = r#"{"id":"123","version":"1.0","params":{"module":"MCU"},"method":"thing.ota.firmware.get"}"#;
    let get = Get { id: id("123"), module: Some("MCU") };
    assert_eq!(Get::parse(full.as_bytes()), Ok(get));
    assert_eq!(emitted(&get), full);
    for payload in [
        r#"{"id":2, "params":{}}"#,
        r#"{"id":"2"}"#,
        r#"{"id":2,"params":[]}"#,
        r#"{"id":2,"params":{"module":"default"}}"#,
    ] {
        assert_eq!(Get::parse(payload.as_bytes()), Ok(Get { id: id("2"), module: None }), "{payload}");
    }
    let npm = r#"{"id":"1|exp-topic|/sys/a1TestPk001/dev001/thing/ota/firmware/get","params":{}}"#;
    let bad = br#"{"id":"7","params":{"module":"bad module"}}"#;
    let error = field("params.module", Fault::Not("1-64 letters, digits, '.', '-' or '_'"));
    assert_eq!(Get::parse(bad), Err(RequestError::Parameter { id: id("7"), error }));
    let long = format!(r#"{{"id":"{}","params":{{}}}}"#, "7".repeat(193));
    let error = field("id", Fault::TooLong(192));
    assert_eq!(Get::parse(long.as_bytes()), Err(RequestError::Unreadable(error)));
    let reply = GetReply::nothing(Get::parse(npm.as_bytes()).unwrap().id);
    assert_eq!(
        emitted(&reply),
        r#"{"id":"1|exp-topic|/sys/a1TestPk001/dev001/thing/ota/firmware/get","code":200,"data":{}}"#
    );
}

#[test]
fn an_id_is_repeated_byte_for_byte() {
    let payload = r#"{"id":"a\u0041\/\"\ud83d\ude00","params":{}}"#;
    let get = Get::parse(payload.as_bytes()).unwrap();
    assert_eq!(
        emitted(&GetReply::error(get.id, 429)),
        r#"{"id":"a\u0041\/\"\ud83d\ude00","code":429,"data":{}}"#
    );
    assert_eq!(get.id.to_string(), "aA/\"😀");
}

#[test]
fn answers_to_a_question() {
    let nothing = GetReply::parse(br#"{"id":"123","code":200,"data":{}}"#).unwrap();
    assert_eq!((nothing.id(), nothing.code(), nothing.offered()), (id("123"), 200, None));
    let error = GetReply::parse(br#"{"id":"123","code":"9112"}"#).unwrap();
    assert_eq!((error.code(), error.offered()), (9112, None));
    let offer = http("2.0.0");
    let reply = GetReply::offer(id("123"), offer).unwrap();
    assert_eq!(
        emitted(&reply),
        format!(
            r#"{{"id":"123","code":200,"data":{{"size":432945,"sign":"{MD5}","version":"2.0.0","signMethod":"Md5","url":"https://host/path.bin?auth_key=1-2-3&x=/y","md5":"{MD5}"}}}}"#
        )
    );
    let text = emitted(&reply);
    assert_eq!(GetReply::parse(text.as_bytes()).unwrap().offered(), Some(&offer));
    let error = GetReply::parse(br#"{"id":"1","code":200,"data":{"size":1}}"#).unwrap_err();
    assert_eq!(error, field("data.signMethod", Fault::Missing));
    assert_eq!(GetReply::parse(b"{}"), Err(field("code", Fault::Missing)));
}

#[test]
fn the_old_question() {
    let payload = r#"{"id":"0","params":{"version":"1.0.0"}}"#;
    let request = OldRequest { id: id("0"), version: Some(text("1.0.0")) };
    assert_eq!(OldRequest::parse(payload.as_bytes()), Ok(request));
    assert_eq!(emitted(&request), payload);
    let bare = OldRequest { version: None, ..request };
    assert_eq!(OldRequest::parse(emitted(&bare).as_bytes()), Ok(bare));
    assert!(OldRequest::parse(br#"{"id":"0","params":{"version":[]}}"#).is_err());
    // The server's own answer comes back on the same topic when a device subscribed to it.
    assert!(OldRequest::parse(emitted(&Notice::new(1, http("2")).unwrap()).as_bytes()).is_err());
}

#[test]
fn the_notice_of_one_file_over_http() {
    let written = format!(
        r#"{{"code":"1000","data":{{"size":432945,"sign":"{MD5}","version":"2.0.0","signMethod":"Md5","url":"https://host/path.bin?auth_key=1-2-3&x=/y","md5":"{MD5}"}},"id":1507707025,"message":"success"}}"#
    );
    let notice = Notice::new(1_507_707_025, http("2.0.0")).unwrap();
    assert_eq!(emitted(&notice), written);
    assert_eq!(Notice::parse(written.as_bytes()), Ok(notice));
}

#[test]
fn the_notice_of_one_file_over_mqtt() {
    let written = format!(
        r#"{{"code":"1000","data":{{"size":4252,"streamId":12332,"sign":"{MD5}","dProtocol":"mqtt","version":"1.1","signMethod":"Md5","streamFileId":1,"md5":"{MD5}"}},"id":1695281536874,"message":"success"}}"#
    );
    let notice = Notice::new(1_695_281_536_874, mqtt()).unwrap();
    assert_eq!(emitted(&notice), written);
    assert_eq!(Notice::parse(written.as_bytes()), Ok(notice));
}

#[test]
fn the_notice_with_everything() {
    let ext_data = r#"{"color":"red","_package_udi":"{\"hw\":\"v2\",\"size\":5}"}"#;
    let offer = Offer {
        module: Some("MCU"),
        sign_method: Digest::Sha256,
        is_diff: true,
        ext_data: Some(ExtData::new(ext_data).unwrap()),
        digest_sign: Some(text("c2lnbmF0dXJl")),
        source: Source::Mqtt { stream_id: 1, file_id: 1, size: 1, sign: SHA256, md5: Some(MD5) },
        ..mqtt()
    };
    let notice = Notice::new(7, offer).unwrap();
    let written = format!(
        r#"{{"code":"1000","data":{{"size":1,"streamId":1,"sign":"{SHA256}","dProtocol":"mqtt","version":"1.1","signMethod":"SHA256","streamFileId":1,"md5":"{MD5}","module":"MCU","isDiff":1,"digestsign":"c2lnbmF0dXJl","extData":{ext_data}}},"id":7,"message":"success"}}"#
    );
    assert_eq!(emitted(&notice), written);
    assert_eq!(Notice::parse(written.as_bytes()), Ok(notice));
}

#[test]
fn the_notice_of_several_files_has_them_last() {
    let file = |name| File {
        size: 432_944,
        name: text(name),
        url: text("https://h/f?a=1&b"),
        md5: Some(MD5),
        sign: MD5,
    };
    let files = [file("f1.bin"), file("f2.bin")];
    let ext_data = Some(ExtData::new(r#"{"k":"v"}"#).unwrap());
    let offer =
        Offer { module: Some("MCU"), ext_data, source: Source::Files(Files::List(&files)), ..http("2.0.0") };
    let notice = Notice::new(1_507_707_025, offer).unwrap();
    let one = |name| {
        format!(
            r#"{{"fileSize":432944,"fileName":"{name}","fileUrl":"https://h/f?a=1&b","fileMd5":"{MD5}","fileSign":"{MD5}"}}"#
        )
    };
    let written = format!(
        r#"{{"code":"1000","data":{{"version":"2.0.0","signMethod":"Md5","module":"MCU","extData":{{"k":"v"}},"files":[{},{}]}},"id":1507707025,"message":"success"}}"#,
        one("f1.bin"),
        one("f2.bin")
    );
    assert_eq!(emitted(&notice), written);
    assert_eq!(Notice::parse(written.as_bytes()), Ok(notice));
    for bad in ["]", "a[", "][", "{}"] {
        let source = [File { name: text(bad), ..file("f") }];
        let refused = Notice::new(1, Offer { source: Source::Files(Files::List(&source)), ..http("2") });
        assert_eq!(refused, Err(field("data.files[].fileName", Fault::Unsafe)), "{bad}");
    }
    let without = [File { md5: None, ..file("f") }];
    let source = Source::Files(Files::List(&without));
    let refused = Notice::new(1, Offer { source, ..http("2") });
    assert_eq!(refused, Err(field("data.files[].fileMd5", Fault::Missing)));
    let sha256 = "0".repeat(64);
    let by_sha256 = [File { sign: &sha256, ..without[0] }];
    let source = Source::Files(Files::List(&by_sha256));
    let offer = Offer { sign_method: Digest::Sha256, source, ..http("2") };
    assert!(!emitted(&Notice::new(1, offer).unwrap()).contains("fileMd5"));
    for count in [0, 21] {
        let files = vec![file("f"); count];
        let source = Source::Files(Files::List(&files));
        let refused = Notice::new(1, Offer { source, ..http("2") });
        assert_eq!(refused, Err(field("data.files", Fault::Range(1, 20))));
    }
}

#[test]
fn notices_of_other_servers_are_read() {
    let upper = MD5.to_uppercase();
    let payload = format!(
        r#"{{ "code": 200, "id": "1507707025", "message": "success", "data": {{
            "url": "https:\/\/host\/a?x=1\u0026y=2", "size": "4252", "version": "2.0.0", "signMethod": "MD5", "sign": "{upper}",
            "module": "default", "isDiff": "1", "dProtocol": "https", "extData": {{ "k": 1, }}, "future": [{{}}] }} }}"#
    );
    let notice = Notice::parse(payload.as_bytes()).unwrap();
    let offer = notice.offer();
    assert_eq!(
        (notice.id_ms(), offer.module, offer.is_diff, offer.sign_method),
        (1_507_707_025, None, true, Digest::Md5)
    );
    let Source::Http { url, size: 4252, sign, md5: None } = offer.source else { panic!("{offer:?}") };
    assert_eq!((url.to_string().as_str(), sign), ("https://host/a?x=1&y=2", upper.as_str()));
    assert!(
        Notice::parse(
            format!(
                r#"{{"data":{{"size":1,"version":"2","signMethod":"Sha256","sign":"{SHA256}","url":"u"}}}}"#
            )
            .as_bytes()
        )
        .is_ok()
    );
}

#[test]
fn notices_that_cannot_be_used_say_why() {
    let whole = emitted(&Notice::new(1, mqtt()).unwrap());
    let hex = Fault::Not("32 lower-case hex digits");
    for (from, to, error) in [
        ("\"success\"", "\"fail\"", field("message", Fault::Not("\"success\""))),
        ("\"data\"", "\"dat\"", field("data", Fault::Missing)),
        ("\"size\":4252,", "", field("data.size", Fault::Missing)),
        ("4252", "-1", field("data.size", Fault::Range(0, 1 << 53))),
        ("4252", "99999999999999999999", field("data.size", Fault::Range(0, 1 << 53))),
        ("12332", "4294967296", field("data.streamId", Fault::Range(0, 4_294_967_295))),
        ("\"streamFileId\":1,", "", field("data.streamFileId", Fault::Missing)),
        ("\"version\":\"1.1\",", "", field("data.version", Fault::Missing)),
        ("\"Md5\"", "\"Crc32\"", field("data.signMethod", Fault::Not("Md5 or SHA256"))),
        ("\"sign\":\"9", "\"sign\":\"", field("data.sign", hex)),
        ("\"md5\":\"9", "\"md5\":\"x", field("data.md5", hex)),
        ("\"dProtocol\":\"mqtt\",", "", field("data.url", Fault::Missing)),
    ] {
        assert_ne!(whole, whole.replace(from, to));
        assert_eq!(Notice::parse(whole.replace(from, to).as_bytes()), Err(error), "{from} {to}");
    }
    for end in 0..whole.len() {
        assert!(Notice::parse(&whole.as_bytes()[..end]).is_err(), "{end}");
    }
}

#[test]
fn an_offer_that_devices_cannot_read_is_not_written() {
    let refused = |offer: Offer<'_>| GetReply::offer(id("1"), offer).map(|_| ()).unwrap_err();
    for version in ["1{", "}1", r"1\u0041", "1\u{7f}"] {
        let version = RawStr::from_raw(version).unwrap();
        assert_eq!(refused(Offer { version, ..mqtt() }), field("data.version", Fault::Unsafe));
    }
    assert!(RawStr::plain("1\"2").is_none());
    let long = "1".repeat(65);
    assert_eq!(refused(Offer { version: text(&long), ..mqtt() }), field("data.version", Fault::TooLong(64)));
    assert_eq!(refused(Offer { version: text(""), ..mqtt() }), field("data.version", Fault::Missing));
    for module in ["default", "", "a b", "a\"b"] {
        assert!(matches!(
            refused(Offer { module: Some(module), ..mqtt() }),
            Error::Field { field: "data.module", .. }
        ));
    }
    let upper = MD5.to_uppercase();
    for (sign, md5, at) in [
        (MD5, None, "data.md5"),
        (MD5, Some(""), "data.md5"),
        (MD5, Some(upper.as_str()), "data.md5"),
        (MD5, Some(SHA256), "data.md5"),
        (upper.as_str(), Some(MD5), "data.sign"),
        (SHA256, Some(MD5), "data.sign"),
        ("\"", Some(MD5), "data.sign"),
    ] {
        let source = Source::Mqtt { stream_id: 1, file_id: 1, size: 1, sign, md5 };
        assert!(
            matches!(refused(Offer { source, ..mqtt() }), Error::Field { field, .. } if field == at),
            "{sign} {md5:?}"
        );
    }
    let url = RawStr::from_raw(r"https:\/\/host").unwrap();
    let source = Source::Http { url, size: 1, sign: MD5, md5: Some(MD5) };
    assert_eq!(refused(Offer { source, ..mqtt() }), field("data.url", Fault::Unsafe));
    let url = RawStr::plain("https://host/{x}").unwrap();
    let source = Source::Http { url, size: 1, sign: MD5, md5: Some(MD5) };
    assert_eq!(refused(Offer { source, ..mqtt() }), field("data.url", Fault::Unsafe));
    assert_eq!(
        refused(Offer { digest_sign: Some(text("{")), ..mqtt() }),
        field("data.digestsign", Fault::Unsafe)
    );
}

#[test]
fn ext_data_that_would_shadow_or_unbalance_is_refused() {
    for good in [
        "{}",
        r#"{"k":"v"}"#,
        r#"{"a":"1","b":"\"{}\"","c":"size"}"#,
        r#"{"中":"}{"}"#.replace("}{", "{}").as_str(),
    ] {
        assert_eq!(ExtData::new(good).unwrap().raw(), good);
    }
    for bad in [
        r#"{"size":"1"}"#,
        r#"{"\u0073ize":"1"}"#,
        r#"{"module":"1"}"#,
        r#"{"files":"1"}"#,
        r#"{"id":"1"}"#,
        r#"{"k\"":"1"}"#,
        r#"{"k":1}"#,
        r#"{"k":{"size":"1"}}"#,
        r#"{"k":null}"#,
        r#"{"k": "v"}"#,
        r#"{ }"#,
        r#" {}"#,
        r#"{"k":"v",}"#,
        r#"{"k":"{"}"#,
        r#"{"k":"}{"}"#,
        "[]",
        "\"k\"",
        "",
        "{",
        r#"{"k":"\u0000"}"#,
    ] {
        assert!(ExtData::new(bad).is_err(), "{bad}");
    }
}

fn keys_of(value: &serde_json::Value, keys: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => object.iter().for_each(|(key, value)| {
            keys.insert(key.clone());
            keys_of(value, keys);
        }),
        serde_json::Value::Array(array) => array.iter().for_each(|value| keys_of(value, keys)),
        _ => {}
    }
}

#[test]
fn no_key_of_a_notice_or_answer_may_stand_in_ext_data() {
    let file = File { size: 1, name: text("f"), url: text("u"), md5: Some(MD5), sign: MD5 };
    let files = Source::Files(Files::List(std::slice::from_ref(&file)));
    let mut keys = std::collections::BTreeSet::new();
    for source in [http("2").source, mqtt().source, files] {
        let ext_data = Some(ExtData::new("{}").unwrap());
        let offer = Offer {
            module: Some("m"),
            is_diff: true,
            ext_data,
            digest_sign: Some(text("d")),
            source,
            ..http("2")
        };
        for message in
            [emitted(&Notice::new(1, offer).unwrap()), emitted(&GetReply::offer(id("1"), offer).unwrap())]
        {
            keys_of(&serde_json::from_str(&message).unwrap(), &mut keys);
        }
    }
    assert_eq!(keys.len(), 23, "{keys:?}");
    for key in keys {
        assert!(ExtData::new(&format!(r#"{{"{key}":"1"}}"#)).is_err(), "{key}");
    }
}

#[test]
fn block_requests_of_every_kind() {
    let documented = r#"{"id":"123456","version":"1.0","params":{"fileToken":"1bb8","fileInfo":{"streamId":1234565,"fileId":1},"fileBlock":{"size":256,"offset":2}}}"#;
    let request = BlockRequest {
        id: id("123456"),
        file_token: Some(text("1bb8")),
        stream_id: 1_234_565,
        file_id: 1,
        size: 256,
        offset: 2,
    };
    assert_eq!(BlockRequest::parse(documented.as_bytes()), Ok(request));
    assert_eq!(emitted(&request), documented);
    let bare = BlockRequest { file_token: None, ..request };
    assert_eq!(BlockRequest::parse(emitted(&bare).as_bytes()), Ok(bare));
    let c_sdk = r#"{"id":"1","version":"1.0","params":{"fileToken":"default","fileInfo":{"streamId":12332,"fileId":1,},"fileBlock":{"size":10240,"offset":0}}}"#;
    let request = BlockRequest {
        id: id("1"),
        file_token: Some(text("default")),
        stream_id: 12332,
        file_id: 1,
        size: 10240,
        offset: 0,
    };
    assert_eq!(BlockRequest::parse(c_sdk.as_bytes()), Ok(request));
    let strings = r#"{ "id" : 1, "params" : { "fileToken" : "default", "fileInfo" : { "streamId" : "12332" , "fileId" : "1" }, "fileBlock" : { "size" : "10240", "offset" : "0" } } }"#;
    assert_eq!(BlockRequest::parse(strings.as_bytes()), Ok(request));
}

#[test]
fn block_requests_out_of_range_keep_their_id() {
    let whole = r#"{"id":"7","params":{"fileToken":"t","fileInfo":{"streamId":1,"fileId":2},"fileBlock":{"size":256,"offset":3}}}"#;
    let size = field("params.fileBlock.size", Fault::Range(1, 131_072));
    let offset = field("params.fileBlock.offset", Fault::Range(0, 16_777_216));
    let any = Fault::Range(0, 4_294_967_295);
    let long = "t".repeat(65);
    for (from, to, error) in [
        ("256", "0", size),
        ("256", "131073", size),
        ("256", "-1", size),
        ("256", "\"99999999999999999999\"", size),
        ("256", "\"x\"", field("params.fileBlock.size", Fault::Type)),
        ("256", "{}", field("params.fileBlock.size", Fault::Type)),
        ("256", "null", field("params.fileBlock.size", Fault::Missing)),
        ("\"offset\":3", "\"offset\":16777217", offset),
        ("\"offset\":3", "\"offset\":-1", offset),
        (",\"offset\":3", "", field("params.fileBlock.offset", Fault::Missing)),
        ("\"streamId\":1", "\"streamId\":4294967296", field("params.fileInfo.streamId", any)),
        ("\"fileId\":2", "\"fileId\":-2", field("params.fileInfo.fileId", any)),
        ("\"fileId\":2", "\"fileId\":[2]", field("params.fileInfo.fileId", Fault::Type)),
        ("fileInfo", "info", field("params.fileInfo", Fault::Missing)),
        ("params", "param", field("params", Fault::Missing)),
        ("{\"size\":256,\"offset\":3}", "7", field("params.fileBlock", Fault::Type)),
        ("\"t\"", "\"a\\u0041\"", field("params.fileToken", Fault::Unsafe)),
        ("\"t\"", "\"{\"", field("params.fileToken", Fault::Unsafe)),
        ("\"t\"", &format!("\"{long}\""), field("params.fileToken", Fault::TooLong(64))),
    ] {
        let payload = whole.replacen(from, to, 1);
        let expected = RequestError::Parameter { id: id("7"), error };
        assert_eq!(BlockRequest::parse(payload.as_bytes()), Err(expected), "{payload}");
    }
    for (from, to) in [
        ("256", "1"),
        ("256", "131072"),
        ("\"offset\":3", "\"offset\":16777216"),
        ("\"t\"", "\"\""),
        ("\"t\"", "12"),
    ] {
        assert!(BlockRequest::parse(whole.replacen(from, to, 1).as_bytes()).is_ok(), "{to}");
    }
    for end in 0..whole.len() {
        let cut = BlockRequest::parse(&whole.as_bytes()[..end]);
        assert!(matches!(cut, Err(RequestError::Unreadable(Error::Json(_)))), "{end}");
    }
}

#[test]
fn questions_for_a_configuration() {
    for (payload, raw) in [
        // Node.js
        (
            r#"{"id":"6e2c","version":"1.0","params":{"configScope":"product","getType":"file"},"method":"thing.config.get"}"#,
            "6e2c",
        ),
        // C SDK 3.x
        (
            r#"{ "id" : 0, "version":"1.0", "params" : { "configScope":"product", "getType":"file", "attributeKeys":"" }, "method":"thing.config.get" }"#,
            "0",
        ),
        (r#"{"id":3}"#, "3"),
        (r#"{"params":{}}"#, ""),
    ] {
        assert_eq!(ConfigGet::parse(payload.as_bytes()).unwrap(), ConfigGet { id: id(raw) }, "{payload}");
    }
    for (payload, name) in [
        (r#"{"id":"1","params":{"configScope":"device"}}"#, "params.configScope"),
        (r#"{"id":"1","params":{"configScope":"product","getType":7}}"#, "params.getType"),
    ] {
        match ConfigGet::parse(payload.as_bytes()) {
            Err(RequestError::Parameter { id: repeated, error: Error::Field { field, .. } }) => {
                assert_eq!((repeated, field), (id("1"), name));
            }
            other => panic!("{payload}: {other:?}"),
        }
    }
    assert!(matches!(ConfigGet::parse(b"[1]"), Err(RequestError::Unreadable(_))));
}

fn config(url: &str) -> Config<'_> {
    Config { id: text("cfg_01"), size: 3, sha256: SHA256, url: text(url) }
}

#[test]
fn a_configuration_is_told_as_documented() {
    let data = format!(
        r#"{{"configId":"cfg_01","configSize":3,"sign":"{SHA256}","signMethod":"Sha256","url":"http://h:1883/a?b&c","getType":"file"}}"#
    );
    let config = config("http://h:1883/a?b&c");
    let reply = emitted(&ConfigReply::found(id("7"), config).unwrap());
    assert_eq!(reply, format!(r#"{{"id":"7","version":"1.0","code":200,"data":{data}}}"#));
    let reply = emitted(&ConfigReply::error(id("7"), 6710));
    assert_eq!(reply, r#"{"id":"7","version":"1.0","code":6710,"data":{}}"#);
    let push = emitted(&ConfigPush::new(12, config).unwrap());
    assert_eq!(
        push,
        format!(r#"{{"id":"12","version":"1.0","params":{data},"method":"thing.config.push"}}"#)
    );
}

#[test]
fn a_configuration_that_devices_cannot_read_is_not_told() {
    let upper = Config { sha256: "BA78", ..config("http://h/a") };
    for wrong in [upper, config("http://h/{a}"), config("")] {
        assert!(ConfigReply::found(id("7"), wrong).is_err(), "{wrong:?}");
        assert!(ConfigPush::new(1, wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn what_devices_say_to_a_push() {
    for payload in [r#"{"id":"12","code":200,"data":{}}"#, r#"{"id":12,"code":"200"}"#] {
        let reply = ConfigPushReply::parse(payload.as_bytes());
        assert_eq!(reply, Ok(ConfigPushReply { version: 12, code: 200 }), "{payload}");
    }
    for payload in
        [r#"{"code":200}"#, r#"{"id":"x","code":200}"#, r#"{"id":"-1","code":200}"#, r#"{"id":"12"}"#]
    {
        assert!(ConfigPushReply::parse(payload.as_bytes()).is_err(), "{payload}");
    }
}

#[test]
fn posts_are_answered_unless_they_want_no_answer() {
    for (payload, raw, wants_answer) in [
        // Node.js: an id with a topic, tags as a list
        (
            r#"{"id":"9a|exp-topic|/sys/pk/dn/thing/event/property/post_reply","version":"1.0","params":{"a":1},"method":"thing.event.property.post"}"#,
            "9a|exp-topic|/sys/pk/dn/thing/event/property/post_reply",
            true,
        ),
        (r#"{"id":"1","params":[{"attrKey":"SYS_SDK_LANGUAGE","attrValue":"NodeJS"}]}"#, "1", true),
        (r#"{"id":5,"sys":{"ack":0},"params":{}}"#, "5", false),
        (r#"{"id":5,"sys":{"ack":1}}"#, "5", true),
        (r#"{"id":5,"sys":0}"#, "5", true),
    ] {
        assert_eq!(Post::parse(payload.as_bytes()), Ok(Post { id: id(raw), wants_answer }), "{payload}");
    }
    let received = emitted(&PostReply::received(id("a|/b")));
    assert_eq!(received, r#"{"id":"a|/b","version":"1.0","code":200,"data":{},"message":"success"}"#);
    let logs = emitted(&PostReply::no_logs(id("1")));
    assert!(logs.contains(r#""code":200,"data":{"getType":"content","content":{"mode":0}}"#), "{logs}");
}

#[test]
fn a_shadow_is_empty_and_takes_everything() {
    let answer = |payload: &str| {
        emitted(&ShadowReply { to: Shadow::parse(payload.as_bytes()).unwrap(), at_s: 1_700_000_000 })
    };
    assert_eq!(
        answer(r#"{"method":"get"}"#),
        r#"{"method":"reply","payload":{"status":"success","state":{},"metadata":{},"version":0},"timestamp":1700000000}"#
    );
    for method in ["update", "delete"] {
        let payload =
            format!(r#"{{"method":"{method}","state":{{"reported":{{"a":1}}}},"version":1700000000123}}"#);
        assert_eq!(
            answer(&payload),
            r#"{"method":"reply","payload":{"status":"success","version":1700000000123},"timestamp":1700000000}"#
        );
    }
    assert!(answer(r#"{"method":"paint"}"#).contains(r#""status":"error""#));
    assert!(Shadow::parse(b"no").is_err());
}

#[test]
fn the_time_is_told_in_strings() {
    for payload in [r#"{"deviceSendTime":"1571724098000"}"#, r#"{ "deviceSendTime" : 1571724098000 }"#] {
        let TimeRequest { device_send_ms } = TimeRequest::parse(payload.as_bytes()).unwrap();
        assert_eq!(
            emitted(&TimeReply { device_send_ms, server_ms: 1_571_724_098_110 }),
            r#"{"deviceSendTime":"1571724098000","serverRecvTime":"1571724098110","serverSendTime":"1571724098110"}"#
        );
    }
    assert!(TimeRequest::parse(br#"{"deviceSendTime":"now"}"#).is_err());
    assert!(TimeRequest::parse(b"{}").is_err());
}
