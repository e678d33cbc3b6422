//! Requests of gateways and their answers: docs/protocol.md 9.

use otaru_wire::Emit;
use otaru_wire::credentials::{Proof, SignMethod};
use otaru_wire::json::{self, RawStr};
use otaru_wire::message::{GatewayData, GatewayReply, GatewayRequest, Id, RequestError, SubDevice, SubName};
use otaru_wire::topic::GatewayStep;
use proptest::prelude::*;

const SECRET: &[u8] = b"00112233445566778899aabbccddeeff";
const PK: &str = "a1TestPk001";
const DN: &str = "sub001";
const WITH_BARS: &str = "a1TestPk001.sub001|lan=Python,_v=2.2.1,_ss=1|";

fn proof(method: SignMethod, client_id: &'static str, sign: &'static str) -> Proof<'static> {
    let raw = |text| RawStr::plain(text);
    Proof {
        method,
        sign,
        client_id: raw(client_id),
        random: None,
        timestamp: raw("1700000000000"),
        clean_session: None,
    }
}

#[test]
fn signatures_are_those_of_the_worked_examples() {
    for (method, client_id, sign) in [
        (SignMethod::HmacSha1, WITH_BARS, "33f5c26e645a58613f6122eecb004c8172a28d76"),
        (
            SignMethod::HmacSha256,
            WITH_BARS,
            "75219afe5f009b31d357e89aed211393007f0670216db88821126f2e055c85fa",
        ),
        (SignMethod::HmacSha1, DN, "985db03fafc5a20d8dd8c28b10cc8be062a79f2d"),
    ] {
        let proof = proof(method, client_id, sign);
        assert_eq!(proof.sign(SECRET, PK, DN).to_string(), sign);
        assert!(proof.holds(SECRET, PK, DN));
        assert!(!proof.holds(SECRET, PK, "sub002") && !proof.holds(b"other", PK, DN));
        let shorter = Proof { sign: &sign[1..], ..proof };
        let none = Proof { sign: "", ..proof };
        let no_time = Proof { timestamp: None, ..proof };
        assert!(
            !shorter.holds(SECRET, PK, DN) && !none.holds(SECRET, PK, DN) && !no_time.holds(SECRET, PK, DN)
        );
    }
}

#[test]
fn a_signature_may_cover_clean_session() {
    let plain = proof(SignMethod::HmacSha1, DN, "985db03fafc5a20d8dd8c28b10cc8be062a79f2d");
    let given = Proof { clean_session: RawStr::plain("false"), ..plain };
    assert!(given.holds(SECRET, PK, DN));
    // `cleanSessionfalseclientIdsub001deviceNamesub001productKeya1TestPk001timestamp1700000000000`
    let covered = Proof { sign: "661cb1a36f0c3a91b7ecd97b9ca9cadaa729466c", ..given };
    assert!(covered.holds(SECRET, PK, DN));
    assert!(!Proof { clean_session: RawStr::plain("true"), ..covered }.holds(SECRET, PK, DN));
    assert!(!Proof { clean_session: None, ..covered }.holds(SECRET, PK, DN));
}

/// What a signature of the product's secret covers is what a registration over MQTT signs.
#[test]
fn a_registration_is_signed_with_the_products_secret() {
    let proof = Proof {
        method: SignMethod::HmacSha1,
        sign: "08a9dfdb4a82e2329c3bc7ee31a715cfd21d71cb",
        client_id: None,
        random: RawStr::plain("4251869544"),
        timestamp: None,
        clean_session: None,
    };
    assert!(proof.holds(b"ProductSecret001", PK, "dev001"));
}

fn parse(step: GatewayStep, payload: &str) -> Result<Vec<SubDevice<'_>>, RequestError<'_>> {
    GatewayRequest::parse(step, payload.as_bytes()).map(|request| request.sub_devices().collect())
}

