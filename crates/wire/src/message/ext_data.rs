use super::envelope::pair;
use super::error::{Error, Fault};
use crate::json::{self, Object, Value};

/// Every key of a notice or an answer; inside `extData` a textual search would find it instead of the right one.
const KEYS: [&str; 23] = [
    "code",
    "dProtocol",
    "data",
    "digestsign",
    "extData",
    "fileMd5",
    "fileName",
    "fileSign",
    "fileSize",
    "fileUrl",
    "files",
    "id",
    "isDiff",
    "md5",
    "message",
    "module",
    "sign",
    "signMethod",
    "size",
    "streamFileId",
    "streamId",
    "url",
    "version",
];

/// The `extData` of an offer: tags of the task, and the package's custom information under `_package_udi` (5.2).
#[derive(Clone, Copy, Debug)]
pub struct ExtData<'a>(Object<'a>);

impl<'a> ExtData<'a> {
    /// An object to be sent, as compact JSON text.
    ///
    /// Values must be strings. Refused is what would break a textual search (4.2): white space between tokens, a key
    /// of the protocol itself (`version`, `url`, …) or one that needs an escape, and braces that do not pair.
    pub fn new(text: &'a str) -> Result<Self, Error> {
        let refuse = |why| Err(Error::field("data.extData", Fault::Not(why)));
        let Value::Object(object) = json::parse(text.as_bytes())? else {
            return refuse("a JSON object");
        };
        let mut compact_len = "{}".len() + object.members().count().saturating_sub(1);
        for (key, value) in object.members() {
            let Some(value) = value.str() else { return refuse("an object of strings") };
            if key.as_plain().is_none() || KEYS.iter().any(|name| key.eq_str(name)) {
                return refuse("free of keys that the protocol uses itself (version, url, size, ...)");
            }
            compact_len += key.raw().len() + value.raw().len() + "\"\":\"\"".len();
        }
        if compact_len != text.len() {
            return refuse("compact JSON, without white space between its parts");
        }
        let inside = text.get(1..text.len() - 1).unwrap_or("");
        if !pair(inside, b'{', b'}') {
            return refuse("balanced in its braces: every `{` needs its `}`, also inside values");
        }
        Ok(ExtData(object))
    }

    pub(super) fn of(object: Object<'a>) -> Self {
        ExtData(object)
    }

    /// The JSON text of the object.
    pub fn raw(self) -> &'a str {
        self.0.raw()
    }

    /// The members.
    pub fn object(self) -> Object<'a> {
        self.0
    }
}

impl PartialEq for ExtData<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.raw() == other.raw()
    }
}
