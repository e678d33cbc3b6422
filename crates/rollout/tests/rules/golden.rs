//! Stories with their record. Each file of `tests/golden` is what happens to a few devices, line by line, and
//! under each line what the rules made of it:
//!
//! ```text
//! devices lamp pump           online on version 1.0
//! away barn                   was here before, is offline
//! job beta 2.0 for lamp ...   a job named beta to 2.0 for the devices named, or all; then its terms, see `terms`
//! lamp reports 2.0 [MCU]      lamp progress 40      lamp asks      lamp leaves      lamp comes
//! change beta rate=5 ...      its terms from now on: see `change`
//! pause beta                  resume, skip, close, approve, cancel, again (all of a job, or of one device: cancel beta lamp)
//! + 90 s                      time passes: s, min or h
//! show                        where every task is
//! ```
//!
//! `OTARU_RECORD=1 cargo test -p otaru-rollout golden` writes the records anew; read the difference.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use otaru_rollout::*;

use crate::world::{MINUTE, Order, Pick, SECOND, World};

/// Before each line of a record.
const MARK: &str = "    | ";

#[test]
fn every_story_ends_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut stories: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    stories.sort();
    assert!(!stories.is_empty());
    let mut changed = Vec::new();
    for path in stories {
        let old = std::fs::read_to_string(&path).unwrap();
        let new = Story::tell(&old);
        if new != old && std::env::var_os("OTARU_RECORD").is_some() {
            std::fs::write(&path, &new).unwrap();
        } else if new != old {
            changed.push(format!("{}:\n{}", path.display(), difference(&old, &new)));
        }
    }
    assert!(changed.is_empty(), "ends otherwise than recorded:\n{}", changed.join("\n"));
}

/// The first lines that differ, with what led to them.
fn difference(old: &str, new: &str) -> String {
    let same = old.lines().zip(new.lines()).take_while(|(a, b)| a == b).count();
    let from = |text: &str, n: usize| {
        text.lines().skip(same.saturating_sub(3)).take(n).collect::<Vec<_>>().join("\n")
    };
    format!("recorded:\n{}\nnow:\n{}", from(old, 8), from(new, 8))
}

/// A story while it is told.
struct Story {
    world: World,
    began: Ms,
    devices: BTreeMap<String, Id>,
    jobs: BTreeMap<String, Id>,
    /// Events told so far.
    told: usize,
    text: String,
}

impl Story {
    fn tell(script: &str) -> String {
        let world = World::new();
        let began = world.now;
        let (devices, jobs, text) = (BTreeMap::new(), BTreeMap::new(), String::new());
        let mut story = Self { world, began, devices, jobs, told: 0, text };
        for line in script.lines().filter(|line| !line.starts_with(MARK)) {
            story.text.push_str(line);
            story.text.push('\n');
            let words: Vec<&str> = line.split_whitespace().collect();
            if !words.is_empty() && !line.starts_with('#') {
                story.play(&words);
                story.record();
            }
        }
        story.text
    }

    fn play(&mut self, words: &[&str]) {
        match *words {
            ["devices", ref names @ ..] => self.arrive(names),
            ["away", ref names @ ..] => names.iter().for_each(|name| {
                let device = self.world.device();
                self.devices.insert((*name).into(), device);
            }),
            ["job", name, version, "for", ref rest @ ..] => self.order(name, version, rest),
            ["+", n, unit] => self.world.pass(duration(n, unit)),
            ["show"] => self.show(),
            ["change", job, ref settings @ ..] => self.change(self.jobs[job], settings),
            ["pause", job] => self.world.run(Input::PauseJob(self.jobs[job])),
            ["resume", job] => self.world.run(Input::ResumeJob(self.jobs[job])),
            ["skip", job] => self.world.skip(self.jobs[job]),
            ["approve", job] => self.world.run(Input::ConfirmJob(self.jobs[job])),
            ["close", job] => self.world.run(Input::CloseJob(self.jobs[job])),
            ["cancel", job] => self.world.run(Input::CancelJob(self.jobs[job])),
            ["again", job] => self.world.run(Input::ReupgradeJob(self.jobs[job])),
            ["cancel", job, device] => self.world.run(Input::CancelTask(self.task(job, device))),
            ["again", job, device] => self.world.run(Input::ReupgradeTask(self.task(job, device))),
            [device, ref what @ ..] => self.act(device, what),
            [] => {}
        }
    }

