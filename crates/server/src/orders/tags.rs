//! Tags: what operators say of devices, for filters, groups and the rules that read one.

use std::collections::{BTreeMap, BTreeSet};

use rollout::{EventKind, Id, Product, TIME_ZONE_TAG};
use store::tags::{DeviceTag, Tags};

use super::bulk::{Bulk, CHUNK, Refused, check_length, csv_invalid, sheet};
use super::devices::unknown_device;
use super::{failed, product_in};
use crate::Server;
use crate::core::Unit;
use crate::error::OrderError;
use crate::zones::zone_name;

/// Most tags of a device.
pub const MOST_TAGS: usize = 100;
/// Longest name of a tag, in characters.
pub const LONGEST_TAG_NAME: usize = 64;
/// Longest value of a tag, in characters.
pub const LONGEST_TAG_VALUE: usize = 256;

/// Tags to set by name; those without a value are removed.
pub type TagChange = BTreeMap<String, Option<String>>;

/// Tags to change of one device of many.
#[derive(Clone, Debug)]
pub struct DeviceTagChange {
    /// Its line in the file, or its place in the list, from 1.
    pub line: u64,
    /// The device.
    pub device_name: String,
    /// What to change.
    pub tags: TagChange,
}

/// Reads a CSV file with a column `deviceName` and one for each tag. An empty cell leaves the tag as it is.
pub fn csv_tags(file: &[u8]) -> Result<Vec<DeviceTagChange>, OrderError> {
    let sheet = sheet(file)?;
    for (_, name) in &sheet.columns {
        if ["devicesecret", "productkey"].contains(&&*name.to_ascii_lowercase()) {
            return Err(csv_invalid(format!(
                "its column {name:?} would become a tag; remove it, as every column but deviceName is one"
            )));
        }
        check_name(name)?;
    }
    let change = |(line, device_name, cells): (u64, String, csv::StringRecord)| {
        let cell = |(place, name): &(usize, String)| {
            let value = cells.get(*place).filter(|value| !value.is_empty())?;
            Some((name.clone(), Some(value.to_owned())))
        };
        DeviceTagChange { line, device_name, tags: sheet.columns.iter().filter_map(cell).collect() }
    };
    Ok(sheet.rows.into_iter().map(change).collect())
}

impl Server {
    /// Changes the tags of one device, unless `check` refuses those it has.
    pub async fn tag_device(
        &self,
        product_key: &str,
        device_name: &str,
        tags: TagChange,
        check: impl Fn(&Tags) -> Result<(), OrderError> + Sync,
    ) -> Result<(), OrderError> {
        let change = DeviceTagChange { line: 1, device_name: device_name.to_owned(), tags };
        let mut done = self.tag_all(product_key, vec![change], &check).await?;
        done.refused.pop().map_or(Ok(()), |refused| Err(refused.error))
    }

    /// Changes the tags of many devices. Devices that are refused keep theirs.
    pub async fn tag_devices(
        &self,
        product_key: &str,
        changes: Vec<DeviceTagChange>,
    ) -> Result<Bulk, OrderError> {
        self.tag_all(product_key, changes, &|_| Ok(())).await
    }

    async fn tag_all(
        &self,
        product_key: &str,
        changes: Vec<DeviceTagChange>,
        check: Check<'_>,
    ) -> Result<Bulk, OrderError> {
        check_length(changes.len())?;
        let product = self.find_product(product_key).await?;
        let mut done = Bulk::default();
        for chunk in changes.chunks(CHUNK) {
            let mut unit = self.begin().await?;
            product_in(&mut unit.tx, product_key).await?;
            unit.tag_chunk(&product, chunk, check, &mut done).await?;
            unit.finish().await?;
        }
        Ok(done)
    }
}

/// Refuses to change the tags of a device that has these.
type Check<'a> = &'a (dyn Fn(&Tags) -> Result<(), OrderError> + Sync);

/// The tags of a chunk's devices, before and after.
#[derive(Default)]
struct Chunk {
    present: BTreeMap<Id, Tags>,
    set: BTreeMap<(Id, String), DeviceTag>,
    unset: BTreeSet<(Id, String)>,
}

