//! The whole story, as an operator types it.

use std::io::{BufRead as _, BufReader};

use serde_json::Value;

use crate::common::{Platform, otaru, run};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A product with two devices that have secrets, and a package of version 2.0.0.
fn prepared() -> (Platform, String) {
    let platform = Platform::start();
    platform.order(&["product", "add", "Street lamp", "--key", "a1TestPk001"]);
    for name in ["lamp-1", "lamp-2"] {
        platform.order(&["device", "add", "a1TestPk001", name, "--secret", SECRET]);
    }
    let firmware: Vec<u8> = (0..150_000_u32).map(|n| (n ^ (n >> 7)) as u8).collect();
    let file = platform.file("lamp.bin", &firmware);
    let package =
        platform.json(&["package", "add", "a1TestPk001", file.to_str().unwrap(), "--version", "2.0.0"]);
    assert_eq!((&package["size"], &package["fileName"]), (&150_000.into(), &"lamp.bin".into()));
    let id = package["id"].as_str().unwrap().to_string();
    (platform, id)
}

fn job(platform: &Platform, words: &[&str]) -> String {
    platform.json(words)["job"]["id"].as_str().unwrap().to_string()
}

fn names(list: &Value, member: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item[member].as_str().unwrap().to_string()).collect()
}

#[test]
fn verified_on_one_rolled_out_to_all() {
    let (platform, package) = prepared();
    let early = platform.run(&["job", "start", &package, "--device", "lamp-2"]);
    assert_eq!(early.code, 1);
    assert!(early.err.contains("packageNotVerified"), "{}", early.err);

    let verify = job(&platform, &["job", "verify", &package, "lamp-1"]);
    let mut device = platform.device("lamp-1", &[]);
    let watched = platform.order(&["job", "watch", &verify]);
    assert!(watched.contains("COMPLETED: 1 succeeded"), "{watched}");
    assert!(device.wait().unwrap().success());
    assert_eq!(platform.json(&["package", "show", &package])["state"], "VERIFIED");

    let rollout =
        job(&platform, &["job", "start", &package, "--device", "lamp-2", "--rate", "60", "--timeout", "9"]);
    let mut device = platform.device("lamp-2", &["--reboot-at", "50"]);
    platform.order(&["job", "watch", &rollout]);
    assert!(device.wait().unwrap().success());
    let tasks = platform.json(&["job", "tasks", &rollout, "--state", "succeeded"]);
    assert_eq!(names(&tasks, "deviceName"), ["lamp-2"]);
    assert_eq!(names(&platform.json(&["job", "list", &package]), "id"), [verify, rollout]);
    let device = platform.json(&["device", "show", "a1TestPk001", "lamp-2"]);
    assert_eq!(names(&device["versions"], "version"), ["2.0.0"]);

    let late = platform.run(&["job", "start", &package, "--all"]);
    assert_eq!(late.code, 1);
    assert!(late.err.contains("noDeviceMatched"), "{}", late.err);
}

#[test]
fn a_failure_is_told_and_mended() {
    let (platform, package) = prepared();
    let verify = job(&platform, &["job", "verify", &package, "lamp-1", "--attempts", "1"]);
    let mut device = platform.device("lamp-1", &["--fail-at", "30"]);
    let watched = platform.run(&["job", "watch", &verify]);
    assert_eq!(watched.code, 1);
    assert!(watched.out.contains("1 failed") && watched.out.contains("lamp-1"), "{}", watched.out);
    assert_eq!(device.wait().unwrap().code(), Some(4));

    let failed = platform.json(&["job", "tasks", &verify, "--state", "FAILED"]);
    let task = failed[0]["id"].as_str().unwrap();
    assert_eq!(platform.json(&["task", "show", task])["reason"]["code"], "deviceFailed");
    platform.order(&["job", "re-upgrade", &verify, "--task", task]);
    let mut device = platform.device("lamp-1", &[]);
    platform.order(&["job", "watch", &verify]);
    assert!(device.wait().unwrap().success());
}

