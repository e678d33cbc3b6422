//! Devices and their credentials.

use std::collections::BTreeSet;

use rollout::{Changes, Device, EventKind, Id, Product, Timer};
use serde_json::{Value, json};
use store::devices::{Claimant, DeviceView, Filter};
use store::{Order, Owner, Selection, Slice, Tx};
use wire::credentials::{ClientId, SignMethod, Username, password, valid_device_name, valid_device_secret};

use super::bulk::{check_columns, check_width, csv_invalid, csv_rows, line_of, spans};
use super::filters::selection_in;
use super::groups::group_in;
use super::products::random_text;
use super::{Paging, TaskView, failed, product_in};
use crate::Server;
use crate::core::Unit;
use crate::error::OrderError;

/// What a new device is made of.
#[derive(Clone, Debug, Default)]
pub struct NewDevice {
    /// `DeviceName`; made here if absent.
    pub device_name: Option<String>,
    /// `DeviceSecret` of a device that moves in; made here if absent.
    pub device_secret: Option<String>,
}

/// A device with its secret.
#[derive(Clone, Debug)]
pub struct DeviceSecret {
    /// The device.
    pub device: Device,
    /// `DeviceSecret`.
    pub secret: String,
}

/// Values a device logs in with (docs/protocol.md 2).
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The HMAC they are signed with.
    pub sign_method: &'static str,
    /// CONNECT client id.
    pub client_id: String,
    /// CONNECT user name.
    pub username: String,
    /// CONNECT password.
    pub password: String,
}

/// All a person needs to log in as a device.
#[derive(Clone, Debug)]
pub struct CredentialSet {
    /// `DeviceSecret`.
    pub device_secret: String,
    /// One for each HMAC.
    pub logins: Vec<Credentials>,
}

/// Which devices of a product a list shows.
#[derive(Clone, Debug, Default)]
pub struct DeviceFilter {
    /// Only those whose names begin so.
    pub prefix: Option<String>,
    /// Only those that are, or are not, connected.
    pub online: Option<bool>,
    /// Only those that a filter means (docs/filters.md).
    pub filter: Option<String>,
    /// Only those of a group.
    pub group: Option<String>,
}

/// Most devices in one import.
const MOST_IMPORTED: usize = 1_000_000;
/// Most names whose secrets are told in one answer.
const MOST_SECRETS: usize = 100;
/// Devices written in one transaction of an import.
const IMPORT_CHUNK: usize = 500;

/// Reads a CSV file with the columns `deviceName` and, if wanted, `deviceSecret` and `productKey`. A first
/// line may name them, in any order; without it they are name and secret. Gives each device's line, too.
pub fn csv_devices(file: &[u8], product_key: &str) -> Result<Vec<(u64, NewDevice)>, OrderError> {
    let (file, mut reader) = csv_rows(file);
    let mut rows = reader.records().peekable();
    let columns = match rows.peek() {
        Some(Ok(first)) => columns(first)?,
        _ => None,
    };
    if columns.is_some() {
        rows.next();
    }
    let columns = columns.unwrap_or_else(|| vec![Column::Name, Column::Secret]);
    let device = |row: csv::Result<_>| {
        let row = row.map_err(csv_invalid)?;
        let device = csv_device(file, &row, &columns, product_key)?;
        Ok::<_, OrderError>(device.map(|device| (line_of(file, &row), device)))
    };
    let devices = rows.filter_map(|row| device(row).transpose());
    let devices: Vec<_> = devices.collect::<Result<_, _>>()?;
    if devices.is_empty() {
        return Err(csv_invalid("there is no device in it"));
    }
    Ok(devices)
}

/// A name in a list of devices, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The line, from 1.
    pub line: u64,
    /// The name.
    pub device_name: String,
}

/// The names of a list that are no devices of the product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// How many.
    pub n: usize,
    /// The first hundred.
    pub first: Vec<Listed>,
    /// The lines that all of them stand in, as `3,7-9`; what is beyond 10 000 such spans is `…`.
    pub lines: String,
}