impl Unit {
    async fn tag_chunk(
        &mut self,
        product: &Product,
        changes: &[DeviceTagChange],
        check: Check<'_>,
        done: &mut Bulk,
    ) -> Result<(), OrderError> {
        let write = failed("change tags");
        let names: Vec<String> = changes.iter().map(|change| change.device_name.clone()).collect();
        let ids = store::devices::ids_of(&mut self.tx, product.id, &names).await.map_err(&write)?;
        let devices: Vec<Id> = ids.values().copied().collect();
        store::devices::lock(&mut self.tx, &devices).await.map_err(&write)?;
        let present = store::tags::of(&mut self.tx, &devices).await.map_err(&write)?;
        let mut chunk = Chunk { present, ..Chunk::default() };
        for change in changes {
            let device = ids.get(&change.device_name).copied();
            let event = match device {
                Some(device) => chunk.change(product.id, device, change, check),
                None => Err(unknown_device(&product.product_key, &change.device_name)),
            };
            match event {
                Ok(Some(kind)) => {
                    self.told(product.id, device, None, kind);
                    done.changed += 1;
                }
                Ok(None) => done.unchanged += 1,
                Err(error) => done.refused.push(Refused {
                    line: change.line,
                    device_name: change.device_name.clone(),
                    error,
                }),
            }
        }
        let set: Vec<DeviceTag> = chunk.set.into_values().collect();
        let unset: Vec<(Id, String)> = chunk.unset.into_iter().collect();
        store::tags::unset(&mut self.tx, &unset).await.map_err(&write)?;
        store::tags::set(&mut self.tx, &set).await.map_err(&write)
    }
}

impl Chunk {
    /// Changes a device's tags; gives what is to be told, if anything changes.
    fn change(
        &mut self,
        product_id: Id,
        device_id: Id,
        change: &DeviceTagChange,
        check: Check<'_>,
    ) -> Result<Option<EventKind>, OrderError> {
        let present = self.present.entry(device_id).or_default();
        check(present)?;
        let mut after = present.clone();
        for (name, value) in &change.tags {
            match value {
                Some(value) => {
                    check_name(name)?;
                    check_value(name, value)?;
                    after.insert(name.clone(), value.clone());
                }
                None => drop(after.remove(name)),
            }
        }
        check_number(&change.device_name, after.len())?;
        let set: Tags = after.iter().filter(|(k, v)| present.get(*k) != Some(v)).map(owned).collect();
        let removed: Vec<String> = present.keys().filter(|k| !after.contains_key(*k)).cloned().collect();
        *present = after;
        for (name, value) in set.clone() {
            self.unset.remove(&(device_id, name.clone()));
            let device_name = change.device_name.clone();
            let tag = DeviceTag { device_id, name: name.clone(), value, product_id, device_name };
            self.set.insert((device_id, name), tag);
        }
        for name in &removed {
            self.set.remove(&(device_id, name.clone()));
            self.unset.insert((device_id, name.clone()));
        }
        let nothing = set.is_empty() && removed.is_empty();
        Ok((!nothing).then_some(EventKind::DeviceTags { set, removed }))
    }
}

fn owned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

fn check_name(name: &str) -> Result<(), OrderError> {
    let letter = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name != TIME_ZONE_TAG && name.eq_ignore_ascii_case(TIME_ZONE_TAG) {
        let text = format!(
            "the tag name {name:?} is not allowed: it would not be the device's time zone, which is {TIME_ZONE_TAG:?} in lower case"
        );
        return Err(OrderError::invalid("tagNameInvalid", text).with("tag", name));
    }
    if (1..=LONGEST_TAG_NAME).contains(&name.len()) && name.chars().all(letter) {
        return Ok(());
    }
    let text = format!(
        "the tag name {name:?} is not allowed: 1 to {LONGEST_TAG_NAME} letters, digits, '.', '_', '-'"
    );
    Err(OrderError::invalid("tagNameInvalid", text).with("tag", name))
}

fn check_value(name: &str, value: &str) -> Result<(), OrderError> {
    let length = (1..=LONGEST_TAG_VALUE).contains(&value.chars().count());
    if !length || value.chars().any(char::is_control) {
        let text = format!(
            "the value {value:?} of the tag {name:?} is not allowed: 1 to {LONGEST_TAG_VALUE} characters, none of them a control character"
        );
        return Err(OrderError::invalid("tagValueInvalid", text).with("tag", name));
    }
    if name == TIME_ZONE_TAG && zone_name(value).is_none() {
        let text = format!(
            "the tag {TIME_ZONE_TAG:?} must name a time zone of the IANA database, as Europe/Berlin or Asia/Shanghai; {value:?} is none"
        );
        return Err(OrderError::invalid("timeZoneUnknown", text).with("tag", name).with("value", value));
    }
    Ok(())
}

