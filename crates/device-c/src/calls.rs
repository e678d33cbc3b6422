//! The functions of a device.
//!
//! What all of them ask of C, as the header says at its start, and what "by contract" means here: a pointer is null or
//! points to what its type says, which belongs to this call while it runs; a text ends with a zero.
#![allow(clippy::missing_safety_doc, reason = "it is the same for all of them, and stands above")]

use core::ffi::c_char;

use device::client::{Client, Login as Triple};
use device::flash::{Download, Region as Place};
use device::{BadConfig, Config, FRAME_OVERHEAD, Updater};
use wire::credentials::{valid_device_name, valid_device_secret, valid_product_key};

use crate::fault::{Code, Fault};
use crate::flash::{Flash, Functions, OTARU_WRITE_UNIT, Region};
use crate::line::{Line, bytes, check, text, value};
use crate::machine::{Core, OTARU_MODULES, Updates as Begun};
use crate::memory::{Device, Entered, enter, make, why};
use crate::todo::Todo;

/// Who the device is. All texts stay where they are, unchanged, for as long as the device is used.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Login {
    /// Key of the device's product: 1 to 20 letters or digits.
    pub product_key: *const c_char,
    /// Name of the device in its product: 4 to 32 characters of A-Z a-z 0-9 - _ @ . :
    pub device_name: *const c_char,
    /// Secret of the device; NULL if an MQTT client of your own logs in.
    pub device_secret: *const c_char,
    /// 4 for MQTT 3.1.1 or 5 for MQTT 5; 0 is 4.
    pub mqtt: u32,
    /// Seconds promised to the platform, 30 to 1200; 0 is 60.
    pub keep_alive: u32,
    /// Where packets are received: a block and 512 bytes. With an MQTT client of your own, where the parts of a message are
    /// put together; NULL if it hands over whole messages. It is the device's from now on.
    pub buffer: *mut u8,
    /// Bytes of the buffer.
    pub buffer_size: usize,
}

/// What an MQTT client of your own logs in with.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Credentials {
    /// The client id.
    pub client_id: [c_char; 128],
    /// The user name.
    pub username: [c_char; 64],
    /// The password: a signature.
    pub password: [c_char; 72],
}

/// One part of the device that has a version of its own. The texts stay where they are, unchanged, for as long as the
/// device is used.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Module {
    /// 1 to 64 characters of A-Z a-z 0-9 . - _; "default" is the whole firmware.
    pub name: *const c_char,
    /// The version that runs now: 1 to 64 characters without quotes, backslashes and control characters.
    pub version: *const c_char,
    /// Where a new image goes: whole sectors that nothing depends on.
    pub slot: Region,
}

/// How updates are taken. Zero stands for the usual value.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Updates {
    /// The parts whose versions are reported, one to OTARU_MODULES. They are copied, their texts are not.
    pub modules: *const Module,
    /// How many.
    pub module_count: usize,
    /// The flash that the slots and the journal are in. It is copied, its context is not.
    pub flash: Flash,
    /// Where the device remembers how far a download is: two sectors or more, apart from the slots.
    pub journal: Region,
    /// Bytes asked for at a time, 256 to 131 072, a multiple of OTARU_WRITE_UNIT; 0 is 4096.
    pub block: u32,
    /// How many blocks may be asked for at once, at most, 1 to 16; 0 is 2.
    pub window: u32,
    /// Milliseconds to wait for a block before asking again, at most; 0 is 10 000.
    pub reply_timeout: u32,
    /// Milliseconds from one entry in the journal to the next, at least. 0 remembers every block; more spares the flash, and
    /// has a power cut cost the blocks of that time.
    pub save_interval: u32,
    /// 1 if files may come over HTTP, fetched by the application; 0 if not.
    pub http: u32,
}

/// How far an update is.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Progress {
    /// Number of the file on its way, from 0.
    pub file: u32,
    /// Its size in bytes.
    pub size: u32,
    /// Bytes of it that are in the slot.
    pub stored: u32,
    /// 0 to 100 of all files.
    pub percent: u32,
}

/// Why an update is given up, as the platform knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Failure {
    /// Anything that is none of the others.
    OtaruFailedUpgrade = -1,
    /// The file could not be fetched.
    OtaruFailedDownload = -2,
    /// The file is not the one announced.
    OtaruFailedVerify = -3,
    /// The file could not be stored or installed.
    OtaruFailedBurn = -4,
}