impl Unknown {
    fn of(mut listed: Vec<Listed>) -> Self {
        let (n, lines) = (listed.len(), spans(listed.iter().map(|listed| listed.line)));
        listed.truncate(MOST_FIRST);
        Self { n, first: listed, lines }
    }
}

/// Reads the names of a list: separated by commas or line ends, or in the column `deviceName` of a file as
/// [`csv_devices`] takes it.
pub(super) fn csv_names(file: &str, product_key: &str) -> Result<Vec<Listed>, OrderError> {
    let (file, mut reader) = csv_rows(file.as_bytes());
    let rows = reader.records().collect::<Result<Vec<_>, _>>().map_err(csv_invalid)?;
    let columns = rows.first().map_or(Ok(None), columns)?;
    let mut names = Vec::new();
    for row in rows.iter().skip(usize::from(columns.is_some())) {
        let line = line_of(file, row);
        let cells: Vec<String> = match &columns {
            Some(columns) => {
                let device = csv_device(file, row, columns, product_key)?;
                device.and_then(|device| device.device_name).into_iter().collect()
            }
            None => row.iter().filter(|cell| !cell.is_empty()).map(Into::into).collect(),
        };
        names.extend(cells.into_iter().map(|device_name| Listed { line, device_name }));
    }
    if names.is_empty() {
        return Err(csv_invalid("there is no device in it"));
    }
    Ok(names)
}

/// What a column of a device list holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    Secret,
    Product,
}

/// The columns that a first line names; `None` if it is a device already.
fn columns(first: &csv::StringRecord) -> Result<Option<Vec<Column>>, OrderError> {
    let folded =
        |cell: &str| cell.to_ascii_lowercase().chars().filter(|c| !" _-".contains(*c)).collect::<String>();
    if !first.iter().any(|cell| folded(cell) == "devicename") {
        if first.len() == 1 && first.iter().any(|cell| cell.contains([';', '\t'])) {
            return Err(csv_invalid("its columns must be separated by commas"));
        }
        return Ok(None);
    }
    let column = |cell: &str| match &*folded(cell) {
        "devicename" => Ok(Column::Name),
        "devicesecret" => Ok(Column::Secret),
        "productkey" => Ok(Column::Product),
        _ => Err(csv_invalid(format!(
            "its first line names a column {cell:?}; known are deviceName, deviceSecret and productKey"
        ))),
    };
    check_columns(&first.iter().collect::<Vec<_>>(), |a, b| folded(a) == folded(b))?;
    first.iter().map(column).collect::<Result<_, _>>().map(Some)
}

/// One line; `None` if it is empty.
fn csv_device(
    file: &[u8],
    row: &csv::StringRecord,
    columns: &[Column],
    product_key: &str,
) -> Result<Option<NewDevice>, OrderError> {
    let line = line_of(file, row);
    check_width(line, row, columns.len())?;
    let cell = |wanted: Column| {
        let place = columns.iter().position(|column| *column == wanted)?;
        row.get(place).filter(|cell| !cell.is_empty())
    };
    if let Some(other) = cell(Column::Product).filter(|key| *key != product_key) {
        let text =
            format!("line {line} is for the product {other:?}, and this import is for {product_key:?}");
        return Err(csv_invalid(text).with("line", line));
    }
    let (name, secret) = (cell(Column::Name), cell(Column::Secret));
    if row.iter().all(str::is_empty) {
        return Ok(None);
    }
    let name = Some(name.unwrap_or_default().into());
    Ok(Some(NewDevice { device_name: name, device_secret: secret.map(Into::into) }))
}

impl Server {
    /// Makes a device.
    pub async fn create_device(&self, product_key: &str, new: NewDevice) -> Result<DeviceSecret, OrderError> {
        let mut made = self.import_devices(product_key, vec![new]).await?;
        made.pop().unwrap_or_else(|| Err(OrderError::internal("make a device", "no line came back")))
    }

