use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use server::{Order, Paging};

use crate::Problem;

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;

/// The lists that are read in pages. A cursor belongs to one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum List {
    Products,
    Devices,
    DeviceTasks,
    Packages,
    Jobs,
    JobTasks,
    Events,
    Groups,
    Configurations,
    DeviceConfigurations,
    SubDevices,
}

/// A list in an order of its items. A cursor of one order is none of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listing(u8);

impl List {
    pub(crate) fn ordered(self, order: Order) -> Listing {
        match order {
            Order::Oldest => Listing(self as u8),
            Order::Newest => Listing(self as u8 | 0x80),
        }
    }
}

impl From<List> for Listing {
    fn from(list: List) -> Self {
        list.ordered(Order::Oldest)
    }
}

/// What a list is sorted by.
pub(crate) trait Key: Sized {
    fn to_bytes(&self) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

impl Key for i64 {
    fn to_bytes(&self) -> Vec<u8> {
        self.to_be_bytes().into()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_be_bytes(bytes.try_into().ok()?))
    }
}

impl Key for String {
    fn to_bytes(&self) -> Vec<u8> {
        self.clone().into()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::from_utf8(bytes.into()).ok().filter(|text| !text.contains('\0'))
    }
}

/// Where a page begins and how long it is at most, from the query's `cursor` and `limit`.
pub(crate) fn paging<K: Key>(
    list: impl Into<Listing>,
    cursor: Option<&str>,
    limit: Option<u32>,
) -> Result<Paging<K>, Problem> {
    let list = list.into();
    let limit = within(limit.unwrap_or(DEFAULT_LIMIT), MAX_LIMIT, "items are on a page")?;
    let after = cursor.map(|text| decode(list, text)).transpose()?;
    Ok(Paging { after, limit })
}

/// A query's `limit`, if it is from 1 to `max`.
pub(crate) fn within(limit: u32, max: u32, what: &str) -> Result<u32, Problem> {
    if (1..=max).contains(&limit) {
        return Ok(limit);
    }
    let text = format!("limit={limit} is out of range; 1 to {max} {what}");
    Err(Problem::unprocessable("badLimit", text).with("limit", limit).with("max", max))
}

/// The cursor of the page after the row with this key.
pub(crate) fn encode<K: Key>(list: impl Into<Listing>, key: &K) -> String {
    URL_SAFE_NO_PAD.encode([vec![list.into().0], key.to_bytes()].concat())
}

fn decode<K: Key>(list: impl Into<Listing>, text: &str) -> Result<K, Problem> {
    let list = list.into();
    let key = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| match bytes.split_first() {
        Some((kind, key)) if *kind == list.0 => K::from_bytes(key),
        _ => None,
    });
    key.ok_or_else(|| {
        let text = "the cursor is not one that this list gave; use `nextCursor` of its last page as it is, or \
                    begin without a cursor";
        Problem::unprocessable("badCursor", text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_key_in_its_own_list_only() {
        for key in [0, 1, i64::MAX] {
            let text = encode(List::Jobs, &key);
            assert_eq!(decode::<i64>(List::Jobs, &text).unwrap(), key);
            assert_eq!(decode::<i64>(List::Events, &text).unwrap_err().code, "badCursor");
        }
        let name = "灯-1".to_string();
        assert_eq!(decode::<String>(List::Devices, &encode(List::Devices, &name)).unwrap(), name);
        for broken in ["", "x", "AAAA", "!!!!", "AAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(decode::<i64>(List::Products, broken).unwrap_err().code, "badCursor", "{broken}");
        }
    }

    #[test]
    fn a_page_is_fifty_long_unless_told() {
        assert_eq!(paging::<i64>(List::Jobs, None, None).unwrap().limit, 50);
        assert_eq!(paging::<i64>(List::Jobs, None, Some(200)).unwrap().limit, 200);
        for wrong in [0, 201, u32::MAX] {
            assert_eq!(paging::<i64>(List::Jobs, None, Some(wrong)).unwrap_err().code, "badLimit");
        }
    }
}
