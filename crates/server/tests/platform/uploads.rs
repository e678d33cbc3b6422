//! Uploads outlive the process, and are not kept for ever.

use crate::common::*;
use bytes::Bytes;
use otaru_server::{NewFile, NewUpload, Upload};

const DAY: i64 = 86_400_000;

async fn begun(world: &World, text: &'static str) -> Upload {
    let sha256 = Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into());
    let upload = world.server.create_upload(NewUpload { size: 3, sha256 }).await.unwrap();
    go_on(world, &upload, 0, text).await
}

async fn go_on(world: &World, upload: &Upload, offset: u64, text: &'static str) -> Upload {
    let mut piece = world.server.continue_upload(upload.partial.id, offset).await.unwrap();
    piece.write(Bytes::from_static(text.as_bytes())).await.unwrap();
    piece.finish().await.unwrap()
}

fn partials(world: &World) -> usize {
    let files = std::fs::read_dir(world.folder.path().join("blobs")).unwrap();
    files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().starts_with("partial-")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_after_the_process_was_killed() {
    let world = World::new().await;
    world.product().await;
    let upload = begun(&world, "ab").await;
    // Bytes that nobody was told of are there all the same.
    let mut piece = world.server.continue_upload(upload.partial.id, 2).await.unwrap();
    piece.write(Bytes::from_static(b"c")).await.unwrap();
    drop(piece);
    let world = world.kill().await;
    assert_eq!(world.server.uploads(), std::slice::from_ref(&upload));
    let done = go_on(&world, &upload, 2, "c").await;
    let world = world.kill().await;
    assert_eq!(world.server.uploads(), std::slice::from_ref(&done));
    let file = NewFile { name: "lamp.bin".into(), upload: done.partial.id };
    let package =
        world.server.package_of_uploads("a1TestPk001", new_package("2.0.0"), vec![file]).await.unwrap();
    assert_eq!(Some(package.sha256), done.partial.sha256);
    assert_eq!(package.md5, "900150983cd24fb0d6963f7d28e17f72");
    assert_eq!((world.server.uploads().len(), partials(&world)), (0, 0));
    let world = world.kill().await;
    assert_eq!(world.server.package(package.id).await.unwrap().size, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_kept_for_a_day() {
    let world = World::new().await;
    let upload = begun(&world, "ab").await;
    world.clock.advance(DAY - 1);
    assert_eq!(world.server.upload(upload.partial.id).unwrap(), upload);
    world.clock.advance(1);
    assert_eq!(world.server.upload(upload.partial.id).unwrap_err().code, "uploadNotFound");
    let refused = world.server.continue_upload(upload.partial.id, 2).await.err().unwrap();
    assert_eq!(refused.code, "uploadNotFound");
    // It goes by itself, at a look whose time may be settled only now.
    let gone = async {
        while partials(&world) > 0 {
            world.clock.advance(DAY);
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.expect("an old upload stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_old_while_the_platform_was_down_goes_at_the_start() {
    let world = World::new().await;
    begun(&world, "ab").await;
    world.clock.advance(DAY);
    let world = world.kill().await;
    assert_eq!((world.server.uploads().len(), partials(&world)), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_an_upload_is_none() {
    let world = World::new().await;
    let upload = begun(&world, "ab").await;
    std::fs::remove_file(world.folder.path().join(format!("blobs/partial-{}.json", upload.partial.id)))
        .unwrap();
    let world = world.kill().await;
    assert_eq!((world.server.uploads().len(), partials(&world)), (0, 0));
}
