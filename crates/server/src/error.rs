//! What an operator is told when an order is not carried out.

use std::fmt;

use serde_json::{Map, Value};

/// How an order failed: decides the HTTP status and the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The thing named does not exist.
    NotFound,
    /// The thing named existed, and has been dropped.
    Gone,
    /// A value is not allowed.
    Invalid,
    /// The thing's present state does not allow it.
    Conflict,
    /// The platform cannot carry it out at present; it may be given again.
    Unavailable,
    /// The platform has no room left to store what was sent.
    NoSpace,
    /// The platform itself failed.
    Internal,
}

/// A failed order: a stable code with parameters for programs, a sentence for people.
#[derive(Debug)]
pub struct OrderError {
    /// How it failed.
    pub kind: ErrorKind,
    /// A stable code, lowerCamelCase.
    pub code: &'static str,
    /// The values the sentence is about.
    pub params: Map<String, Value>,
    /// What happened, to which thing, what is allowed, what to do.
    pub text: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl OrderError {
    /// The thing named does not exist.
    pub fn not_found(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, code, text)
    }

    /// The thing named has been dropped.
    pub fn gone(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Gone, code, text)
    }

    /// A value is not allowed.
    pub fn invalid(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, code, text)
    }

    /// The present state does not allow it.
    pub fn conflict(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, code, text)
    }

    /// The database cannot be reached.
    pub fn unavailable(doing: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let text = format!(
            "the platform could not {doing}: its database cannot be reached or is busy; try again soon"
        );
        let error = Self::new(ErrorKind::Unavailable, "databaseUnavailable", text);
        Self { source: Some(source.into()), ..error }
    }

    /// The platform itself failed.
    pub fn internal(doing: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        if is_full(&*source) {
            let text = format!(
                "the platform could not {doing}: its disk is full. Nothing was kept; make room and send it again"
            );
            return Self { source: Some(source), ..Self::new(ErrorKind::NoSpace, "diskFull", text) };
        }
        let text = format!("the platform could not {doing}; its log says more");
        Self { source: Some(source), ..Self::new(ErrorKind::Internal, "internal", text) }
    }

    fn new(kind: ErrorKind, code: &'static str, text: impl Into<String>) -> Self {
        Self { kind, code, params: Map::new(), text: text.into(), source: None }
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.into(), value.into());
        self
    }
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for OrderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let file = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(error.downcast_ref(), Some(store::Error::Full(_)))
        || matches!(file, Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded))
}
