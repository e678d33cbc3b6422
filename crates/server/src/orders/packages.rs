//! Packages: one file or several for one module, streamed in and stored once by their content.

use std::collections::BTreeSet;

use bytes::Bytes;
use rollout::{DEFAULT_MODULE, EventKind, Id, Package, PackageFile, PackageState, Product, SignMethod};
use store::{BlobWriter, Order, Removal, Slice, Stored, Tx};
use tracing::warn;
use wire::message::MAX_FILES;

use super::uploads::{empty, stored};
use super::{Paging, failed, product_in, unknown_product};
use crate::Server;
use crate::error::OrderError;
use crate::ids::IdKind;
use crate::image::{EspImage, HEAD};

/// What a new package is made of, beside its file.
#[derive(Clone, Debug)]
pub struct NewPackage {
    /// What people call it; module and version if absent.
    pub name: Option<String>,
    /// The version a device reports once it runs it.
    pub version: String,
    /// The module it is for; `default` if absent.
    pub module: Option<String>,
    /// The digest its notices name.
    pub sign_method: SignMethod,
    /// Whether a verify job must succeed before any other.
    pub need_verify: bool,
    /// Takes an ESP image whose own version is another.
    pub accept_image_version: bool,
    /// The file's name; of several files, the first one's.
    pub file_name: String,
    /// The version it is a difference to; absent is a whole file.
    pub src_version: Option<String>,
    /// Its own words for the devices, in `extData` of their notices.
    pub custom: Option<String>,
}

/// A file of a package, all of which has come.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// Its name.
    pub name: String,
    /// The upload that is made a file of.
    pub upload: Id,
}

/// A package that can be made, once its file is there.
pub(super) struct Plan {
    server: Server,
    product: Product,
    new: NewPackage,
    module: String,
}

/// A package on its way. Dropped, it leaves nothing behind.
pub struct PackageUpload {
    plan: Plan,
    head: Vec<u8>,
    image: Option<EspImage>,
    blob: BlobWriter,
}

/// Longest version and the characters that devices of the C SDK cannot read (docs/protocol.md 4.2).
const LONGEST_VERSION: usize = 64;

impl Server {
    /// Begins a package.
    pub async fn start_package(
        &self,
        product_key: &str,
        new: NewPackage,
    ) -> Result<PackageUpload, OrderError> {
        let plan = Plan::check(self, product_key, new).await?;
        let blob = self.core.store.blobs().create().await.map_err(stored)?;
        Ok(PackageUpload { plan, head: Vec::new(), image: None, blob })
    }

    async fn package_module(&self, product: &Product, name: &str) -> Result<String, OrderError> {
        let mut tx = self.read().await?;
        let modules = store::modules::list(&mut tx, product.id).await.map_err(failed("read modules"))?;
        if let Some(found) = modules.iter().find(|m| m.name == name) {
            return Ok(found.name.clone());
        }
        let names: Vec<&str> = modules.iter().map(|m| &*m.name).collect();
        let text = format!(
            "the product {:?} has no module {name:?}; it has {}. Add it first: otaru module add {} {name}",
            product.product_key,
            names.join(", "),
            product.product_key
        );
        Err(OrderError::not_found("moduleNotFound", text).with("name", name))
    }

    /// Packages in the order they were made, or against it, of one product or of all.
    pub async fn packages(
        &self,
        product_key: Option<&str>,
        order: Order,
        paging: Paging,
    ) -> Result<Slice<Package, Id>, OrderError> {
        let mut tx = self.read().await?;
        let product = match product_key {
            Some(key) => Some(product_in(&mut tx, key).await?.id),
            None => None,
        };
        let found = store::packages::list(&mut tx, product, order, paging.after, paging.limit).await;
        found.map_err(failed("read packages"))
    }

    /// One package.
    pub async fn package(&self, id: Id) -> Result<Package, OrderError> {
        let mut tx = self.read().await?;
        package_in(&mut tx, id).await
    }

