//! What a change of a job means for what is there, and for what comes.

use otaru_rollout::*;

use crate::world::{MINUTE, Order, Pick, SECOND, World};

use TaskState::{Canceled, Failed, InProgress, Notified, Queued};

/// A running job for three devices that are online.
fn running(order: Order) -> (World, Id, [Id; 3]) {
    let mut world = World::new();
    let devices = world.online();
    let package = world.package("2");
    let job = world.start(package, order);
    (world, job, devices)
}

fn fields(world: &World, job: Id) -> Vec<Vec<JobField>> {
    let told = |event: &Event| match &event.kind {
        EventKind::JobChanged { fields } if event.job_id == Some(job) => Some(fields.clone()),
        _ => None,
    };
    world.tables.events.iter().filter_map(told).collect()
}

#[test]
fn a_rate_holds_from_the_next_push_on() {
    let (mut world, job, _) = running(Order { rate_per_minute: 1, ..Order::usual(Pick::All) });
    assert_eq!(world.notices().len(), 1);
    world.pass(9 * SECOND);
    world.revise(job, |to| to.rate_per_minute = 6);
    assert_eq!(world.notices().len(), 0, "it is too early for this one too");
    world.pass(SECOND);
    assert_eq!(world.notices().len(), 1);
    world.revise(job, |to| to.rate_per_minute = 1);
    world.pass(60 * SECOND);
    assert_eq!(world.notices().len(), 0);
    world.pass(SECOND);
    assert_eq!(world.notices().len(), 1);
    assert_eq!(fields(&world, job), [[JobField::RatePerMinute], [JobField::RatePerMinute]]);
}

#[test]
fn a_byte_budget_holds_from_the_next_offer_on() {
    let terms = Terms { kbit_per_second: Some(1), ..Terms::default() };
    let (mut world, job, _) = running(Order { terms, ..Order::to(Pick::All) });
    assert_eq!(world.notices().len(), 1, "the file takes 34 seconds of it");
    world.pass(4 * SECOND);
    world.revise(job, |to| to.terms.kbit_per_second = Some(3));
    world.pass(9 * SECOND);
    assert_eq!(world.notices().len(), 0, "what was left takes a third of its time");
    world.pass(2 * SECOND);
    assert_eq!(world.notices().len(), 1);
    world.revise(job, |to| to.terms.kbit_per_second = None);
    assert_eq!(world.notices().len(), 1);
}

#[test]
fn a_timeout_counts_from_the_first_progress_of_tasks_that_have_begun_too() {
    for (before, after, fails_in) in [
        (Some(10), Some(20), Some(15)),
        (Some(10), Some(7), Some(2)),
        (Some(10), Some(3), Some(0)),
        (Some(10), None, None),
        (None, Some(8), Some(3)),
    ] {
        let ms = |minutes: Option<i64>| minutes.map(|minutes| minutes * MINUTE);
        let terms = Terms { lost_ms: None, ..Terms::default() };
        let order = Order { timeout_ms: ms(before), terms, ..Order::to(Pick::All) };
        let (mut world, job, [device, ..]) = running(order);
        world.progress(device, 10);
        world.pass(5 * MINUTE);
        // The clock stands still while the job is held, and can be set all the same.
        world.run(Input::PauseJob(job));
        world.revise(job, |to| to.timeout_ms = ms(after));
        world.pass(30 * MINUTE);
        world.run(Input::ResumeJob(job));
        let Some(minutes) = fails_in else {
            world.pass(60 * MINUTE);
            assert_eq!(world.state(job, device), InProgress);
            continue;
        };
        if minutes > 0 {
            world.pass(minutes * MINUTE - 1);
            assert_eq!(world.state(job, device), InProgress, "{before:?} {after:?}");
        }
        world.pass(1);
        let reason = Reason::Timeout { minutes: after.unwrap() };
        assert_eq!(world.task(job, device).reason, Some(reason), "{before:?} {after:?}");
    }
}

/// A world begins at 22:13 on a Tuesday.
fn window(from: u16, to: u16) -> Vec<Window> {
    vec![Window { days: 0b111_1111, from, to }]
}

#[test]
fn windows_hold_for_those_who_wait() {
    let terms = Terms { windows: window(23 * 60, 24 * 60), ..Terms::default() };
    let (mut world, job, [device, ..]) = running(Order { terms, ..Order::to(Pick::All) });
    assert_eq!(world.notices(), [0; 0]);
    world.revise(job, |to| to.terms.windows = window(22 * 60 + 20, 22 * 60 + 30));
    world.pass(5 * MINUTE);
    assert_eq!(world.notices(), [0; 0]);
    world.pass(2 * MINUTE);
    assert_eq!(world.notices().len(), 3);
    world.revise(job, |to| to.terms.windows = window(60, 120));
    world.connect(device);
    world.report(device, DEFAULT_MODULE, "1");
    assert_eq!(world.notices(), [0; 0]);
    world.revise(job, |to| to.terms.windows = vec![]);
    assert_eq!(world.notices(), [device]);
}

