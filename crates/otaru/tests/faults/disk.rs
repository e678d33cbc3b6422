//! The disk is full. `OTARU_FAULTS_SMALL_DISK` names a folder on a disk of its own, of some ten megabytes.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::house::{House, setting};
use crate::process::Serve;
use crate::rng::Rng;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a small disk; ./test faults makes one"]
async fn a_full_disk_stops_everything_that_writes_and_harms_nothing() {
    let disk = PathBuf::from(setting("OTARU_FAULTS_SMALL_DISK").expect("OTARU_FAULTS_SMALL_DISK"));
    let folder = tempfile::tempdir_in(&disk).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut rng = Rng::from_environment();
    let mut house = House::open(folder.path(), &elsewhere.path().join("log"), &mut rng).await;
    house.until_acknowledged().await;
    let filler = disk.join("filler");
    fill(&filler);
    house.until_logged("the disk under the database is full").await;
    refused(&house).await;
    house.until_ready(503, "nothing can be written").await;
    house.check().await;
    std::fs::remove_file(&filler).unwrap();
    house.until_acknowledged().await;
    house.until_ready(200, "ok").await;
    house.check().await;

    // The same with a log that cannot be written either, and a kill while it lasts.
    house.kill();
    house.log = folder.path().join("log");
    house.restart();
    house.until_acknowledged().await;
    fill(&filler);
    refused(&house).await;
    house.kill();
    fill(&disk.join("rest"));
    let (code, told) = Serve::refused(&house.data, &house.database);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("the disk under the database is full"), "{told}");
    std::fs::remove_file(disk.join("rest")).unwrap();
    std::fs::remove_file(&filler).unwrap();
    house.restart();
    house.until_acknowledged().await;
    house.finish().await;
}

/// An upload is refused, with what to do.
async fn refused(house: &House) {
    let (status, problem) = house.operator().upload_once("9.0.0", vec![9; 300_000]).await;
    assert_eq!((status, problem["code"].as_str()), (507, Some("diskFull")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("make room"), "{problem}");
}

/// Takes all the room there is, to the last byte.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}
