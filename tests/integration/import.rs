//! A real shop's goods, customers, orders and credit notes go in as commands; every figure that is known of them comes
//! out of ordinary queries.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::Value;
use soonshop::import::{self, Options};
use soonshop::serve::{self, Options as Serve};
use soonshop::{Config, Role, Shop, migrate};

use crate::support::{Client, Place, Set};

fn data(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/online-retail")).join(name)
}

fn expected(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(data(name)).unwrap()).unwrap()
}

/// Imports, queries, and imports again, which changes nothing.
async fn import_and_ask(set: Set, file: &str, answers: &str) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let place = Place::new(set).await;
    let shop = Shop::open(&place.config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let options = Options { files: vec![data(file)], quiet: true, ..Options::default() };
    let begun = Instant::now();
    let report = import::run(&shop, &options).await.unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    let head = shop.log().unwrap().head().await.unwrap().position;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let (rows, events) = (report.rows as f64 / seconds, head as f64 / seconds);
    eprintln!("{set:?}: {} rows in {seconds:.1} s, {rows:.0} rows/s, {events:.0} events/s", report.rows);
    assert_eq!((report.rows_broken, report.commands_refused), (0, 0), "{report:?}");

    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let serve = Serve { role: Role::All, contexts: soonshop::contexts(None).unwrap(), listen };
    let running = serve::start(shop.clone(), serve, soonshop_projections::all()).await.unwrap();
    ask(&Client::new(&format!("http://{}", running.address), ""), &expected(answers), report.rows_ignored)
        .await;
    running.stop().await.unwrap();

    import::run(&shop, &options).await.unwrap();
    assert_eq!(shop.log().unwrap().head().await.unwrap().position, head, "importing again changed something");
    place.remove().await;
}

async fn rows(client: &Client, query: &str) -> Vec<Value> {
    client.get(query).await.expect(200).json()["rows"].as_array().unwrap().clone()
}

/// One figure by period or key.
fn by(rows: &[Value], name: &str, figure: &str) -> BTreeMap<String, i64> {
    rows.iter().map(|row| (row[name].as_str().unwrap().to_owned(), row[figure].as_i64().unwrap())).collect()
}

fn map(expected: &Value) -> BTreeMap<String, i64> {
    serde_json::from_value(expected.clone()).unwrap()
}

async fn ask(client: &Client, expected: &Value, ignored: u64) {
    let summary = client.get("/analytics/summary").await.expect(200).json();
    for (ours, theirs) in [
        ("orders", "orders"),
        ("guest_orders", "guest_orders"),
        ("order_lines", "order_lines"),
        ("units", "units_sold"),
        ("credit_notes", "credit_notes"),
        ("credit_lines", "credit_lines"),
        ("products", "products"),
        ("customers", "customers"),
        ("adjustments", "stock_adjustment_rows"),
        ("adjusted_units", "stock_adjustment_units"),
        ("received_units", "stock_opening_units"),
    ] {
        assert_eq!(summary[ours], expected[theirs], "{theirs}");
    }
    assert_eq!(summary["revenue"][0]["amount"], expected["gross_revenue_pence"]);
    assert_eq!(summary["credited"][0]["amount"], expected["credited_pence"]);
    assert_eq!(Value::from(ignored), expected["rows_ignored"]);

    let months = rows(client, "/analytics/sales?interval=month").await;
    assert_eq!(by(&months, "period", "revenue"), map(&expected["gross_revenue_pence_by_month"]));
    assert_eq!(by(&months, "period", "orders"), map(&expected["orders_by_month"]));
    let countries = rows(client, "/analytics/sales?group_by=country").await;
    assert_eq!(by(&countries, "key", "revenue"), map(&expected["gross_revenue_pence_by_country"]));
    let credited = rows(client, "/analytics/credits?interval=month").await;
    assert_eq!(by(&credited, "period", "credited"), map(&expected["credited_pence_by_month"]));
    for (order, figure, theirs) in
        [("revenue", "revenue", "top_products_by_revenue_pence"), ("units", "units", "top_products_by_units")]
    {
        let top = rows(client, &format!("/analytics/sales?group_by=sku&order_by={order}&limit=20")).await;
        let top: Vec<Value> = top.iter().map(|row| serde_json::json!([row["key"], row[figure]])).collect();
        assert_eq!(&Value::from(top), &expected[theirs]);
    }
    let stock = &rows(client, "/analytics/stock").await[0];
    for (ours, theirs) in [
        ("on_hand", "stock_on_hand_units"),
        ("reserved", "stock_reserved_units"),
        ("available", "stock_available_units"),
    ] {
        assert_eq!(stock[ours], expected[theirs], "{theirs}");
    }
    // A part of the range, and a search of the products by a typed word.
    let part = rows(client, "/analytics/sales?from=2010-12-01&to=2011-01-01&interval=month").await;
    let december = &expected["gross_revenue_pence_by_month"]["2010-12"];
    assert_eq!(
        part.iter().map(|row| row["revenue"].clone()).collect::<Vec<_>>(),
        std::slice::from_ref(december)
    );
    let found =
        client.get("/products/search?q=white%20hanging%20hart%20light%20holder").await.expect(200).json();
    assert_eq!(
        found["items"][0]["variants"][0]["sku"].as_str().or(found["items"][0]["skus"][0].as_str()),
        Some("85123A"),
        "{found}"
    );
    let by_number = client.get("/orders?number=536365").await.expect(200).json();
    assert_eq!(
        (&by_number["items"][0]["status"], &by_number["items"][0]["total"]["amount"]),
        (&"confirmed".into(), &13_912.into())
    );
}

