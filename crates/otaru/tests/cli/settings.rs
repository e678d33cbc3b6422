//! Where settings come from, and which of them counts.

use std::process::{Command, Stdio};

use crate::common::{otaru, run, serve};

fn print(folder: &tempfile::TempDir) -> Command {
    let mut command = otaru();
    command.args(["serve", "--print-settings", "--data"]).arg(folder.path());
    command
}

fn with_file(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("otaru.toml"), text).unwrap();
    folder
}

/// The line of a setting: its value, and where it comes from.
fn line(shown: &str, key: &str) -> String {
    let found = shown.lines().find(|line| line.trim_start_matches("# ").starts_with(&format!("{key} ")));
    found.unwrap_or_else(|| panic!("no {key} in\n{shown}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_flag_goes_before_a_variable_before_the_file_before_the_default() {
    let folder = with_file("\nmax-downloads = 7\n");
    let mut command = print(&folder);
    let shown = run(&mut command).out;
    assert!(line(&shown, "max-downloads").starts_with("max-downloads = 7 # "), "{shown}");
    assert!(line(&shown, "max-downloads").ends_with("otaru.toml, line 2"), "{shown}");
    assert_eq!(line(&shown, "log"), "log = \"info\" # default");

    command.env("OTARU_MAX_DOWNLOADS", "8");
    assert_eq!(
        line(&run(&mut command).out, "max-downloads"),
        "max-downloads = 8 # variable OTARU_MAX_DOWNLOADS"
    );
    command.args(["--max-downloads", "9"]);
    assert_eq!(line(&run(&mut command).out, "max-downloads"), "max-downloads = 9 # flag --max-downloads");
}

#[test]
fn an_empty_variable_is_not_set_and_an_empty_item_not_there() {
    let folder = with_file("devices = ['127.0.0.1:7']\nmax-downloads = 7\n");
    let mut command = print(&folder);
    command.env("OTARU_CONFIG", "").env("OTARU_MAX_DOWNLOADS", "").env("OTARU_LOG", "");
    let done = run(command.env("OTARU_DEVICES", "127.0.0.1:1,,127.0.0.1:2,").env("OTARU_ALLOW_HOST", ","));
    assert_eq!(done.code, 0, "{}", done.err);
    let devices = "devices = [\"127.0.0.1:1\", \"127.0.0.1:2\"] # variable OTARU_DEVICES";
    assert_eq!(line(&done.out, "devices"), devices);
    assert!(line(&done.out, "max-downloads").ends_with("otaru.toml, line 2"), "{}", done.out);
    assert_eq!(line(&done.out, "log"), "log = \"info\" # default");
    assert_eq!(line(&done.out, "allow-host"), "# allow-host is not set # default");

    let done = run(command.env("OTARU_DEVICES", ""));
    assert!(line(&done.out, "devices").ends_with("otaru.toml, line 1"), "{}", done.out);
    let done = run(command.env("OTARU_DEVICES", "here,"));
    assert!(done.err.contains("the variable OTARU_DEVICES is \"here\"; write ADDRESS:PORT"), "{}", done.err);
}

#[test]
fn what_is_shown_is_a_settings_file_that_says_the_same() {
    let folder = with_file("devices = ['127.0.0.1:1', '127.0.0.1:2']\nconnect-timeout = '3s'\n");
    let shown = run(&mut print(&folder)).out;
    assert!(line(&shown, "devices").starts_with("devices = [\"127.0.0.1:1\", \"127.0.0.1:2\"] #"), "{shown}");
    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("settings.toml");
    std::fs::write(&file, &shown).unwrap();
    let mut command = otaru();
    command.args(["serve", "--print-settings"]).env("OTARU_CONFIG", &file);
    let again = run(&mut command);
    let values = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.split("  #").next()).map(|line| line.trim().to_string()).collect()
    };
    assert_eq!(values(&again.out), values(&shown), "{}", again.err);
}