fn check_number(device_name: &str, n: usize) -> Result<(), OrderError> {
    if n <= MOST_TAGS {
        return Ok(());
    }
    let text = format!("the device {device_name:?} would have {n} tags: at most {MOST_TAGS} are allowed");
    Err(OrderError::conflict("tooManyTags", text).with("deviceName", device_name).with("most", MOST_TAGS))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FREELY: Check<'static> = &|_| Ok(());

    fn change(tags: &[(&str, Option<&str>)]) -> DeviceTagChange {
        let tags = tags.iter().map(|(name, value)| ((*name).into(), value.map(Into::into))).collect();
        DeviceTagChange { line: 1, device_name: "dev001".into(), tags }
    }

    #[test]
    fn a_device_named_twice_ends_as_its_last_line_says() {
        let mut chunk = Chunk::default();
        chunk.present.insert(7, [("a".to_owned(), "1".to_owned())].into());
        let steps: [&[(&str, Option<&str>)]; 4] =
            [&[("a", None), ("b", Some("2"))], &[("a", Some("1"))], &[("b", None)], &[("b", None)]];
        let told: Vec<bool> =
            steps.map(|tags| chunk.change(1, 7, &change(tags), FREELY).unwrap().is_some()).into();
        assert_eq!(told, [true, true, true, false]);
        assert_eq!(chunk.set.keys().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(chunk.unset.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn tags_have_bounds_and_a_time_zone_is_one() {
        let refused = |name: &str, value: &str| {
            Chunk::default().change(1, 7, &change(&[(name, Some(value))]), FREELY).unwrap_err().code
        };
        let long = "x".repeat(LONGEST_TAG_VALUE + 1);
        assert_eq!(refused("", "v"), "tagNameInvalid");
        assert_eq!(refused("a b", "v"), "tagNameInvalid");
        assert_eq!(refused(&long, "v"), "tagNameInvalid");
        assert_eq!(refused("a", ""), "tagValueInvalid");
        assert_eq!(refused("a", "x\r"), "tagValueInvalid");
        assert_eq!(refused("a", &long), "tagValueInvalid");
        assert_eq!(refused("timezone", "Europe/Nowhere"), "timeZoneUnknown");
        assert_eq!(refused("TimeZone", "Europe/Berlin"), "tagNameInvalid");
        let gone = Chunk::default().change(1, 7, &change(&[("TimeZone", None)]), FREELY).unwrap();
        assert!(gone.is_none(), "what is there already can be removed");
        let zone = change(&[("timezone", Some("Asia/Shanghai"))]);
        assert!(Chunk::default().change(1, 7, &zone, FREELY).unwrap().is_some());
        let many = DeviceTagChange {
            tags: (0..=MOST_TAGS).map(|n| (format!("t{n}"), Some("v".into()))).collect(),
            ..change(&[])
        };
        assert_eq!(Chunk::default().change(1, 7, &many, FREELY).unwrap_err().code, "tooManyTags");
    }

    #[test]
    fn a_sheet_has_a_column_for_each_tag() {
        let read =
            csv_tags("\u{feff}region, deviceName ,ring\neu,dev001,\n\n ,dev002,beta\n".as_bytes()).unwrap();
        let lines: Vec<_> = read.iter().map(|c| (c.line, c.device_name.as_str(), c.tags.clone())).collect();
        let tag = |name: &str, value: &str| TagChange::from([(name.into(), Some(value.into()))]);
        assert_eq!(lines, [(2, "dev001", tag("region", "eu")), (4, "dev002", tag("ring", "beta"))]);
        for (file, why) in [
            ("", "empty"),
            ("dev001,eu\n", "deviceName"),
            ("deviceName,region\n", "no device"),
            ("deviceName,deviceSecret\ndev001,x\n", "deviceSecret"),
            ("deviceName,ring,region,ring\ndev001,a,eu,b\n", "\"ring\" twice"),
            ("deviceName,devicename\ndev001,dev002\n", "\"devicename\" twice"),
            ("deviceName,region\ndev001,eu,x\n", "line 2"),
        ] {
            let error = csv_tags(file.as_bytes()).unwrap_err();
            assert!(error.code == "csvInvalid" && error.text.contains(why), "{file:?}: {}", error.text);
        }
        for name in ["a b", "TIMEZONE"] {
            let file = format!("deviceName,{name}\ndev001,x\n");
            assert_eq!(csv_tags(file.as_bytes()).unwrap_err().code, "tagNameInvalid", "{name}");
        }
    }
}
