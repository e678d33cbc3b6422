//! The runner against a platform of a few lines on a real socket.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use md5::Digest as _;
use mqtt::{Packet, Properties, Publish, QoS, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wire::Emit as _;
use wire::block::{BlockHead, ErrorHead, crc16, frame_prefix};
use wire::credentials::{ClientId, Username, verify};
use wire::json::RawStr;
use wire::message::{
    BlockRequest, Digest, File, Files, Get, GetReply, Inform, Notice, Offer, Progress, Source,
};
use wire::topic::{Kind, Topic};

use super::disk::plug;
use super::images::{Images, Stage};
use super::{Answer, Event, Options, Outcome, drive, trial};

const PK: &str = "a1TestPk001";
const DN: &str = "dev001";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What the platform offers and what it heard.
#[derive(Default)]
struct Platform {
    file: Vec<u8>,
    /// Files that are offered over HTTP instead, from this address, each by its number.
    files: Vec<Vec<u8>>,
    web: String,
    /// The module that it is for.
    module: Option<&'static str>,
    /// The version of the file, 2.0.0 if empty.
    target: &'static str,
    /// Nothing is offered any more.
    over: bool,
    /// Closes each connection after this many blocks.
    blocks_per_connection: Option<u32>,
    cancelled: bool,
    connections: u32,
    served: usize,
    informs: Vec<String>,
    steps: Vec<i32>,
}

type Shared = Arc<Mutex<Platform>>;

async fn start(platform: Platform) -> (Shared, String) {
    let shared = Arc::new(Mutex::new(platform));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let platform = Arc::clone(&shared);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, Arc::clone(&platform)));
        }
    });
    (shared, address)
}

async fn serve(mut stream: TcpStream, platform: Shared) {
    let mut received = Vec::new();
    let mut blocks = 0;
    loop {
        while let Some(length) =
            mqtt::frame_len(&received, 1 << 16).unwrap().filter(|length| *length <= received.len())
        {
            let packet: Vec<u8> = received.drain(..length).collect();
            let answers = answer(&Packet::parse(&packet, Version::V311).unwrap(), &platform, &mut blocks);
            let Some(answers) = answers else { return };
            if stream.write_all(&answers).await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut received).await {
            Ok(1..) => {}
            _ => return,
        }
    }
}

/// The bytes to send, or `None` to close the connection.
fn answer(packet: &Packet<'_>, platform: &Shared, blocks: &mut u32) -> Option<Vec<u8>> {
    let mut platform = platform.lock().unwrap();
    match packet {
        Packet::Connect(connect) => {
            platform.connections += 1;
            let client = ClientId::parse(connect.client_id).unwrap();
            let user = Username::parse(connect.username.unwrap()).unwrap();
            let method = client.sign_method().unwrap();
            let right = verify(connect.password.unwrap(), method, SECRET.as_bytes(), &client, &user);
            let (code, properties) = (if right { 0 } else { 4 }, Properties::NONE);
            Some(emit(&Packet::ConnAck { session_present: false, code, properties }))
        }
        Packet::Publish(publish) => {
            let mut out = publish.packet_id.map_or(Vec::new(), |packet_id| emit(&Packet::puback(packet_id)));
            match Topic::parse(publish.topic).unwrap().kind {
                Kind::Inform => out.extend(platform.inform(publish.payload)),
                Kind::Progress => platform.progress(publish.payload),
                Kind::FirmwareGet => out.extend(platform.get(publish.payload)),
                Kind::FileDownload => {
                    *blocks += 1;
                    if platform.blocks_per_connection.is_some_and(|most| *blocks > most) {
                        return None;
                    }
                    out.extend(platform.block(publish.payload));
                }
                kind => panic!("{kind:?}"),
            }
            Some(out)
        }
        Packet::PingReq => Some(emit(&Packet::PingResp)),
        Packet::PubAck { .. } => Some(Vec::new()),
        Packet::Disconnect { .. } => None,
        packet => panic!("{packet:?}"),
    }
}

