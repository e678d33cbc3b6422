use serde::{Deserialize, Serialize};
use server::{IdKind, rollout};
use utoipa::{IntoParams, ToSchema};

use super::Order;
use crate::time;

/// What one module of one product is to run: a file, or several.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// Its id.
    #[schema(example = "pkg_01h2xk7m3c8p0")]
    pub id: String,
    /// Its product.
    #[schema(example = "a1TestPk001")]
    pub product_key: String,
    /// What people call it.
    #[schema(example = "default 2.0.0")]
    pub name: String,
    /// The module it is for.
    #[schema(example = "default")]
    pub module: String,
    /// The version a device reports once it runs it.
    #[schema(example = "2.0.0")]
    pub version: String,
    /// The digest its notices name.
    pub sign_method: SignMethod,
    /// Length of the file in bytes; of several, of all together.
    #[schema(example = 524_288)]
    pub size: i64,
    /// MD5 of the file, 32 lower-case hex digits; of several, of the first.
    #[schema(example = "d41d8cd98f00b204e9800998ecf8427e")]
    pub md5: String,
    /// SHA-256 of the file, 64 lower-case hex digits; of several, of the first.
    pub sha256: String,
    /// The file's name at upload; of several, of the first.
    #[schema(example = "lamp.bin")]
    pub file_name: String,
    /// All files in order, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PackageFile>,
    /// The version compiled into an ESP image, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_version: Option<String>,
    /// The version it is a difference to; absent is a whole file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src_version: Option<String>,
    /// Its own words for the devices, in `extData` of their notices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<String>,
    /// Whether it has been proved on test devices.
    pub state: PackageState,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub created_at: String,
}

/// One of several files of a package.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackageFile {
    /// Its name at upload.
    #[schema(example = "app.bin")]
    pub file_name: String,
    /// Its length in bytes.
    #[schema(example = 524_288)]
    pub size: i64,
    /// Its MD5, 32 lower-case hex digits.
    #[schema(example = "d41d8cd98f00b204e9800998ecf8427e")]
    pub md5: String,
    /// Its SHA-256, 64 lower-case hex digits.
    pub sha256: String,
}

/// The digest a notice names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignMethod {
    /// MD5, what every device in the field checks.
    #[default]
    Md5,
    /// SHA-256.
    Sha256,
}

/// How far a package has been proved on test devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PackageState {
    /// Made with "no verification needed".
    NotRequired,
    /// Not yet tried.
    Unverified,
    /// A verify job runs.
    Verifying,
    /// Every test device reported the version.
    Verified,
    /// At least one test device did not.
    Failed,
}

/// A package to make; the body of the request is its file, unless uploads are its files.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NewPackage {
    /// The version a device reports once it runs it: 1 to 64 characters.
    #[param(example = "2.0.0")]
    pub version: String,
    /// The module it is for; `default` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// What people call it; made of module and version if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The digest its notices name; `md5` if absent.
    #[serde(default)]
    #[param(inline)]
    pub sign_method: SignMethod,
    /// Whether it must succeed on test devices before it may be rolled out; true if absent.
    #[serde(default = "yes")]
    pub need_verify: bool,
    /// Takes an ESP image whose compiled-in version is another one than `version`.
    #[serde(default)]
    pub accept_image_version: bool,
    /// The file's name; of several files, as many names with commas between them, each of 1 to 32 characters.
    #[serde(default)]
    pub file_name: String,
    /// The version it is a difference to; a whole file if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src_version: Option<String>,
    /// Its own words for the devices: at most 4096 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<String>,
    /// A complete upload that is its file, or up to 20 with commas between them for as many files; the body is then
    /// empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_id: Option<String>,
}

/// Which packages are wanted.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PackageQuery {
    /// Of this product only.
    pub product_key: Option<String>,
    /// Which come first; `asc`, the oldest, if absent. A cursor belongs to one of the two.
    #[param(inline)]
    pub order: Option<Order>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    /// Most items of the page: 1 to 200, 50 if absent.
    pub limit: Option<u32>,
}

fn yes() -> bool {
    true
}

impl Package {
    pub(crate) fn of(row: rollout::Package, names: &server::Names) -> Self {
        let product_key = names.products.get(&row.product_id).cloned().unwrap_or_default();
        let size = row.bytes();
        let files = if row.more_files.is_empty() { vec![] } else { row.files() };
        Self {
            id: IdKind::Package.text(row.id),
            product_key,
            name: row.name,
            module: row.module,
            version: row.version,
            sign_method: row.sign_method.into(),
            size,
            md5: row.md5,
            sha256: row.sha256,
            file_name: row.file_name,
            files: files.into_iter().map(PackageFile::from).collect(),
            image_version: row.image_version,
            src_version: row.src_version,
            custom: row.custom,
            state: row.state.into(),
            created_at: time::text(row.created_at),
        }
    }
}

impl From<rollout::PackageFile> for PackageFile {
    fn from(rollout::PackageFile { name, size, md5, sha256 }: rollout::PackageFile) -> Self {
        Self { file_name: name, size, md5, sha256 }
    }
}

impl From<NewPackage> for server::NewPackage {
    fn from(new: NewPackage) -> Self {
        Self {
            name: new.name,
            version: new.version,
            module: new.module,
            sign_method: new.sign_method.into(),
            need_verify: new.need_verify,
            accept_image_version: new.accept_image_version,
            file_name: new.file_name,
            src_version: new.src_version,
            custom: new.custom,
        }
    }
}

impl From<rollout::SignMethod> for SignMethod {
    fn from(method: rollout::SignMethod) -> Self {
        match method {
            rollout::SignMethod::Md5 => Self::Md5,
            rollout::SignMethod::Sha256 => Self::Sha256,
        }
    }
}

impl From<SignMethod> for rollout::SignMethod {
    fn from(method: SignMethod) -> Self {
        match method {
            SignMethod::Md5 => Self::Md5,
            SignMethod::Sha256 => Self::Sha256,
        }
    }
}

impl From<rollout::PackageState> for PackageState {
    fn from(state: rollout::PackageState) -> Self {
        match state {
            rollout::PackageState::NotRequired => Self::NotRequired,
            rollout::PackageState::Unverified => Self::Unverified,
            rollout::PackageState::Verifying => Self::Verifying,
            rollout::PackageState::Verified => Self::Verified,
            rollout::PackageState::Failed => Self::Failed,
        }
    }
}
