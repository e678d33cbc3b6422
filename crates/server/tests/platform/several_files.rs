//! Packages of several files: how they come, what devices are told, and what is refused.

use std::path::PathBuf;

use crate::common::*;
use bytes::Bytes;
use otaru_server::rollout::{Id, Package, Protocol, SignMethod, TaskState};
use otaru_server::{NewFile, NewJob, NewPackage, NewUpload, OrderError};

async fn uploaded(world: &World, content: &[u8]) -> Id {
    let new = NewUpload { size: content.len() as u64, sha256: None };
    let id = world.server.create_upload(new).await.unwrap().partial.id;
    let mut piece = world.server.continue_upload(id, 0).await.unwrap();
    piece.write(Bytes::copy_from_slice(content)).await.unwrap();
    piece.finish().await.unwrap();
    id
}

async fn files_of(world: &World, files: &[(&str, &[u8])]) -> Vec<NewFile> {
    let mut uploads = vec![];
    for (name, content) in files {
        uploads.push(NewFile { name: (*name).into(), upload: uploaded(world, content).await });
    }
    uploads
}

async fn make(world: &World, new: NewPackage, files: Vec<NewFile>) -> Result<Package, OrderError> {
    world.server.package_of_uploads("a1TestPk001", new, files).await
}

const THREE: [(&str, &[u8]); 3] = [("app.bin", b"abc"), ("web.tar", b"def"), ("model v2", b"abc")];
const ABC: &str = "900150983cd24fb0d6963f7d28e17f72";
const DEF: &str = "4ed9407630eb1000c0f6b63842defa7d";

fn over_http(package: &Package) -> NewJob {
    NewJob { protocol: Protocol::Http, scope: named(&["dev001"]), ..new_job(package) }
}

#[tokio::test]
async fn a_notice_lists_them_last_and_flat() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let new = NewPackage { custom: Some("own".into()), ..new_package("2.0.0") };
    let package = make(&world, new, files_of(&world, &THREE).await).await.unwrap();
    assert_eq!((package.bytes(), world.server.uploads().len()), (9, 0));
    let job = world.job_of(over_http(&package)).await;
    let mut device = Device::online(&world, &key, "1.0.0").await;

    let raw = String::from_utf8(device.expect("/ota/device/upgrade/").await).unwrap();
    let notice: serde_json::Value = serde_json::from_str(&raw).unwrap();
    let listed = notice["data"]["files"].as_array().unwrap();
    let urls: Vec<&str> = listed.iter().map(|file| file["fileUrl"].as_str().unwrap()).collect();
    let file = |(n, md5): (usize, &str)| {
        let (name, url) = (THREE[n].0, urls[n]);
        format!(
            r#"{{"fileSize":3,"fileName":"{name}","fileUrl":"{url}","fileMd5":"{md5}","fileSign":"{md5}"}}"#
        )
    };
    let files = [(0, ABC), (1, DEF), (2, ABC)].map(file).join(",");
    let id = &notice["id"];
    let whole = format!(
        r#"{{"code":"1000","data":{{"version":"2.0.0","signMethod":"Md5","extData":{{"_package_udi":"own"}},"files":[{files}]}},"id":{id},"message":"success"}}"#
    );
    assert_eq!(raw, whole);

    for (url, (_, content)) in urls.iter().zip(THREE) {
        let target = url.strip_prefix(&format!("http://{}", world.address)).unwrap();
        assert!(target.len() <= 96, "{target}");
        let (head, body) = http_get(world.address, target, "").await;
        assert!(head.starts_with("HTTP/1.1 200") && body == content, "{head}");
        let (head, body) = http_get(world.address, target, "Range: bytes=1-\r\n").await;
        assert!(head.starts_with("HTTP/1.1 206") && body == content[1..], "{head}");
    }
    // The address of one file is not that of another.
    let forged = urls[1].replace(".2/", ".3/").replace(&format!("http://{}", world.address), "");
    assert!(http_get(world.address, &forged, "").await.0.starts_with("HTTP/1.1 403"));

    assert_eq!(device.ask().await["files"].as_array().unwrap().len(), 3);
    device.report("2.0.0").await;
    world.until_all(&job, TaskState::Succeeded).await;
}

#[tokio::test]
async fn md5_is_told_with_md5_only() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let new = NewPackage { sign_method: SignMethod::Sha256, ..new_package("2.0.0") };
    let package = make(&world, new, files_of(&world, &THREE).await).await.unwrap();
    world.job_of(over_http(&package)).await;
    let notice = Device::online(&world, &key, "1.0.0").await.notice().await;
    for (file, kept) in notice["data"]["files"].as_array().unwrap().iter().zip(package.files()) {
        assert_eq!((file.get("fileMd5"), &file["fileSign"]), (None, &kept.sha256.into()));
    }
}