#[test]
fn a_job_is_cancelled() {
    let (platform, package) = prepared();
    let verify = job(&platform, &["job", "verify", &package, "lamp-1"]);
    platform.order(&["job", "cancel", &verify]);
    let watched = platform.run(&["job", "watch", &verify]);
    assert_eq!(watched.code, 1);
    assert!(watched.out.contains("CANCELED"), "{}", watched.out);
    assert_eq!(platform.run(&["job", "cancel", &verify]).code, 1);
}

#[test]
fn who_watches_a_held_job_is_told() {
    let (platform, _) = prepared();
    let file = platform.file("next.bin", &[7; 150_000]);
    let next = ["package", "add", "a1TestPk001", file.to_str().unwrap(), "--version", "3.0.0", "--no-verify"];
    let next = platform.json(&next)["id"].as_str().unwrap().to_string();
    let words = ["job", "start", &next, "--device", "lamp-1", "--device", "lamp-2"];
    let limits = ["--attempts", "1", "--max-failures", "0"];
    let halts = job(&platform, &[&words[..], &limits].concat());
    platform.order(&["job", "pause", &halts]);
    let mut watch = platform.spawn(&["job", "watch", &halts]);
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().ends_with("; paused"));
    platform.order(&["job", "resume", &halts]);
    let mut device = platform.device("lamp-1", &["--fail-at", "30"]);
    assert_eq!(device.wait().unwrap().code(), Some(4));
    let told: Vec<String> = lines.map(Result::unwrap).collect();
    let sentence = "; halted: 1 devices failed, and 0 are allowed to";
    assert!(told.iter().any(|line| line.contains("IN_PROGRESS") && line.ends_with(sentence)), "{told:?}");
    assert_eq!(watch.wait().unwrap().code(), Some(1));
}

#[test]
fn a_job_waits_for_its_window() {
    let (platform, package) = prepared();
    let zone = platform.json(&["product", "set", "a1TestPk001", "--timezone", "Asia/Shanghai"]);
    assert_eq!(zone["timezone"], "Asia/Shanghai");
    let windows = ["--window", "fri,sat 22:00-04:00", "--window", "mon-fri 02:00-02:01"];
    let words =
        [&["job", "verify", &package, "lamp-1", "--max-mbit-per-second", "1.5"][..], &windows].concat();
    let verify = job(&platform, &words);
    let shown = platform.order(&["job", "show", &verify]);
    assert!(shown.contains("fri,sat 22:00-04:00, mon,tue,wed,thu,fri 02:00-02:01"), "{shown}");
    assert!(shown.contains("1.5 Mbit/s"), "{shown}");
    let words =
        ["job", "change", &verify, "--no-windows", "--no-byte-budget", "--rate", "5", "--tag", "ring=beta"];
    let changed = platform.json(&words);
    assert_eq!((&changed["ratePerMinute"], changed["terms"].get("windows")), (&5.into(), None));
    let shown = platform.order(&["job", "change", &verify, "--window", "sat 01:00-02:00"]);
    assert!(shown.contains("sat 01:00-02:00") && shown.contains("5 a minute"), "{shown}");
    let wrong = platform.run(&["job", "change", &verify, "--filter", "has tag.ring"]);
    assert!(wrong.code == 1 && wrong.err.contains("fieldFixed"), "{}", wrong.err);
    let wrong = platform.run(&["job", "verify", &package, "lamp-1", "--window", "nights"]);
    assert!(wrong.code == 2 && wrong.err.contains("mon-fri 22:00-04:00"), "{}", wrong.err);
    let wrong = platform.run(&["job", "verify", &package, "lamp-1", "--window", "22:00-22:00"]);
    assert!(wrong.code == 1 && wrong.err.contains("has no minute"), "{}", wrong.err);
    let zone = platform.json(&["product", "set", "a1TestPk001", "--no-timezone"]);
    assert_eq!(zone.get("timezone"), None);
}

#[test]
fn downloads_over_http_need_an_address() {
    let (platform, package) = prepared();
    let done = platform.run(&["job", "verify", &package, "lamp-1", "--protocol", "http"]);
    assert_eq!(done.code, 1);
    assert!(done.err.contains("--public-url"), "{}", done.err);
}