#[test]
fn what_the_sdks_send_is_read() {
    let python = r#"{"id": 1, "version": "1.0", "params": [{"productKey": "pk", "deviceName": "sub1", "clientId": "pk.sub1", "timestamp": "17", "signmethod": "hmacSha256", "sign": "ab"}]}"#;
    let subs = parse(GatewayStep::AddTopology, python).unwrap();
    assert_eq!((subs[0].product_key, subs[0].device_name), ("pk", "sub1"));
    let proof = subs[0].proof.unwrap();
    assert_eq!((proof.method, proof.sign, proof.clean_session), (SignMethod::HmacSha256, "ab", None));

    let batch = r#"{"id": "2", "version": "1.0", "params": {"signMethod": "hmacSha256", "deviceList": [{"productKey": "pk", "deviceName": "sub1", "clientId": "pk.sub1|_ss=1|", "timestamp": "17", "cleanSession": "false", "sign": "ab"}, {"productKey": "pk", "deviceName": "sub2", "clientId": "x", "signMethod": "hmacmd5", "timestamp": 17, "cleanSession": false, "sign": "cd"}]}}"#;
    let subs = parse(GatewayStep::BatchLogin, batch).unwrap();
    let methods: Vec<_> = subs.iter().map(|sub| sub.proof.unwrap().method).collect();
    assert_eq!(methods, [SignMethod::HmacSha256, SignMethod::HmacMd5]);
    assert_eq!(subs[1].proof.unwrap().timestamp, RawStr::plain("17"));
    assert_eq!(subs[1].proof.unwrap().clean_session, RawStr::plain("false"));

    let node = r#"{"id":"0|exp-topic|x","version":"1.0","params":{"productKey":"pk","deviceName":"sub1","clientId":"pk&sub1","timestamp":1700000000000,"signMethod":"hmacsha1","sign":"ab"},"method":""}"#;
    assert_eq!(parse(GatewayStep::Login, node).unwrap()[0].proof.unwrap().method, SignMethod::HmacSha1);
    let request = GatewayRequest::parse(GatewayStep::Login, node.as_bytes()).unwrap();
    assert_eq!(request.id.raw(), "0|exp-topic|x");

    let names = r#"{"id":1,"params":[{"productKey":"pk","deviceName":"sub1"},{"productKey":"pk","deviceName":"sub2"}]}"#;
    for step in [GatewayStep::DeleteTopology, GatewayStep::BatchLogout, GatewayStep::Register] {
        let subs = parse(step, names).unwrap();
        assert_eq!(subs.iter().map(|sub| sub.device_name).collect::<Vec<_>>(), ["sub1", "sub2"]);
        assert!(subs.iter().all(|sub| sub.proof.is_none()));
    }
    assert_eq!(parse(GatewayStep::GetTopology, r#"{"id":1,"params":{}}"#).unwrap(), []);
    assert_eq!(parse(GatewayStep::GetTopology, r#"{"id":1}"#).unwrap(), []);
    let product = r#"{"id":1,"params":{"proxieds":[{"productKey":"pk","deviceName":"sub1","random":"r","signMethod":"hmacSha256","sign":"ab"}]}}"#;
    let proof = parse(GatewayStep::RegisterByProduct, product).unwrap()[0].proof.unwrap();
    assert_eq!((proof.random, proof.client_id), (RawStr::plain("r"), None));
}

#[test]
fn what_cannot_be_right_is_refused_with_its_id() {
    let sub = r#"{"productKey":"pk","deviceName":"sub1","clientId":"c","sign":"ab"}"#;
    let many = vec![sub; 51].join(",");
    for (step, params) in [
        (GatewayStep::AddTopology, format!("[{many}]")),
        (GatewayStep::AddTopology, "[]".into()),
        (GatewayStep::AddTopology, "{}".into()),
        (GatewayStep::AddTopology, "[1]".into()),
        (GatewayStep::AddTopology, "1".into()),
        (GatewayStep::AddTopology, "null".into()),
        (GatewayStep::Login, sub.replace("sub1", "sub")),
        (GatewayStep::Login, sub.replace("sub1", "sub/1")),
        (GatewayStep::Login, sub.replace("sub1", r"sub\n1")),
        (GatewayStep::Login, sub.replace("pk", "p_k")),
        (GatewayStep::Login, sub.replace("clientId", "client")),
        (GatewayStep::Login, sub.replace("sign", "signature")),
        (GatewayStep::Login, sub.replace("\"ab\"", "\"ab\",\"signMethod\":\"sha\"")),
        (GatewayStep::Login, sub.replace("\"ab\"", "\"ab\",\"signMethod\":1")),
        (GatewayStep::Login, sub.replace("\"c\"", &format!("\"{}\"", "c".repeat(257)))),
        (GatewayStep::BatchLogin, sub.into()),
        (GatewayStep::BatchLogin, format!("[{sub}]")),
        (GatewayStep::BatchLogin, format!(r#"{{"deviceList":{sub}}}"#)),
        (GatewayStep::RegisterByProduct, format!(r#"{{"proxieds":[{sub}]}}"#)),
    ] {
        let payload = format!(r#"{{"id":7,"params":{params}}}"#);
        match parse(step, &payload) {
            Err(RequestError::Parameter { id, .. }) => assert_eq!(id.raw(), "7"),
            other => panic!("{payload}: {other:?}"),
        }
    }
    for payload in ["", "[]", "{", r#"{"id":"\u0000"}"#] {
        assert!(
            matches!(parse(GatewayStep::GetTopology, payload), Err(RequestError::Unreadable(_))),
            "{payload}"
        );
    }
}

#[test]
fn answers_are_compact_and_have_all_that_sdks_look_for() {
    let id = Id::from_raw("9").unwrap();
    let [one, two] = ["sub1", "sub2"].map(|name| SubName::new("pk", name));
    let secret = SubName { secret: Some(("12", r#"a"b\c"#)), ..one };
    for (data, text) in [
        (GatewayData::Nothing, "{}"),
        (GatewayData::One(one), r#"{"productKey":"pk","deviceName":"sub1"}"#),
        (GatewayData::Many(&[]), "[]"),
        (
            GatewayData::Many(&[one, two]),
            r#"[{"productKey":"pk","deviceName":"sub1"},{"productKey":"pk","deviceName":"sub2"}]"#,
        ),
        (
            GatewayData::Many(&[secret]),
            r#"[{"iotId":"12","deviceSecret":"a\"b\\c","productKey":"pk","deviceName":"sub1"}]"#,
        ),
        (
            GatewayData::Registered { successes: &[secret], failures: &[(two, 6288)] },
            r#"{"successes":[{"iotId":"12","deviceSecret":"a\"b\\c","productKey":"pk","deviceName":"sub1"}],"failures":[{"productKey":"pk","deviceName":"sub2","code":6288}]}"#,
        ),
    ] {
        let reply = GatewayReply { id, code: 200, message: "success", data };
        let mut buffer = [0; 512];
        let written = reply.emit_into(&mut buffer).unwrap();
        assert_eq!(written, format!(r#"{{"id":"9","code":200,"message":"success","data":{text}}}"#));
        json::parse(written.as_bytes()).unwrap();
    }
}

proptest! {
    /// What one signs the other accepts, whatever stands in the texts, and nothing that differs.
    #[test]
    fn a_login_is_accepted_as_it_was_signed(
        name in "[A-Za-z0-9_@.:-]{4,32}",
        key in "[A-Za-z0-9]{1,20}",
        secret in "[!-~]{1,64}",
        client_id in "[ !#-\\[\\]-~]{1,64}",
        timestamp in prop::option::of("[0-9]{1,13}"),
        method in prop::sample::select(&SignMethod::ALL[..]),
        other in "[!-~]{1,64}",
    ) {
        let unsigned = Proof {
            method,
            sign: "",
            client_id: RawStr::plain(&client_id),
            random: None,
            timestamp: timestamp.as_deref().and_then(RawStr::plain),
            clean_session: None,
        };
        let sign = unsigned.sign(secret.as_bytes(), &key, &name).to_string();
        let time = timestamp.as_ref().map(|time| format!(r#","timestamp":{time:?}"#)).unwrap_or_default();
        let payload = format!(
            r#"{{"id":1,"params":{{"productKey":"{key}","deviceName":"{name}","clientId":"{client_id}"{time},"signMethod":"{method}","sign":"{sign}"}}}}"#
        );
        let subs = parse(GatewayStep::Login, &payload).unwrap();
        let proof = subs[0].proof.unwrap();
        prop_assert_eq!(proof, Proof { sign: &sign, ..unsigned });
        prop_assert!(proof.holds(secret.as_bytes(), subs[0].product_key, subs[0].device_name));
        prop_assert_eq!(proof.holds(other.as_bytes(), &key, &name), other == secret);
    }

    #[test]
    fn no_bytes_are_taken_for_more_than_they_are(payload in any::<Vec<u8>>(), step in prop::sample::select(&GatewayStep::ALL[..])) {
        if let Ok(request) = GatewayRequest::parse(step, &payload) {
            prop_assert!(request.sub_devices().count() <= 50);
        }
    }
}
