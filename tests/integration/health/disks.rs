//! Files that cannot be written or read: of SQLite, and of the index.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Fault, doctor_names, green, nothing_is_lost, red, tried};
use crate::support::{Place, Set, TestShop};

/// A folder that nobody can write, until it is dropped: mounted once more on itself, read-only. A user who may not mount
/// takes the right to write away instead.
struct ReadOnly {
    folder: PathBuf,
    mounted: bool,
}

impl ReadOnly {
    fn make(folder: &Path) -> Self {
        let mount = |args: &[&str]| {
            Command::new("mount").args(args).arg(folder).output().is_ok_and(|made| made.status.success())
        };
        let mounted = mount(&["--bind", folder.to_str().unwrap()]);
        if mounted {
            assert!(mount(&["-o", "remount,bind,ro"]), "{} cannot be made read-only", folder.display());
        } else {
            permit(folder, 0o555, 0o444);
        }
        Self { folder: folder.to_owned(), mounted }
    }

    /// The reason, and the remedy.
    fn remedy(&self) -> &'static str {
        if self.mounted { "read-only" } else { "file-rights" }
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        if self.mounted {
            drop(Command::new("umount").arg("-l").arg(&self.folder).status());
        } else {
            permit(&self.folder, 0o755, 0o644);
        }
    }
}

fn permit(folder: &Path, of_folder: u32, of_files: u32) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(of_files)).unwrap();
        }
    }
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(of_folder)).unwrap();
}

/// Makes the folder read-only, sees it named, and makes it writable again.
async fn read_only_and_back(shop: &TestShop, folder: &Path, check: &str, object: &str) {
    green(&shop.client, check).await;
    let made = ReadOnly::make(folder);
    let fault = Fault { check, object, remedy: made.remedy() };
    red(&shop.client, &fault).await;
    doctor_names(&shop.shop, &fault).await;
    drop(made);
    green(&shop.client, check).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_database_that_is_read_only_is_named_and_written_again_later() {
    let mut place = Place::new(Set::Embedded).await;
    let folder = place.folder.path().join("small");
    std::fs::create_dir(&folder).unwrap();
    place.config.store = format!("sqlite://{}", folder.display());
    let shop = TestShop::serve(place).await;
    nothing_is_lost(&shop, "BEFORE").await;
    for check in ["event-store", "read-models", "keys"] {
        read_only_and_back(&shop, &folder, check, "small").await;
        // Connections that were opened meanwhile read only; they are replaced.
        nothing_is_lost(&shop, &format!("AFTER-{check}")).await;
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_whose_folder_is_read_only_is_named_and_written_again_later() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let index = shop.place.folder.path().join("search/rm_products_1");
    let made = ReadOnly::make(&index);
    let fault = Fault { check: "search", object: "rm_products_1", remedy: made.remedy() };
    red(&shop.client, &fault).await;
    doctor_names(&shop.shop, &fault).await;
    // Products of that time are found later.
    let (_, position) = shop.client.product("MEANWHILE", "Thing", 100, 0).await;
    shop.client.get_at("/products", &position).await.expect(200);
    drop(made);
    green(&shop.client, "search").await;
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}

/// The largest file of a segment with this ending.
fn largest(index: &Path, kind: &str) -> PathBuf {
    let files = std::fs::read_dir(index).unwrap().map(|entry| entry.unwrap().path());
    let of_kind = files.filter(|file| file.extension().is_some_and(|extension| extension == kind));
    of_kind.max_by_key(|file| file.metadata().unwrap().len()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_was_cut_off_is_named_and_the_index_is_made_again() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let index = shop.place.folder.path().join("search/rm_products_1");
    for (kind, sku) in [("store", "STORE"), ("term", "TERM"), ("idx", "IDX")] {
        let fault = Fault { check: "search", object: "rm_products_1", remedy: "index-damaged" };
        let cut_off = async || {
            // In place of the file: one that is mapped into memory and gets shorter ends the process that reads it.
            let file = largest(&index, kind);
            let bytes = std::fs::read(&file).unwrap();
            let shorter = file.with_extension("shorter");
            std::fs::write(&shorter, &bytes[..bytes.len() / 2]).unwrap();
            std::fs::rename(&shorter, &file).unwrap();
        };
        tried(&shop, fault, cut_off, async || std::fs::remove_dir_all(&index).unwrap()).await;
        nothing_is_lost(&shop, sku).await;
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_was_cut_off_while_the_shop_was_closed_is_named_and_made_again() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let place = shop.close().await;
    let index = place.folder.path().join("search/rm_products_1");
    let file = std::fs::File::options().write(true).open(largest(&index, "store")).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    drop(file);
    let shop = TestShop::serve(place).await;
    let fault = Fault { check: "search", object: "rm_products_1", remedy: "index-damaged" };
    red(&shop.client, &fault).await;
    doctor_names(&shop.shop, &fault).await;
    // Everything else works.
    let (_, position) = shop.client.product("MEANWHILE", "Thing", 100, 0).await;
    shop.client.get_at("/products", &position).await.expect(200);
    std::fs::remove_dir_all(&index).unwrap();
    green(&shop.client, "search").await;
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}