const DOCUMENTS: [&str; 6] = [
    "600100,MUG,a mug,2,2011-01-05 10:00:00,5.00,,France",
    "600100,CUP,a cup,3,2011-01-05 10:00:00,4.00,,France",
    "C600102,MUG,a mug,-1,2011-01-07 10:00:00,5.00,,France",
    "C600102,CUP,a cup,-2,2011-01-07 10:00:00,4.00,,France",
    "600103,MUG,a mug,7,2011-01-08 10:00:00,0,,France",
    "600103,MUG,a mug,9,2011-01-08 10:00:00,0,,France",
];

/// Files that end within documents, a mended one, and the whole: nothing is lost, and nothing comes twice.
async fn import_documents(set: Set) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let place = Place::new(set).await;
    let shop = Shop::open(&place.config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";
    let file = |name: &str, rows: &[&str]| {
        let path = place.folder.path().join(name);
        std::fs::write(&path, [&[header], rows].concat().join("\n")).unwrap();
        path
    };
    let run = async |files: &[PathBuf]| {
        let options = Options { files: files.to_vec(), quiet: true, ..Options::default() };
        let report = import::run(&shop, &options).await.unwrap();
        (report.exit_code(), report.differing)
    };
    let parts =
        [file("1.csv", &DOCUMENTS[..1]), file("2.csv", &DOCUMENTS[1..3]), file("3.csv", &DOCUMENTS[3..5])];
    assert_eq!(run(&parts).await, (0, 0));
    let mended = DOCUMENTS.map(|row| row.replace("a cup,3", "a cup,4"));
    let mended = file("mended.csv", &mended.each_ref().map(String::as_str));
    assert_eq!(run(&[mended]).await, (3, 1));
    let head = shop.log().unwrap().head().await.unwrap().position;
    assert_eq!(run(&[file("whole.csv", &DOCUMENTS)]).await, (0, 0));
    assert_eq!(run(&parts).await, (3, 1), "the second line of 600103 is in no part");
    assert_eq!(shop.log().unwrap().head().await.unwrap().position, head);

    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let serve = Serve { role: Role::All, contexts: soonshop::contexts(None).unwrap(), listen };
    let running = serve::start(shop.clone(), serve, soonshop_projections::all()).await.unwrap();
    let client = Client::new(&format!("http://{}", running.address), "");
    let summary = client.get("/analytics/summary").await.expect(200).json();
    assert_eq!(summary["revenue"][0]["amount"], 2_200);
    assert_eq!(summary["credited"][0]["amount"], 1_300);
    assert_eq!((&summary["adjusted_units"], &summary["received_units"]), (&16.into(), &5.into()));
    running.stop().await.unwrap();
    if set != Set::Embedded {
        import_at_once(&place, &shop, file).await;
    }
    place.remove().await;
}

/// Two imports at once, which need as much of the same stock: one waits for the other.
async fn import_at_once(place: &Place, shop: &Shop, file: impl Fn(&str, &[&str]) -> PathBuf) {
    let other = Config { name: "another".to_owned(), ..place.config.clone() };
    let other = Shop::open(&other, Role::All).unwrap();
    let rows = ["600200", "600201"].map(|number| format!("{number},TEA,,4,2011-01-05 10:00:00,1.00,,France"));
    let options = rows.each_ref().map(|row| Options {
        files: vec![file(&row[..6], &[row])],
        quiet: true,
        ..Options::default()
    });
    let (one, two) = tokio::join!(import::run(shop, &options[0]), import::run(&other, &options[1]));
    for report in [one.unwrap(), two.unwrap()] {
        assert_eq!((report.receipts.new, report.orders.new, report.exit_code()), (1, 1, 0), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_in_parts_and_mended_come_to_the_whole_embedded() {
    import_documents(Set::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_in_parts_and_mended_come_to_the_whole_with_rabbitmq_and_elasticsearch() {
    import_documents(Set::Rabbit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_in_parts_and_mended_come_to_the_whole_with_nats_and_opensearch() {
    import_documents(Set::Nats).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_of_a_month_embedded() {
    import_and_ask(Set::Embedded, "2010-12.csv.gz", "expected-2010-12.json").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_of_a_month_with_rabbitmq_and_elasticsearch() {
    import_and_ask(Set::Rabbit, "2010-12.csv.gz", "expected-2010-12.json").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_of_a_month_with_nats_and_opensearch() {
    import_and_ask(Set::Nats, "2010-12.csv.gz", "expected-2010-12.json").await;
}

/// The whole half year.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes as long as many other tests together: `make test-import`"]
async fn import_of_the_whole_file() {
    for set in [Set::Embedded, Set::Rabbit, Set::Nats] {
        import_and_ask(set, "2010-12_2011-06.csv.gz", "expected.json").await;
    }
}