#[test]
fn an_end_is_set_moved_and_taken_away() {
    let (mut world, job, [device, other, _]) = running(Order::to(Pick::All));
    world.progress(device, 10);
    let begin = world.now;
    for end in [Some(begin + 10 * MINUTE), Some(begin + 9 * MINUTE), None, Some(begin + 20 * MINUTE)] {
        world.revise(job, |to| to.terms.end_at = end);
        world.pass(4 * MINUTE);
        assert_eq!(world.state(job, other), Notified);
    }
    world.pass(4 * MINUTE);
    assert_eq!((world.state(job, device), world.state(job, other)), (InProgress, Canceled));
    let over = world.revision(job);
    let later = Revision { terms: Terms { end_at: None, ..over.terms }, ..over };
    assert_eq!(world.job(job).refuses(&later, world.now), Some(Unrevisable::Ended));
    world.run(Input::ReviseJob { job, to: Box::new(later) });
    assert_eq!(world.job(job).terms.end_at, Some(begin + 20 * MINUTE));
}

#[test]
fn a_planned_job_starts_earlier_later_or_now() {
    let terms = Terms { start_at: Some(1_700_000_000_000 + 10 * MINUTE), ..Terms::default() };
    let (mut world, job, _) = running(Order { terms, ..Order::to(Pick::All) });
    let later = world.now + 20 * MINUTE;
    world.revise(job, |to| to.terms.start_at = Some(later));
    world.pass(15 * MINUTE);
    assert_eq!((world.job(job).state, world.notices().len()), (JobState::Planned, 0));
    world.revise(job, |to| to.terms.start_at = None);
    assert_eq!((world.job(job).state, world.notices().len()), (JobState::InProgress, 3));
    let again = world.revision(job);
    let again = Revision { terms: Terms { start_at: Some(later), ..again.terms }, ..again };
    assert_eq!(world.job(job).refuses(&again, world.now), Some(Unrevisable::Started));
}

#[test]
fn attempts_are_counted_against_what_is_allowed_when_one_fails() {
    let (mut world, job, [more, fewer, _]) = running(Order::usual(Pick::All));
    for device in [more, fewer] {
        world.progress(device, 5);
        world.progress(device, -1);
    }
    world.revise(job, |to| (to.terms.attempts, to.terms.retry_interval_ms) = (2, 5 * MINUTE));
    world.pass(MINUTE);
    assert_eq!(world.task(job, fewer).told_epoch, world.epoch(fewer), "what was announced happens");
    world.progress(fewer, -1);
    assert_eq!(world.state(job, fewer), Failed);
    world.revise(job, |to| to.terms.attempts = 3);
    world.progress(more, -1);
    let task = world.task(job, more);
    assert_eq!((task.tries, task.retry_at), (3, Some(world.now + 5 * MINUTE)));
}

#[test]
fn a_clock_that_runs_until_the_beginning_fails_nobody_once_there_is_no_limit() {
    let (mut world, job, [device, ..]) = running(Order::usual(Pick::All));
    world.revise(job, |to| to.terms.start_timeout_ms = None);
    world.pass(60 * MINUTE);
    let task = world.task(job, device);
    assert_eq!((task.state, task.tries, task.start_clock), (Notified, 1, None));
}

#[test]
fn tags_travel_with_the_next_notice() {
    let (mut world, job, [device, ..]) = running(Order::usual(Pick::All));
    let tags = vec![Tag { key: "ring".into(), value: "beta".into() }];
    world.revise(job, |to| to.terms.tags.clone_from(&tags));
    let offer = world.get(device).unwrap().unwrap();
    assert_eq!(offer.tags, tags);
}

/// A policy for those with the tag `ring`, and three devices on its version of which the first has it.
fn policy() -> (World, Id, [Id; 3]) {
    let mut world = World::new();
    let devices = world.online();
    world.tag(devices[0], "ring", Some("beta"));
    let package = world.package("2");
    let pick = Pick::Meant("tag.ring = beta");
    let job = world.start(package, Order { pick, ..Order::dynamic(&["1"]) });
    (world, job, devices)
}

fn filter(text: &str) -> Option<Scope> {
    Some(Scope::Filter { filter: text.into() })
}

#[test]
fn a_scope_that_grows_takes_those_it_means_at_once_and_keeps_the_others() {
    let (mut world, job, [first, second, third]) = policy();
    world.tag(second, "ring", Some("alpha"));
    world.chunk = 1;
    world.revise(job, |to| to.scope = filter("tag.ring = alpha"));
    assert_eq!((world.state(job, first), world.state(job, second)), (Notified, Notified));
    assert_eq!(world.find_task(job, third), None);
    world.tag(third, "ring", Some("beta"));
    world.report(third, DEFAULT_MODULE, "1");
    assert_eq!(world.find_task(job, third), None, "it is for others now");
    // The same again looks at all devices again.
    world.tag(third, "ring", Some("alpha"));
    world.revise(job, |to| to.scope = filter("tag.ring = alpha"));
    assert_eq!(world.state(job, third), Notified);
    assert_eq!(fields(&world, job), [[JobField::Scope], [JobField::Scope]]);
}