fn failure(number: i32) -> Result<device::Failure, Fault> {
    use device::Failure;
    let all = [Failure::Upgrade, Failure::Download, Failure::Verify, Failure::Burn];
    all.into_iter()
        .find(|failure| failure.step() == number)
        .ok_or(Fault::Argument("there is no such failure"))
}

impl Login {
    /// The triple in it; `None` as the secret if there is none.
    ///
    /// # Safety
    /// As [`text`], for all texts.
    unsafe fn triple(&self) -> Result<(Triple<'static>, bool), Fault> {
        // SAFETY: by contract.
        let product_key = unsafe { text(self.product_key, "product_key") }?;
        // SAFETY: by contract.
        let device_name = unsafe { text(self.device_name, "device_name") }?;
        let has_secret = !self.device_secret.is_null();
        // SAFETY: by contract.
        let secret = if has_secret { unsafe { text(self.device_secret, "device_secret") }? } else { "" };
        let version = match self.mqtt {
            0 | 4 => mqtt::Version::V311,
            5 => mqtt::Version::V5,
            _ => return Err(Fault::Argument("mqtt must be 4 or 5")),
        };
        let keep_alive = match self.keep_alive {
            0 => 60,
            seconds @ 30..=1200 => seconds as u16,
            _ => return Err(Fault::Argument("keep_alive must be 30 to 1200 seconds")),
        };
        if !valid_product_key(product_key) {
            return Err(BadConfig::ProductKey.into());
        }
        if !valid_device_name(device_name) {
            return Err(BadConfig::DeviceName.into());
        }
        if has_secret && !valid_device_secret(secret) {
            return Err(Fault::Argument("device_secret must be 1 to 64 printable ASCII characters"));
        }
        Ok((Triple { product_key, device_name, secret, version, keep_alive }, has_secret))
    }
}

/// Makes a device ready in this memory; `size` is `sizeof(otaru_device)`. What was there before is forgotten: so a device
/// is begun anew.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_init(device: *mut Device, size: usize, login: *const Login) -> Code {
    // SAFETY: by contract null or a whole `Login`, of which any bytes are one.
    let Ok(login) = (unsafe { value(login, "login") }) else { return Code::OtaruBadArgument };
    let work = || {
        // SAFETY: by contract.
        let (triple, has_secret) = unsafe { login.triple() }?;
        if login.buffer_size > isize::MAX as usize {
            return Err(Fault::Argument("buffer_size is more than memory can have"));
        }
        if overlap(login.buffer, login.buffer_size, device.cast(), size) {
            return Err(Fault::Argument("the buffer lies in the device"));
        }
        let needed = 256 + FRAME_OVERHEAD as u32;
        if has_secret && (login.buffer.is_null() || login.buffer_size < needed as usize) {
            return Err(Fault::Buffer { size: login.buffer_size, needed });
        }
        Ok(Core::new(has_secret.then(|| Client::new(triple)), (triple.product_key, triple.device_name)))
    };
    // SAFETY: by contract the memory is the caller's, and the buffer the device's from now on.
    unsafe { make(device, size, (login.buffer, login.buffer_size), work) }
}

/// Writes what an MQTT client of your own logs in with. The login must have the device's secret; no device is needed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_credentials_of(login: *const Login, credentials: *mut Credentials) -> Code {
    // SAFETY: by contract null or a whole `Login`, of which any bytes are one.
    let Ok(login) = (unsafe { value(login, "login") }) else { return Code::OtaruBadArgument };
    if check(credentials, "credentials").is_err() {
        return Code::OtaruBadArgument;
    }
    // SAFETY: by contract.
    let triple = match unsafe { login.triple() } {
        Ok((triple, true)) => triple,
        Ok((_, false)) => return Code::OtaruBadArgument,
        Err(fault) => return fault.code(),
    };
    let found = Credentials {
        client_id: Line::written(|out| triple.write_client_id(out)).chars(),
        username: Line::written(|out| triple.write_username(out)).chars(),
        password: Line::of(triple.password()).chars(),
    };
    // SAFETY: not null, aligned, and by contract the caller's.
    unsafe { credentials.write(found) };
    Code::OtaruOk
}

/// Says what `otaru_begin` would say of the modules, the block and the window, and does nothing: the flash is not touched
/// and its regions are not looked at. To be called before the running image is confirmed: one that cannot begin is not one
/// to keep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_check(device: *mut Device, updates: *const Updates) -> Code {
    // SAFETY: by contract.
    let work = |entered: &mut Entered| unsafe { checked(entered, updates) }.map(drop);
    // SAFETY: by contract.
    unsafe { enter(device, work) }
}

