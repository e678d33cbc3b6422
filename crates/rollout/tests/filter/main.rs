//! The filter language, as docs/filters.md tells it.
#![allow(clippy::unwrap_used)]

mod meaning;
mod random;
mod text;