    /// Makes many devices; tells for each line what came of it. Lines that are refused change nothing.
    pub async fn import_devices(
        &self,
        product_key: &str,
        new: Vec<NewDevice>,
    ) -> Result<Vec<Result<DeviceSecret, OrderError>>, OrderError> {
        if new.len() > MOST_IMPORTED {
            let text = format!("{} devices are too many for one import: at most {MOST_IMPORTED}", new.len());
            return Err(OrderError::invalid("importTooLarge", text));
        }
        let product = self.find_product(product_key).await?;
        let mut results = Vec::with_capacity(new.len());
        let mut rest = new.into_iter().peekable();
        while rest.peek().is_some() {
            let lines: Vec<NewDevice> = rest.by_ref().take(IMPORT_CHUNK).collect();
            let mut unit = self.begin().await?;
            results.extend(self.import_chunk(&mut unit, product.id, product_key, lines).await?);
            unit.finish().await?;
        }
        Ok(results)
    }

    async fn import_chunk(
        &self,
        unit: &mut Unit,
        product_id: Id,
        product_key: &str,
        lines: Vec<NewDevice>,
    ) -> Result<Vec<Result<DeviceSecret, OrderError>>, OrderError> {
        let checked: Vec<_> =
            lines.into_iter().map(|line| self.new_device(product_id, unit.now, line)).collect();
        let seal = |made: &DeviceSecret| {
            let owner = Owner::Device { product_key, device_name: &made.device.name };
            let secret = self.core.store.keyring().seal(owner, made.secret.as_bytes());
            let secret = secret.map_err(|e| OrderError::internal("seal a secret", e))?;
            Ok(store::devices::NewDevice { device: made.device.clone(), secret })
        };
        let wanted = checked.iter().flatten().map(seal).collect::<Result<Vec<_>, OrderError>>()?;
        let made = store::devices::create(&mut unit.tx, &wanted).await.map_err(failed("make devices"))?;
        let mut results = Vec::with_capacity(checked.len());
        for line in checked {
            results.push(match line {
                Err(error) => Err(error),
                Ok(line) if made.contains(&line.device.id) => {
                    let kind = EventKind::DeviceCreated { device_name: line.device.name.clone() };
                    unit.told(product_id, Some(line.device.id), None, kind);
                    Ok(line)
                }
                Ok(line) => Err(OrderError::conflict(
                    "deviceNameTaken",
                    format!("the product {product_key:?} already has a device {:?}", line.device.name),
                )
                .with("deviceName", line.device.name)),
            });
        }
        Ok(results)
    }

    fn new_device(&self, product_id: Id, now: i64, new: NewDevice) -> Result<DeviceSecret, OrderError> {
        let name = new.device_name.unwrap_or_else(|| random_text(20));
        if !valid_device_name(&name) {
            let text = format!(
                "the device name {name:?} is not allowed: 4 to 32 letters, digits, '-', '_', '@', '.', ':'"
            );
            return Err(OrderError::invalid("deviceNameInvalid", text).with("deviceName", name));
        }
        let secret = new.device_secret.unwrap_or_else(|| random_text(32));
        if !valid_device_secret(&secret) {
            let text = format!(
                "the secret of the device {name:?} is not allowed: 1 to 64 printable ASCII characters without blanks"
            );
            return Err(OrderError::invalid("deviceSecretInvalid", text).with("deviceName", name));
        }
        let device = Device::new(self.core.next_id(), product_id, name, now);
        Ok(DeviceSecret { device, secret })
    }

    /// Who is meant by a list's filter, its group, or both.
    async fn selection(
        &self,
        tx: &mut Tx,
        product: &Product,
        wanted: &DeviceFilter,
    ) -> Result<Option<Selection>, OrderError> {
        let now = self.core.now();
        let mut both = Vec::new();
        if let Some(text) = &wanted.filter {
            both.push(selection_in(tx, product, text, now).await?);
        }
        if let Some(name) = &wanted.group {
            let group = group_in(tx, product, name).await?;
            let found = store::groups::meaning(tx, &group, now).await;
            both.push(found.map_err(failed("read a group"))?);
        }
        Ok(both.into_iter().reduce(Selection::and))
    }