#[test]
fn every_list_is_also_json() {
    let (platform, package) = prepared();
    platform.order(&["module", "add", "a1TestPk001", "MCU", "--alias", "电机", "--desc", "Motor controller"]);
    let csv = platform.file("fleet.csv", b"deviceName\nlamp-3\nlamp-4\n");
    platform.order(&["device", "import", "a1TestPk001", csv.to_str().unwrap()]);
    let again = platform.run(&["device", "import", "a1TestPk001", csv.to_str().unwrap()]);
    assert_eq!(again.code, 1);
    assert!(again.out.contains("lamp-3") && again.err.contains("2 of 2"), "{}{}", again.out, again.err);

    assert_eq!(names(&platform.json(&["product", "list"]), "productKey"), ["a1TestPk001"]);
    assert_eq!(names(&platform.json(&["module", "list", "a1TestPk001"]), "name"), ["default", "MCU"]);
    let devices = platform.json(&["device", "list", "a1TestPk001"]);
    assert_eq!(names(&devices, "deviceName"), ["lamp-1", "lamp-2", "lamp-3", "lamp-4"]);
    assert_eq!(names(&platform.json(&["package", "list", "a1TestPk001"]), "id"), [package]);
    assert_eq!(platform.json(&["job", "list"]), Value::Array(Vec::new()));
    let table = platform.order(&["module", "list", "a1TestPk001"]);
    assert!(table.lines().any(|line| line.starts_with("MCU") && line.contains("电机")), "{table}");
}

#[test]
fn credentials_are_ready_to_paste() {
    let (platform, _) = prepared();
    let text = platform.order(&["device", "credentials", "a1TestPk001", "lamp-1"]);
    let port = platform.devices.rsplit_once(':').unwrap().1;
    for part in ["mqtt://127.0.0.1", port, "mosquitto_pub -V mqttv311", "lamp-1&a1TestPk001", SECRET] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let logins = platform.json(&["device", "credentials", "a1TestPk001", "lamp-1"]);
    assert_eq!(names(&logins, "signMethod"), ["hmacmd5", "hmacsha1", "hmacsha256"]);
    assert!(names(&logins, "password").iter().all(|password| text.contains(password.as_str())));
}

#[test]
fn a_backup_brings_everything_back() {
    let (platform, package) = prepared();
    let before = platform.json(&["device", "credentials", "a1TestPk001", "lamp-1"]);
    let file = platform.folder.path().join("backup.tar");
    platform.order(&["backup", file.to_str().unwrap()]);
    assert_eq!(platform.run(&["backup", file.to_str().unwrap()]).code, 1);
    let into_full = platform.run(&["restore", file.to_str().unwrap()]);
    assert_eq!(into_full.code, 1, "{}", into_full.out);

    let (_, old) = platform.stop();
    let new = tempfile::tempdir().unwrap();
    let data = new.path().join("data");
    let restored = run(otaru().arg("restore").arg(old.path().join("backup.tar")).arg("--data").arg(&data));
    assert_eq!(restored.code, 0, "{}", restored.err);
    let platform = Platform::start_in(new);
    assert_eq!(platform.json(&["device", "credentials", "a1TestPk001", "lamp-1"]), before);
    assert_eq!(names(&platform.json(&["package", "list"]), "id"), [package.as_str()]);

    let verify = job(&platform, &["job", "verify", &package, "lamp-1"]);
    let mut device = platform.device("lamp-1", &[]);
    platform.order(&["job", "watch", &verify]);
    assert!(device.wait().unwrap().success());
}

#[test]
fn events_are_followed_across_a_restart() {
    let (platform, _) = prepared();
    let first = platform.order(&["events", "a1TestPk001", "lamp-1"]);
    assert!(first.contains("deviceCreated") && first.contains("lamp-1"), "{first}");
    let mut following =
        platform.spawn(&["events", "--follow", "--json", "--after", "0", "a1TestPk001", "lamp-1"]);
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["code"], "deviceCreated");
    platform.order(&["device", "disable", "a1TestPk001", "lamp-1"]);
    assert_eq!(next()["params"]["enabled"], false);
    let platform = platform.restart();
    platform.order(&["device", "enable", "a1TestPk001", "lamp-1"]);
    assert_eq!(next()["params"]["enabled"], true);
    following.kill().unwrap();
    following.wait().unwrap();
}