impl Platform {
    fn inform(&mut self, payload: &[u8]) -> Vec<u8> {
        let inform = Inform::parse(payload).unwrap();
        let version = inform.version.to_string();
        self.informs.push(format!("{}={version}", inform.module.unwrap_or("default")));
        self.over |= version == self.target();
        if self.over || inform.module != self.module {
            return Vec::new();
        }
        let message = self.with_offer(|offer| {
            let mut notice = String::new();
            Notice::new(1, offer).unwrap().emit(&mut notice).unwrap();
            notice
        });
        publish(Kind::Upgrade, message.as_bytes(), Some(9))
    }

    fn get(&self, payload: &[u8]) -> Vec<u8> {
        let id = Get::parse(payload).unwrap().id;
        let message = self.with_offer(|offer| {
            let mut reply = String::new();
            GetReply::offer(id, offer).unwrap().emit(&mut reply).unwrap();
            reply
        });
        publish(Kind::FirmwareGetReply, message.as_bytes(), Some(9))
    }

    fn with_offer<T>(&self, send: impl FnOnce(Offer<'_>) -> T) -> T {
        let sign = md5_of(&self.file);
        let size = self.file.len() as u64;
        let urls: Vec<String> = (0..self.files.len()).map(|at| format!("{}/{at}", self.web)).collect();
        let signs: Vec<String> = self.files.iter().map(|file| md5_of(file)).collect();
        let files = self.files.iter().zip(&urls).zip(&signs).map(|((file, url), sign)| File {
            size: file.len() as u64,
            name: RawStr::plain("part").unwrap(),
            url: RawStr::plain(url).unwrap(),
            md5: Some(sign),
            sign,
        });
        let files: Vec<File<'_>> = files.collect();
        let source = match &files[..] {
            [] => Source::Mqtt { stream_id: 7, file_id: 1, size, sign: &sign, md5: Some(&sign) },
            [File { size, url, md5, sign, .. }] => Source::Http { url: *url, size: *size, sign, md5: *md5 },
            files => Source::Files(Files::List(files)),
        };
        send(Offer {
            version: RawStr::plain(self.target()).unwrap(),
            module: self.module,
            sign_method: Digest::Md5,
            is_diff: false,
            ext_data: None,
            digest_sign: None,
            source,
        })
    }

    fn target(&self) -> &'static str {
        if self.target.is_empty() { "2.0.0" } else { self.target }
    }

    fn progress(&mut self, payload: &[u8]) {
        let step = Progress::parse(payload).unwrap().step;
        self.over |= step < 0;
        self.steps.push(step);
    }

    fn block(&mut self, payload: &[u8]) -> Vec<u8> {
        let request = BlockRequest::parse(payload).unwrap();
        let mut head = [0; 512];
        if self.cancelled {
            let error = ErrorHead { id: request.id, code: 403, msg: RawStr::default() };
            let length = frame_prefix(&error, &mut head).unwrap();
            return publish(Kind::FileDownloadReply, &head[..length], None);
        }
        let (from, to) = (request.offset as usize, (request.offset + request.size) as usize);
        let data = &self.file[from..to.min(self.file.len())];
        self.served += data.len();
        let (size, file_length) = (data.len() as u32, self.file.len() as u64);
        let BlockRequest { id, offset, file_token, .. } = request;
        let length =
            frame_prefix(&BlockHead { id, offset, size, file_length, file_token }, &mut head).unwrap();
        let frame = [&head[..length], data, &crc16(data).to_le_bytes()].concat();
        publish(Kind::FileDownloadReply, &frame, None)
    }
}

fn publish(kind: Kind, payload: &[u8], packet_id: Option<u16>) -> Vec<u8> {
    let topic = Topic::new(kind, PK, DN).to_string();
    let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    let (dup, retain, properties) = (false, false, Properties::NONE);
    emit(&Packet::Publish(Publish { dup, qos, retain, topic: &topic, packet_id, properties, payload }))
}