    /// Removes a package that no unfinished job brings out, and its files that no other package has.
    pub async fn remove_package(&self, id: Id) -> Result<(), OrderError> {
        let mut unit = self.begin().await?;
        let package = package_in(&mut unit.tx, id).await?;
        if store::packages::delete(&mut unit.tx, id).await.map_err(failed("remove a package"))?
            == Removal::InUse
        {
            let id = IdKind::Package.text(id);
            let text =
                format!("the package {id} has an unfinished job; cancel it, or wait until it has ended");
            return Err(OrderError::conflict("packageInUse", text).with("package", id));
        }
        unit.told(package.product_id, None, None, EventKind::PackageRemoved { package: id });
        unit.finish().await?;
        for PackageFile { sha256, .. } in package.files() {
            if let Err(error) = self.core.store.remove_unused_blob(&sha256).await {
                warn!(%error, sha256, "a file nothing refers to any more could not be removed");
            }
        }
        Ok(())
    }
}

impl PackageUpload {
    /// Takes the next bytes of the file.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), OrderError> {
        if self.head.len() < HEAD {
            let wanted = (HEAD - self.head.len()).min(chunk.len());
            self.head.extend_from_slice(&chunk[..wanted]);
            if self.head.len() == HEAD {
                self.image = EspImage::read(&self.head);
                self.plan.check_image(self.image.as_ref())?;
            }
        }
        self.blob.write(chunk).await.map_err(stored)
    }

    /// The file is complete: keeps it and makes the package.
    pub async fn finish(self) -> Result<Package, OrderError> {
        let Self { plan, image, blob, .. } = self;
        if blob.size() == 0 {
            return Err(empty());
        }
        // Held until the row is committed, so that the file is not taken for one nobody refers to.
        let file = blob.finish().await.map_err(stored)?;
        plan.make(image, &file, vec![]).await
    }
}

impl Plan {
    /// Refuses what can be wrong with a package beside its file.
    pub(super) async fn check(
        server: &Server,
        product_key: &str,
        new: NewPackage,
    ) -> Result<Self, OrderError> {
        check_version(&new.version)?;
        check_difference(&new)?;
        check_custom(new.custom.as_deref().unwrap_or_default())?;
        check_text("name", new.name.as_deref().unwrap_or_default(), 64)?;
        check_text("file name", &new.file_name, 255)?;
        let product = server.find_product(product_key).await?;
        let module = server.package_module(&product, new.module.as_deref().unwrap_or(DEFAULT_MODULE)).await?;
        Ok(Self { server: server.clone(), product, new, module })
    }

    /// Refuses an image that says it is another version.
    pub(super) fn check_image(&self, image: Option<&EspImage>) -> Result<(), OrderError> {
        let Some(image) = image else { return Ok(()) };
        if image.version == self.new.version || self.new.accept_image_version {
            return Ok(());
        }
        let text = format!(
            "the image has the version {:?} compiled in, the package says {:?}: devices will report the former and the upgrade will never succeed. Give the image's version, or accept the difference if the application reports another one",
            image.version, self.new.version
        );
        Err(OrderError::conflict("imageVersionDiffers", text)
            .with("imageVersion", image.version.clone())
            .with("packageVersion", self.new.version.clone()))
    }

    /// Makes the package of files that are stored.
    pub(super) async fn make(
        self,
        image: Option<EspImage>,
        file: &Stored,
        more_files: Vec<PackageFile>,
    ) -> Result<Package, OrderError> {
        let Self { server, product, new, module } = self;
        let mut unit = server.begin().await?;
        let package = Package {
            id: server.core.next_id(),
            product_id: product.id,
            name: new.name.unwrap_or_else(|| format!("{module} {}", new.version)),
            module,
            version: new.version,
            sign_method: new.sign_method,
            size: length(file),
            md5: file.md5.clone(),
            sha256: file.sha256.clone(),
            file_name: new.file_name,
            more_files,
            image_version: image.map(|i| i.version),
            src_version: new.src_version,
            custom: new.custom,
            state: if new.need_verify { PackageState::Unverified } else { PackageState::NotRequired },
            created_at: unit.now,
        };
        store::packages::create(&mut unit.tx, &package).await.map_err(|error| match error {
            store::Error::Referred(_) => unknown_product(&product.product_key),
            error => failed("make a package")(error),
        })?;
        unit.told(product.id, None, None, EventKind::PackageCreated { package: package.id });
        unit.finish().await?;
        Ok(package)
    }
}

pub(super) async fn package_in(tx: &mut Tx, id: Id) -> Result<Package, OrderError> {
    let found = store::packages::get(tx, id).await.map_err(failed("read packages"))?;
    found.ok_or_else(|| unknown_package(id))
}

pub(super) fn unknown_package(id: Id) -> OrderError {
    let id = IdKind::Package.text(id);
    OrderError::not_found("packageNotFound", format!("there is no package {id}")).with("package", id)
}

