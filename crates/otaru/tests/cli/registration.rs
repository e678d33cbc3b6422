//! Who may register, as an operator types it.

use crate::common::Platform;

#[test]
fn registration_is_switched_on_allowed_again_and_ended() {
    let platform = Platform::start();
    platform.order(&["product", "add", "Camera", "--key", "a1TestPk001", "--secret", "ProductSecret001"]);
    platform.order(&["device", "add", "a1TestPk001", "camera-1"]);
    let shown = platform.order(&["product", "show", "a1TestPk001"]);
    assert!(shown.contains("off") && !shown.contains("ProductSecret001"), "{shown}");
    let credentials = platform.json(&["product", "credentials", "a1TestPk001"]);
    assert_eq!(credentials["productSecret"], "ProductSecret001");

    let set = |name: &str, value: &str| platform.order(&["product", "set", "a1TestPk001", name, value]);
    assert!(set("--dynamic-registration", "true").contains("devices made beforehand"));
    assert!(set("--without-pre-registration", "true").contains("any device"));
    let wrong = platform.run(&["product", "set", "a1TestPk001", "--dynamic-registration", "on"]);
    assert_eq!(wrong.code, 2);

    for thing in [
        &["product", "allow-registration", "a1TestPk001"][..],
        &["device", "allow-registration", "a1TestPk001", "camera-1"],
    ] {
        assert!(platform.order(thing).contains("allowed until"), "{thing:?}");
        let ended = platform.json(&[thing, &["--minutes", "0"]].concat());
        assert!(ended.get("registrationAllowedUntil").is_none(), "{ended}");
        let long = platform.run(&[thing, &["--minutes", "43201"]].concat());
        assert!(long.code == 1 && long.err.contains("30 days"), "{}", long.err);
    }
}