/// Updates that can begin, if the flash allows it.
struct Checked<'u> {
    updates: &'u Updates,
    modules: [device::Module<'static>; OTARU_MODULES],
    slots: [Place; OTARU_MODULES],
    flash: Functions,
}

/// # Safety
/// `updates` is null or a whole [`Updates`] that stays as it is for `'u`, whose modules and texts stay as they are and whose
/// functions do what [`Flash`] says of them.
unsafe fn checked<'u>(entered: &mut Entered, updates: *const Updates) -> Result<Checked<'u>, Fault> {
    // SAFETY: by contract null or a whole `Updates`, of which any bytes are one.
    let updates = unsafe { value(updates, "updates") }?;
    if entered.core().is_begun() {
        return Err(Fault::NotNow("updates are begun already"));
    }
    // SAFETY: by contract.
    let (modules, slots) = unsafe { updates.modules() }?;
    // SAFETY: by contract.
    let flash = unsafe { Functions::new(updates.flash) }?;
    updates.check(entered)?;
    Updater::new(updates.config(entered.core().identity(), &modules[..updates.module_count]), None)?;
    Ok(Checked { updates, modules, slots, flash })
}

/// Begins to take updates: reads the journal, so that a download goes on where it was, and readies the slot for what is
/// missing. To be called once, as soon as the running image is known to work: until then the other slot is what the
/// device falls back to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_begin(device: *mut Device, updates: *const Updates) -> Code {
    let work = |entered: &mut Entered| {
        // SAFETY: by contract.
        let Checked { updates, modules, slots, mut flash } = unsafe { checked(entered, updates) }?;
        let modules = entered.keep(modules, updates.module_count);
        let config = updates.config(entered.core().identity(), modules);
        let (download, record) = Download::open(&mut flash, updates.journal.into(), &slots[..modules.len()])?;
        let updater = Updater::new(config, record)?;
        let begun = Begun {
            updater,
            download,
            flash,
            modules,
            slots,
            asked: None,
            reads: 0,
            restart_at: None,
            is_settled: false,
        };
        entered.core().begin(begun);
        Ok(())
    };
    // SAFETY: by contract.
    unsafe { enter(device, work) }
}

impl Updates {
    /// The modules and their slots.
    ///
    /// # Safety
    /// `modules` is null or points to `module_count` modules, whose texts stay as they are.
    unsafe fn modules(
        &self,
    ) -> Result<([device::Module<'static>; OTARU_MODULES], [Place; OTARU_MODULES]), Fault> {
        if !(1..=OTARU_MODULES).contains(&self.module_count) {
            return Err(Fault::Modules { most: OTARU_MODULES });
        }
        check(self.modules, "modules")?;
        let mut modules = [device::Module::new("", ""); OTARU_MODULES];
        let mut slots = [Place { start: 0, len: 0 }; OTARU_MODULES];
        for index in 0..self.module_count {
            // SAFETY: not null, aligned, and by contract there are as many.
            let module = unsafe { self.modules.add(index).read() };
            // SAFETY: by contract.
            let name = unsafe { text(module.name, "a module's name") }?;
            // SAFETY: by contract.
            let version = unsafe { text(module.version, "a module's version") }?;
            slots[index] = module.slot.into();
            modules[index] = device::Module { name, version, slot: module.slot.len };
        }
        Ok((modules, slots))
    }

    /// Checks what only this library asks for.
    fn check(&self, entered: &mut Entered) -> Result<(), Fault> {
        let (block, unit) = (self.block(), OTARU_WRITE_UNIT as u32);
        if !block.is_multiple_of(unit) {
            return Err(Fault::Block { block, unit });
        }
        let (_, size) = entered.buffer_at();
        let needed = block.saturating_add(FRAME_OVERHEAD as u32);
        if entered.core().has_client() && size < needed as usize {
            return Err(Fault::Buffer { size, needed });
        }
        Ok(())
    }

    fn block(&self) -> u32 {
        if self.block == 0 { 4096 } else { self.block }
    }

    fn config<'a>(
        &self,
        (product_key, device_name): (&'a str, &'a str),
        modules: &'a [device::Module<'a>],
    ) -> Config<'a> {
        let usual = Config::new(product_key, device_name, modules);
        let or = |value: u32, usual: u32| if value == 0 { usual } else { value };
        Config {
            block: self.block(),
            window: if self.window == 0 { usual.window } else { self.window as usize },
            reply_timeout: or(self.reply_timeout, usual.reply_timeout),
            save_interval: self.save_interval,
            http: self.http != 0,
            ..usual
        }
    }
}

