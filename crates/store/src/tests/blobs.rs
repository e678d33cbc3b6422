use bytes::Bytes;

use super::home::Home;
use super::sample;
use crate::{BlobWriter, Blobs, Store, packages};

/// The SHA-256 and MD5 of "abc".
const ABC: (&str, &str) =
    ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "900150983cd24fb0d6963f7d28e17f72");

async fn written(store: &Store, chunks: &[&[u8]]) -> BlobWriter {
    let mut writer = store.blobs().create().await.unwrap();
    for chunk in chunks {
        writer.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    writer
}

fn files(blobs: &Blobs) -> Vec<String> {
    let mut found = vec![];
    let mut folders = vec![blobs.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path.file_name().unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    found
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect()
}

#[tokio::test]
async fn is_named_by_its_content_and_stored_once() {
    let home = Home::sqlite();
    let store = home.open().await;
    let writer = written(&store, &[b"a", b"", b"bc"]).await;
    assert_eq!(writer.size(), 3);
    let first = writer.finish().await.unwrap();
    assert_eq!((&*first.sha256, &*first.md5, first.size), (ABC.0, ABC.1, 3));
    let second = written(&store, &[b"abc"]).await.finish().await.unwrap();
    assert_eq!(second.sha256, first.sha256);
    assert_eq!(files(store.blobs()), [ABC.0]);
    let file = store.blobs().open(ABC.0).await.unwrap();
    assert_eq!((file.len(), file.read(0, 99).await.unwrap().as_ref()), (3, &b"abc"[..]));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_open_file_is_given_while_it_has_its_bytes() {
    use std::os::unix::fs::FileExt as _;
    let home = Home::sqlite();
    let store = home.open().await;
    let stored = written(&store, &[&pattern(300_000)]).await.finish().await.unwrap();
    let blob = store.blobs().open(&stored.sha256).await.unwrap();
    let file = blob.resident(100_000, 200_000).await.unwrap().expect("the temporary folder's system tells");
    let mut bytes = vec![0; 200_000];
    file.read_exact_at(&mut bytes, 100_000).unwrap();
    assert_eq!(bytes, pattern(300_000)[100_000..]);

    let path = store.blobs().path_of(&stored.sha256).unwrap();
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(250_000).unwrap();
    assert!(blob.resident(0, 250_000).await.is_ok());
    let error = blob.resident(200_000, 100_000).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let home = Home::sqlite();
    let store = home.open().await;
    let stored = written(&store, &[]).await.finish().await.unwrap();
    let file = store.blobs().open(&stored.sha256).await.unwrap();
    assert!(file.is_empty() && file.read(0, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_upload_given_up_leaves_nothing() {
    let home = Home::sqlite();
    let store = home.open().await;
    let big = pattern(600_000);
    let writer = written(&store, &[&big]).await;
    assert_eq!(files(store.blobs()).len(), 1);
    drop(writer);
    assert!(files(store.blobs()).is_empty());
}

#[tokio::test]
async fn reads_every_range() {
    let home = Home::sqlite();
    let store = home.open().await;
    let content = pattern(200_000);
    let stored = written(&store, &[&content[..70_000], &content[70_000..]]).await.finish().await.unwrap();
    let file = store.blobs().open(&stored.sha256).await.unwrap();
    let ranges = [
        (0, 512),
        (512, 512),
        (65_500, 100),
        (65_536, 4096),
        (0, 131_072),
        (199_990, 100),
        (200_000, 10),
        (900_000, 10),
        (1, 200_000),
    ];
    for (offset, len) in ranges {
        let from = offset.min(content.len());
        let wanted = &content[from..(offset + len).clamp(from, content.len())];
        assert_eq!(file.read(offset as u64, len).await.unwrap(), wanted, "{offset}+{len}");
    }
}

#[tokio::test]
async fn readers_share_what_was_read() {
    let home = Home::sqlite();
    let store = home.open().await;
    let stored = written(&store, &[&pattern(100_000)]).await.finish().await.unwrap();
    let file = store.blobs().open(&stored.sha256).await.unwrap();
    let other = store.blobs().open(&stored.sha256).await.unwrap();
    let first = file.read(0, 8192).await.unwrap();
    let second = other.read(8192, 8192).await.unwrap();
    assert_eq!(first.as_ptr() as usize + 8192, second.as_ptr() as usize, "not slices of the same bytes");
    assert_eq!(store.blobs().kept(), 100_000);
}

#[tokio::test]
async fn a_truncated_file_is_an_error_and_not_the_end() {
    let home = Home::sqlite();
    let store = home.open().await;
    let stored = written(&store, &[&pattern(300_000)]).await.finish().await.unwrap();
    let file = store.blobs().open(&stored.sha256).await.unwrap();
    let path = store.blobs().path_of(&stored.sha256).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_len(100_000).unwrap();
    for offset in [0, 200_000] {
        assert_eq!(file.read(offset, 10).await.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn a_name_that_is_no_digest_is_refused() {
    let home = Home::sqlite();
    let store = home.open().await;
    for name in ["", "../../etc/passwd", &"A".repeat(64), &"0".repeat(63)] {
        assert_eq!(store.blobs().open(name).await.err().unwrap().kind(), std::io::ErrorKind::InvalidInput);
    }
    assert_eq!(store.blobs().open(ABC.0).await.err().unwrap().kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn is_removed_only_when_nothing_needs_it() {
    let home = Home::sqlite();
    let store = home.open().await;
    let stored = written(&store, &[b"abc"]).await.finish().await.unwrap();
    assert!(!store.remove_unused_blob(ABC.0).await.unwrap(), "its package may be about to be made");
    let mut tx = store.begin().await.unwrap();
    sample::fill(&store, &mut tx, 0..0).await;
    tx.exec("update job set state = 'COMPLETED'", vec![]).await.unwrap();
    tx.commit().await.unwrap();
    drop(stored);
    assert!(!store.remove_unused_blob(ABC.0).await.unwrap(), "a package is made of it");
    let mut tx = store.begin().await.unwrap();
    assert_eq!(packages::delete(&mut tx, sample::PACKAGE).await.unwrap(), crate::Removal::Removed);
    tx.commit().await.unwrap();
    assert!(store.remove_unused_blob(ABC.0).await.unwrap());
    assert!(!store.remove_unused_blob(ABC.0).await.unwrap());
    assert!(files(store.blobs()).is_empty());
}

#[tokio::test]
async fn what_was_stored_since_the_database_was_asked_stays() {
    let home = Home::sqlite();
    let store = home.open().await;
    drop(written(&store, &[b"abc"]).await.finish().await.unwrap());
    let ticket = store.blobs().ticket();
    drop(written(&store, &[b"abc"]).await.finish().await.unwrap());
    assert!(!store.blobs().remove(ABC.0, ticket).unwrap());
    assert!(store.blobs().remove(ABC.0, store.blobs().ticket()).unwrap());
}

#[tokio::test]
async fn a_start_removes_what_a_crash_left() {
    let home = Home::sqlite();
    let store = home.open().await;
    let mut tx = store.begin().await.unwrap();
    sample::fill(&store, &mut tx, 0..0).await;
    tx.commit().await.unwrap();
    for content in [&b"abc"[..], b"orphan"] {
        drop(written(&store, &[content]).await.finish().await.unwrap());
    }
    std::fs::write(store.blobs().folder().join("upload-7"), "half").unwrap();
    store.close().await;
    drop(store);
    let store = home.open().await;
    assert_eq!(files(store.blobs()), [ABC.0]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn readers_of_one_blob_share_its_file_and_its_memory() {
    let home = Home::sqlite();
    let store = home.open().await;
    let stored = written(&store, &[&pattern(300_000)]).await.finish().await.unwrap();
    let path = store.blobs().path_of(&stored.sha256).unwrap();
    let opened = || {
        let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        links.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == path)).count()
    };
    let mut readers = Vec::new();
    for _ in 0..1_200 {
        let reader = store.blobs().open(&stored.sha256).await.unwrap();
        assert_eq!(reader.read(256, 256).await.unwrap(), pattern(300_000)[256..512]);
        readers.push(reader);
    }
    assert_eq!(opened(), 1);
    assert_eq!(store.blobs().kept(), 128 * 1024);
    drop(readers);
    assert_eq!(opened(), 0);
}

#[tokio::test]
async fn a_file_that_was_mended_is_read_anew() {
    let home = Home::sqlite();
    let store = home.open().await;
    let stored = written(&store, &[&pattern(3_000)]).await.finish().await.unwrap();
    let path = store.blobs().path_of(&stored.sha256).unwrap();
    std::fs::write(&path, "short").unwrap();
    let before = store.blobs().open(&stored.sha256).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, pattern(3_000)).unwrap();
    let after = store.blobs().open(&stored.sha256).await.unwrap();
    assert_eq!((before.len(), after.len()), (5, 3_000));
    assert_eq!(after.read(0, 3_000).await.unwrap(), pattern(3_000));
}