#[tokio::test]
async fn one_file_has_the_common_form_and_any_name() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let name = "[lamp] {x}, a name longer than 32 characters.bin";
    let files = files_of(&world, &[(name, b"abc")]).await;
    let package = make(&world, new_package("2.0.0"), files).await.unwrap();
    assert_eq!((&*package.file_name, &package.more_files[..]), (name, &[][..]));
    world.job_of(over_http(&package)).await;
    let notice = Device::online(&world, &key, "1.0.0").await.notice().await;
    assert_eq!((notice["data"].get("files"), &notice["data"]["size"]), (None, &3.into()));
}

#[tokio::test]
async fn what_no_notice_could_list_is_refused() {
    let world = World::new().await;
    world.product().await;
    world.device("dev001").await;
    let [a, b] = [uploaded(&world, b"a").await, uploaded(&world, b"b").await];
    let file = |name: &str, upload| NewFile { name: name.into(), upload };
    let refused = async |files: Vec<NewFile>| {
        make(&world, new_package("2.0.0"), files).await.unwrap_err().code.to_string()
    };
    assert_eq!(refused(vec![]).await, "fileCountInvalid");
    assert_eq!(refused((0..21).map(|n| file(&n.to_string(), n)).collect()).await, "fileCountInvalid");
    assert_eq!(refused(vec![file("x", a), file("x", b)]).await, "fileNameTwice");
    assert_eq!(refused(vec![file("x", a), file("y", a)]).await, "uploadTwice");
    assert_eq!(refused(vec![file("x", a), file("y", 7)]).await, "uploadNotFound");
    for name in ["", "a\"b", "a[b", "a{", "a\\b", "a/b", "a\nb", &"n".repeat(33)] {
        assert_eq!(refused(vec![file("x", a), file(name, b)]).await, "fileNameInvalid", "{name}");
    }
    let both = || vec![file("x", a), file("y", b)];
    let difference = NewPackage { src_version: Some("1".into()), ..new_package("2.0.0") };
    let error = make(&world, difference, both()).await.unwrap_err();
    assert_eq!(error.code, "differenceOfSeveralFiles");
    let begun = world.server.create_upload(NewUpload { size: 3, sha256: None }).await.unwrap().partial.id;
    let error = make(&world, new_package("2"), vec![file("x", a), file("y", begun)]).await.unwrap_err();
    assert_eq!((error.code, &error.params["offset"]), ("uploadIncomplete", &0.into()));

    // Nothing of that has taken the uploads.
    let package = make(&world, new_package("2.0.0"), both()).await.unwrap();
    let mqtt = NewJob { protocol: Protocol::Mqtt, ..over_http(&package) };
    let error = world.server.create_job(mqtt).await.err().unwrap();
    assert!(error.code == "severalFilesOverMqtt" && error.text.contains("over HTTP"), "{error:?}");
}

#[tokio::test]
async fn more_than_common_buffers_take_must_be_allowed() {
    let world = World::new().await;
    world.product().await;
    world.device("dev001").await;
    let names: Vec<String> = (0..20).map(|n| format!("part-{n}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, name.as_bytes())).collect();
    let package = make(&world, new_package("2.0.0"), files_of(&world, &files).await).await.unwrap();
    let error = world.server.create_job(over_http(&package)).await.err().unwrap();
    assert_eq!(error.code, "noticeTooLarge");
    world.job_of(NewJob { allow_large_notice: true, ..over_http(&package) }).await;
}

fn path(world: &World, sha256: &str) -> PathBuf {
    world.folder.path().join("blobs").join(&sha256[..2]).join(sha256)
}

#[tokio::test]
async fn removed_it_takes_the_files_no_other_has_along() {
    let world = World::new().await;
    world.product().await;
    let package = make(&world, new_package("2.0.0"), files_of(&world, &THREE).await).await.unwrap();
    let other = world.package("3.0.0", b"def").await;
    let [first, second, _] = &package.files()[..] else { panic!("{package:?}") };
    // A sweep at the start keeps what only a further file names.
    let world = world.kill().await;
    assert!(path(&world, &first.sha256).is_file() && path(&world, &second.sha256).is_file());
    world.server.remove_package(package.id).await.unwrap();
    assert!(!path(&world, &first.sha256).exists());
    assert!(path(&world, &other.sha256).is_file());
}