/// What to do next, at this time in milliseconds of any clock that does not run backwards. To be called until it says
/// OTARU_WAIT: after every other call, and when the time it named has come. Storage is read, written and erased meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_poll(device: *mut Device, now: u64, todo: *mut Todo) -> Code {
    let work = |entered: &mut Entered| {
        check(todo, "todo")?;
        let (core, mut room, buffer) = entered.all();
        core.set_time(now)?;
        let next = core.poll(&mut room, buffer);
        // SAFETY: not null, aligned, and by contract the caller's.
        unsafe { todo.write(next) };
        Ok(())
    };
    // SAFETY: by contract.
    unsafe { enter(device, work) }
}

/// The connection is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_opened(device: *mut Device, now: u64) -> Code {
    // SAFETY: by contract.
    unsafe { enter(device, |entered| entered.core().set_time(now).and_then(|()| entered.core().opened())) }
}

/// The connection could not be opened, or it ended. It is opened again after a while.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_closed(device: *mut Device, now: u64) -> Code {
    // SAFETY: by contract.
    unsafe { enter(device, |entered| entered.core().set_time(now).and_then(|()| entered.core().closed())) }
}

/// Where bytes that come are to be received, and how many at most. Then `otaru_received`. There is no room while a packet
/// waits for `otaru_poll`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_inbox(device: *mut Device, place: *mut *mut u8, room: *mut usize) -> Code {
    let work = |entered: &mut Entered| {
        check(place, "place")?;
        check(room, "room")?;
        let (at, size) = entered.buffer_at();
        let used = entered.core().inbox()?;
        // SAFETY: not null, aligned, and by contract the caller's.
        unsafe { place.write(at.wrapping_add(used)) };
        // SAFETY: as above.
        unsafe { room.write(size - used) };
        Ok(())
    };
    // SAFETY: by contract.
    unsafe { enter(device, work) }
}

/// So many bytes were received where `otaru_inbox` said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_received(device: *mut Device, len: usize) -> Code {
    let work = |entered: &mut Entered| {
        let (core, buffer) = entered.with_buffer();
        core.received(len, buffer)
    };
    // SAFETY: by contract.
    unsafe { enter(device, work) }
}

/// With an MQTT client of your own: the platform took the login. No subscription is needed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_connected(device: *mut Device) -> Code {
    // SAFETY: by contract.
    unsafe { enter(device, |entered| entered.core().connected()) }
}

/// With an MQTT client of your own: the connection is gone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_disconnected(device: *mut Device) -> Code {
    // SAFETY: by contract.
    unsafe { enter(device, |entered| entered.core().disconnected()) }
}

/// With an MQTT client of your own: the platform has acknowledged all that was to be acknowledged. To be said whenever
/// it is so and `otaru_poll` says OTARU_WAIT: what failed is told again on the next connection until this was said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_settled(device: *mut Device) -> Code {
    // SAFETY: by contract.
    unsafe { enter(device, |entered| entered.core().settled()) }
}

/// With an MQTT client of your own: a message came, or a part of one: `len` bytes at `data`, which are those from `offset`
/// on of `total`. The whole message is one part at offset 0. Parts come in order, and are put together in the device's
/// buffer, which must hold topic and payload; if they do not fit, the platform is told. `topic` has `topic_len` bytes and
/// needs no zero; after the first part it may be NULL. None of the bytes may lie in the device's buffer. Blocks are
/// written before this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_message(
    device: *mut Device,
    now: u64,
    topic: *const c_char,
    topic_len: usize,
    total: usize,
    offset: usize,
    data: *const u8,
    len: usize,
) -> Code {
    let work = |entered: &mut Entered| {
        if len > total || offset > total - len {
            return Err(Fault::Argument("a part reaches beyond the end of its message"));
        }
        let (start, size) = entered.buffer_at();
        if overlap(start, size, data, len) || overlap(start, size, topic.cast(), topic_len) {
            return Err(Fault::Argument("the message lies in the device's buffer"));
        }
        let topic_len = if topic.is_null() { 0 } else { topic_len };
        // SAFETY: by contract readable, and not in what the device writes.
        let topic = unsafe { bytes(topic.cast(), topic_len, "topic") }?;
        let topic = core::str::from_utf8(topic).map_err(|_| Fault::NotText("topic"))?;
        // SAFETY: as above.
        let data = unsafe { bytes(data, len, "data") }?;
        let (core, buffer) = entered.with_buffer();
        core.set_time(now)?;
        core.message(topic, total, offset, data, buffer)
    };
    // SAFETY: by contract.
    unsafe { enter(device, work) }
}

