//! SQL without the database library's types: values in, rows out, one transaction.

pub(crate) mod bulk;
pub(crate) mod dialect;
mod field;
mod row;
mod tx;
mod val;

pub(crate) use dialect::Dialect;
pub(crate) use field::{Field, json_field, word_field};
pub(crate) use row::{Fields, Row};
pub(crate) use tx::Inner;
pub use tx::Tx;
pub(crate) use val::{Kind, Val};
