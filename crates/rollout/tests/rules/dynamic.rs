//! Dynamic jobs: whom they take, when, how often, and how they end.

use std::collections::BTreeSet;

use otaru_rollout::filter::Filter;
use otaru_rollout::*;
use proptest::prelude::*;
use proptest::sample::select;

use crate::world::{MINUTE, Order, Pick, World};

use TaskState::{Canceled, Confirm, Failed, InProgress, Notified, Queued, Succeeded};

fn with(terms: impl FnOnce(&mut Terms)) -> Order {
    let mut order = Order::dynamic(&["1", "1.1"]);
    terms(&mut order.terms);
    order
}

fn tasks(world: &World, job: Id) -> Vec<&Task> {
    world.tables.tasks.values().filter(|t| t.job_id == job).collect()
}

/// A world with a running job for changed reports only, and a device that is connected and has said nothing.
fn listening(terms: impl FnOnce(&mut Terms)) -> (World, Id, Id) {
    let mut world = World::new();
    let package = world.package("2");
    let order = with(|t| {
        t.only_new = true;
        terms(t);
    });
    let job = world.start(package, order);
    let device = world.new_device();
    world.connect(device);
    (world, job, device)
}

#[test]
fn mode_1_takes_who_is_there_and_who_comes_later() {
    let mut world = World::new();
    world.chunk = 1;
    let [here, other] = world.online();
    world.report(other, DEFAULT_MODULE, "9");
    let package = world.package("2");
    let job = world.start(package, Order::dynamic(&["1", "1.1"]));
    assert_eq!(world.state(job, here), Notified);
    assert_eq!(world.find_task(job, other), None);
    // A changed version, and a device's first words.
    world.report(other, DEFAULT_MODULE, "1.1");
    let [new] = world.online();
    assert_eq!((world.state(job, other), world.state(job, new)), (Notified, Notified));
    assert_eq!(world.task(job, other).src_version.as_deref(), Some("1.1"));
    for device in [here, other, new] {
        world.report(device, DEFAULT_MODULE, "2");
    }
    assert_eq!(world.job(job).state, JobState::InProgress, "it never completes by itself");
    assert_eq!(world.job(job).counts.get(Succeeded), 3);
}

#[test]
fn mode_2_takes_only_versions_that_change_after_it_was_made() {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.start(package, with(|t| t.only_new = true));
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1");
    assert!(tasks(&world, job).is_empty(), "it said nothing new");
    world.report(device, DEFAULT_MODULE, "1.1");
    assert_eq!(world.state(job, device), Notified);
}

#[test]
fn a_match_waits_for_approval_if_the_job_wants_it_and_is_queued_if_not() {
    let (mut world, job, device) = listening(|t| t.need_confirm = true);
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!(world.state(job, device), Confirm);
    assert_eq!(world.notices(), [0; 0]);
    world.run(Input::ConfirmTask(world.task(job, device).id));
    assert_eq!((world.state(job, device), world.notices()), (Notified, vec![device]));

    let (mut world, job, device) = listening(|_| {});
    let epoch = world.epoch(device);
    world.apply(vec![Input::Reported { device, epoch, module: DEFAULT_MODULE.into(), version: "1".into() }]);
    assert_eq!(world.state(job, device), Queued);
    world.tick();
    assert_eq!(world.notices(), [device]);
}

#[test]
fn a_match_meets_another_task_as_any_new_task_does() {
    for (overwrite, begun, states) in [
        (Overwrite::Keep, false, [Notified, Failed]),
        (Overwrite::Replace, false, [Canceled, Notified]),
        (Overwrite::Replace, true, [InProgress, Failed]),
        (Overwrite::Queue, true, [InProgress, Queued]),
    ] {
        let (mut world, job, device) = listening(|t| t.overwrite = overwrite);
        world.report(device, DEFAULT_MODULE, "0");
        let package = world.package("7");
        let old = world.start(package, Order::to(Pick::All));
        if begun {
            world.progress(device, 5);
        }
        world.report(device, "MCU", "1");
        world.report(device, DEFAULT_MODULE, "1");
        assert_eq!([old, job].map(|job| world.state(job, device)), states, "{overwrite:?} {begun}");
        if states[1] == Failed {
            let old = world.task(old, device).id;
            assert_eq!(world.task(job, device).reason, Some(Reason::Conflict { task: old }));
        }
    }
}

