//! A device in memory of the caller.

use core::ffi::c_char;
use core::mem::{align_of, size_of};

use device::{MESSAGE_SIZE, Module};

use crate::fault::{Code, Fault};
use crate::line::Line;
use crate::machine::{Core, OTARU_MODULES, PACKET, Room};

/// Words of an `otaru_device`, of 8 bytes: enough for every processor.
pub const OTARU_DEVICE_WORDS: usize = 720;

/// A device. Its memory is the caller's, and stays where it is once `otaru_init` made it ready: a copy is no device.
/// Nothing needs to be freed afterwards. `otaru_init` takes any memory; that the other functions tell one which it never
/// got needs memory that was written before, as a `static` is.
#[derive(Debug)]
#[repr(C)]
pub struct Device {
    words: [u64; OTARU_DEVICE_WORDS],
}

/// What is in a [`Device`] that was made ready.
///
/// The fields are only ever borrowed one by one: `core` holds references to `modules`, and C to what was written to
/// `message` and `packet`.
#[repr(C)]
pub(crate) struct State {
    seal: usize,
    is_busy: bool,
    why: Line<224>,
    buffer: *mut u8,
    buffer_size: usize,
    modules: [Module<'static>; OTARU_MODULES],
    message: [u8; MESSAGE_SIZE],
    packet: [u8; PACKET],
    core: Core,
}

const _: () =
    assert!(size_of::<State>() <= size_of::<Device>() && align_of::<State>() <= align_of::<Device>());

/// Is at the start of a device that was made ready, mixed with the place where it is.
const READY: usize = 0x07A2_0D0B_u32 as usize;
/// The same of one that could not be: there is nothing in it but why.
const FAILED: usize = READY ^ 1;

fn seal(state: *mut State, mark: usize) -> usize {
    state.addr() ^ mark
}

/// Whether this can be the memory of a device at all.
fn place(device: *mut Device) -> Option<*mut State> {
    (!device.is_null() && device.is_aligned()).then_some(device.cast())
}

/// Makes a device ready with what `work` makes.
///
/// # Safety
/// `device` is null, or `size` bytes there belong to the caller alone. `buffer` is null, or `buffer_size` bytes there
/// belong to the device from now on.
pub(crate) unsafe fn make(
    device: *mut Device,
    size: usize,
    buffer: (*mut u8, usize),
    work: impl FnOnce() -> Result<Core, Fault>,
) -> Code {
    let Some(state) = place(device).filter(|_| size == size_of::<Device>()) else {
        return Code::OtaruNoDevice;
    };
    let (buffer, buffer_size) = buffer;
    // SAFETY: not null, aligned, and large enough for a `State`, as is checked above and where `State` is.
    unsafe { device.write_bytes(0, 1) };
    let made = match work() {
        Ok(core) => core,
        Err(fault) => {
            // SAFETY: as above; the field is a part of it.
            unsafe { (&raw mut (*state).why).write(Line::of(fault)) };
            // SAFETY: as above.
            unsafe { (&raw mut (*state).seal).write(seal(state, FAILED)) };
            return fault.code();
        }
    };
    if !buffer.is_null() {
        // SAFETY: by contract these bytes are the device's. From here on they can be lent as bytes.
        unsafe { buffer.write_bytes(0, buffer_size) };
    }
    // SAFETY: as above, and for the fields below too. Of those that are not written zeroes are a value, and nothing is ever
    // read of `modules` that was not written.
    unsafe { (&raw mut (*state).buffer).write(buffer) };
    // SAFETY: as above.
    unsafe { (&raw mut (*state).buffer_size).write(if buffer.is_null() { 0 } else { buffer_size }) };
    // SAFETY: as above.
    unsafe { (&raw mut (*state).core).write(made) };
    // SAFETY: as above.
    unsafe { (&raw mut (*state).seal).write(seal(state, READY)) };
    Code::OtaruOk
}

/// Has `work` done on a device, if it is one and no other call is under way; keeps why it failed.
///
/// # Safety
/// `device` is null or points to the memory of a [`Device`], which is written and in which no other thread is.
pub(crate) unsafe fn enter(
    device: *mut Device,
    work: impl FnOnce(&mut Entered) -> Result<(), Fault>,
) -> Code {
    let Some(state) = place(device) else { return Code::OtaruNoDevice };
    // SAFETY: not null, aligned, and by contract memory that can be read.
    if unsafe { (&raw const (*state).seal).read() } != seal(state, READY) {
        return Code::OtaruNoDevice;
    }
    // SAFETY: the seal says that `make` wrote a `State` here, at this very address.
    let is_busy = unsafe { &raw mut (*state).is_busy };
    // SAFETY: as above.
    if unsafe { is_busy.read() } {
        return Code::OtaruBusy;
    }
    // SAFETY: as above.
    unsafe { is_busy.write(true) };
    let done = work(&mut Entered(state));
    // SAFETY: as above.
    unsafe { is_busy.write(false) };
    match done {
        Ok(()) => Code::OtaruOk,
        Err(fault) => {
            // SAFETY: as above.
            unsafe { (&raw mut (*state).why).write(Line::of(fault)) };
            fault.code()
        }
    }
}

/// A device that nobody else is in: made by [`enter`] alone, and gone when that returns.
pub(crate) struct Entered(*mut State);

impl Entered {
    pub(crate) fn core(&mut self) -> &mut Core {
        // SAFETY: the state is whole, nobody else is in it, and the borrow ends before that of `self`.
        unsafe { &mut (*self.0).core }
    }

