//! The private parsers of this crate, for `fuzz/`.

use rollout::{Id, Ms};

use crate::image::EspImage;
use crate::links::{Links, Subject};

const KEY: [u8; 32] = [7; 32];

/// The version compiled into an ESP image that begins so.
pub fn image_version(head: &[u8]) -> Option<String> {
    EspImage::read(head).map(|image| image.version)
}

/// The path of a task's file.
pub fn link(task: Id, now: Ms) -> String {
    Links::new(KEY).path(Subject::Task { task, first_attempt: 1, number: 1 }, now)
}

/// The task whose file a path is for, if it is one of [`link`]'s and not too old.
pub fn linked_task(path: &str, now: Ms) -> Option<Id> {
    match Links::new(KEY).check(path, now) {
        Ok(Subject::Task { task, .. }) => Some(task),
        _ => None,
    }
}