#[test]
fn only_its_sources_its_module_and_the_differences_source_match() {
    let (mut world, job, device) = listening(|_| {});
    for (module, version) in [(DEFAULT_MODULE, "3"), (DEFAULT_MODULE, "2"), ("MCU", "1"), ("Default", "1")] {
        world.report(device, module, version);
    }
    assert!(tasks(&world, job).is_empty());
    let package = world.job(job).package_id;
    world.tables.packages.get_mut(&package).unwrap().src_version = Some("1.1".into());
    world.report(device, DEFAULT_MODULE, "1");
    assert!(tasks(&world, job).is_empty());
    world.report(device, DEFAULT_MODULE, "1.1");
    assert_eq!(world.state(job, device), Notified);
}

#[test]
fn of_several_policies_the_newest_applies() {
    let (mut world, older, device) = listening(|_| {});
    let package = world.package("3");
    let newer = world.start(package, with(|t| (t.only_new, t.src_versions) = (true, vec!["1".into()])));
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!(world.find_task(older, device), None);
    assert_eq!(world.state(newer, device), Notified);
    world.report(device, DEFAULT_MODULE, "3");
    // What the newer one is not for is the older one's.
    world.report(device, DEFAULT_MODULE, "1.1");
    assert_eq!((world.state(older, device), tasks(&world, newer).len()), (Notified, 1));
    // Once it is closed, too.
    world.report(device, DEFAULT_MODULE, "2");
    world.run(Input::CloseJob(newer));
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!((tasks(&world, older).len(), tasks(&world, newer).len()), (2, 1));
}

#[test]
fn a_device_is_taken_ten_times_at_most_and_starting_again_counts_nothing() {
    let (mut world, job, device) = listening(|_| {});
    for n in 0..12 {
        world.report(device, DEFAULT_MODULE, ["1", "1.1"][n % 2]);
        assert_eq!(tasks(&world, job).len(), (n + 1).min(10));
        if let Some(task) = tasks(&world, job).iter().find(|t| !t.state.is_terminal()).map(|t| t.id) {
            world.run(Input::CancelTask(task));
            world.run(Input::ReupgradeTask(task));
            world.report(device, DEFAULT_MODULE, "2");
        }
    }
    assert_eq!(world.job(job).counts.get(Succeeded), 10);
}

#[test]
fn a_report_that_comes_again_makes_no_second_task() {
    let (mut world, job, device) = listening(|_| {});
    let epoch = world.epoch(device);
    let report = Input::Reported { device, epoch, module: DEFAULT_MODULE.into(), version: "1".into() };
    world.apply(vec![report.clone(), report.clone()]);
    world.apply(vec![report]);
    world.report(device, DEFAULT_MODULE, "1.1");
    assert_eq!(tasks(&world, job).len(), 1, "its own unfinished task is enough");
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1.1");
    assert_eq!(tasks(&world, job).len(), 1);
}

#[test]
fn a_report_before_its_chunk_of_the_enrolment_makes_one_task() {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let job = world.order(package, Order::dynamic(&["1", "1.1"]));
    let chunk = world.next_chunk(job).unwrap();
    let (epoch, module) = (world.epoch(device), DEFAULT_MODULE.into());
    world.apply(vec![Input::Reported { device, epoch, module, version: "1.1".into() }]);
    world.run(Input::CancelTask(world.task(job, device).id));
    world.apply(vec![chunk]);
    assert_eq!(tasks(&world, job).len(), 1);
}

