//! A life in which every operation on the flash is a crash point.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::device::{Device, End, Scheme};
use crate::image::{Behaviour, Image};
use crate::rng::Rng;
use crate::tear::Tear;

/// What kind of flash a device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of a unit: the smallest read and write.
    pub unit: usize,
    /// Bytes of a sector: the smallest erase.
    pub sector: usize,
}

impl Geometry {
    /// Units that there is flash with.
    pub const UNITS: [usize; 6] = [1, 2, 4, 8, 16, 32];
    /// Sectors that there is flash with.
    pub const SECTORS: [usize; 7] = [4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10];
}

/// What is to be proved.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The device's layout.
    pub scheme: Scheme,
    /// About how long its images are, in bytes.
    pub image: usize,
    /// How often each operation is torn in each way, each time by other chance.
    pub seeds: u64,
    /// Whether the logs are nearly full at the start, so that they go round meanwhile.
    pub aged: bool,
}

/// What was proved: after each of these cuts the device started an image that was offered, whole, and took every
/// update that followed.
#[derive(Clone, Copy, Debug)]
pub struct Proof {
    /// Flash operations of the life.
    pub operations: u64,
    /// How often sectors of its two logs were erased: the logs went round.
    pub log_erases: [u32; 2],
    /// Cuts made: every operation in every way and by every chance. After half of them the power is cut once more soon
    /// afterwards.
    pub points: u64,
    /// How many good images were given up and installed again.
    pub again: u64,
    /// How long it took.
    pub took: Duration,
}

/// A cut that the device did not survive.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Number of the operation that was hit, counted from the start of the life.
    pub operation: u64,
    /// How; `None` if nothing was cut.
    pub tear: Option<Tear>,
    /// By which chance.
    pub seed: u64,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, tear, seed, what } = self;
        match tear {
            Some(tear) => {
                write!(f, "power cut at flash operation {operation}, {tear} (rng seed {seed}): {what}")
            }
            None => f.write_str(what),
        }
    }
}

impl std::error::Error for Violation {}

impl Plan {
    /// A plan for this layout, with images that reach over the end of a sector where sectors are small.
    pub fn new(scheme: Scheme, geometry: Geometry) -> Self {
        let smallest = smallest(&scheme);
        let image = if geometry.sector <= 16 << 10 { geometry.sector * 5 / 4 } else { 5_000 };
        Self { scheme, image: image.min(smallest * 4 / 5), seeds: 1, aged: true }
    }

    /// Proves it for flash of any geometry. `told` is called with the number of cuts made so far.
    pub fn prove(&self, geometry: Geometry, told: &(dyn Fn(u64, u64) + Sync)) -> Result<Proof, Violation> {
        macro_rules! over {
            ($($unit:literal)*) => { match geometry.unit {
                $($unit => over!(sector $unit: 4096 8192 16384 32768 65536 131072 262144),)*
                _ => Err(not_simulated(geometry)),
            } };
            (sector $unit:literal: $($sector:literal)*) => { match geometry.sector {
                $($sector => self.prove_on::<$unit, $sector>(|_| {}, told),)*
                _ => Err(not_simulated(geometry)),
            } };
        }
        over!(1 2 4 8 16 32)
    }

