use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A folder and a platform in it, which ends with it.
pub(crate) struct Platform {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) url: String,
    pub(crate) devices: String,
    /// What `serve` printed on standard output until it was up.
    pub(crate) greeting: String,
    serve: Child,
}

/// How a command ended.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The binary, blind to the environment of whoever runs the tests.
pub(crate) fn otaru() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otaru"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OTARU_")) {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Done {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

/// Runs a command with something on its standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Done {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

/// `serve` on free ports of the loopback.
pub(crate) fn serve(data: &OsStr) -> Command {
    serve_at(data, "127.0.0.1:0")
}

fn serve_at(data: &OsStr, operators: &str) -> Command {
    let mut command = serve_devices_at(data, "127.0.0.1:0");
    command.args(["--operators", operators]);
    command
}

fn serve_devices_at(data: &OsStr, devices: &str) -> Command {
    let mut command = otaru();
    command.args(["serve", "--devices", devices, "--data"]).arg(data);
    command
}

impl Platform {
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    /// Starts where a platform was before, or never.
    pub(crate) fn start_in(folder: tempfile::TempDir) -> Self {
        Self::start_at(folder, "127.0.0.1:0")
    }

    /// Stops, and starts again at the same place.
    pub(crate) fn restart(self) -> Self {
        let address = self.url.strip_prefix("http://").unwrap().to_owned();
        let (code, folder) = self.stop();
        assert_eq!(code, 0);
        Self::start_at(folder, &address)
    }

    /// Dies, and starts again in its folder.
    pub(crate) fn kill_and_restart(mut self) -> Self {
        self.serve.kill().unwrap();
        self.serve.wait().unwrap();
        let empty = tempfile::tempdir().unwrap();
        Self::start_in(std::mem::replace(&mut self.folder, empty))
    }

    fn start_at(folder: tempfile::TempDir, operators: &str) -> Self {
        let command = serve_at(folder.path().join("data").as_os_str(), operators);
        Self::start_with(folder, command)
    }

    /// One that devices can fetch files from over HTTP.
    pub(crate) fn start_for_http() -> Self {
        Self::start_known_as("http://127.0.0.1", tempfile::tempdir().unwrap())
    }

    /// One whose certificate is for `localhost`, and that devices can fetch files from with TLS.
    pub(crate) fn start_for_https() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certs = ["certs", "new", "--name", "localhost", "--data"];
        let made = run(otaru().args(certs).arg(folder.path().join("data")));
        assert_eq!(made.code, 0, "{}", made.err);
        Self::start_known_as("https://localhost", folder)
    }

    fn start_known_as(public_url: &str, folder: tempfile::TempDir) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = serve_devices_at(folder.path().join("data").as_os_str(), &free.to_string());
        let public_url = format!("{public_url}:{}", free.port());
        command.args(["--operators", "127.0.0.1:0", "--public-url", &public_url]);
        Self::start_with(folder, command)
    }

    fn start_with(folder: tempfile::TempDir, mut command: Command) -> Self {
        let mut serve = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(serve.stdout.take().unwrap()).lines();
        let mut greeting = String::new();
        for line in lines.map_while(Result::ok) {
            greeting.push_str(&line);
            greeting.push('\n');
            if line.starts_with("  operators") {
                break;
            }
        }
        let address = |name: &str| {
            let line = greeting.lines().find(|line| line.trim_start().starts_with(name));
            line.and_then(|line| line.split_whitespace().nth(1)).expect("serve did not start").to_string()
        };
        let (devices, url) = (address("devices"), format!("http://{}", address("operators")));
        Self { folder, url, devices, greeting, serve }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = otaru();
        command.args(words).env("OTARU_DATA", self.data()).env("OTARU_URL", &self.url);
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Done {
        run(&mut self.command(words))
    }

    /// Runs what must succeed; gives what it printed.
    pub(crate) fn order(&self, words: &[&str]) -> String {
        let done = self.run(words);
        assert_eq!(done.code, 0, "otaru {}: {}", words.join(" "), done.err);
        done.out
    }

    /// Runs what must succeed; gives its JSON.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.order(&[words, &["--json"]].concat())).unwrap()
    }

    /// Starts a command that goes on; what it prints is read from it.
    pub(crate) fn spawn(&self, words: &[&str]) -> Child {
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// A device as a process that ends after an update.
    pub(crate) fn device(&self, name: &str, more: &[&str]) -> Child {
        let secret = "0123456789abcdef0123456789abcdef";
        let mut command = self.command(&["device", "run", "a1TestPk001", name, "--secret", secret, "--once"]);
        let command = command.args(["--host", &self.devices, "--module", "default=1.0.0"]);
        command.arg("--state").arg(self.folder.path().join(name)).args(more);
        command.stderr(Stdio::null()).spawn().unwrap()
    }

    /// Asks `serve` to stop as an init system does, and gives its exit code and the folder.
    pub(crate) fn stop(mut self) -> (i32, tempfile::TempDir) {
        let pid = self.serve.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let code = self.serve.wait().unwrap().code().unwrap();
        let empty = tempfile::tempdir().unwrap();
        (code, std::mem::replace(&mut self.folder, empty))
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // One that has ended already is what a test wanted.
        let _ = self.serve.kill();
        let _ = self.serve.wait();
    }
}