fn emit(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = vec![0; packet.encoded_len(Version::V311).unwrap()];
    packet.emit(Version::V311, &mut bytes).unwrap();
    bytes
}

fn md5_of(bytes: &[u8]) -> String {
    md5::Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

fn updated() -> Outcome {
    Outcome::Updated { module: "default".to_owned(), version: "2.0.0".to_owned() }
}

/// A device with a folder of its own that ends after one update.
struct Bench {
    platform: Shared,
    options: Options,
    _folder: tempfile::TempDir,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Bench {
    async fn new(platform: Platform) -> Self {
        let (platform, host) = start(platform).await;
        let folder = tempfile::tempdir().unwrap();
        let state = Some(folder.path().join("device"));
        let options = Options { host, state, once: true, ..Options::new(PK, DN, SECRET) };
        Self { platform, options, _folder: folder, events: Arc::default() }
    }

    async fn run(&self) -> anyhow::Result<Outcome> {
        let events = Arc::clone(&self.events);
        let options = self.options.clone();
        let device = async move { drive(&options, |event| events.lock().unwrap().push(event)).await };
        // Spawned, as the demo does: the future has to be Send.
        tokio::time::timeout(std::time::Duration::from_secs(20), tokio::spawn(device)).await.unwrap().unwrap()
    }

    /// Runs until this many versions were reported; all of them.
    async fn informs(&self, count: usize) -> Vec<String> {
        let device = self.run();
        tokio::pin!(device);
        while self.platform.lock().unwrap().informs.len() < count {
            tokio::select! {
                outcome = &mut device => panic!("{outcome:?}"),
                () = tokio::time::sleep(std::time::Duration::from_millis(5)) => {}
            }
        }
        self.platform.lock().unwrap().informs.clone()
    }

    /// Writes a file of the state folder before the first run.
    fn store(&self, name: &str, content: &[u8]) {
        let path = self.options.state_folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn stored(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.options.state_folder().join(name)).unwrap()
    }

    fn started(&self) -> Vec<u32> {
        let events = self.events.lock().unwrap();
        events
            .iter()
            .filter_map(|e| if let Event::Started { from, .. } = e { Some(*from) } else { None })
            .collect()
    }
}

#[tokio::test]
async fn updates_and_remembers_it() {
    let mut bench = Bench::new(Platform { file: file(100_000), ..Platform::default() }).await;
    bench.options.module = vec![("default".into(), "1.0.0".into()), ("MCU".into(), "m1".into())];
    assert_eq!(bench.run().await.unwrap(), updated());
    assert_eq!(bench.stored("modules/default.bin"), file(100_000));
    {
        let platform = bench.platform.lock().unwrap();
        assert_eq!(platform.informs, ["MCU=m1", "default=1.0.0", "MCU=m1", "default=2.0.0"]);
        assert_eq!((platform.steps.first(), platform.steps.last()), (Some(&0), Some(&100)));
        assert_eq!(platform.served, 100_000);
    }
    // Another run starts with what the first one left, whatever it is told.
    bench.options.module = vec![("default".into(), "1.0.0".into())];
    let second = tokio::time::timeout(std::time::Duration::from_millis(500), bench.run()).await;
    assert!(second.is_err(), "there is nothing more to update");
    assert_eq!(bench.platform.lock().unwrap().informs[4..], ["MCU=m1", "default=2.0.0"]);
}

#[tokio::test]
async fn a_power_cut_resumes() {
    let mut bench = Bench::new(Platform { file: file(400_000), ..Platform::default() }).await;
    bench.options.reboot_at = Some(50);
    assert_eq!(bench.run().await.unwrap(), updated());
    assert_eq!(bench.stored("modules/default.bin"), file(400_000));
    let started = bench.started();
    assert_eq!(started.len(), 2, "{started:?}");
    assert!((100_000..=220_000).contains(&started[1]), "{started:?}");
    assert!(bench.platform.lock().unwrap().served < 600_000);
    let events = bench.events.lock().unwrap();
    assert_eq!(events.iter().filter(|event| **event == Event::Rebooting).count(), 2);
}

#[tokio::test]
async fn a_platform_that_hangs_up_again_and_again() {
    let platform = Platform { file: file(60_000), blocks_per_connection: Some(9), ..Platform::default() };
    let bench = Bench::new(platform).await;
    assert_eq!(bench.run().await.unwrap(), updated());
    assert_eq!(bench.started(), [0], "the download goes on, it does not start again");
    assert!(bench.platform.lock().unwrap().connections >= 3);
}

/// Serves files by their numbers, if need be with ranges; the first answer breaks off half way. What was asked for is
/// kept.
async fn web(files: Vec<Vec<u8>>, ranges: bool) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (format!("http://{}", listener.local_addr().unwrap()), Arc::default());
    let seen: Arc<Mutex<Vec<String>>> = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut head).await.unwrap();
            }
            let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
            let from: Option<usize> = head
                .split_once("range: bytes=")
                .map(|(_, range)| range.split('-').next().unwrap().parse().unwrap());
            let path = head.split(' ').nth(1).unwrap();
            let first = {
                let mut seen = seen.lock().unwrap();
                seen.push(format!("{path} from {}", from.unwrap_or(0)));
                seen.len() == 1
            };
            let file = path[1..].parse().ok().and_then(|at: usize| files.get(at));
            let answer = match file {
                None => b"HTTP/1.1 403 Forbidden\r\nContent-Length: 18\r\n\r\nthe URL is expired".to_vec(),
                Some(file) => {
                    let from = from.filter(|_| ranges);
                    let status = if from.is_some() { "206 Partial Content" } else { "200 OK" };
                    let rest = &file[from.unwrap_or(0)..];
                    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", rest.len());
                    [head.as_bytes(), if first { &rest[..rest.len() / 2] } else { rest }].concat()
                }
            };
            stream.write_all(&answer).await.unwrap();
        }
    });
    (address, asked)
}