#[test]
fn devices_are_tagged_by_name_and_from_a_file() {
    let (platform, _) = prepared();
    let done =
        platform.order(&["device", "tag", "set", "a1TestPk001", "lamp-1", "lamp-2", "--tag", "region=eu"]);
    assert!(done.starts_with("2 devices changed"), "{done}");
    let file =
        platform.file("tags.csv", b"deviceName,timezone\nlamp-1,Europe/Berlin\nlamp-9,Europe/Berlin\n");
    let done = platform.run(&["device", "tag", "import", "a1TestPk001", file.to_str().unwrap()]);
    assert_eq!(done.code, 1);
    assert!(done.out.contains("lamp-9") && done.out.contains("1 devices changed"), "{}", done.out);
    platform.order(&["device", "tag", "unset", "a1TestPk001", "lamp-1", "--tag", "region"]);
    let tags = platform.json(&["device", "tag", "show", "a1TestPk001", "lamp-1"]);
    assert_eq!(tags, serde_json::json!({"timezone": "Europe/Berlin"}));
    let shown = platform.order(&["device", "show", "a1TestPk001", "lamp-2"]);
    assert!(shown.contains("region=eu"), "{shown}");
}

#[test]
fn the_messages_of_a_device_are_watched() {
    let (platform, package) = prepared();
    let mut watching = platform.spawn(&["device", "watch", "--json", "a1TestPk001", "lamp-1"]);
    let mut said = String::new();
    BufReader::new(watching.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "watching\n");
    let verify = job(&platform, &["job", "verify", &package, "lamp-1"]);
    let mut device = platform.device("lamp-1", &[]);
    platform.order(&["job", "watch", &verify]);
    assert!(device.wait().unwrap().success());
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut messages = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let mut find = |wanted: &dyn Fn(&Value) -> bool| messages.find(|message| wanted(message)).unwrap();
    let informed = find(&|message| message["topic"].as_str().unwrap().starts_with("/ota/device/inform/"));
    assert_eq!(
        (&informed["way"], &informed["payload"]["params"]["version"]),
        (&"up".into(), &"1.0.0".into())
    );
    let block = find(&|message| message["kind"] == "frame");
    assert_eq!(
        (&block["way"], &block["crcOk"], &block["payload"]["code"]),
        (&"down".into(), &true.into(), &200.into())
    );
    find(&|message| message["payload"]["params"]["version"] == "2.0.0");
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn statistics_tell_versions_and_results() {
    let (platform, package) = prepared();
    let verify = job(&platform, &["job", "verify", &package, "lamp-1"]);
    let mut device = platform.device("lamp-1", &[]);
    platform.order(&["job", "watch", &verify]);
    assert!(device.wait().unwrap().success());
    let versions = platform.order(&["stats", "versions", "a1TestPk001"]);
    assert!(versions.contains("2.0.0    1        100.0 %"), "{versions}");
    let history = platform.json(&["stats", "versions", "a1TestPk001", "--history"]);
    assert_eq!((&history["versions"][0], &history["points"][1]["devices"]), (&"2.0.0".into(), &1.into()));
    let upgrades = platform.json(&["stats", "upgrades", "a1TestPk001", "--job", &verify]);
    assert_eq!((&upgrades["succeeded"], &upgrades["successPercent"]), (&1.into(), &100.0.into()));
    assert!(upgrades["meanSeconds"].as_f64().unwrap() < 60.0, "{upgrades}");
}

#[test]
fn groups_and_filters_choose_devices_for_lists_and_jobs() {
    let (platform, package) = prepared();
    platform.order(&["device", "tag", "set", "a1TestPk001", "lamp-1", "--tag", "region=eu"]);
    let listed = platform.json(&["device", "list", "a1TestPk001", "--filter", "tag.region != eu"]);
    assert_eq!(names(&listed, "deviceName"), ["lamp-2"]);
    platform.order(&["group", "add", "a1TestPk001", "europe", "--filter", "tag.region = eu"]);
    platform.order(&["group", "add", "a1TestPk001", "canary", "--desc", "first ones"]);
    let joined = platform.order(&["group", "join", "a1TestPk001", "canary", "lamp-1", "lamp-2"]);
    assert!(joined.starts_with("2 devices changed"), "{joined}");
    platform.order(&["group", "leave", "a1TestPk001", "canary", "--filter", "name = lamp-2"]);
    for group in ["europe", "canary"] {
        let devices = platform.json(&["group", "devices", "a1TestPk001", group]);
        assert_eq!(names(&devices, "deviceName"), ["lamp-1"], "{group}");
    }
    assert_eq!(names(&platform.json(&["group", "list", "a1TestPk001"]), "name"), ["canary", "europe"]);
    let wrong = platform.run(&["device", "list", "a1TestPk001", "--filter", "region = eu"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("at character 1") && wrong.err.contains("filterInvalid"), "{}", wrong.err);

    let verify = job(&platform, &["job", "verify", &package, "lamp-1"]);
    let mut device = platform.device("lamp-1", &[]);
    platform.order(&["job", "watch", &verify]);
    assert!(device.wait().unwrap().success());
    let nobody =
        platform.run(&["job", "start", &package, "--group", "canary", "--waves", "group:canary,100%"]);
    assert!(nobody.err.contains("noDeviceMatched"), "{}", nobody.err);
    platform.order(&["group", "remove", "a1TestPk001", "canary"]);
    assert_eq!(names(&platform.json(&["group", "list", "a1TestPk001"]), "name"), ["europe"]);
}

#[test]
fn a_simulated_fleet_is_upgraded() {
    let platform = Platform::start();
    platform.order(&["product", "add", "Street lamp", "--key", "a1TestPk001"]);
    // One that is there already keeps its secret.
    platform.order(&["device", "add", "a1TestPk001", "sim-00002", "--secret", SECRET]);
    let file = platform.file("lamp.bin", &[7; 40_000]);
    let package =
        platform.json(&["package", "add", "a1TestPk001", file.to_str().unwrap(), "--version", "2.0.0"]);
    let package = package["id"].as_str().unwrap();
    let mut lost =
        platform.spawn(&["sim", "fleet", "a1TestPk001", "--devices", "1", "--host", "127.0.0.1:9"]);
    let mut told = String::new();
    BufReader::new(lost.stderr.take().unwrap()).read_line(&mut told).unwrap();
    lost.kill().unwrap();
    lost.wait().unwrap();
    assert!(told.contains("cannot connect to 127.0.0.1:9"), "{told}");
    let host = ["--host", &platform.devices];
    let fleet = ["sim", "fleet", "a1TestPk001", "--devices", "20", "--updates", "20"];
    let mut fleet = platform.spawn(&[&fleet[..], &host].concat());
    // A job for a device begins when it is there.
    let verify = loop {
        let started = platform.run(&["job", "verify", package, "sim-00001", "--json"]);
        if started.code == 0 {
            break serde_json::from_str::<Value>(&started.out).unwrap()["job"]["id"]
                .as_str()
                .unwrap()
                .to_string();
        }
        assert!(started.err.contains("sim-00001"), "{}", started.err);
        assert!(fleet.try_wait().unwrap().is_none(), "the fleet has ended");
    };
    platform.order(&["job", "watch", &verify]);
    let rollout = job(&platform, &["job", "start", package, "--all"]);
    let watched = platform.order(&["job", "watch", &rollout]);
    assert!(watched.contains("19 succeeded"), "{watched}");
    let done = fleet.wait_with_output().unwrap();
    let told = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{told}");
    for line in ["updated        20", "digests right  20", "failed         0", "logins         40"] {
        assert!(told.contains(line), "{told}");
    }
}
