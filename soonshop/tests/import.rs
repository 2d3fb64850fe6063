//! Importing invoices: each special case, again, in parts, killed, by both ways, and a month of the real shop.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use sea_orm::{ConnectionTrait as _, QueryResult};
use serde_json::{Value, json};
use soonshop::import::{Count, DateOrder, FileRefused, FormOptions, Options, Report, run};
use soonshop::serve::{self, Running};
use soonshop::{Role, Shop, contexts, migrate};
use soonshop_service_kit::connections::Tls;
use tempfile::TempDir;

#[path = "fixture/config.rs"]
mod config;
#[path = "import/documents.rs"]
mod documents;

use self::config::config;

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";

/// One row of each kind; the result is in [`special_figures`].
const SPECIAL: &[&str] = &[
    "536365,85123a,WHITE HEART,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom",
    // The same code in capitals, at another price: the same product, another line.
    "536365,85123A,\"HEART, WHITE\",4,2010-12-01 08:26:00,2.5,17850.0,United Kingdom",
    "536365,85123A,,1,2010-12-01 08:25:00,2.5,17850.0,United Kingdom",
    // Prices are rounded half-even: 0.125 to 12, 0.135 to 14 pence.
    "536366,22423,CAKE STAND,2,2010-12-31 23:59:00,0.125,,EIRE",
    "536366,22423,CAKE STAND,2,2010-12-31 23:59:00,0.135,,EIRE",
    // Nothing costs so little: an adjustment, as are lines without a price of either sign.
    "536367,22423,found,5,2011-01-01 09:00:00,0.005,,United Kingdom",
    "536367,22423,found again,5,2011-01-01 09:00:00,0.0,,United Kingdom",
    "536368,84077,thrown away,-7,2011-01-02 09:00:00,0.0,,United Kingdom",
    // No invoice.
    "A563185,B,Adjust bad debt,1,2011-01-03 14:50:00,11062.06,,United Kingdom",
    "A563186,B,Adjust bad debt,1,2011-01-03 14:51:00,-11062.06,,United Kingdom",
    // A refund of a product that was never sold, so it has no price and no name.
    "C536370,m,,-2,2011-01-04 10:00:00,3.5,17850.0,United Kingdom",
    "C536370,85123A,WHITE HEART,-1,2011-01-04 10:00:00,2.55,17850.0,United Kingdom",
    // A customer with only a free line is registered too.
    "536371,PADS,PADS TO MATCH ALL CUSHIONS,1,2011-01-05 10:00:00,0.001,13408.0,United Kingdom",
];

/// In the form of `oracle.py`.
fn special_figures() -> Value {
    json!({
        "products": 5, "customers": 2,
        "orders": 2, "guest_orders": 1, "order_lines": 5, "units_sold": 15,
        "gross_revenue_pence": 6 * 255 + 5 * 250 + 2 * 12 + 2 * 14,
        "gross_revenue_pence_by_month": { "2010-12": 2832 },
        "orders_by_month": { "2010-12": 2 },
        "gross_revenue_pence_by_country": { "EIRE": 52, "United Kingdom": 2780 },
        "top_products_by_revenue_pence": [["85123A", 2780], ["22423", 52]],
        "top_products_by_units": [["85123A", 11], ["22423", 4]],
        "credit_notes": 1, "credit_lines": 2, "credited_pence": 955,
        "credited_pence_by_month": { "2011-01": 955 },
        "stock_adjustment_rows": 4, "stock_adjustment_units": 4,
        "stock_opening_units": 22, "stock_on_hand_units": 26,
        "stock_reserved_units": 15, "stock_available_units": 11,
    })
}

fn count(new: u64, there: u64) -> Count {
    Count { new, there }
}

/// A shop of its own, on the embedded set.
fn shop(folder: &Path) -> Shop {
    Shop::open(&config(folder), Role::All).unwrap()
}

async fn new_shop() -> (TempDir, Shop) {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    migrate::migrate(&shop).await.unwrap();
    (folder, shop)
}