#[tokio::test]
async fn a_file_comes_over_http_and_goes_on_where_it_broke_off() {
    let files = vec![file(100_000)];
    let (web, asked) = web(files.clone(), true).await;
    let bench = Bench::new(Platform { files, web, ..Platform::default() }).await;
    assert_eq!(bench.run().await.unwrap(), updated());
    assert_eq!(bench.stored("modules/default.bin"), file(100_000));
    let asked = asked.lock().unwrap();
    assert_eq!(asked[0], "/0 from 0");
    assert_eq!(asked[1..], ["/0 from 49152"], "whole pieces of 4 KiB count");
}

#[tokio::test]
async fn a_server_without_ranges_sends_the_file_again() {
    let files = vec![file(100_000)];
    let (web, asked) = web(files.clone(), false).await;
    let bench = Bench::new(Platform { files, web, ..Platform::default() }).await;
    assert_eq!(bench.run().await.unwrap(), updated());
    assert_eq!(bench.stored("modules/default.bin"), file(100_000));
    assert_eq!(asked.lock().unwrap()[..], ["/0 from 0", "/0 from 49152"]);
}

#[tokio::test]
async fn a_package_of_several_files_is_kept_together() {
    let files = vec![file(30_000), file(5), file(9_000)];
    let (web, _) = web(files.clone(), true).await;
    let bench = Bench::new(Platform { files: files.clone(), web, ..Platform::default() }).await;
    assert_eq!(bench.run().await.unwrap(), updated());
    for (at, file) in files.iter().enumerate() {
        assert_eq!(bench.stored(&format!("modules/default.files/{at}")), *file);
    }
}

#[tokio::test]
async fn lost_blocks_are_asked_for_again() {
    let mut bench = Bench::new(Platform { file: file(200_000), ..Platform::default() }).await;
    bench.options.drop_rate = 0.05;
    bench.options.window = 8;
    assert_eq!(bench.run().await.unwrap(), updated());
    assert_eq!(bench.stored("modules/default.bin"), file(200_000));
}