#[test]
fn a_secret_is_never_shown() {
    let folder = with_file("database = 'postgres://otaru:hunter2@db/otaru'\n");
    let shown = run(&mut print(&folder));
    assert!(line(&shown.out, "database").starts_with("# database is set, and not shown #"), "{}", shown.out);
    let wrong = run(print(&folder).env("OTARU_DATABASE", "mysql://otaru:hunter2@db/otaru"));
    let flag = run(print(&folder).args(["--database", "mysql://otaru:hunter2@db/otaru"]));
    assert!(
        wrong.err.contains("variable OTARU_DATABASE") && wrong.err.contains("write sqlite"),
        "{}",
        wrong.err
    );
    for done in [&shown, &wrong, &flag] {
        assert!(!format!("{}{}", done.out, done.err).contains("hunter2"), "{}{}", done.out, done.err);
    }
}

#[test]
fn what_is_wrong_is_told_with_its_origin_and_keeps_it_from_starting() {
    let folder = with_file("log = 'info'\nmax-download = 5\n");
    let done = run(&mut serve(folder.path().as_os_str()));
    assert_eq!(done.code, 2, "{}", done.err);
    assert!(done.err.contains("otaru.toml, line 2"), "{}", done.err);
    assert!(done.err.contains("did you mean \"max-downloads\"?"), "{}", done.err);

    let folder = tempfile::tempdir().unwrap();
    let done = run(print(&folder).env("OTARU_WRITE_TIMEOUT", "60"));
    assert_eq!(done.code, 2);
    assert!(
        done.err.contains("the variable OTARU_WRITE_TIMEOUT is \"60\"; write a whole number"),
        "{}",
        done.err
    );

    let done = run(print(&folder).args(["--config", "/nowhere/otaru.toml"]));
    assert_eq!(done.code, 2);
    assert!(done.err.contains("/nowhere/otaru.toml cannot be read"), "{}", done.err);
}

#[test]
fn the_data_folder_can_be_named_by_a_file_outside_it_only() {
    let folder = with_file("data = '/elsewhere'\n");
    let inside = run(&mut print(&folder));
    assert_eq!(inside.code, 2);
    assert!(inside.err.contains("cannot say where the data folder is"), "{}", inside.err);
    let mut command = otaru();
    command.args(["serve", "--print-settings", "--config"]).arg(folder.path().join("otaru.toml"));
    assert!(line(&run(&mut command).out, "data").starts_with("data = \"/elsewhere\" #"));
}

#[test]
fn a_backup_finds_the_database_where_the_platform_does() {
    let folder = with_file("database = 'postgres://127.0.0.1:port/otaru'\nmax-downloads = 3\n");
    let done = run(otaru().arg("backup").arg(folder.path().join("out")).arg("--data").arg(folder.path()));
    assert!(done.err.contains("the database setting must be"), "{}", done.err);
}

/// The first line that `serve` logs as JSON.
fn first_logged(more: &[&str]) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let mut command = serve(folder.path().join("data").as_os_str());
    command.args(["--log-format", "json"]).args(more);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let first = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    first
}

#[test]
fn tcp_that_asks_later_than_it_gives_up_is_told() {
    let first = first_logged(&["--tcp-idle", "2min", "--tcp-user-timeout", "2min"]);
    assert_eq!(first["level"], "WARN", "{first}");
    assert!(first["message"].as_str().unwrap().contains("tcp-idle is not below tcp-user-timeout"), "{first}");
    for fine in [["--tcp-idle", "0s"], ["--tcp-user-timeout", "0s"], ["--tcp-user-timeout", "61s"]] {
        assert_eq!(first_logged(&fine)["level"], "INFO");
    }
}

#[test]
fn the_log_can_be_json() {
    let first = first_logged(&[]);
    assert_eq!(first["level"], "INFO", "{first}");
    assert!(first["files"].as_u64().is_some_and(|files| files > 0), "{first}");
}