    /// Proves it for flash with these units and sectors, of a device that was prepared in some way.
    pub fn prove_on<const UNIT: usize, const SECTOR: usize>(
        &self,
        prepare: impl Fn(&mut Device<UNIT, SECTOR>),
        told: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Proof, Violation> {
        let began = Instant::now();
        let untouched = |what| Violation { operation: 0, tear: None, seed: 0, what };
        let mut device = self.device(prepare).map_err(untouched)?;
        let first = device.flash.operations();
        let erased = |device: &Device<UNIT, SECTOR>| {
            self.scheme.logs().map(|log| {
                (log.start..log.end()).step_by(SECTOR).map(|at| device.flash.erases(at)).sum::<u32>()
            })
        };
        let before = erased(&device);
        let mut starts = Vec::new();
        loop {
            starts.push(device.clone());
            if device.boot().map_err(|what| untouched(format!("without any power cut, {what}")))?
                != End::Rebooted
            {
                break;
            }
        }
        if !device.platform.is_done() {
            return Err(untouched("without any power cut, the updates do not come to an end".to_owned()));
        }
        let operations = device.flash.operations() - first;
        let after = erased(&device);
        let log_erases = [after[0] - before[0], after[1] - before[1]];
        let cuts = Cuts { plan: self, starts: &starts, first, operations, told };
        let (points, again) = cuts.make_all()?;
        Ok(Proof { operations, log_erases, points, again, took: began.elapsed() })
    }

    fn device<const UNIT: usize, const SECTOR: usize>(
        &self,
        prepare: impl Fn(&mut Device<UNIT, SECTOR>),
    ) -> Result<Device<UNIT, SECTOR>, String> {
        use Behaviour::{Crashes, GivesUp, Works};
        let (longest, slot) =
            (self.image(LAST, Works, &mut Rng::new(0)).bytes.len() + 16, smallest(&self.scheme));
        if longest > slot {
            return Err(format!(
                "images of up to {longest} bytes do not fit into the smallest slot, of {slot}"
            ));
        }
        let mut rng = Rng::new(self.image as u64);
        let life = [Works, Works, Crashes, Works, GivesUp];
        let images =
            life.iter().enumerate().map(|(index, behaviour)| self.image(index, *behaviour, &mut rng));
        let mut device = Device::new(self.scheme.clone(), BLOCK, images.collect())?;
        if self.aged {
            device.age(6)?;
        }
        prepare(&mut device);
        Ok(device)
    }

    /// Image number `index`. No two are of the same length.
    fn image(&self, index: usize, behaviour: Behaviour, rng: &mut Rng) -> Image {
        let len = self.image + index * self.image / 50 + rng.below(16) as usize;
        Image::new(&format!("{}.0", index + 1), behaviour, len, rng)
    }
}

/// Bytes asked for at a time.
const BLOCK: u32 = 1024;

/// Number of the image that is installed after all that.
const LAST: usize = 9;

fn smallest(scheme: &Scheme) -> usize {
    scheme.images().iter().map(|region| region.len as usize).min().unwrap_or(0)
}

fn not_simulated(geometry: Geometry) -> Violation {
    let Geometry { unit, sector } = geometry;
    let what = format!("no flash with units of {unit} and sectors of {sector} bytes can be simulated");
    Violation { operation: 0, tear: None, seed: 0, what }
}

/// All cuts of one life.
struct Cuts<'p, const UNIT: usize, const SECTOR: usize> {
    plan: &'p Plan,
    /// The device at the start of each boot.
    starts: &'p [Device<UNIT, SECTOR>],
    first: u64,
    operations: u64,
    told: &'p (dyn Fn(u64, u64) + Sync),
}

impl<const UNIT: usize, const SECTOR: usize> Cuts<'_, UNIT, SECTOR> {
    /// Shares the operations among the processors; how many cuts were made, and how many good images came again.
    fn make_all(&self) -> Result<(u64, u64), Violation> {
        let (next, points, again) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let found = Mutex::new(None);
        let all = self.operations * Tear::ALL.len() as u64 * self.plan.seeds;
        let work = || loop {
            let operation = next.fetch_add(1, Ordering::Relaxed);
            if operation >= self.operations {
                return;
            }
            for (tear, seed) in
                Tear::ALL.iter().flat_map(|tear| (0..self.plan.seeds).map(move |seed| (*tear, seed)))
            {
                match self.make(operation, tear, seed) {
                    Ok(failures) => again.fetch_add(failures, Ordering::Relaxed),
                    Err(what) => {
                        let violation = Violation { operation, tear: Some(tear), seed, what };
                        found.lock().unwrap_or_else(|held| held.into_inner()).get_or_insert(violation);
                        next.store(self.operations, Ordering::Relaxed);
                        return;
                    }
                };
                (self.told)(points.fetch_add(1, Ordering::Relaxed) + 1, all);
            }
        };
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(work);
            }
        });
        match found.into_inner().unwrap_or_else(|held| held.into_inner()) {
            Some(violation) => Err(violation),
            None => Ok((points.into_inner(), again.into_inner())),
        }
    }

    /// One cut and the rest of the life, then one more update. How often a good image failed.
    fn make(&self, operation: u64, tear: Tear, seed: u64) -> Result<u64, String> {
        let at = self.first + operation;
        let start = self.starts.iter().rev().find(|start| start.flash.operations() <= at);
        let Some(start) = start else { return Err("the life has no such operation".to_owned()) };
        let mut rng = Rng::new(operation << 32 ^ seed << 8 ^ tear as u64);
        let mut device = start.clone();
        device.flash.cut_at(at, tear, rng.clone());
        let mut cuts = 0;
        while device.run()? == End::Cut {
            device.flash.power_on();
            cuts += 1;
            if cuts == 1 && tear == Tear::Rot {
                let regions = device.spoilable();
                device.flash.rot(&regions, &mut rng);
            } else if cuts == 1 && rng.chance(50) {
                let tear = Tear::CUTS[rng.below(6) as usize];
                let soon = device.flash.operations() + rng.below(20);
                device.flash.cut_at(soon, tear, rng.clone());
            }
        }
        if cuts == 0 {
            return Err("the operation was not reached: the life is not the same every time".to_owned());
        }
        device.platform.add(self.plan.image(LAST, Behaviour::Works, &mut rng));
        while device.run()? == End::Cut {
            device.flash.power_on();
        }
        let failures = &device.platform.failures;
        if !device.platform.is_done() {
            return Err(format!("the device came to rest before it was updated; failures: {failures:?}"));
        }
        if !failures.is_empty() && tear != Tear::Rot && matches!(self.plan.scheme, Scheme::BootLog(_)) {
            return Err(format!("a good image failed: {failures:?}"));
        }
        Ok(failures.len() as u64)
    }
}