#[test]
fn a_closed_policy_takes_nobody_and_ends_with_its_last_task() {
    let (mut world, job, device) = listening(|_| {});
    world.report(device, DEFAULT_MODULE, "1");
    world.run(Input::CloseJob(job));
    assert_eq!((world.job(job).state, world.job(job).closed_at), (JobState::InProgress, Some(world.now)));
    let [late] = world.online();
    assert_eq!(world.find_task(job, late), None);
    world.progress(device, 50);
    world.report(device, DEFAULT_MODULE, "2");
    assert_eq!((world.state(job, device), world.job(job).state), (Succeeded, JobState::Canceled));

    let (mut world, job, _) = listening(|_| {});
    world.run(Input::CloseJob(job));
    assert_eq!(world.job(job).state, JobState::Canceled, "nothing of it was unfinished");
}

#[test]
fn a_cancelled_policy_takes_its_tasks_along_and_never_comes_back() {
    let (mut world, job, device) = listening(|_| {});
    world.report(device, DEFAULT_MODULE, "1");
    world.run(Input::CancelJob(job));
    assert_eq!((world.state(job, device), world.job(job).state), (Canceled, JobState::Canceled));
    world.run(Input::ReupgradeJob(job));
    assert_eq!((world.state(job, device), world.job(job).state), (Notified, JobState::InProgress));
    let [late] = world.online();
    assert_eq!(world.find_task(job, late), None);
    world.report(device, DEFAULT_MODULE, "2");
    assert_eq!(world.job(job).state, JobState::Canceled);
}

#[test]
fn cancelling_its_tasks_by_state_leaves_the_policy() {
    let (mut world, job, device) = listening(|_| {});
    world.report(device, DEFAULT_MODULE, "1");
    let states = CancelStates { notified: true, ..CancelStates::default() };
    world.run(Input::CancelSome { job, states });
    assert_eq!((world.state(job, device), world.job(job).state), (Canceled, JobState::InProgress));
    world.report(device, DEFAULT_MODULE, "1.1");
    assert_eq!(tasks(&world, job).len(), 2);
}

#[test]
fn a_schedule_holds_its_tasks_until_the_start_and_ends_it() {
    let mut world = World::new();
    let [here] = world.online();
    let package = world.package("2");
    let (start, end) = (world.now + MINUTE, world.now + 10 * MINUTE);
    let job = world.start(package, with(|t| (t.start_at, t.end_at) = (Some(start), Some(end))));
    let [later] = world.online();
    assert_eq!((world.state(job, here), world.state(job, later)), (Queued, Queued));
    assert_eq!(world.notices(), [0; 0]);
    world.pass(MINUTE);
    assert_eq!(world.notices().len(), 2);
    world.progress(here, 10);
    world.pass(10 * MINUTE);
    assert_eq!((world.state(job, here), world.state(job, later)), (InProgress, Canceled));
    let [late] = world.online();
    assert_eq!(world.find_task(job, late), None, "its end has come");
    world.report(here, DEFAULT_MODULE, "2");
    assert_eq!(world.job(job).state, JobState::Completed);
}

#[test]
fn what_a_held_policy_takes_waits() {
    let (mut world, job, device) = listening(|_| {});
    world.run(Input::PauseJob(job));
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!((world.state(job, device), world.notices()), (Queued, vec![]));
    world.run(Input::ResumeJob(job));
    assert_eq!(world.notices(), [device]);
}

/// A job for whom a filter means, on its source versions if there are some.
fn scoped(filter: &'static str, sources: &[&str]) -> Order {
    Order { pick: Pick::Meant(filter), ..Order::dynamic(sources) }
}