/// Bytes of a file that is stored.
pub(super) fn length(file: &Stored) -> i64 {
    i64::try_from(file.size).unwrap_or(i64::MAX)
}

/// Most characters of the name of one of several files.
const LONGEST_FILE_NAME: usize = 32;

/// Refuses several files that no notice could list (docs/protocol.md 5.2). A single one may have any name.
pub(super) fn check_files(new: &NewPackage, files: &[NewFile]) -> Result<(), OrderError> {
    if files.is_empty() || files.len() > MAX_FILES {
        let text = format!("a package has 1 to {MAX_FILES} files, not {}", files.len());
        return Err(OrderError::invalid("fileCountInvalid", text).with("files", files.len()));
    }
    if files.len() == 1 {
        return Ok(());
    }
    if new.src_version.is_some() {
        let text = "several files are no difference to a version: no device says how to apply each of them. Make it of one file, or leave srcVersion out";
        return Err(OrderError::invalid("differenceOfSeveralFiles", text).with("field", "srcVersion"));
    }
    let mut names = BTreeSet::new();
    let mut uploads = BTreeSet::new();
    for NewFile { name, upload } in files {
        check_file_name(name)?;
        if !names.insert(name) {
            let text = format!("two files are called {name:?}; devices tell them apart by their names");
            return Err(OrderError::invalid("fileNameTwice", text).with("name", name.clone()));
        }
        if !uploads.insert(upload) {
            let id = IdKind::Upload.text(*upload);
            let text = format!("the upload {id} is named twice; each file needs an upload of its own");
            return Err(OrderError::invalid("uploadTwice", text).with("upload", id));
        }
    }
    Ok(())
}

fn check_file_name(name: &str) -> Result<(), OrderError> {
    let sendable = |c: char| !c.is_control() && !matches!(c, '"' | '\\' | '{' | '}' | '[' | ']' | '/');
    if (1..=LONGEST_FILE_NAME).contains(&name.chars().count()) && name.chars().all(sendable) {
        return Ok(());
    }
    let text = format!(
        "the file name {name:?} is not allowed for one of several files: 1 to {LONGEST_FILE_NAME} characters, none of them a control character, quote, slash, backslash, brace or bracket"
    );
    Err(OrderError::invalid("fileNameInvalid", text).with("name", name.to_owned()))
}

fn check_difference(new: &NewPackage) -> Result<(), OrderError> {
    let Some(source) = &new.src_version else { return Ok(()) };
    check_version(source)?;
    if *source != new.version {
        return Ok(());
    }
    let text = format!(
        "srcVersion {source:?} is the version itself: a difference leads from one version to another"
    );
    Err(OrderError::invalid("srcVersionInvalid", text).with("field", "srcVersion"))
}

/// Longest own words of a package.
const LONGEST_CUSTOM: usize = 4_096;

fn check_custom(custom: &str) -> Result<(), OrderError> {
    let object = serde_json::json!({ "_package_udi": custom }).to_string();
    let sendable = wire::message::ExtData::new(&object).is_ok();
    if sendable && custom.chars().count() <= LONGEST_CUSTOM {
        return Ok(());
    }
    let text = format!(
        "custom is not allowed: at most {LONGEST_CUSTOM} characters, and every brace in it needs its other one, or devices could not read the notice"
    );
    Err(OrderError::invalid("customInvalid", text).with("field", "custom"))
}

fn check_version(version: &str) -> Result<(), OrderError> {
    let sendable = |c: char| !c.is_control() && !matches!(c, '"' | '\\' | '{' | '}');
    let ok = (1..=LONGEST_VERSION).contains(&version.chars().count())
        && version.chars().all(sendable)
        && version.trim() == version;
    if ok {
        return Ok(());
    }
    let text = format!(
        "the version {version:?} is not allowed: 1 to {LONGEST_VERSION} characters, none of them a control character, quote, backslash or brace, no blanks around it"
    );
    Err(OrderError::invalid("versionInvalid", text).with("version", version))
}

fn check_text(field: &'static str, value: &str, most: usize) -> Result<(), OrderError> {
    if value.chars().count() <= most && !value.chars().any(char::is_control) {
        return Ok(());
    }
    let text = format!(
        "the {field} {value:?} is not allowed: at most {most} characters, none of them a control character"
    );
    Err(OrderError::invalid("textInvalid", text).with("field", field))
}
