//! The measurements, each giving a section of the page.

mod blocks;
mod console;
mod device;
mod downloads;
mod gateway;
mod reports;
mod rollouts;
mod sessions;
mod storm;
mod tls;

use std::cell::RefCell;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use crate::child::{Cores, load};
use crate::load::Load;
use crate::profile::{Profile, Watched};
use crate::scale::Scale;

/// What all measurements need.
pub(crate) struct Bench {
    pub(crate) otaru: PathBuf,
    /// The folder of the store's examples.
    pub(crate) examples: PathBuf,
    pub(crate) postgres: String,
    pub(crate) folder: PathBuf,
    pub(crate) scale: Scale,
    /// Where the time went, if that is asked for.
    pub(crate) profiles: Option<RefCell<Vec<Profile>>>,
}

impl Bench {
    /// Runs a load. If profiles are asked for it then runs it once more, under the eyes of `perf`: that one is
    /// not counted.
    fn watched<T: DeserializeOwned>(
        &self,
        name: &str,
        pid: u32,
        cores: Cores,
        spec: &Load,
    ) -> anyhow::Result<T> {
        let done = load(cores, spec)?.0;
        if let Some(profiles) = &self.profiles
            && profiles.borrow().iter().all(|profile| profile.load != name)
        {
            let data = self.folder.join("perf.data");
            let watched = Watched::start(pid, &data)?;
            load::<T>(cores, spec)?;
            profiles.borrow_mut().push(watched.end(name, &data)?);
        }
        Ok(done)
    }
}
