//! Espressif's second-stage bootloader, as far as `otadata` goes, with rollback enabled.

use device::flash::Region;
use embedded_storage::nor_flash::NorFlash;

use crate::flash::Fault;
use crate::image::Image;

const NEW: u32 = 0;
const PENDING_VERIFY: u32 = 1;
const INVALID: u32 = 3;
const ABORTED: u32 = 4;

/// One of the two entries of `otadata`.
#[derive(Clone, Copy)]
struct Select([u8; 32]);

impl Select {
    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    fn sequence(&self) -> u32 {
        self.word(0)
    }

    fn state(&self) -> u32 {
        self.word(24)
    }

    fn is_invalid(&self) -> bool {
        self.sequence() == u32::MAX || matches!(self.state(), INVALID | ABORTED)
    }

    fn is_valid(&self) -> bool {
        !self.is_invalid() && crc(&self.0[..4]) == self.word(28)
    }
}

/// Written bit by bit and apart from the crate under test, which takes it from the crate `crc`.
fn crc(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shift))
}

/// What the bootloader starts: the number of an `ota_…` partition, `None` for `factory`. The outer `None` is nothing.
pub(crate) fn boot<F: NorFlash<Error = Fault>>(
    flash: &mut F,
    otadata: Region,
    factory: Option<Region>,
    partitions: &[Region],
) -> Result<Option<Option<usize>>, Fault> {
    let mut selects = [Select([0xFF; 32]); 2];
    for (index, select) in selects.iter_mut().enumerate() {
        let at = otadata.start + (index * F::ERASE_SIZE) as u32;
        if let Err(error) = flash.read(at, &mut select.0)
            && error == Fault::Cut
        {
            return Err(error);
        }
        if select.state() == PENDING_VERIFY {
            rewrite(flash, at, select, ABORTED)?;
        }
    }
    let active =
        (0..2).filter(|index| selects[*index].is_valid()).max_by_key(|index| selects[*index].sequence());
    let chosen = match active {
        _ if selects.iter().all(Select::is_invalid) => factory.is_none().then_some(0),
        Some(active) => {
            let select = &mut selects[active];
            if select.state() == NEW {
                let at = otadata.start + (active * F::ERASE_SIZE) as u32;
                rewrite(flash, at, select, PENDING_VERIFY)?;
            }
            Some((select.sequence() as usize).wrapping_sub(1) % partitions.len())
        }
        None => None,
    };
    start(flash, chosen, factory, partitions)
}

/// The chosen image, else those before it down to `factory`, else those after it: the first that is whole.
fn start<F: NorFlash<Error = Fault>>(
    flash: &mut F,
    chosen: Option<usize>,
    factory: Option<Region>,
    partitions: &[Region],
) -> Result<Option<Option<usize>>, Fault> {
    let count = partitions.len();
    let first = chosen.map_or(0, |chosen| chosen + 1);
    let downwards = (0..first).rev().map(Some).chain([None]);
    for index in downwards.chain((first..count).map(Some)) {
        let region = index.map_or(factory, |index| Some(partitions[index]));
        if let Some(region) = region
            && is_whole(flash, region)?
        {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

fn rewrite<F: NorFlash<Error = Fault>>(
    flash: &mut F,
    at: u32,
    select: &mut Select,
    state: u32,
) -> Result<(), Fault> {
    select.0[24..28].copy_from_slice(&state.to_le_bytes());
    flash.erase(at, at + F::ERASE_SIZE as u32)?;
    flash.write(at, &select.0)
}

fn is_whole<F: NorFlash<Error = Fault>>(flash: &mut F, region: Region) -> Result<bool, Fault> {
    match read_image(flash, region) {
        Ok(bytes) => Ok(bytes.is_some_and(|bytes| Image::is_whole(&bytes))),
        Err(Fault::Unreadable { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The bytes that the head of a slot announces, if they can be there.
pub(crate) fn read_image<F: NorFlash>(flash: &mut F, region: Region) -> Result<Option<Vec<u8>>, F::Error> {
    let mut head = [0; 32];
    flash.read(region.start, &mut head)?;
    let len = Image::announced([head[0], head[1], head[2], head[3]]);
    if len > region.len as usize {
        return Ok(None);
    }
    let mut bytes = vec![0; len.next_multiple_of(F::READ_SIZE)];
    flash.read(region.start, &mut bytes)?;
    bytes.truncate(len);
    Ok(Some(bytes))
}