    /// The devices of a product by name. Of those that a filter or a group means a page may be short, even empty,
    /// and not be the last.
    pub async fn devices(
        &self,
        product_key: &str,
        filter: &DeviceFilter,
        paging: Paging<&str>,
    ) -> Result<Slice<DeviceView, String>, OrderError> {
        let mut tx = self.read().await?;
        let product = product_in(&mut tx, product_key).await?;
        let selection = self.selection(&mut tx, &product, filter).await?;
        let filter = Filter { prefix: filter.prefix.clone(), online: filter.online, selection };
        let found = store::devices::list(&mut tx, product.id, &filter, paging.after, paging.limit).await;
        found.map_err(failed("read devices"))
    }

    /// One device.
    pub async fn device(&self, product_key: &str, device_name: &str) -> Result<DeviceView, OrderError> {
        let mut tx = self.read().await?;
        find_device(&mut tx, product_key, device_name).await
    }

    /// What a person pastes into MQTTX to be this device.
    pub async fn credentials(
        &self,
        product_key: &str,
        device_name: &str,
    ) -> Result<CredentialSet, OrderError> {
        self.find_product(product_key).await?;
        let found = self.find_secret(product_key, device_name).await.map_err(unreadable)?;
        let secret = found.ok_or_else(|| unknown_device(product_key, device_name))?;
        let secret = String::from_utf8(secret).map_err(unreadable)?;
        let methods = [SignMethod::HmacMd5, SignMethod::HmacSha1, SignMethod::HmacSha256];
        let logins = methods.map(|method| login(method, product_key, device_name, &secret)).to_vec();
        Ok(CredentialSet { device_secret: secret, logins })
    }

    /// The secrets of named devices, in the order of their names. Names that are not of the product are left out.
    pub async fn device_secrets(
        &self,
        product_key: &str,
        names: BTreeSet<String>,
    ) -> Result<Vec<(String, String)>, OrderError> {
        if !(1..=MOST_SECRETS).contains(&names.len()) {
            let text =
                format!("{} names are not allowed: deviceNames takes 1 to {MOST_SECRETS}", names.len());
            return Err(OrderError::invalid("deviceNamesInvalid", text).with("field", "deviceNames"));
        }
        self.find_product(product_key).await?;
        let claimants: Vec<Claimant<'_>> =
            names.iter().map(|device_name| Claimant { product_key, device_name, client_id: None }).collect();
        let mut tx = self.read().await?;
        let found = store::devices::logins(&mut tx, &claimants).await.map_err(failed("read secrets"))?;
        let mut secrets = Vec::with_capacity(found.len());
        for (device_name, login) in names.iter().zip(found) {
            let Some(login) = login else { continue };
            let secret = self.secret(product_key, device_name, &login).map_err(unreadable)?;
            secrets.push((device_name.clone(), String::from_utf8(secret).map_err(unreadable)?));
        }
        Ok(secrets)
    }

    /// Lets a device log in, or not. A disabled device's connection is closed.
    pub async fn set_device_enabled(
        &self,
        product_key: &str,
        device_name: &str,
        enabled: bool,
    ) -> Result<Device, OrderError> {
        let write = failed("change a device");
        let mut unit = self.begin().await?;
        let mut device = find_device(&mut unit.tx, product_key, device_name).await?.device;
        if device.enabled != enabled {
            device.enabled = enabled;
            store::devices::set_enabled(&mut unit.tx, device.id, enabled).await.map_err(&write)?;
            unit.told(device.product_id, Some(device.id), None, EventKind::DeviceEnabled { enabled });
        }
        if !enabled {
            unit.shut_out(device.id);
        }
        unit.finish().await?;
        Ok(device)
    }

    /// Removes a device with its tasks and reports; its unfinished tasks are cancelled first.
    pub async fn remove_device(&self, product_key: &str, device_name: &str) -> Result<(), OrderError> {
        let write = failed("remove a device");
        let mut unit = self.begin().await?;
        let device = find_device(&mut unit.tx, product_key, device_name).await?.device;
        unit.cancel_tasks_of([device.id].into(), |_| true).await?;
        let now = unit.now;
        store::statistics::forget(&mut unit.tx, device.product_id, device.id, now).await.map_err(&write)?;
        // A wave may have enough successes without it.
        let gates = store::devices::gated_jobs(&mut unit.tx, device.id).await.map_err(&write)?;
        let timers = gates.into_iter().map(|job| (Timer::Gate(job), Some(now))).collect();
        unit.write(&Changes { timers, ..Changes::default() }).await.map_err(&write)?;
        store::devices::delete(&mut unit.tx, device.id).await.map_err(&write)?;
        let kind = EventKind::DeviceRemoved { device_name: device_name.to_owned() };
        unit.told(device.product_id, Some(device.id), None, kind);
        unit.shut_out(device.id);
        unit.finish().await
    }

