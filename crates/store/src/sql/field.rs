//! How the fields of rows become values and come back.

use super::{Kind, Val};

/// A type that fits into one column.
pub(crate) trait Field: Sized {
    const KIND: Kind;

    fn to_val(&self) -> Val;

    /// The error says what is wrong with the value.
    fn from_val(value: Val) -> Result<Self, String>;
}

fn unfit(value: &Val) -> String {
    match value {
        Val::Int(None) | Val::Text(None) | Val::Blob(None) => "NULL where there must be a value".into(),
        Val::Int(Some(n)) => format!("{n} is out of range"),
        _ => "a value of another type".into(),
    }
}

macro_rules! int_field {
    ($($t:ty),*) => {$(
        impl Field for $t {
            const KIND: Kind = Kind::Int;

            fn to_val(&self) -> Val {
                Val::Int(Some(i64::from(*self)))
            }

            fn from_val(value: Val) -> Result<Self, String> {
                match value {
                    Val::Int(Some(n)) => Self::try_from(n).map_err(|_| unfit(&value)),
                    _ => Err(unfit(&value)),
                }
            }
        }
    )*};
}

int_field!(i64, i32, u32);

impl Field for bool {
    const KIND: Kind = Kind::Int;

    fn to_val(&self) -> Val {
        (*self).into()
    }

    fn from_val(value: Val) -> Result<Self, String> {
        match value {
            Val::Int(Some(0)) => Ok(false),
            Val::Int(Some(1)) => Ok(true),
            _ => Err(unfit(&value)),
        }
    }
}

impl Field for String {
    const KIND: Kind = Kind::Text;

    fn to_val(&self) -> Val {
        self.as_str().into()
    }

    fn from_val(value: Val) -> Result<Self, String> {
        match value {
            Val::Text(Some(text)) => Ok(text),
            _ => Err(unfit(&value)),
        }
    }
}

impl Field for Vec<u8> {
    const KIND: Kind = Kind::Blob;

    fn to_val(&self) -> Val {
        self.as_slice().into()
    }

    fn from_val(value: Val) -> Result<Self, String> {
        match value {
            Val::Blob(Some(bytes)) => Ok(bytes),
            _ => Err(unfit(&value)),
        }
    }
}

impl<T: Field> Field for Option<T> {
    const KIND: Kind = T::KIND;

    fn to_val(&self) -> Val {
        self.as_ref().map_or(Val::null(T::KIND), Field::to_val)
    }

    fn from_val(value: Val) -> Result<Self, String> {
        if value == Val::null(T::KIND) { Ok(None) } else { T::from_val(value).map(Some) }
    }
}

/// An enumeration without fields: kept as the word serde knows it by.
macro_rules! word_field {
    ($($t:ty),* $(,)?) => {$(
        impl $crate::sql::Field for $t {
            const KIND: $crate::sql::Kind = $crate::sql::Kind::Text;

            fn to_val(&self) -> $crate::sql::Val {
                match serde_json::to_value(self) {
                    Ok(serde_json::Value::String(word)) => word.into(),
                    _ => unreachable!("serde makes a word of every variant"),
                }
            }

            fn from_val(value: $crate::sql::Val) -> Result<Self, String> {
                let word = <String as $crate::sql::Field>::from_val(value)?;
                serde_json::from_value(serde_json::Value::String(word)).map_err(|e| e.to_string())
            }
        }
    )*};
}

/// A compound value: kept as JSON.
macro_rules! json_field {
    ($($t:ty),* $(,)?) => {$(
        impl $crate::sql::Field for $t {
            const KIND: $crate::sql::Kind = $crate::sql::Kind::Text;

            fn to_val(&self) -> $crate::sql::Val {
                match serde_json::to_string(self) {
                    Ok(text) => text.into(),
                    Err(_) => unreachable!("these types have no maps with odd keys"),
                }
            }

            fn from_val(value: $crate::sql::Val) -> Result<Self, String> {
                let text = <String as $crate::sql::Field>::from_val(value)?;
                serde_json::from_str(&text).map_err(|e| e.to_string())
            }
        }
    )*};
}

pub(crate) use {json_field, word_field};
