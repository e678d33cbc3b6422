//! `otaru serve` as a process that is started, killed and started again.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running `otaru serve` on free ports of the loopback. It dies with this value.
pub(crate) struct Serve {
    /// Where devices connect.
    pub(crate) devices: SocketAddr,
    /// Where operators connect.
    pub(crate) url: String,
    child: Child,
}

impl Serve {
    /// Starts on a data folder, and returns once it is up. What it logs is put behind what is in `log`.
    pub(crate) fn start(data: &Path, database: &str, log: &Path) -> Self {
        let file = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = command(data, database);
        let mut child = command.stdout(Stdio::piped()).stderr(file).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut address = |name: &str| {
            let line = lines.find(|line| line.trim_start().starts_with(name));
            line.and_then(|line| line.split_whitespace().nth(1).map(str::to_owned))
        };
        let (Some(devices), Some(operators)) = (address("devices"), address("operators")) else {
            panic!("serve did not start: {}", std::fs::read_to_string(log).unwrap());
        };
        Self { devices: devices.parse().unwrap(), url: format!("http://{operators}"), child }
    }

    /// Tries to start, and gives the exit code with what was told.
    pub(crate) fn refused(data: &Path, database: &str) -> (Option<i32>, String) {
        let output = command(data, database).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, as an init system does, and gives its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // One that has ended already is what a test wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `otaru serve` with nothing of our own environment.
fn command(data: &Path, database: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otaru"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OTARU_")) {
        command.env_remove(name);
    }
    command.args(["serve", "--devices", "127.0.0.1:0", "--operators", "127.0.0.1:0", "--data"]);
    command.arg(data).args(["--database", database]).stdin(Stdio::null());
    command
}

/// The administrator's token of a data folder.
pub(crate) fn token(data: &Path) -> String {
    std::fs::read_to_string(data.join("admin-token")).unwrap().trim().to_owned()
}