#[tokio::test]
async fn fails_as_asked_and_only_once() {
    let mut bench = Bench::new(Platform { file: file(100_000), ..Platform::default() }).await;
    bench.options.fail_at = Some(40);
    let outcome = bench.run().await.unwrap();
    assert!(matches!(outcome, Outcome::Failed { failure: device::Failure::Upgrade, .. }), "{outcome:?}");
    assert_eq!(outcome.exit_code(), 4);
    assert_eq!(bench.platform.lock().unwrap().steps.last(), Some(&-1), "told before the end");
    bench.platform.lock().unwrap().over = false;
    bench.options.fail_at = None;
    assert_eq!(bench.run().await.unwrap(), updated());
}

#[tokio::test]
async fn a_cancelled_update_ends_quietly() {
    let bench = Bench::new(Platform { file: file(9_000), cancelled: true, ..Platform::default() }).await;
    assert_eq!(bench.run().await.unwrap(), Outcome::Cancelled);
    assert!(!bench.platform.lock().unwrap().steps.iter().any(|step| *step < 0));
}

#[tokio::test]
async fn a_wrong_secret_ends_it() {
    let mut bench = Bench::new(Platform::default()).await;
    bench.options.secret = "wrong".to_owned();
    let error = bench.run().await.unwrap_err().to_string();
    assert!(error.contains("CONNACK 4") && error.contains("otaru device credentials"), "{error}");
}

#[tokio::test]
async fn one_state_folder_is_one_device() {
    let bench = Bench::new(Platform { over: true, ..Platform::default() }).await;
    let first = tokio::spawn({
        let options = bench.options.clone();
        async move { drive(&options, |_| {}).await }
    });
    while bench.platform.lock().unwrap().informs.is_empty() {
        tokio::task::yield_now().await;
    }
    let error = bench.run().await.unwrap_err().to_string();
    assert!(error.contains("in use by another device"), "{error}");
    first.abort();
}

#[tokio::test]
async fn options_that_cannot_be() {
    let bench = Bench::new(Platform::default()).await;
    let cases = [
        (Options { drop_rate: 1.5, ..bench.options.clone() }, "--drop-rate is 1.5"),
        (Options { block: 255, ..bench.options.clone() }, "use 256 to 131072"),
        (Options { module: vec![("../x".into(), "1".into())], ..bench.options.clone() }, "--module ../x=1"),
        (Options { device_name: "x".into(), ..bench.options.clone() }, "the device name must be"),
        (Options { host: "http://h".into(), ..bench.options.clone() }, "--host http://h: write HOST"),
        (Options { ca: Some("/none".into()), ..bench.options.clone() }, "the CA in /none cannot be read"),
        (
            Options {
                ca: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into()),
                ..bench.options.clone()
            },
            "holds no certificate",
        ),
    ];
    for (options, text) in cases {
        let error = drive(&options, |_| {}).await.unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
}

/// Hooks that note what they were told; what they have noted so far.
#[cfg(unix)]
fn hooks(bench: &mut Bench, confirm: &str) -> std::path::PathBuf {
    let notes = bench.options.state_folder().with_file_name("notes");
    let note = |what: &str| {
        let line = "$OTARU_MODULE $OTARU_PREVIOUS-$OTARU_VERSION $(wc -c <$OTARU_FILES)";
        format!("echo {what} \"{line}\" >>{}", notes.display())
    };
    bench.options.install = Some(note("install"));
    bench.options.confirm = Some(format!("{}; {confirm}", note("confirm")));
    notes
}