    /// The tasks of a device in the order they were made, or against it.
    pub async fn device_tasks(
        &self,
        product_key: &str,
        device_name: &str,
        order: Order,
        paging: Paging,
    ) -> Result<Slice<TaskView, Id>, OrderError> {
        let mut tx = self.read().await?;
        let device = find_device(&mut tx, product_key, device_name).await?.device;
        let found = store::tasks::list_by_device(&mut tx, device.id, order, paging.after, paging.limit).await;
        let Slice { items, next } = found.map_err(failed("read tasks"))?;
        Ok(Slice { items: self.views(&mut tx, items).await?, next })
    }
}

pub(crate) async fn find_device(
    tx: &mut Tx,
    product_key: &str,
    device_name: &str,
) -> Result<DeviceView, OrderError> {
    let product = product_in(tx, product_key).await?;
    let found = store::devices::find(tx, product.id, device_name).await.map_err(failed("read devices"))?;
    found.ok_or_else(|| unknown_device(product_key, device_name))
}

/// The numbers of named devices.
pub(super) async fn devices_named(
    tx: &mut Tx,
    product: &Product,
    names: &[String],
) -> Result<Vec<Id>, OrderError> {
    let names: Vec<String> = names.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
    let found = store::devices::ids_of(tx, product.id, &names).await.map_err(failed("read devices"))?;
    let missing: Vec<&String> = names.iter().filter(|name| !found.contains_key(*name)).collect();
    if missing.is_empty() {
        return Ok(found.into_values().collect());
    }
    let first: Vec<&str> = missing.iter().take(10).map(|n| n.as_str()).collect();
    let text = format!(
        "{} of the {} devices named are not in the product {:?}, among them {}",
        missing.len(),
        names.len(),
        product.product_key,
        first.join(", ")
    );
    Err(OrderError::not_found("deviceNotFound", text).with("missing", missing.len()).with("first", first))
}

/// Most names of a list that an answer tells of one by one.
const MOST_FIRST: usize = 100;

/// The numbers of the devices of a list, and the names in it that are none. Those are refused, unless they
/// may be left out.
pub(super) async fn devices_listed(
    tx: &mut Tx,
    product: &Product,
    csv: &str,
    leave_out: bool,
) -> Result<(Vec<Id>, Unknown), OrderError> {
    let list = csv_names(csv, &product.product_key)?;
    let names: BTreeSet<&String> = list.iter().map(|listed| &listed.device_name).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let found = store::devices::ids_of(tx, product.id, &names).await.map_err(failed("read devices"))?;
    let all = list.len();
    let is_unknown = |listed: &Listed| !found.contains_key(&listed.device_name);
    let unknown = Unknown::of(list.into_iter().filter(is_unknown).collect());
    match unknown.first.first().filter(|_| !leave_out) {
        None => Ok((found.into_values().collect(), unknown)),
        Some(Listed { line, device_name }) => {
            let text = format!(
                "{} of the {all} names of the list are no devices of the product {:?}, the first in line {line}: {device_name:?}. Nothing was made; correct the list, or have them left out",
                unknown.n, product.product_key,
            );
            let told = |u: &Listed| json!({ "line": u.line, "deviceName": u.device_name });
            let first: Vec<Value> = unknown.first.iter().map(told).collect();
            Err(OrderError::invalid("deviceListInvalid", text)
                .with("unknown", unknown.n)
                .with("lines", unknown.lines)
                .with("first", first))
        }
    }
}

fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OrderError {
    OrderError::internal("read a device's secret", error)
}