#[test]
fn a_device_that_comes_to_be_meant_is_taken_with_its_next_report() {
    let mut world = World::new();
    let [beta, late, other] = world.online();
    world.tag(beta, "ring", Some("beta"));
    let package = world.package("2");
    let job = world.start(package, scoped("tag.ring = beta", &["1"]));
    assert_eq!((world.state(job, beta), tasks(&world, job).len()), (Notified, 1));
    world.tag(late, "ring", Some("beta"));
    world.pass(MINUTE);
    world.connect(late);
    assert_eq!(world.find_task(job, late), None, "a tag and a connection are no report");
    world.report(late, "MCU", "1");
    assert_eq!(world.find_task(job, late), None, "of another module");
    world.report(late, DEFAULT_MODULE, "1");
    assert_eq!(world.state(job, late), Notified);
    world.report(other, DEFAULT_MODULE, "1");
    world.tag(other, "ring", Some("beta"));
    world.report(other, DEFAULT_MODULE, "1.1");
    assert_eq!(world.find_task(job, other), None, "not on one of its sources");
}

#[test]
fn who_was_taken_is_not_taken_again_for_what_it_said_before() {
    let mut world = World::new();
    let [device] = world.online();
    world.tag(device, "ring", Some("beta"));
    let package = world.package("2");
    let job = world.start(package, scoped("has tag.ring", &["1", "1.1"]));
    world.run(Input::CancelTask(world.task(job, device).id));
    for ring in [None, Some("beta")] {
        world.tag(device, "ring", ring);
        world.connect(device);
        world.report(device, DEFAULT_MODULE, "1");
        assert_eq!(tasks(&world, job).len(), 1, "{ring:?}");
    }
    world.report(device, DEFAULT_MODULE, "1.1");
    assert_eq!(tasks(&world, job).len(), 2);
}

#[test]
fn a_policy_that_names_no_versions_takes_a_device_once() {
    let mut world = World::new();
    let [device, other] = world.online();
    world.tag(device, "ring", Some("beta"));
    let package = world.package("2");
    let job = world.start(package, scoped("has tag.ring", &[]));
    world.report(device, DEFAULT_MODULE, "2");
    assert_eq!(world.state(job, device), Succeeded);
    world.report(device, DEFAULT_MODULE, "app-1.0.0");
    assert_eq!(tasks(&world, job).len(), 1);
    world.tag(other, "ring", Some("beta"));
    world.report(other, DEFAULT_MODULE, "9");
    assert_eq!(world.state(job, other), Notified, "whatever it reports");
}

#[test]
fn one_for_what_is_new_does_not_take_who_only_comes_to_be_meant() {
    let mut world = World::new();
    let [device] = world.online();
    let package = world.package("2");
    let mut order = scoped("has tag.ring", &["1", "1.1"]);
    order.terms.only_new = true;
    let job = world.start(package, order);
    world.tag(device, "ring", Some("beta"));
    world.report(device, DEFAULT_MODULE, "1");
    assert!(tasks(&world, job).is_empty());
    world.report(device, DEFAULT_MODULE, "1.1");
    assert_eq!(world.state(job, device), Notified);
}

#[test]
fn an_enrolment_leaves_devices_to_a_newer_policy() {
    let mut world = World::new();
    world.chunk = 1;
    let [first, second] = world.online();
    let package = world.package("2");
    let older = world.order(package, Order::dynamic(&["1"]));
    let chunk = world.next_chunk(older).unwrap();
    world.apply(vec![chunk]);
    let package = world.package("3");
    let newer = world.start(package, Order::dynamic(&["1"]));
    assert!(world.find_task(older, first).is_some());
    assert_eq!((world.find_task(older, second), world.state(newer, second)), (None, Notified));
}