#[cfg(unix)]
#[tokio::test]
async fn hooks_install_and_confirm() {
    let mut bench = Bench::new(Platform { file: file(9_000), ..Platform::default() }).await;
    let notes = hooks(&mut bench, "true");
    assert_eq!(bench.run().await.unwrap(), updated());
    let noted = std::fs::read_to_string(notes).unwrap();
    assert_eq!(noted, "install default 1.0.0-2.0.0 9000\nconfirm default 1.0.0-2.0.0 9000\n");
    let confirmed = Event::Confirmed { module: "default".into(), version: "2.0.0".into() };
    assert!(bench.events.lock().unwrap().contains(&confirmed));
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_not_confirmed_is_rolled_back_and_told() {
    let mut bench = Bench::new(Platform { file: file(9_000), ..Platform::default() }).await;
    bench.run().await.unwrap();
    {
        let mut platform = bench.platform.lock().unwrap();
        (platform.over, platform.file, platform.target) = (false, file(70), "3.0.0");
    }
    let notes = hooks(&mut bench, "echo no lamp >&2; exit 3");
    let outcome = bench.run().await.unwrap();
    let Outcome::Failed { failure: device::Failure::Upgrade, why } = outcome else { panic!("{outcome:?}") };
    assert!(why.ends_with("ended with exit status: 3: no lamp"), "{why}");
    assert_eq!(bench.stored("modules/default.version"), b"2.0.0");
    assert_eq!(bench.stored("modules/default.bin"), file(9_000));
    let noted = std::fs::read_to_string(notes).unwrap();
    let lines: Vec<&str> = noted.lines().collect();
    let told = [
        "install default 2.0.0-3.0.0 70",
        "confirm default 2.0.0-3.0.0 70",
        "install default 3.0.0-2.0.0 9000",
    ];
    assert_eq!(lines, told);
    let platform = bench.platform.lock().unwrap();
    assert_eq!(platform.steps.last(), Some(&-1));
    assert_eq!(platform.informs.last().unwrap(), "default=2.0.0");
}

#[cfg(unix)]
#[test]
fn a_power_cut_on_the_way_back_does_not_make_the_bad_version_a_good_one() {
    for cut in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let modules = folder.path().join("modules");
        let path = |name: &str| modules.join(format!("default.{name}"));
        std::fs::create_dir(&modules).unwrap();
        for (name, content) in [("version", "1"), ("bin", "old"), ("next.bin", "new")] {
            std::fs::write(path(name), content).unwrap();
        }
        let images = Images::new(folder.path(), "default");
        images.begin("1", "2", Stage::Switching { trial: true }).unwrap();
        // What runs is what was installed last.
        let running = folder.path().join("running");
        std::fs::copy(path("next.bin"), &running).unwrap();
        let install = Some(format!("cp $OTARU_FILES {}", running.display()));
        let confirm = Some(format!("grep -q old {}", running.display()));
        let start = || {
            images
                .settle()
                .unwrap()
                .map(|change| trial(&images, confirm.clone(), install.clone(), "default", change))
        };
        plug::cut_after(Some(cut));
        let first = images
            .settle()
            .map(|change| trial(&images, confirm.clone(), install.clone(), "default", change.unwrap()));
        plug::cut_after(None);
        if let Ok(Ok(why)) = first {
            assert!(why.is_some() && cut > 8, "{cut}");
            return;
        }
        let told = start();
        assert!(matches!(told, None | Some(Ok(Some(_)))), "cut after {cut}: {told:?}");
        let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
        assert_eq!((read("version").as_str(), read("bin").as_str()), ("1", "old"), "cut after {cut}");
        assert_eq!(std::fs::read_to_string(&running).unwrap(), "old", "cut after {cut}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_hook_that_cannot_install_fails_the_update() {
    let mut bench = Bench::new(Platform { file: file(9_000), ..Platform::default() }).await;
    bench.options.install = Some("echo the disk is full >&2; false".into());
    let outcome = bench.run().await.unwrap();
    let Outcome::Failed { failure: device::Failure::Burn, why } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("the disk is full"), "{why}");
    assert_eq!(bench.stored("modules/default.version"), b"1.0.0");
}

/// A part, off for so many milliseconds, at the other end of a pty that is bad, until the test ends; where it is.
#[cfg(unix)]
fn part(off: u64, bad: u64) -> std::path::PathBuf {
    part_with(off, bad, sim::mcu::image("2.0.0", 20_000))
}

/// The same, of a part that starts this image.
#[cfg(unix)]
fn part_with(off: u64, bad: u64, image: Vec<u8>) -> std::path::PathBuf {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use sim::mcu::{Line, Part};
    use std::io::{Read as _, Write as _};

    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = std::path::PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
    // One end stays open, or the line hangs up between two openings.
    let held = serial2::SerialPort::open(&path, 115_200).unwrap();
    let mut line = std::fs::File::from(master);
    let mut sender = line.try_clone().unwrap();
    let (bytes, came) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(len @ 1..) = line.read(&mut buffer) {
            bytes.send(buffer[..len].to_vec()).unwrap();
        }
    });
    std::thread::spawn(move || {
        let (_held, started) = (held, std::time::Instant::now());
        let (mut part, mut noise) = (Part::new(&[image]), Line::new(7, bad));
        part.switch_off(off);
        loop {
            let came = came.recv_timeout(std::time::Duration::from_millis(5)).unwrap_or_default();
            let sent = part.tick(started.elapsed().as_millis() as u64, &noise.carry(&came));
            if sender.write_all(&noise.carry(&sent)).is_err() {
                return;
            }
        }
    });
    path
}

