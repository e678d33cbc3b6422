//! What comes in addresses: links to files, ids, cursors.
#![no_main]

use libfuzzer_sys::fuzz_target;
use server::{IdKind, PublicId};

fuzz_target!(|input: (i64, u32, &str)| {
    let (task, seconds, text) = input;
    let (task, now) = (task & i64::MAX, i64::from(seconds) * 1_000);
    let link = server::fuzzing::link(task, now);
    assert_eq!(server::fuzzing::linked_task(&link, now), Some(task));
    assert_eq!(server::fuzzing::linked_task(&link, now + 25 * 3_600_000), None);
    // Nobody guesses a signature.
    assert_eq!(server::fuzzing::linked_task(text, now), None);

    if let Ok(id) = text.parse::<PublicId>() {
        assert_eq!(id.to_string(), text);
        assert_eq!(id.kind.parse(text), Some(id.id));
    }
    assert_eq!(IdKind::Task.parse(&IdKind::Task.text(task)), Some(task));

    for again in api::fuzzing::cursors(text).into_iter().flatten() {
        assert_eq!(again, text, "a cursor has one spelling");
    }
});