    fn arrive(&mut self, names: &[&str]) {
        for name in names {
            let device = self.world.new_device();
            self.devices.insert((*name).into(), device);
            self.world.connect(device);
            self.world.report(device, DEFAULT_MODULE, "1.0");
        }
        self.told = self.world.tables.events.len();
    }

    fn act(&mut self, name: &str, what: &[&str]) {
        let device = *self.devices.get(name).unwrap_or_else(|| panic!("no device {name}"));
        match *what {
            ["is", "ousted"] => self.world.run(Input::Ousted { device }),
            ["comes"] => drop(self.world.connect(device)),
            ["leaves"] => self.world.disconnect(device),
            ["reports", version] => self.world.report(device, DEFAULT_MODULE, version),
            ["reports", version, module] => self.world.report(device, module, version),
            ["progress", step] => self.world.progress(device, step.parse().unwrap()),
            ["asks"] => drop(self.world.get(device)),
            _ => panic!("{name} cannot do {what:?}"),
        }
    }

    fn order(&mut self, name: &str, version: &str, rest: &[&str]) {
        let (devices, settings): (Vec<&str>, Vec<&str>) =
            rest.iter().partition(|w| self.devices.contains_key(**w) || **w == "all");
        let pick = match devices[..] {
            ["all"] => Pick::All,
            ref names => Pick::Named(names.iter().map(|name| self.devices[*name]).collect()),
        };
        let of = |key: &str| settings.iter().find_map(|s| s.strip_prefix(key)?.strip_prefix('='));
        let package = self.world.package_of(of("module").unwrap_or(DEFAULT_MODULE), version);
        let mut order = Order { terms: self.terms(package, &settings), ..Order::usual(pick) };
        if settings.contains(&"dynamic") {
            order.kind = JobKind::Dynamic;
        }
        order.timeout_ms = of("timeout").map(minutes);
        order.rate_per_minute = of("rate").map_or(10_000, |n| n.parse().unwrap());
        order.need_push = !settings.contains(&"must-ask");
        let job = self.world.start(package, order);
        self.jobs.insert(name.into(), job);
    }

    /// Minutes where it is a time; without a value there is none any more.
    fn change(&mut self, job: Id, settings: &[&str]) {
        let now = self.world.now;
        self.world.revise(job, |to| {
            for setting in settings {
                let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
                let time = (!value.is_empty()).then(|| minutes(value));
                match key {
                    "rate" => to.rate_per_minute = value.parse().unwrap(),
                    "timeout" => to.timeout_ms = time,
                    "attempts" => to.terms.attempts = value.parse().unwrap(),
                    "end" => to.terms.end_at = time.map(|time| now + time),
                    "start" => to.terms.start_at = time.map(|time| now + time),
                    _ => panic!("{key} does not change"),
                }
            }
        });
    }

    /// The usual terms but for what a story sets: minutes where it is a time.
    fn terms(&self, package: Id, settings: &[&str]) -> Terms {
        let mut terms = Terms::default();
        for setting in settings {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            match key {
                "attempts" => terms.attempts = value.parse().unwrap(),
                "overwrite" => {
                    terms.overwrite = if value == "keep" { Overwrite::Keep } else { Overwrite::Replace }
                }
                "several-modules" => terms.multi_module = true,
                "approval" => terms.need_confirm = true,
                "start" => terms.start_at = Some(self.world.now + minutes(value)),
                "end" => terms.end_at = Some(self.world.now + minutes(value)),
                "waves" => terms.waves = self.world.waves(package, &numbers(value)),
                "from" => terms.src_versions = value.split(',').map(Into::into).collect(),
                "window" => terms.windows.push(window(value)),
                "start-timeout" => terms.start_timeout_ms = Some(minutes(value)),
                "soak" => terms.soak_ms = minutes(value),
                "failures" => terms.limits.failures = Some(value.parse().unwrap()),
                "evidence" => {
                    let rates: Vec<u32> = numbers(value).iter().map(|n| *n as u32 * 1_000).collect();
                    terms.limits.evidence = Some(Evidence { accepted: rates[0], rejected: rates[1] });
                }
                "module" | "timeout" | "rate" | "must-ask" | "dynamic" => {}
                _ => panic!("a job has no {key}"),
            }
        }
        terms
    }

    fn task(&self, job: &str, device: &str) -> Id {
        self.world.task(self.jobs[job], self.devices[device]).id
    }