#[cfg(unix)]
#[tokio::test]
async fn a_part_behind_a_serial_line_gets_its_image_and_reports_it() {
    let image = sim::mcu::image("2.0.0", 20_000);
    let platform = Platform { file: image.clone(), module: Some("MCU"), ..Platform::default() };
    let mut bench = Bench::new(platform).await;
    bench.options.mcu = Some(part(0, 5));
    let outcome = bench.run().await.unwrap();
    assert_eq!(outcome, Outcome::Updated { module: "MCU".to_owned(), version: "2.0.0".to_owned() });
    assert_eq!(
        bench.platform.lock().unwrap().informs,
        ["MCU=loader", "default=1.0.0", "MCU=2.0.0", "default=1.0.0"]
    );
    let events = bench.events.lock().unwrap();
    let answers = events.iter().filter_map(|event| match event {
        Event::Part { answer, .. } => Some(answer.clone()),
        _ => None,
    });
    assert_eq!(answers.collect::<Vec<_>>(), [Answer::Waits, Answer::Runs("2.0.0".to_owned())]);
}

#[cfg(unix)]
#[tokio::test]
async fn an_image_that_the_part_does_not_run_is_a_failed_update() {
    let mut bench = Bench::new(Platform {
        file: sim::mcu::image("2.0.0", 300_000),
        module: Some("MCU"),
        ..Platform::default()
    })
    .await;
    bench.options.mcu = Some(part(0, 0));
    let outcome = bench.run().await.unwrap();
    let Outcome::Failed { failure: device::Failure::Burn, why } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("300000 bytes do not fit"), "{why}");
    assert_eq!(bench.platform.lock().unwrap().steps.last(), Some(&-4));
}

#[cfg(unix)]
fn for_part(target: &'static str) -> Platform {
    Platform { file: sim::mcu::image("2.0.0", 20_000), module: Some("MCU"), target, ..Platform::default() }
}

#[cfg(unix)]
fn part_updated() -> Outcome {
    Outcome::Updated { module: "MCU".to_owned(), version: "2.0.0".to_owned() }
}

