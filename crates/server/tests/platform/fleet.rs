//! The fleet that the rules are tested with, on real sockets, the server and a database. The same seed gives the same
//! fates, and they must end as they do there: as each device's fate wants it.

use crate::common::{Device, DeviceKey, World, named, new_job};
use otaru_server::NewJob;
use otaru_server::rollout::{Job, TaskState, Terms};
use sim::Rng;
use sim::fleet::{Fate, Publish, TARGET, Unit};

const DEVICES: usize = 24;
const SECOND: i64 = 1_000;
/// A step of the clock while something happens, and while nothing does.
const STEP: i64 = 5 * SECOND;
const LONG_STEP: i64 = 300 * SECOND;
/// The platform is killed in these rounds.
const KILLS: [usize; 2] = [2, 6];

/// A unit and its connection.
struct Line<'a> {
    key: DeviceKey,
    unit: Unit<'a>,
    device: Option<Device>,
    boots_at: u64,
}

impl Line<'_> {
    /// Lets the unit do what it can; tells whether it did anything.
    async fn give_time(&mut self, world: &World, rng: &mut Rng) -> bool {
        let now = u64::try_from(world.clock.now()).unwrap();
        if !self.unit.is_up() && self.boots_at <= now {
            self.unit.boot();
        }
        if !self.unit.is_up() {
            return false;
        }
        if self.device.is_none() {
            self.device = Some(Device::connect(world, &self.key).await);
            self.unit.connected();
        }
        let mut busy = false;
        loop {
            let polled = self.unit.poll(now);
            let device = self.device.as_mut().unwrap();
            let mut heard = Vec::new();
            for Publish { message: (topic, payload), acknowledged } in &polled.publishes {
                if *acknowledged {
                    device.publish(topic, payload).await;
                } else {
                    device.send_publish(topic, payload, None).await;
                    heard.push((format!("{topic}_reply"), device.expect("/thing/file/download_reply").await));
                }
            }
            if polled.reboots {
                self.device.take().unwrap().hang_up().await;
                self.boots_at = now + 10_000;
                return true;
            }
            heard.extend(device.heard().await);
            if polled.publishes.is_empty() && heard.is_empty() {
                return busy;
            }
            busy = true;
            for (topic, payload) in heard {
                let copies = if rng.chance(2) { 0 } else { 1 + usize::from(rng.chance(5)) };
                (0..copies).for_each(|_| self.unit.message(now, &topic, &payload));
            }
        }
    }
}

async fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let names: Vec<String> = (0..DEVICES).map(|n| format!("unit{n:04}")).collect();
    let fates: Vec<Fate> = names.iter().map(|_| Fate::draw(&mut rng)).collect();
    let mut world = World::new().await;
    world.product().await;
    let mut lines = Vec::new();
    for (name, fate) in names.iter().zip(fates) {
        let (key, unit) = (world.device(name).await, Unit::new(name, fate));
        lines.push(Line { key, unit, device: None, boots_at: 0 });
    }
    let file: Vec<u8> = (0..1_300_u32).map(|n| n as u8).collect();
    let package = world.package(TARGET, &file).await;
    let scope = named(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let terms = Terms::default();
    let job = world.job_of(NewJob { terms, scope, timeout_minutes: Some(360), ..new_job(&package) }).await;
    for round in 0.. {
        assert!(round < 2_000, "rng seed {seed}: {:#?}", world.tasks(&job).await);
        if KILLS.contains(&round) {
            world = world.kill().await;
            for line in &mut lines {
                line.unit.disconnected();
                line.device = None;
            }
        }
        let mut busy = false;
        for line in &mut lines {
            busy |= line.give_time(&world, &mut rng).await;
        }
        if ended(&world, &job).await {
            break;
        }
        world.clock.advance(if busy { STEP } else { LONG_STEP });
        world.until_nothing_is_due().await;
    }
    for view in world.tasks(&job).await {
        let line = lines.iter().find(|line| line.key.name == view.device_name).unwrap();
        let succeeds = line.unit.fate().succeeds();
        let end = if succeeds { TaskState::Succeeded } else { TaskState::Failed };
        let fate = line.unit.fate();
        assert_eq!(view.task.state, end, "rng seed {seed}: {fate:?} {:#?}", view.task);
        assert_eq!(line.unit.version() == TARGET, succeeds, "rng seed {seed}: {fate:?}");
    }
}

async fn ended(world: &World, job: &Job) -> bool {
    let tasks = world.tasks(job).await;
    tasks.len() == DEVICES && tasks.iter().all(|view| view.task.state.is_terminal())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_the_fleets_seeds_ends_the_same_over_a_database() {
    for seed in [1, 2] {
        run(seed).await;
    }
}
