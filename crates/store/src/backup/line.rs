//! A row as a line of JSON. Bytes are hex digits.

use serde_json::{Map, Value};

use crate::record::Column;
use crate::sql::{Kind, Row, Val};
use crate::{Error, hex};

pub(super) fn write(columns: &[Column], row: &Row, out: &mut Vec<u8>) -> Result<Vec<Val>, Error> {
    let mut map = Map::new();
    let mut values = Vec::with_capacity(columns.len());
    for (n, column) in columns.iter().enumerate() {
        let value = row.val(n, column.kind)?;
        map.insert(column.name.into(), json(&value));
        values.push(value);
    }
    out.extend_from_slice(Value::Object(map).to_string().as_bytes());
    out.push(b'\n');
    Ok(values)
}

/// `None` if it is not a row with exactly these columns.
pub(super) fn read(columns: &[Column], line: &[u8]) -> Option<Vec<Val>> {
    let mut map: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let row = columns.iter().map(|column| val(column.kind, map.remove(column.name)?)).collect();
    if map.is_empty() { row } else { None }
}

fn json(value: &Val) -> Value {
    match value {
        Val::Int(Some(n)) => (*n).into(),
        Val::Text(Some(text)) => text.as_str().into(),
        Val::Blob(Some(bytes)) => hex::encode(bytes).into(),
        _ => Value::Null,
    }
}

fn val(kind: Kind, value: Value) -> Option<Val> {
    Some(match (kind, value) {
        (_, Value::Null) => Val::null(kind),
        (Kind::Int, Value::Number(n)) => Val::Int(Some(n.as_i64()?)),
        (Kind::Text, Value::String(text)) => Val::Text(Some(text)),
        (Kind::Blob, Value::String(digits)) => Val::Blob(Some(hex::decode(&digits)?)),
        _ => return None,
    })
}