/// What happens to one of a few devices.
#[derive(Clone, Debug)]
enum Step {
    Tag(usize, Option<&'static str>),
    Join(usize, bool),
    Report(usize, &'static str),
    Reconnect(usize),
    Wait,
}

const FILTERS: [&str; 8] = [
    "tag.ring = beta",
    "tag.ring != beta",
    "group = north",
    "not (group = north or has tag.ring)",
    "module.default = 1.1 and has module.MCU",
    "status = online and name like dev*",
    "status = offline or lastSeen < now-1m",
    "lastSeen >= now-1m and tag.ring in (alpha, beta)",
];

fn step() -> impl Strategy<Value = Step> {
    let device = || 0..4_usize;
    let tag = select(vec![None, Some("alpha"), Some("beta")]);
    prop_oneof![
        (device(), tag).prop_map(|(device, value)| Step::Tag(device, value)),
        (device(), any::<bool>()).prop_map(|(device, joins)| Step::Join(device, joins)),
        (device(), select(vec!["1", "1.1", "9"])).prop_map(|(device, version)| Step::Report(device, version)),
        device().prop_map(Step::Reconnect),
        Just(Step::Wait),
    ]
}

fn take(world: &mut World, devices: &[Id], step: &Step) {
    let here = |world: &World, device: Id| world.tables.sessions.contains_key(&device);
    match *step {
        Step::Tag(device, value) => world.tag(devices[device], "ring", value),
        Step::Join(device, joins) => {
            let groups = &mut world.tables.labels.entry(devices[device]).or_default().groups;
            groups.remove("north");
            groups.extend(joins.then(|| "north".to_owned()));
        }
        Step::Report(device, version) if here(world, devices[device]) => {
            world.report(devices[device], DEFAULT_MODULE, version);
        }
        Step::Report(..) => {}
        Step::Reconnect(device) if here(world, devices[device]) => world.disconnect(devices[device]),
        Step::Reconnect(device) => drop(world.connect(devices[device])),
        Step::Wait => world.pass(MINUTE / 2),
    }
}

proptest! {
    /// Against the filter itself: a device is taken if it is meant when the job is made, or when it reports.
    #[test]
    fn those_taken_are_those_meant_when_they_speak(
        filter in select(FILTERS.to_vec()),
        sources in select(vec![vec![], vec!["1", "1.1"]]),
        only_new: bool,
        before in prop::collection::vec(step(), 0..8),
        after in prop::collection::vec(step(), 0..30),
    ) {
        let mut world = World::new();
        let online: [Id; 3] = world.online();
        world.report(online[0], "MCU", "1");
        let devices = [online.as_slice(), &[world.device()]].concat();
        before.iter().for_each(|step| take(&mut world, &devices, step));
        let meaning = Filter::parse(filter).unwrap();
        let wanted = |world: &World, device: Id| {
            let version = world.tables.versions.get(&(device, DEFAULT_MODULE.into()));
            let of_source = |v: &ModuleVersion| sources.contains(&v.version.as_str());
            let fits = sources.is_empty() || version.is_some_and(of_source);
            fits && world.tables.means(&meaning, device, world.now)
        };
        let met = |world: &World| devices.iter().copied().filter(|d| wanted(world, *d)).collect();
        let mut expected: BTreeSet<Id> = if only_new { BTreeSet::new() } else { met(&world) };
        let package = world.package("2");
        let mut order = scoped(filter, &sources);
        order.terms.only_new = only_new;
        let job = world.start(package, order);
        for step in &after {
            let versions = world.tables.versions.clone();
            take(&mut world, &devices, step);
            if let Step::Report(device, _) = *step {
                let (device, key) = (devices[device], (devices[device], DEFAULT_MODULE.to_owned()));
                let said = |versions: &std::collections::BTreeMap<(Id, String), ModuleVersion>| {
                    versions.get(&key).map(|v| v.version.clone())
                };
                let changed = said(&versions) != said(&world.tables.versions);
                let here = world.tables.sessions.contains_key(&device);
                if here && (changed || !only_new) && wanted(&world, device) {
                    expected.insert(device);
                }
            }
            let taken: BTreeSet<Id> = tasks(&world, job).iter().map(|task| task.device_id).collect();
            prop_assert_eq!(&taken, &expected, "after {:?}", step);
        }
    }
}
