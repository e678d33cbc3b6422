//! Memory of the caller's with something of ours in it. (A device has its own way, as parts of it are lent apart.)

use core::ffi::c_char;
use core::mem::{align_of, size_of};

use crate::fault::{Code, Fault};
use crate::line::Line;

/// A type of C that is memory and nothing else: any bytes are one.
pub(crate) trait Memory: Sized {
    /// What is kept in it.
    type Kept;
    /// Tells it from memory that was never made ready; mixed with the place where it is.
    const MARK: usize;
}

/// The fields are only ever borrowed one by one: while a call is in `kept`, another may look whether one is.
struct Sealed<T> {
    seal: usize,
    is_busy: bool,
    why: Line<224>,
    /// There is none if it could not be made.
    kept: Option<T>,
}

fn place<M: Memory>(memory: *mut M) -> Option<*mut Sealed<M::Kept>> {
    const {
        assert!(
            size_of::<Sealed<M::Kept>>() <= size_of::<M>()
                && align_of::<Sealed<M::Kept>>() <= align_of::<M>()
        )
    };
    (!memory.is_null() && memory.is_aligned()).then_some(memory.cast())
}

fn seal<M: Memory>(place: *mut Sealed<M::Kept>) -> usize {
    place.addr() ^ M::MARK
}

/// Puts what `work` makes into this memory, or why it could not.
///
/// # Safety
/// `memory` is null, or `size` bytes there belong to the caller alone, and no other call is under way in them.
pub(crate) unsafe fn make<M: Memory>(
    memory: *mut M,
    size: usize,
    work: impl FnOnce() -> Result<M::Kept, Fault>,
) -> Code {
    let Some(place) = place(memory).filter(|_| size == size_of::<M>()) else { return Code::OtaruNoDevice };
    let seal = seal::<M>(place);
    let (sealed, code) = match work() {
        Ok(kept) => (Sealed { seal, is_busy: false, why: Line::EMPTY, kept: Some(kept) }, Code::OtaruOk),
        Err(fault) => (Sealed { seal, is_busy: false, why: Line::of(fault), kept: None }, fault.code()),
    };
    // SAFETY: not null, aligned, and large enough, as is checked above and in `place`.
    unsafe { place.write(sealed) };
    code
}

/// Has `work` done on what is in this memory, if no other call is under way there; keeps why it failed.
///
/// # Safety
/// `memory` is null or points to a whole `M`, which is written and in which no other thread is.
pub(crate) unsafe fn enter<M: Memory>(
    memory: *mut M,
    work: impl FnOnce(&mut M::Kept) -> Result<(), Fault>,
) -> Code {
    let Some(place) = place(memory) else { return Code::OtaruNoDevice };
    // SAFETY: not null, aligned, and by contract memory that can be read.
    if unsafe { (&raw const (*place).seal).read() } != seal::<M>(place) {
        return Code::OtaruNoDevice;
    }
    // SAFETY: the seal says that `make` wrote a `Sealed` here, at this very address.
    let is_busy = unsafe { &raw mut (*place).is_busy };
    // SAFETY: as above; nobody borrows this field.
    if unsafe { is_busy.read() } {
        return Code::OtaruBusy;
    }
    // SAFETY: as above, and no other call is in it, as was just read.
    let Some(kept) = (unsafe { &mut (*place).kept }) else { return Code::OtaruNoDevice };
    // SAFETY: as for the read.
    unsafe { is_busy.write(true) };
    let done = work(kept);
    // SAFETY: as for the read.
    unsafe { is_busy.write(false) };
    match done {
        Ok(()) => Code::OtaruOk,
        Err(fault) => {
            // SAFETY: as above; nobody borrows this field.
            unsafe { (&raw mut (*place).why).write(Line::of(fault)) };
            fault.code()
        }
    }
}

/// Why the last call that did not return [`Code::OtaruOk`] was refused or failed.
///
/// # Safety
/// As [`enter`].
pub(crate) unsafe fn why<M: Memory>(memory: *const M) -> *const c_char {
    let Some(place) = place(memory.cast_mut()) else { return c"this is no memory for it".as_ptr() };
    // SAFETY: not null, aligned, and by contract memory that can be read.
    if unsafe { (&raw const (*place).seal).read() } != seal::<M>(place) {
        return c"it was never made ready, or was moved since".as_ptr();
    }
    // SAFETY: the seal says that `make` wrote this field.
    unsafe { (&raw const (*place).why).cast() }
}