#[cfg(unix)]
#[tokio::test]
async fn a_part_in_its_loader_does_not_run_what_it_ran() {
    let mut bench = Bench::new(for_part("2.0.0")).await;
    bench.options.mcu = Some(part(0, 0));
    bench.store("modules/MCU.version", b"2.0.0");
    assert_eq!(bench.run().await.unwrap(), part_updated(), "the version that it had can come again");
    assert_eq!(bench.platform.lock().unwrap().informs, ["MCU=loader", "MCU=2.0.0"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_part_that_starts_slowly_is_reported_when_it_answers() {
    let mut bench = Bench::new(for_part("2.0.0")).await;
    bench.options.mcu = Some(part(3_500, 0));
    assert_eq!(bench.run().await.unwrap(), part_updated());
    let informs = &bench.platform.lock().unwrap().informs;
    assert_eq!(informs[..], ["default=1.0.0", "MCU=loader", "default=1.0.0", "MCU=2.0.0", "default=1.0.0"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_part_whose_image_was_on_its_way_gets_it_before_anything_is_reported() {
    let mut bench = Bench::new(Platform { over: true, ..Platform::default() }).await;
    bench.options.mcu = Some(part(0, 0));
    bench.store("modules/MCU.version", b"1.0.0");
    bench.store("modules/MCU.next.bin", &sim::mcu::image("2.0.0", 20_000));
    bench.store("modules/MCU.change", br#"{"old":"1.0.0","new":"2.0.0","image":false,"stage":"passing"}"#);
    assert_eq!(bench.informs(1).await, ["MCU=2.0.0"]);
    assert!(!bench.options.state_folder().join("modules/MCU.change").exists());
}

#[cfg(unix)]
#[tokio::test]
async fn a_part_that_runs_something_else_after_all_is_reported_so() {
    let mut bench = Bench::new(for_part("3.0.0")).await;
    (bench.options.mcu, bench.options.once) = (Some(part(0, 0)), false);
    let informs = bench.informs(4).await;
    assert_eq!(informs, ["MCU=loader", "default=1.0.0", "MCU=2.0.0", "default=1.0.0"]);
    assert_eq!(bench.platform.lock().unwrap().steps.last(), Some(&-4));
}

#[cfg(unix)]
#[tokio::test]
async fn a_part_that_says_what_is_no_version_keeps_nobody_from_reporting() {
    for text in ["2\"0", "2\\0", "2\n0", ""] {
        let image = sim::mcu::image(text, 20_000);
        let file = image.clone();
        let mut bench = Bench::new(Platform { file, module: Some("MCU"), ..Platform::default() }).await;
        (bench.options.mcu, bench.options.once) = (Some(part_with(0, 0, image)), false);
        let informs = bench.informs(4).await;
        assert_eq!(informs, ["MCU=loader", "default=1.0.0", "MCU=unreadable", "default=1.0.0"], "{text:?}");
        assert_eq!(bench.platform.lock().unwrap().steps.last(), Some(&-4));
        let told = bench.events.lock().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(told.iter().any(|line| line.contains(&format!("it says that it runs {text:?}"))), "{told:?}");
    }
}

#[tokio::test]
async fn a_version_that_cannot_be_reported_is_refused_and_not_kept() {
    let mut bench = Bench::new(Platform::default()).await;
    bench.options.module = vec![("MCU".to_owned(), "1\"0".to_owned())];
    let error = format!("{:#}", bench.run().await.unwrap_err());
    assert!(error.contains("--module MCU=1\\\"0: the version must be"), "{error}");
    assert!(!bench.options.state_folder().join("modules/MCU.version").exists());
}

#[cfg(unix)]
#[tokio::test]
async fn a_part_is_never_on_trial() {
    let mut bench = Bench::new(for_part("2.0.0")).await;
    (bench.options.mcu, bench.options.confirm) = (Some(part(0, 0)), Some("false".to_owned()));
    assert_eq!(bench.run().await.unwrap(), part_updated());
}

#[tokio::test]
async fn a_serial_line_that_is_not_there_is_named() {
    let mut bench = Bench::new(Platform::default()).await;
    bench.options.mcu = Some("/nowhere/ttyUSB9".into());
    let error = format!("{:#}", bench.run().await.unwrap_err());
    assert!(error.contains("the serial line /nowhere/ttyUSB9 cannot be opened"), "{error}");
}
