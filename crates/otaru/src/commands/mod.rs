//! The operator's commands, one file for each kind of thing.

pub(crate) mod backup;
pub(crate) mod certificate;
pub(crate) mod certs;
pub(crate) mod config;
pub(crate) mod credentials;
pub(crate) mod device;
pub(crate) mod events;
mod follow;
mod forecast;
pub(crate) mod frame;
pub(crate) mod gateway;
pub(crate) mod group;
pub(crate) mod job;
mod messages;
pub(crate) mod module;
pub(crate) mod package;
pub(crate) mod product;
pub(crate) mod sim;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod tag;
pub(crate) mod task;
mod upload;
mod wait;
pub(crate) mod watch;
mod window;

use std::fmt::Write as _;
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::output::{self, Table};

/// How long the platform may be away, as while it restarts.
const RESTART: Duration = Duration::from_secs(60);
/// Pause between two tries.
const AGAIN: Duration = Duration::from_secs(1);

/// Waits. Nobody ever sends: waiting for a message is waiting for the time to pass.
fn pause(time: Duration) {
    let (_never, waiting) = mpsc::channel::<()>();
    let _ = waiting.recv_timeout(time);
}

/// Those of a query that were given.
fn given<'a>(query: &[(&'static str, &'a Option<String>)]) -> Vec<(&'static str, &'a str)> {
    query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect()
}

/// How an answer is shown.
#[derive(Args, Clone, Copy)]
pub(crate) struct Format {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Format {
    /// Shows one thing.
    fn show<T: Serialize>(self, thing: &T, people: impl FnOnce(&T)) -> anyhow::Result<()> {
        if self.json {
            return output::json(thing);
        }
        people(thing);
        Ok(())
    }

    /// Shows a list, page by page: a table, or a JSON array with an item a line.
    fn list<T: Serialize + DeserializeOwned>(
        self,
        client: &Client,
        path: &str,
        query: &[(&str, &str)],
        head: &[&str],
        row: impl Fn(&T) -> Vec<String>,
    ) -> anyhow::Result<()> {
        if self.json {
            return json_array::<T>(client, path, query);
        }
        let mut table = Table::new(head);
        client.pages(path, query, |items: Vec<T>| {
            table.print(items.iter().map(&row).collect());
            Ok(())
        })
    }
}

fn json_array<T: Serialize + DeserializeOwned>(
    client: &Client,
    path: &str,
    query: &[(&str, &str)],
) -> anyhow::Result<()> {
    let mut separator = "[";
    client.pages(path, query, |items: Vec<T>| {
        let mut text = String::new();
        for item in &items {
            write!(text, "{separator}\n  {}", serde_json::to_string(item)?)?;
            separator = ",";
        }
        output::part(&text);
        Ok(())
    })?;
    output::part(if separator == "[" { "[]\n" } else { "\n]\n" });
    Ok(())
}

/// A text that may be absent.
fn or_dash(text: Option<&String>) -> String {
    text.cloned().unwrap_or_else(|| "-".into())
}

/// A time without its fraction, which people do not read.
fn when(time: &str) -> String {
    time.split('.').next().unwrap_or(time).replace('T', " ")
}

/// A state, kind or protocol as the API spells it.
fn spelt(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}