fn csv(rows: &[&str]) -> String {
    std::iter::once(&HEADER).chain(rows).fold(String::new(), |text, row| text + row + "\n")
}

fn file(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn options(file: &Path) -> Options {
    Options { files: vec![file.to_owned()], quiet: true, ..Options::default() }
}

async fn import(shop: &Shop, file: &Path) -> Report {
    run(shop, &options(file)).await.unwrap()
}

async fn head(shop: &Shop) -> i64 {
    shop.log().unwrap().head().await.unwrap().position
}

async fn rows(shop: &Shop, model: &str, sql: &str) -> Vec<QueryResult> {
    let registry = shop.registry().unwrap();
    let generation = registry.active(model).await.unwrap().unwrap();
    let db = generation.db(registry.database()).unwrap();
    db.connection.query_all(db.statement(sql, [])).await.unwrap()
}

/// Sums by something, and the sum of them all.
#[derive(Default)]
struct Sums(BTreeMap<String, i64>);

impl Sums {
    fn add(&mut self, key: &str, amount: i64) {
        *self.0.entry(key.to_owned()).or_default() += amount;
    }

    fn all(&self) -> i64 {
        self.0.values().sum()
    }

    fn top(&self) -> Vec<(&str, i64)> {
        let mut top: Vec<_> = self.0.iter().map(|(key, sum)| (key.as_str(), *sum)).collect();
        top.sort_by_key(|(key, sum)| (-*sum, *key));
        top.truncate(20);
        top
    }
}

/// The figures of the read models, under the names in `expected.json`.
async fn figures(shop: &Shop) -> Value {
    let text = |row: &QueryResult, name: &str| row.try_get::<String>("", name).unwrap();
    let number = |row: &QueryResult, name: &str| row.try_get::<i64>("", name).unwrap();
    let (mut revenue, mut orders, mut countries, mut guests) =
        (Sums::default(), Sums::default(), Sums::default(), 0);
    for row in rows(shop, "analytics", "SELECT * FROM @sales WHERE counted").await {
        let month = &text(&row, "day")[..7];
        revenue.add(month, number(&row, "revenue"));
        orders.add(month, 1);
        countries.add(&text(&row, "country"), number(&row, "revenue"));
        guests += i64::from(text(&row, "customer_kind") == "guest");
    }
    let (mut sku_revenue, mut sku_units, mut lines) = (Sums::default(), Sums::default(), 0);
    for row in rows(shop, "analytics", "SELECT * FROM @sale_lines WHERE counted").await {
        sku_revenue.add(&text(&row, "sku"), number(&row, "revenue"));
        sku_units.add(&text(&row, "sku"), number(&row, "units"));
        lines += 1;
    }
    let (mut facts, mut credited, mut credit_lines, mut units) =
        (Sums::default(), Sums::default(), 0, Sums::default());
    for row in rows(shop, "analytics", "SELECT * FROM @facts").await {
        let kind = text(&row, "kind");
        facts.add(&kind, 1);
        units.add(&kind, number(&row, "units"));
        if kind == "credit" {
            credited.add(&text(&row, "day")[..7], number(&row, "amount"));
            credit_lines += number(&row, "lines");
        }
    }
    let mut stock = Sums::default();
    for row in rows(shop, "stock", "SELECT * FROM @stock").await {
        for name in ["on_hand", "reserved", "available"] {
            stock.add(name, number(&row, name));
        }
    }
    let of = |sums: &Sums, key: &str| sums.0.get(key).copied().unwrap_or_default();
    json!({
        "products": of(&facts, "product"), "customers": of(&facts, "user"),
        "orders": orders.all(), "guest_orders": guests, "order_lines": lines, "units_sold": sku_units.all(),
        "gross_revenue_pence": revenue.all(), "gross_revenue_pence_by_month": revenue.0,
        "orders_by_month": orders.0, "gross_revenue_pence_by_country": countries.0,
        "top_products_by_revenue_pence": sku_revenue.top(), "top_products_by_units": sku_units.top(),
        "credit_notes": of(&facts, "credit"), "credit_lines": credit_lines,
        "credited_pence": credited.all(), "credited_pence_by_month": credited.0,
        "stock_adjustment_rows": of(&facts, "adjustment"), "stock_adjustment_units": of(&units, "adjustment"),
        "stock_opening_units": of(&units, "receipt"), "stock_on_hand_units": of(&stock, "on_hand"),
        "stock_reserved_units": of(&stock, "reserved"), "stock_available_units": of(&stock, "available"),
    })
}

async fn statuses(shop: &Shop) -> BTreeMap<String, i64> {
    let rows = rows(shop, "orders", "SELECT status, count(*) AS orders FROM @orders GROUP BY status").await;
    rows.iter().map(|row| (row.try_get("", "status").unwrap(), row.try_get("", "orders").unwrap())).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_row_becomes_its_command_once() {
    let (folder, shop) = new_shop().await;
    let plain = file(folder.path(), "rows.csv", csv(SPECIAL));
    let report = import(&shop, &plain).await;
    assert_eq!(figures(&shop).await, special_figures());
    assert_eq!(statuses(&shop).await, [("confirmed".to_owned(), 2)].into());
    assert_eq!(
        (report.rows, report.rows_ignored, report.rows_broken, report.commands_refused),
        (13, 2, 0, 0)
    );
    assert_eq!((report.products, report.prices, report.customers), (count(5, 0), count(0, 0), count(2, 0)));
    assert_eq!((report.receipts, report.adjustments), (count(3, 0), count(4, 0)));
    assert_eq!((report.orders, report.credit_notes), (count(2, 0), count(1, 0)));
    assert_eq!(report.exit_code(), 0);
    let end = head(&shop).await;
    assert_eq!(report.events, end);

    let order = "SELECT number, placed_at, lines, customer_kind FROM @orders ORDER BY number";
    let order = &rows(&shop, "orders", order).await[0];
    assert_eq!(order.try_get::<String>("", "number").unwrap(), "536365");
    // Placed when its earliest line was, at 08:25.
    assert_eq!(order.try_get::<i64>("", "placed_at").unwrap(), 1_291_191_900_000_000);
    let lines: Value = order.try_get("", "lines").unwrap();
    let lines: Vec<_> =
        lines.as_array().unwrap().iter().map(|l| (&l["number"], &l["name"], &l["price"]["amount"])).collect();
    let name = json!("WHITE HEART");
    assert_eq!(
        lines,
        [(&json!(1), &name, &json!(255)), (&json!(2), &name, &json!(250)), (&json!(3), &name, &json!(250))]
    );
    let named = rows(&shop, "products", "SELECT name, price FROM @products ORDER BY name").await;
    let named: Vec<(String, Option<i64>)> = named
        .iter()
        .map(|row| (row.try_get("", "name").unwrap(), row.try_get("", "price").unwrap()))
        .collect();
    let product = |name: &str, price| (name.to_owned(), price);
    assert_eq!(
        named,
        [
            product("CAKE STAND", Some(12)),
            product("M", None),
            product("PADS TO MATCH ALL CUSHIONS", None),
            product("WHITE HEART", Some(255)),
            product("thrown away", None),
        ]
    );

    // Again, packed this time: the same rows.
    let packed = file(folder.path(), "rows.csv.gz", gzip(&csv(SPECIAL)));
    let again = import(&shop, &packed).await;
    assert_eq!(head(&shop).await, end, "nothing was added to the log");
    assert_eq!((again.products, again.customers, again.receipts), (count(0, 5), count(0, 2), count(0, 3)));
    assert_eq!(
        (again.adjustments, again.orders, again.credit_notes),
        (count(0, 4), count(0, 2), count(0, 1))
    );
    assert_eq!((again.events, again.commands_refused), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_file_adds_to_the_first() {
    let (folder, shop) = new_shop().await;
    import(&shop, &file(folder.path(), "one.csv", csv(SPECIAL))).await;
    let second = csv(&[
        // Known, under another name and price; never sold before; new.
        "536400,85123A,OTHER NAME,3,2011-02-01 10:00:00,9.99,17850.0,France",
        "536400,84077,LAMPS,2,2011-02-01 10:00:00,0.29,17850.0,France",
        "536401,20725,LUNCH BAG,1,2011-02-02 10:00:00,1.65,12583.0,France",
        // An invoice of the first file.
        "536366,22423,CAKE STAND,2,2010-12-31 23:59:00,0.125,,EIRE",
        // Of the first file as well, and one more of the same code.
        "536368,84077,thrown away,-7,2011-01-02 09:00:00,0.0,,United Kingdom",
        "536368,84077,thrown away,-1,2011-01-02 09:00:00,0.0,,United Kingdom",
    ]);
    let second = file(folder.path(), "two.csv", second);
    let report = import(&shop, &second).await;
    assert_eq!((report.products, report.prices, report.customers), (count(1, 3), count(1, 0), count(1, 1)));
    // Of the cake stand, no more leaves than has left already.
    assert_eq!((report.receipts, report.adjustments), (count(3, 1), count(1, 1)));
    assert_eq!((report.orders, report.credit_notes, report.commands_refused), (count(2, 1), count(0, 0), 0));
    let lacking: Vec<_> = report.differences.iter().map(ToString::to_string).collect();
    let line = "order 536366: line 2 as stored is 2 of 22423 at 0.14, which the files do not have: nothing was changed";
    assert_eq!((lacking, report.exit_code()), (vec![line.to_owned()], 3));
    let figures = figures(&shop).await;
    assert_eq!(
        figures["gross_revenue_pence_by_month"],
        json!({ "2010-12": 2832, "2011-02": 3 * 999 + 2 * 29 + 165 })
    );
    assert_eq!((&figures["products"], &figures["customers"]), (&json!(6), &json!(3)));
    assert_eq!(statuses(&shop).await, [("confirmed".to_owned(), 4)].into());
    let named = rows(
        &shop,
        "products",
        "SELECT name, price FROM @products WHERE name IN ('WHITE HEART', 'thrown away')",
    )
    .await;
    let prices: BTreeMap<String, i64> = named
        .iter()
        .map(|row| (row.try_get("", "name").unwrap(), row.try_get("", "price").unwrap()))
        .collect();
    assert_eq!(prices, [("WHITE HEART".to_owned(), 255), ("thrown away".to_owned(), 29)].into());
    let end = head(&shop).await;
    import(&shop, &second).await;
    import(&shop, &folder.path().join("one.csv")).await;
    assert_eq!(head(&shop).await, end);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_rows_are_reported_and_the_others_are_imported() {
    let (folder, shop) = new_shop().await;
    let mut text = csv(&SPECIAL[..3]).into_bytes();
    text.extend(b"536372,85123A,,-6,2010-12-01 08:26:00,2.55,,United Kingdom\n");
    text.extend(b"536373,85123A\n536374,85123A,\"open,6,2010-12-01 08:26:00,2.55,,United Kingdom\n");
    text.extend(b"536375,85123A,,x,2010-12-01 08:26:00,2.55,,United Kingdom\n");
    text.extend(b"536376,85123A,,1,2010-12-01 08:26:00,2.55,,United Kingdom\n");
    let report = import(&shop, &file(folder.path(), "rows.csv", text)).await;
    let broken: Vec<_> = report.broken.iter().map(|broken| (broken.line, broken.reason.as_str())).collect();
    assert_eq!(
        broken,
        [
            (5, "Quantity: it is above 0 on an invoice, and below 0 on a credit note (C\u{2026})"),
            (6, "it has 2 fields, and the header 8"),
            (7, "it has 3 fields, and the header 8"),
            (8, "Quantity: it is not a whole number"),
        ]
    );
    assert_eq!((report.rows, report.rows_broken, report.exit_code()), (8, 4, 3));
    assert_eq!(report.orders, count(2, 0));
    let shown = report.to_string();
    assert!(shown.contains("rows.csv, line 6: it has 2 fields"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_nothing_but_broken_rows_ends_with_its_rows_named_and_nothing_stored() {
    let (folder, shop) = new_shop().await;
    let before = head(&shop).await;
    let text = csv(&["536372,85123A,,x,2010-12-01 08:26:00,2.55,,UK", "536373,85123A"]);
    let report = import(&shop, &file(folder.path(), "rows.csv", text)).await;
    let lines: Vec<u64> = report.broken.iter().map(|broken| broken.line).collect();
    assert_eq!((report.exit_code(), lines), (4, vec![2, 3]));
    assert_eq!(head(&shop).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_what_a_file_holds_and_writes_nothing() {
    let (folder, shop) = new_shop().await;
    let before = head(&shop).await;
    let path = file(folder.path(), "rows.csv", csv(SPECIAL));
    let report = run(&shop, &Options { dry_run: true, ..options(&path) }).await.unwrap();
    assert_eq!(
        (report.products, report.customers, report.adjustments),
        (count(5, 0), count(2, 0), count(4, 0))
    );
    assert_eq!((report.orders, report.credit_notes, report.exit_code()), (count(2, 0), count(1, 0), 0));
    assert!(report.to_string().contains("nothing was written"), "{report}");
    assert_eq!(head(&shop).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_an_ambiguous_form_is_refused_before_anything_is_stored() {
    let (folder, shop) = new_shop().await;
    let before = head(&shop).await;
    let ambiguous =
        csv(&["1,MUG,a mug,1,01/12/2010 08:26,2.55,,UK", "2,MUG,a mug,1,02/12/2010 08:26,2.55,,UK"]);
    let mut mixed = csv(&["1,MUG,caf\u{e9},1,2010-12-01 08:26:00,2.55,,UK"]).into_bytes();
    mixed.extend(b"2,MUG,caf\xe9,1,2010-12-01 08:26:00,2.55,,UK\n");
    for (name, text, option) in [
        ("dates.csv", ambiguous.clone().into_bytes(), "--date-order"),
        ("encodings.csv", mixed, "--encoding"),
        ("decimals.csv", csv(&["1,MUG,,1,2010-12-01 08:26:00,\"1,234\",,UK"]).into_bytes(), "--decimal-sign"),
        ("units.csv", csv(&["1,MUG,,1.000,2010-12-01 08:26:00,5,,UK"]).into_bytes(), "--decimal-sign"),
    ] {
        let path = file(folder.path(), name, text);
        let error = run(&shop, &options(&path)).await.unwrap_err();
        assert!(error.is::<FileRefused>(), "{error:#}");
        let error = format!("{error:#}");
        assert!(error.contains(name) && error.contains(option), "{error}");
    }
    assert_eq!(head(&shop).await, before);
    let path = file(folder.path(), "dates.csv", ambiguous);
    let form = FormOptions { date_order: Some(DateOrder::DayFirst), ..FormOptions::default() };
    let report = run(&shop, &Options { form, ..options(&path) }).await.unwrap();
    assert_eq!((report.orders, report.exit_code()), (count(2, 0), 0));
    let placed = rows(&shop, "orders", "SELECT placed_at FROM @orders ORDER BY number").await;
    // 1 December 2010, 08:26 UTC.
    assert_eq!(placed[0].try_get::<i64>("", "placed_at").unwrap(), 1_291_191_960_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_format_is_refused_before_anything_is_done() {
    let (folder, shop) = new_shop().await;
    let before = head(&shop).await;
    let packed = gzip(&csv(SPECIAL));
    for (name, text, sentence) in [
        ("empty.csv", Vec::new(), "it is empty"),
        ("other.csv", b"a,b\n1,2\n".to_vec(), "the column InvoiceNo is missing"),
        ("half.csv.gz", packed[..packed.len() / 2].to_vec(), "it is packed with gzip, and is not whole"),
    ] {
        let good = file(folder.path(), "good.csv", csv(SPECIAL));
        let bad = file(folder.path(), name, text);
        let options = Options { files: vec![good, bad], ..options(Path::new("")) };
        let error = run(&shop, &options).await.unwrap_err();
        assert!(error.is::<FileRefused>(), "{error:#}");
        let error = format!("{error:#}");
        assert!(error.contains(name) && error.contains(sentence), "{error}");
    }
    let error = run(&shop, &options(&folder.path().join("none.csv"))).await.unwrap_err();
    assert!(!error.is::<FileRefused>() && format!("{error:#}").contains("none.csv"), "{error:#}");
    assert_eq!(head(&shop).await, before);
}

async fn served(shop: &Shop) -> (Running, Options) {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = serve::Options { role: Role::All, contexts: contexts(None).unwrap(), listen };
    let running = serve::start(shop.clone(), options, soonshop_projections::all()).await.unwrap();
    let to = Some(format!("http://{}", running.address).parse().unwrap());
    (running, Options { to, quiet: true, ..Options::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_it_comes_to_the_same_and_neither_way_repeats_the_other() {
    let (folder, shop) = new_shop().await;
    let one = file(folder.path(), "one.csv", csv(SPECIAL));
    let two = file(
        folder.path(),
        "two.csv",
        csv(&[
            "536400,84077,LAMPS,2,2011-02-01 10:00:00,0.29,17850.0,France",
            "536402,22423,OTHER,1,2011-02-01 10:00:00,0.29,17850.0,France",
        ]),
    );
    let (running, remote) = served(&shop).await;
    let remote = |file: &Path| Options { files: vec![file.to_owned()], ..remote.clone() };
    let report = run(&shop, &remote(&one)).await.unwrap();
    assert_eq!(report.refused, []);
    assert_eq!(figures(&shop).await, special_figures());
    assert_eq!((report.products, report.customers, report.receipts), (count(5, 0), count(2, 0), count(3, 0)));
    assert_eq!(
        (report.adjustments, report.orders, report.credit_notes),
        (count(4, 0), count(2, 0), count(1, 0))
    );
    let end = head(&shop).await;
    let again = run(&shop, &remote(&one)).await.unwrap();
    assert_eq!((again.products, again.receipts, again.orders), (count(0, 5), count(0, 3), count(0, 2)));
    let refused = format!("{:#}", run(&shop, &options(&one)).await.unwrap_err());
    assert!(refused.contains("served by another process") && refused.contains("over HTTP"), "{refused}");
    assert_eq!((head(&shop).await, again.events, again.commands_refused), (end, 0, 0));
    running.stop().await.unwrap();

    // Over HTTP; then a new file over HTTP and again locally.
    let local = import(&shop, &one).await;
    assert_eq!((local.products, local.receipts, local.orders), (count(0, 5), count(0, 3), count(0, 2)));
    assert_eq!((head(&shop).await, local.commands_refused), (end, 0));
    let local = import(&shop, &two).await;
    assert_eq!((local.products, local.prices, local.orders), (count(0, 2), count(1, 0), count(2, 0)));
    let end = head(&shop).await;
    let (running, remote) = served(&shop).await;
    let again = run(&shop, &Options { files: vec![one, two], ..remote }).await.unwrap();
    assert_eq!((again.orders, again.credit_notes, again.prices), (count(0, 4), count(0, 1), count(0, 0)));
    assert_eq!((head(&shop).await, again.commands_refused), (end, 0));
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_command_is_reported_and_the_import_goes_on() {
    let (folder, shop) = new_shop().await;
    let first = file(folder.path(), "one.csv", csv(&SPECIAL[..3]));
    import(&shop, &first).await;
    let rows = [
        "536400,85123A,,1,2011-02-01 10:00:00,2.55,,France",
        // Another order has this number already, though no import brought it.
        "S-TAKEN,85123A,,1,2011-02-01 10:00:00,2.55,,France",
    ];
    let second = file(folder.path(), "two.csv", csv(&rows));
    let (running, remote) = served(&shop).await;
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().timeout(std::time::Duration::from_secs(30)).build().unwrap();
    let placed = client
        .post(remote.to.clone().unwrap().join("/orders").unwrap())
        .bearer_auth(shop.operator_token().unwrap())
        .header("Idempotency-Key", "taken")
        .header("Content-Type", "application/json")
        .body(json!({ "number": "S-TAKEN", "lines": [{ "sku": "85123A", "quantity": 1 }], "country": "France" }).to_string());
    assert_eq!(placed.send().await.unwrap().status(), 201);
    let over_http = run(&shop, &Options { files: vec![second.clone()], ..remote }).await.unwrap();
    running.stop().await.unwrap();
    let local = import(&shop, &second).await;
    for report in [&over_http, &local] {
        assert_eq!((report.commands_refused, report.exit_code()), (1, 3), "{report}");
        assert_eq!(report.refused[0].what, "order S-TAKEN");
    }
    assert_eq!((over_http.orders, local.orders), (count(1, 0), count(0, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_with_a_certificate_of_a_private_authority_is_imported_into_over_tls() {
    let (folder, mut shop) = new_shop().await;
    let data = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tls"));
    let key = folder.path().join("server.key");
    std::fs::copy(data.join("server.key"), &key).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    shop.server_settings.tls = Some(Tls::read(&data.join("valid.pem"), &key).unwrap());
    let one = file(folder.path(), "one.csv", csv(&SPECIAL[..3]));
    let (running, remote) = served(&shop).await;
    let options = async |parameters: &str| {
        let to = Some(format!("https://localhost:{}/{parameters}", running.address.port()).parse().unwrap());
        run(&shop, &Options { to, files: vec![one.clone()], ..remote.clone() }).await
    };
    let ca = |name: &str| format!("?ca={}", data.join(name).display());
    for (parameters, words) in [
        (ca("no-such.pem"), "no-such.pem: No such file"),
        (format!("{}&cert=a&key=b", ca("authority.pem")), "no other file"),
        ("?other=1".to_owned(), "is the address of a shop"),
    ] {
        let message = format!("{:#}", options(&parameters).await.unwrap_err());
        assert!(message.contains(words), "{message}");
    }
    let report = options(&ca("authority.pem")).await.unwrap();
    assert_eq!((report.orders, report.exit_code()), (count(1, 0), 0), "{report}");
    running.stop().await.unwrap();
}

/// Many small invoices with every kind of row.
fn generated() -> String {
    let mut text = format!("{HEADER}\n");
    for n in 0..150_u32 {
        let customer = if n % 7 == 0 { String::new() } else { format!("{}.0", 10_000 + n % 23) };
        for line in 0..=n % 6 {
            let (sku, quantity) = (20_000 + (n * 7 + line * 3) % 40, 1 + (n + line) % 9);
            let (number, sign, price) = match n % 11 {
                3 => (format!("C{n}"), "-", "1.25"),
                5 => (n.to_string(), "-", "0"),
                8 => (n.to_string(), "", "0"),
                _ => (n.to_string(), "", "2.95"),
            };
            let (day, minute) = (1 + n % 28, n % 60);
            writeln!(text, "{number},{sku},GOOD {sku},{sign}{quantity},2011-01-{day:02} 10:{minute:02}:00,{price},{customer},UK")
                .unwrap();
        }
    }
    text
}

/// Polls the future so often at most, and drops it then: wherever it is, as if the process were killed.
async fn polled<F: Future>(future: F, most: usize) -> (Option<F::Output>, usize) {
    let (mut future, mut polls) = (pin!(future), 0);
    let output = std::future::poll_fn(|context| {
        if polls == most {
            return Poll::Ready(None);
        }
        polls += 1;
        future.as_mut().poll(context).map(Some)
    });
    (output.await, polls)
}

/// Runs it in a runtime of its own, which ends with all its tasks.
fn in_a_process<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(future)
}

#[test]
fn killed_anywhere_and_started_again_it_comes_to_the_same() {
    let text = generated();
    let fresh = || {
        let folder = tempfile::tempdir().unwrap();
        let rows = file(folder.path(), "rows.csv", &text);
        in_a_process(async { migrate::migrate(&shop(folder.path())).await.unwrap() });
        (folder, rows)
    };
    let (clean, rows) = fresh();
    let (polls, expected) = in_a_process(async {
        let shop = shop(clean.path());
        let (report, polls) = Box::pin(polled(run(&shop, &options(&rows)), usize::MAX)).await;
        assert_eq!(report.unwrap().unwrap().commands_refused, 0);
        (polls, (head(&shop).await, figures(&shop).await, statuses(&shop).await))
    });
    assert!(polls > 20, "{polls} polls leave nowhere to kill it");
    let (folder, rows) = fresh();
    let mut killed = 0;
    for n in 1..=12 {
        // Early, late, and everywhere between.
        let most = (n * polls / 13 + n * 31 % 7).max(1) / if n % 3 == 0 { 4 } else { 1 };
        killed += in_a_process(async {
            let shop = shop(folder.path());
            let killed = Box::pin(polled(run(&shop, &options(&rows)), most)).await.0.is_none();
            // The next one starts an hour later: the timeout of every order has passed.
            let process = shop.store_database.namespace("process").unwrap();
            let late = process.statement("UPDATE @timeouts SET due_at = due_at - 3600000", []);
            process.connection.execute(late).await.unwrap();
            usize::from(killed)
        });
    }
    assert!(killed > 2, "{killed}");
    let got = in_a_process(async {
        let shop = shop(folder.path());
        run(&shop, &options(&rows)).await.unwrap();
        (head(&shop).await, figures(&shop).await, statuses(&shop).await)
    });
    assert_eq!(got, expected);
}

/// The figures that `oracle.py` has of a file beside it.
async fn agrees_with_the_oracle(name: &str, expected: &str) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/online-retail");
    let (_folder, shop) = new_shop().await;
    let report = import(&shop, &data.join(name)).await;
    eprintln!("{report}");
    let mut got = figures(&shop).await;
    (got["rows"], got["rows_ignored"]) = (report.rows.into(), report.rows_ignored.into());
    let expected = std::fs::read_to_string(data.join(expected)).unwrap();
    assert_eq!(got, serde_json::from_str::<Value>(&expected).unwrap());
    assert_eq!(statuses(&shop).await, [("confirmed".to_owned(), got["orders"].as_i64().unwrap())].into());
    assert_eq!((report.rows_broken, report.commands_refused), (0, 0), "{report}");
}

/// `tests/integration` asks for the same over HTTP, on every set of servers; this is for figures: with `--release --
/// --ignored`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes a minute without optimization"]
async fn a_month_of_the_real_shop_has_the_oracles_figures() {
    agrees_with_the_oracle("2010-12.csv.gz", "expected-2010-12.json").await;
}

/// Two files that overlap and end within documents, and then the whole.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes a minute without optimization"]
async fn a_month_in_two_files_that_overlap_has_the_oracles_figures() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/online-retail");
    let mut text = String::new();
    let packed = std::fs::File::open(data.join("2010-12.csv.gz")).unwrap();
    MultiGzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let rows: Vec<&str> = text.lines().skip(1).collect();
    let (folder, shop) = new_shop().await;
    let one = file(folder.path(), "one.csv", csv(&rows[..22_000]));
    let two = file(folder.path(), "two.csv", csv(&rows[20_000..]));
    let whole = file(folder.path(), "whole.csv", &text);
    let report = run(&shop, &Options { files: vec![one, two], ..options(&whole) }).await.unwrap();
    assert!(report.rows_repeated > 1_900 && report.rows_left_out == 0, "{report}");
    let expected = std::fs::read_to_string(data.join("expected-2010-12.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let mut got = figures(&shop).await;
    (got["rows"], got["rows_ignored"]) = (expected["rows"].clone(), expected["rows_ignored"].clone());
    assert_eq!(got, expected);
    let end = head(&shop).await;
    let report = import(&shop, &whole).await;
    assert_eq!((report.exit_code(), report.events, head(&shop).await), (0, 0, end), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes without optimization"]
async fn half_a_year_of_the_real_shop_has_the_oracles_figures() {
    agrees_with_the_oracle("2010-12_2011-06.csv.gz", "expected.json").await;
}