    fn show(&mut self) {
        let tasks: Vec<Task> = self.world.tables.tasks.values().cloned().collect();
        for task in tasks {
            let name = self.name_of(task.id).unwrap_or_default();
            let state = match (&task.reason, self.world.waiting(&task)) {
                (Some(reason), _) => self.plain(&format!("{reason:?}")),
                (None, Some(waiting)) => self.plain(&format!("{waiting:?}")),
                (None, None) => String::new(),
            };
            self.line(
                self.world.now,
                &format!("{name}: {} {} %, {state}", task.state.as_str(), task.progress),
            );
        }
    }

    /// What came of a line.
    fn record(&mut self) {
        let new: Vec<Event> = self.world.tables.events[self.told..].to_vec();
        self.told += new.len();
        for event in new {
            let whom = event.task_id.or(event.device_id).or(event.job_id).and_then(|id| self.name_of(id));
            let text = format!("{}: {}", whom.unwrap_or_default(), self.what(&event.kind));
            self.line(event.at, &text);
        }
        for out in std::mem::take(&mut self.world.tables.sent) {
            let (to, what) = match out {
                Outbound::Answer { to, offer: Some(offer), .. } => {
                    (to.0, format!("is answered with {}", offer.package.version))
                }
                Outbound::Answer { to, offer: None, .. } => {
                    (to.0, "is answered that there is nothing".into())
                }
                Outbound::Revoke { device, .. } => (device, "can read the file no more".into()),
                Outbound::Notice { .. } | Outbound::Close { .. } => continue,
            };
            let name = self.name_of(to).unwrap_or_default();
            self.line(self.world.now, &format!("{name} {what}"));
        }
    }

    fn what(&self, kind: &EventKind) -> String {
        match kind {
            EventKind::TaskState { from, to, reason } => {
                let why = reason
                    .as_ref()
                    .map_or_else(String::new, |r| format!(", {}", self.plain(&format!("{r:?}"))));
                format!("{} → {}{why}", from.as_str(), to.as_str())
            }
            EventKind::TaskProgress { percent, .. } => format!("{percent} %"),
            EventKind::TaskPushed { push } => format!("pushed ({push})"),
            other => self.plain(&format!("{other:?}")),
        }
    }

    /// With names for numbers, and times since the beginning.
    fn plain(&self, debug: &str) -> String {
        let mut text = String::new();
        let mut rest = debug;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let digits = rest[start..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - start);
            let (before, number, after) =
                (&rest[..start], &rest[start..start + digits], &rest[start + digits..]);
            let value: Ms = number.parse().unwrap_or(0);
            text.push_str(before);
            text += &match self.name_of(value) {
                Some(name) => name,
                None if value >= self.began => self.clock(value),
                None => number.into(),
            };
            rest = after;
        }
        text + rest
    }

    fn name_of(&self, id: Id) -> Option<String> {
        let named = |names: &BTreeMap<String, Id>, id: Id| {
            names.iter().find(|(_, n)| **n == id).map(|(name, _)| name.clone())
        };
        if let Some(task) = self.world.tables.tasks.get(&id) {
            let job = named(&self.jobs, task.job_id).unwrap_or_else(|| "new job".into());
            return Some(format!("{} in {job}", named(&self.devices, task.device_id)?));
        }
        named(&self.devices, id).or_else(|| named(&self.jobs, id))
    }

    fn clock(&self, at: Ms) -> String {
        let seconds = (at - self.began) / SECOND;
        format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }

    fn line(&mut self, at: Ms, text: &str) {
        let clock = self.clock(at);
        let _ = writeln!(self.text, "{MARK}{clock} {text}");
    }
}

fn duration(n: &str, unit: &str) -> Ms {
    let n: Ms = n.parse().unwrap();
    n * match unit {
        "s" => SECOND,
        "min" => MINUTE,
        "h" => 60 * MINUTE,
        _ => panic!("no unit {unit}"),
    }
}

fn minutes(n: &str) -> Ms {
    duration(n, "min")
}

/// `23:00-01:00` on every day. A story begins at 22:13:20.
fn window(text: &str) -> Window {
    let minute = |clock: &str| {
        let (hour, minute) = clock.split_once(':').unwrap();
        hour.parse::<u16>().unwrap() * 60 + minute.parse::<u16>().unwrap()
    };
    let (from, to) = text.split_once('-').unwrap();
    Window { days: 0b111_1111, from: minute(from), to: minute(to) }
}

fn numbers(list: &str) -> Vec<usize> {
    list.split(',').map(|n| n.parse().unwrap()).collect()
}