pub(super) fn unknown_device(product_key: &str, device_name: &str) -> OrderError {
    let text = format!("the product {product_key:?} has no device {device_name:?}");
    OrderError::not_found("deviceNotFound", text)
        .with("productKey", product_key)
        .with("deviceName", device_name)
}

fn login(method: SignMethod, product_key: &str, device_name: &str, secret: &str) -> Credentials {
    let sign_method = method.as_str();
    let client_id = format!("{product_key}.{device_name}|securemode=3,signmethod={sign_method}|");
    let user = Username { device_name, product_key };
    let password = ClientId::parse(&client_id)
        .map(|client| password(method, secret.as_bytes(), &client, &user).to_string())
        .unwrap_or_default();
    Credentials { sign_method, client_id, username: user.to_string(), password }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_device_list_may_name_its_columns_and_have_secrets() {
        let lists = [
            "deviceName,deviceSecret\ndev001,s1\ndev002\n",
            "\u{feff}dev001, s1\r\n\r\ndev002,\r\n",
            "ProductKey,device_secret,Device Name\npk,s1,dev001\n,,dev002\n",
        ];
        for list in lists {
            let devices = csv_devices(list.as_bytes(), "pk").unwrap();
            let read: Vec<_> =
                devices.iter().map(|(_, d)| (d.device_name.as_deref(), d.device_secret.as_deref())).collect();
            assert_eq!(read, [(Some("dev001"), Some("s1")), (Some("dev002"), None)]);
            assert_eq!(devices[1].0, 3, "{list:?}");
        }
    }

    #[test]
    fn a_list_of_names_has_commas_or_lines_or_a_column_of_names() {
        for list in
            ["a001,a002\na003", "a001\r\na002 , a003\n\n", "deviceName,deviceSecret\na001,s\na002,\na003\n"]
        {
            let names = csv_names(list, "pk").unwrap();
            let names: Vec<_> = names.iter().map(|listed| &*listed.device_name).collect();
            assert_eq!(names, ["a001", "a002", "a003"], "{list:?}");
        }
        let lines = csv_names("a001,a002\n\na003", "pk").unwrap();
        assert_eq!(lines.iter().map(|listed| listed.line).collect::<Vec<_>>(), [1, 1, 3]);
        for list in ["", "\n", "deviceName\n", "a001;a002\n", "deviceName,productKey\na001,other\n"] {
            assert_eq!(csv_names(list, "pk").unwrap_err().code, "csvInvalid", "{list:?}");
        }
    }

    #[test]
    fn a_list_that_is_no_text_is_refused_with_its_line() {
        let error = csv_devices(b"dev001\ndev\xff02\n", "pk").unwrap_err();
        assert_eq!(error.code, "csvInvalid");
        assert!(error.text.contains('2'), "{}", error.text);
    }

    #[test]
    fn a_list_that_could_be_misread_is_refused() {
        for (list, why) in [
            ("", "no device"),
            ("deviceName\n\n", "no device"),
            ("deviceName,nickname\ndev001,Hall\n", "\"nickname\""),
            ("deviceName,Device Name\ndev001,dev002\n", "\"Device Name\" twice"),
            ("dev001;s1\n", "commas"),
            ("dev001,s1,pk\n", "line 1"),
            ("deviceName,productKey\ndev001,pk\n\r\ndev002,other\n", "line 4"),
        ] {
            let error = csv_devices(list.as_bytes(), "pk").unwrap_err();
            assert!(error.code == "csvInvalid" && error.text.contains(why), "{list:?}: {}", error.text);
        }
    }

    #[test]
    fn credentials_are_those_a_device_would_make() {
        let login =
            login(SignMethod::HmacSha256, "a1TestPk001", "dev001", "0123456789abcdef0123456789abcdef");
        let client = ClientId::parse(&login.client_id).unwrap();
        let user = Username::parse(&login.username).unwrap();
        assert!(wire::credentials::verify(
            login.password.as_bytes(),
            client.sign_method().unwrap(),
            b"0123456789abcdef0123456789abcdef",
            &client,
            &user
        ));
    }
}
