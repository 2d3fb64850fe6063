//! Damaged pages of a read model: met by a query, they are named until they are read again, or the model was rebuilt.

use std::path::PathBuf;
use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use soonshop_event_log::database::sqlite_file;

use super::{Fault, doctor_names, green, nothing_is_lost, red};
use crate::replay::{code, ran};
use crate::support::{Set, TestShop, eventually};

/// SQLite's pages.
const PAGE: usize = 4_096;

/// The page of a file of SQLite that was damaged, and its first byte before.
struct Damaged {
    file: PathBuf,
    at: usize,
    before: u8,
}

impl Damaged {
    /// Damages a page of rows that holds this text.
    fn make(file: PathBuf, text: &str) -> Self {
        let mut bytes = std::fs::read(&file).unwrap();
        let of_rows =
            |page: &[u8]| page[0] == 0x0d && page.windows(text.len()).any(|part| part == text.as_bytes());
        let number = bytes.chunks(PAGE).position(of_rows).unwrap();
        let (at, before) = (number * PAGE, bytes[number * PAGE]);
        bytes[at] = 0xff;
        std::fs::write(&file, bytes).unwrap();
        Self { file, at, before }
    }

    fn mend(self) {
        use std::os::unix::fs::FileExt as _;
        let file = std::fs::File::options().write(true).open(&self.file).unwrap();
        file.write_all_at(&[self.before], self.at.try_into().unwrap()).unwrap();
    }
}

/// A shop in which one product in the middle of many cannot be read, once somebody has asked for it.
async fn damaged() -> (TestShop, Damaged, String) {
    let shop = TestShop::start(Set::Embedded).await;
    let mut ids = Vec::new();
    for number in 0..120 {
        let (id, _) =
            shop.client.product(&format!("SKU-{number}"), &format!("Thing MARK{number:03}"), 100, 0).await;
        ids.push(id);
    }
    shop.settle().await;
    // All rows are in the file itself, and none in its write-ahead log alone.
    let rows = shop.shop.read_database.namespace("rm_products_1").unwrap();
    rows.connection.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
    let place = shop.close().await;
    // Checks read the product with the first id, and new rows go to the last page: neither is damaged. A page has some 25
    // rows.
    let first = (0..ids.len()).min_by_key(|number| &ids[*number]).unwrap();
    let far = if first < ids.len() / 3 { ids.len() / 2 + 10 } else { 5 };
    let file = sqlite_file(place.folder.path(), "rm_products_1");
    let damaged = Damaged::make(file, &format!("Thing MARK{far:03}"));
    let shop = TestShop::serve(place).await;
    green(&shop.client, "damage").await;
    green(&shop.client, "read-models").await;
    let path = format!("/products/{}", ids[far]);
    shop.client.get(&path).await.expect(500);
    let fault = Fault { check: "damage", object: "rm_products_1", remedy: "damaged-model" };
    red(&shop.client, &fault).await;
    doctor_names(&shop.shop, &fault).await;
    // Nobody asks for it any more, and it stays red.
    red(&shop.client, &fault).await;
    (shop, damaged, path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_that_a_query_met_is_red_until_it_can_be_read_again() {
    let (shop, damaged, path) = damaged().await;
    damaged.mend();
    // A connection keeps the pages that it has read until somebody writes.
    shop.client.product("LATER", "Thing LATER", 100, 0).await;
    green(&shop.client, "damage").await;
    shop.client.get(&path).await.expect(200);
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_read_model_is_green_once_it_was_rebuilt() {
    let (shop, _damaged, path) = damaged().await;
    for verb in [
        &["rebuild", "products", "--reason", "a damaged page"][..],
        &["verify", "products", "--against", "fold"],
        &["swap", "products", "--reason", "a damaged page"],
    ] {
        let ended = ran(&shop.place, verb).await;
        let message = [ended.stdout.clone(), ended.stderr.clone()].concat();
        assert_eq!(code(&ended), 0, "{verb:?} {}", String::from_utf8_lossy(&message));
    }
    eventually("the product can be read", Duration::from_secs(60), async || {
        shop.client.get(&path).await.status == 200
    })
    .await;
    green(&shop.client, "damage").await;
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}
