//! The measurements, each giving a section of the page.

mod blocks;
mod reports;
mod sessions;
mod storm;

use std::path::PathBuf;

use crate::scale::Scale;

/// What all measurements need.
pub(crate) struct Bench {
    pub(crate) otaru: PathBuf,
    pub(crate) committer: PathBuf,
    pub(crate) postgres: String,
    pub(crate) folder: PathBuf,
    pub(crate) scale: Scale,
}