#[test]
fn a_chunk_beside_a_change_of_scope_takes_those_the_new_one_means() {
    let (mut world, job, [first, second, third]) = policy();
    world.tag(second, "ring", Some("alpha"));
    let to = |world: &World, scope| {
        let to = Revision { scope, ..world.revision(job) };
        Input::ReviseJob { job, to: Box::new(to) }
    };
    world.apply(vec![to(&world, Some(Scope::All))]);
    let mut inputs = vec![to(&world, filter("tag.ring = alpha"))];
    inputs.extend(world.claim());
    assert!(matches!(&inputs[..], [_, Input::Enrol { chunk, .. }] if chunk.devices == [first, second]));
    world.apply(inputs);
    world.tick();
    assert_eq!(world.state(job, second), Notified);
    assert_eq!(world.find_task(job, third), None);
}

#[test]
fn source_versions_that_grow_take_those_who_report_them() {
    let (mut world, job, [first, second, third]) = policy();
    world.report(second, DEFAULT_MODULE, "0.9");
    world.report(third, DEFAULT_MODULE, "0.8");
    world.revise(job, |to| (to.scope, to.terms.src_versions) = (Some(Scope::All), vec!["0.9".into()]));
    assert_eq!((world.state(job, first), world.state(job, second)), (Notified, Notified));
    assert_eq!(world.find_task(job, third), None);
    world.connect(first);
    world.report(first, DEFAULT_MODULE, "1");
    world.pass(MINUTE);
    assert_eq!(world.state(job, first), Notified, "what it came from is no reason to fail");
}

#[test]
fn one_for_what_is_new_looks_at_nobody_anew() {
    let (mut world, job, [_, second, _]) = policy();
    world.tables.jobs.get_mut(&job).unwrap().terms.only_new = true;
    world.revise(job, |to| to.scope = Some(Scope::All));
    assert_eq!((world.find_task(job, second), world.job(job).work), (None, None));
    world.report(second, DEFAULT_MODULE, "9");
    world.report(second, DEFAULT_MODULE, "1");
    assert_eq!(world.state(job, second), Notified);
}

#[test]
fn what_cannot_be_changed_is_refused_and_changes_nothing() {
    let refused = |world: &mut World, job: Id, why: Unrevisable| {
        let to = Revision { scope: Some(Scope::All), rate_per_minute: 7, ..world.revision(job) };
        assert_eq!(world.job(job).refuses(&to, world.now), Some(why));
        let before = world.tables.clone();
        world.run(Input::ReviseJob { job, to: Box::new(to) });
        assert_eq!(world.tables, before);
    };
    let (mut world, job, _) = running(Order::to(Pick::All));
    refused(&mut world, job, Unrevisable::TakesNone(JobField::Scope));
    world.run(Input::CancelJob(job));
    refused(&mut world, job, Unrevisable::Ended);
    let (mut world, job, _) = policy();
    world.apply(vec![Input::CancelSome { job, states: CancelStates { queued: true, ..Default::default() } }]);
    let to = Revision { scope: Some(Scope::All), ..world.revision(job) };
    assert_eq!(world.job(job).refuses(&to, world.now), Some(Unrevisable::Busy(JobField::Scope)));
    world.tick();
    world.run(Input::CloseJob(job));
    refused(&mut world, job, Unrevisable::Closed(JobField::Scope));
    let unchanged = world.revision(job);
    world.run(Input::ReviseJob { job, to: Box::new(unchanged) });
    assert_eq!(fields(&world, job), [[JobField::Scope; 1]; 0]);
    world.revise(job, |to| to.rate_per_minute = 7);
    assert_eq!(fields(&world, job), [[JobField::RatePerMinute]], "its tasks go on, at another rate");
}

#[test]
fn who_waits_keeps_its_place_when_windows_change() {
    let (mut world, job, devices) = running(Order { rate_per_minute: 1, ..Order::to(Pick::All) });
    let [first, ..] = world.notices()[..] else { panic!("nobody was told") };
    let waiting: Vec<(Id, Option<Ms>)> =
        devices.iter().map(|d| (*d, world.task(job, *d).ready_at)).filter(|(d, _)| *d != first).collect();
    world.pass(SECOND);
    world.revise(job, |to| to.terms.windows = window(22 * 60, 23 * 60));
    for (device, ready_at) in waiting {
        assert_eq!((world.state(job, device), world.task(job, device).ready_at), (Queued, ready_at));
    }
}