fn overlap(one: *const u8, len: usize, other: *const u8, other_len: usize) -> bool {
    let (one, other) = (one.addr(), other.addr());
    one < other.saturating_add(other_len) && other < one.saturating_add(len)
}

/// OTARU_KEEP or OTARU_INSTALL is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_done(device: *mut Device) -> Code {
    // SAFETY: by contract.
    unsafe { enter(device, |entered| entered.core().updates()?.answered(None)) }
}

/// OTARU_KEEP or OTARU_INSTALL could not be done; the platform is told why.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_failed(device: *mut Device, why: *const c_char) -> Code {
    let work = |entered: &mut Entered| {
        // SAFETY: by contract.
        let why = unsafe { text(why, "why") }?;
        entered.core().updates()?.answered(Some(why))
    };
    // SAFETY: by contract.
    unsafe { enter(device, work) }
}

/// With `http`: these bytes came for OTARU_FETCH `id`, from byte `offset` of the file on. They come in order, in pieces of
/// the block's size but for the last, and are written before this returns. OTARU_NOT_NOW: the fetch is of no use any more
/// and is to be ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_fetched(
    device: *mut Device,
    id: u32,
    offset: u32,
    data: *const u8,
    len: usize,
) -> Code {
    let work = |entered: &mut Entered| {
        // SAFETY: by contract.
        let data = unsafe { bytes(data, len, "data") }?;
        entered.core().updates()?.fetched(id, offset, data)
    };
    // SAFETY: by contract.
    unsafe { enter(device, work) }
}

/// With `http`: the fetch `id` ended before the end of the file. It is begun again after a while, five times at most.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_fetch_failed(
    device: *mut Device,
    now: u64,
    id: u32,
    why: *const c_char,
) -> Code {
    let work = |entered: &mut Entered| {
        // SAFETY: by contract.
        let why = unsafe { text(why, "why") }?;
        entered.core().set_time(now)?;
        entered.core().updates()?.updater.handle_fetch_failed(now, id, why);
        Ok(())
    };
    // SAFETY: by contract.
    unsafe { enter(device, work) }
}

/// At this start the device found that `module` is back on the image before. The platform is told at the next connection,
/// before it hears the version. To be said right after `otaru_begin`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_rolled_back(
    device: *mut Device,
    module: *const c_char,
    why: *const c_char,
) -> Code {
    let work = |entered: &mut Entered| {
        // SAFETY: by contract.
        let module = unsafe { text(module, "module") }?;
        // SAFETY: by contract.
        let why = unsafe { text(why, "why") }?;
        entered.core().updates()?.updater.handle_rolled_back(module, why);
        Ok(())
    };
    // SAFETY: by contract.
    unsafe { enter(device, work) }
}

/// The device gives the running update up, for a reason of its own that the platform is told. `failure` is one of
/// otaru_failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_abandon(device: *mut Device, failure: i32, why: *const c_char) -> Code {
    let work = |entered: &mut Entered| {
        // SAFETY: by contract.
        let why = unsafe { text(why, "why") }?;
        let failure = self::failure(failure)?;
        entered.core().updates()?.abandon(failure, why)
    };
    // SAFETY: by contract.
    unsafe { enter(device, work) }
}

/// How far the running update is. OTARU_NOT_NOW: there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_progress_of(device: *mut Device, progress: *mut Progress) -> Code {
    let work = |entered: &mut Entered| {
        check(progress, "progress")?;
        let status = entered.core().updates()?.updater.status();
        let status = status.ok_or(Fault::NotNow("there is no update under way"))?;
        let found = Progress {
            file: status.file.into(),
            size: status.size,
            stored: status.stored,
            percent: status.percent.into(),
        };
        // SAFETY: not null, aligned, and by contract the caller's.
        unsafe { progress.write(found) };
        Ok(())
    };
    // SAFETY: by contract.
    unsafe { enter(device, work) }
}

/// Why the last call on this device that did not return OTARU_OK was refused or failed. Never NULL. It stays until the
/// next such call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otaru_error(device: *const Device) -> *const c_char {
    // SAFETY: by contract.
    unsafe { why(device) }
}