    /// The core, and the caller's buffer.
    pub(crate) fn with_buffer(&mut self) -> (&mut Core, &mut [u8]) {
        (self.core_of(), self.buffer())
    }

    /// Everything. What was written into the room before is overwritten.
    pub(crate) fn all(&mut self) -> (&mut Core, Room<'_>, &mut [u8]) {
        // SAFETY: as in `core`; no other function borrows this field.
        let message = unsafe { &mut (*self.0).message };
        // SAFETY: as in `core`; no other function borrows this field.
        let packet = unsafe { &mut (*self.0).packet };
        (self.core_of(), Room { message, packet }, self.buffer())
    }

    /// Where the caller's buffer is, and how long.
    pub(crate) fn buffer_at(&self) -> (*mut u8, usize) {
        // SAFETY: the state is whole, and these are numbers.
        let at = unsafe { (*self.0).buffer };
        // SAFETY: as above.
        (at, unsafe { (*self.0).buffer_size })
    }

    /// Keeps the modules where they stay for as long as the device does. To be called once, before there are updates.
    pub(crate) fn keep(
        &mut self,
        modules: [Module<'static>; OTARU_MODULES],
        count: usize,
    ) -> &'static [Module<'static>] {
        // SAFETY: the state is whole, and as there are no updates nothing borrows the modules.
        unsafe { (&raw mut (*self.0).modules).write(modules) };
        // SAFETY: just written, and not changed any more: the only other writer is `make`, which begins a new device. The
        // memory stays where it is, as the seal proves at every call.
        let kept: &'static [_; OTARU_MODULES] = unsafe { &(*self.0).modules };
        &kept[..count.min(OTARU_MODULES)]
    }

    /// As [`Entered::core`], for use beside other fields.
    fn core_of<'e>(&self) -> &'e mut Core {
        // SAFETY: only called by the functions above, which borrow `self` for as long as what they return and call this once.
        unsafe { &mut (*self.0).core }
    }

    /// As `core_of`.
    fn buffer<'e>(&self) -> &'e mut [u8] {
        let (at, size) = self.buffer_at();
        if at.is_null() {
            return &mut [];
        }
        // SAFETY: the caller of `otaru_init` gave these bytes to the device, `make` wrote all of them, and they are apart
        // from the state. C writes there only between two calls.
        unsafe { core::slice::from_raw_parts_mut(at, size) }
    }
}

/// Why the last call on a device that did not return [`Code::OtaruOk`] was refused or failed.
///
/// # Safety
/// As [`enter`].
pub(crate) unsafe fn why(device: *const Device) -> *const c_char {
    let Some(state) = place(device.cast_mut()) else { return c"this is no memory of a device".as_ptr() };
    // SAFETY: not null, aligned, and by contract memory that can be read.
    let found = unsafe { (&raw const (*state).seal).read() };
    if found != seal(state, READY) && found != seal(state, FAILED) {
        return c"the device was never made ready by otaru_init, or was moved since".as_ptr();
    }
    // SAFETY: the seal says that `make` wrote this field.
    unsafe { (&raw const (*state).why).cast() }
}
