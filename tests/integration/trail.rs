//! The audit trail at the command line: the same states, changes and listings as over HTTP, byte for byte, masked
//! alike.

use std::process::Output as Ran;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use crate::replay::{code, command, lines, ran, sell, signal, sold, tool};
use crate::support::{Set, TestShop, eventually};

const VALUES: [&str; 4] = ["Zebedee Quux", "zebedee@quux.example", "Guesty McGuest", "7 Hidden Mews"];

/// An aggregate of each type, some of them changed, refused, given back or forgotten: type and id.
pub(crate) async fn lived(shop: &TestShop) -> Vec<(&'static str, String)> {
    let client = &shop.client;
    let (product, _) = client.product("TEA", "=HYPERLINK(\"http://x\")", 450, 10).await;
    let price = json!({"sku": "TEA", "price": {"amount": 500, "currency": "GBP"}});
    client.post(&format!("/products/{product}/prices"), &price).await.expect(200);
    let variant = json!({"sku": "TEA-2", "price": {"amount": 900, "currency": "GBP"}});
    client.post(&format!("/products/{product}/variants"), &variant).await.expect(200);
    let user = json!({"name": VALUES[0], "email": VALUES[1], "country": "United Kingdom"});
    let user = client.post("/users", &user).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    let changed = json!({"name": VALUES[0], "email": "other@quux.example", "country": "France"});
    client.send(Method::PUT, &format!("/users/{user}"), Some(&changed), &[("if-match", "\"1\"")]).await;
    let forgotten = json!({"name": VALUES[2], "email": "gone@quux.example"});
    let forgotten = client.post("/users", &forgotten).await.expect(201).json();
    let forgotten = forgotten["id"].as_str().unwrap().to_owned();
    let contact = json!({"name": VALUES[2], "address": VALUES[3]});
    let order = |units: u32| {
        json!({"lines": [{"sku": "TEA", "quantity": units}, {"sku": "TEA", "quantity": 1}],
               "country": "France", "contact": contact})
    };
    let id = |answer: crate::support::Answer| answer.json()["id"].as_str().unwrap().to_owned();
    let good = id(client.post("/orders", &order(2)).await.expect(201));
    let refused = id(client.post("/orders", &order(99)).await.expect(201));
    let path = format!("/users/{forgotten}");
    client.send(Method::DELETE, &path, None, &[("if-match", "\"1\"")]).await.expect(204);
    let lines = json!([{"sku": "TEA", "quantity": 1, "price": {"amount": 450, "currency": "GBP"}}]);
    let note = json!({"order_id": good, "country": "France", "lines": lines});
    let note = id(client.operate("/credit-notes", &note).await.expect(201));
    shop.settle().await;
    let log = shop.shop.log().unwrap();
    let stock = log.read(1, 1_000).await.unwrap();
    let stock = stock.iter().find(|event| event.aggregate_type == "stock").unwrap().aggregate_id.clone();
    vec![
        ("product", product),
        ("stock", stock),
        ("user", user),
        ("user", forgotten.clone()),
        ("person", forgotten),
        ("order", good),
        ("order", refused),
        ("credit_note", note),
    ]
}

pub(crate) fn ok(ran: Ran) -> Ran {
    assert_eq!(code(&ran), 0, "{}", String::from_utf8_lossy(&ran.stderr));
    ran
}

/// The messages of one verb without the last, and without the fields common to all.
fn rows(ran: &Ran) -> Vec<Value> {
    let mut rows = lines(ran);
    rows.pop();
    for row in &mut rows {
        let fields = row.as_object_mut().unwrap();
        fields.remove("schema");
        fields.remove("message_type");
    }
    rows
}

pub(crate) fn assert_clean(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for value in VALUES {
        assert!(!text.contains(value), "{what} shows what is personal");
    }
}

/// The tool prints the endpoint's answer, byte for byte. The sealer works meanwhile, and the number of a seal is in it.
async fn as_over_http(shop: &TestShop, args: &[&str], path: &str) {
    eventually("both are of one moment", Duration::from_secs(60), async || {
        let over_http = shop.client.look(path).await.expect(200).bytes;
        let printed = ok(ran(&shop.place, args).await).stdout;
        assert_clean("show", &printed);
        let state = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap()["state"].to_string();
        assert_eq!(state(&printed), state(&over_http));
        printed == over_http
    })
    .await;
}

/// `show` and `diff` give the same answer as the endpoint, at every version of every type.
async fn states(set: Set) {
    let shop = TestShop::start(set).await;
    let (mut masked, mut erased) = (0, 0);
    for (kind, id) in lived(&shop).await {
        let path = format!("/api/audit/a/{kind}/{id}");
        let last = shop.client.look(&path).await.expect(200).json()["last"].as_i64().unwrap();
        for version in 1..=last {
            let over_http = shop.client.look(&format!("{path}?v={version}")).await.expect(200).json();
            let (v, before) = (format!("v{version}"), format!("v{}", version - 1));
            let shown = ok(ran(&shop.place, &["show", kind, &id, "--as-of", &v, "--json"]).await);
            assert_clean("show", &shown.stdout);
            let state = &rows(&shown)[0]["state"];
            assert_eq!(state.to_string(), over_http["state"].to_string(), "{kind} {v}");
            let whole = ["show", kind, &id, "--as-of", &v, "--format", "json"];
            as_over_http(&shop, &whole, &format!("{path}?v={version}")).await;
            let changed = ok(ran(&shop.place, &["diff", kind, &id, &before, &v, "--json"]).await);
            let changes = Value::Array(rows(&changed));
            assert_eq!(changes.to_string(), over_http["diff"]["changes"].to_string(), "{kind} {v}");
            assert_ne!(changes, json!([]), "every event of this test changes something: {kind} {v}");
            masked += state.to_string().matches("masked").count();
            erased += state.to_string().matches("erased").count();
        }
        as_over_http(&shop, &["show", kind, &id, "--format", "json"], &path).await;
        // Two versions that are not neighbours, the other way round.
        let far = shop.client.look(&format!("{path}?v=1&cmp={last}")).await.expect(200).json();
        let changed = ok(ran(&shop.place, &["diff", kind, &id, &format!("v{last}"), "v1", "--json"]).await);
        assert_eq!(Value::Array(rows(&changed)).to_string(), far["diff"]["changes"].to_string());
    }
    assert!(masked > 0 && erased > 0, "the test looks at nothing personal");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_and_changes_are_those_of_the_endpoint_embedded() {
    Box::pin(states(Set::Embedded)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_and_changes_are_those_of_the_endpoint_on_real_servers() {
    Box::pin(states(Set::Nats)).await;
}

/// SHA-256 of the text after the first line, as `sha256sum` prints it.
fn sha256_of_rest(file: &std::path::Path) -> String {
    sha256_of(&format!("tail -n +2 '{}'", file.display()))
}

/// SHA-256 of the text between the first line and the last.
fn sha256_between(file: &std::path::Path) -> String {
    sha256_of(&format!("sed '1d;$d' '{}'", file.display()))
}

fn sha256_of(command: &str) -> String {
    let command = format!("{command} | sha256sum");
    let ran = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
    String::from_utf8(ran.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

/// Everything that the endpoint lists, page by page.
pub(crate) async fn listed(shop: &TestShop, query: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let parameter = if query.contains("order=asc") { "after" } else { "before" };
    let mut path = format!("/api/audit/timeline?limit=7&{query}");
    loop {
        let page = shop.client.look(&path).await.expect(200).json();
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_i64() {
            Some(next) => path = format!("/api/audit/timeline?limit=7&{query}&{parameter}={next}"),
            None => return all,
        }
    }
}

/// An export has the lines that the endpoint lists, in that order, and a manifest that says so; no cell is a formula.
async fn exported(set: Set) {
    let shop = TestShop::start(set).await;
    lived(&shop).await;
    let head = shop.shop.log().unwrap().head().await.unwrap().position;
    let file = shop.place.folder.path().join("export");
    let out = file.to_str().unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&[], ""),
        (&["--order", "asc"], "order=asc"),
        (&["--q", "-agg:stock", "--type", "Order*", "--from", "2020-01-01"], "q=-agg:stock&type=Order*"),
        (&["--q", "\"no such words\""], "q=%22no+such+words%22"),
    ];
    for (args, query) in cases {
        let expected = listed(&shop, query).await;
        assert_eq!(expected.is_empty(), query.contains("words"));
        let made = ok(ran(&shop.place, &[&["export", "--out", out, "--json"], args].concat()).await);
        let bytes = std::fs::read(&file).unwrap();
        assert_clean("an export", &bytes);
        let text = String::from_utf8(bytes).unwrap();
        let mut found = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let manifest = found.next().unwrap()["manifest"].clone();
        assert_eq!(found.collect::<Vec<_>>(), expected, "{query}");
        assert_eq!(
            (&manifest["count"], &manifest["head"], &manifest["role"]),
            (&json!(expected.len()), &json!(head), &json!("support"))
        );
        assert_eq!(manifest["sha256"], sha256_of_rest(&file));
        assert_eq!(lines(&made).last().unwrap()["sha256"], manifest["sha256"]);
        if let Some(q) = args.iter().position(|arg| *arg == "--q") {
            assert_eq!(manifest["filter"]["q"], args[q + 1]);
        }

        ok(ran(&shop.place, &[&["export", "--format", "csv", "--out", out], args].concat()).await);
        let mut reader = csv::Reader::from_path(&file).unwrap();
        let names = reader.headers().unwrap().clone();
        let column = |name: &str| names.iter().position(|one| one == name).unwrap();
        let (position, summary) = (column("position"), column("summary"));
        let mut cells: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let last = cells.pop().unwrap();
        assert_eq!((&last[0], cells.len()), ("#manifest", expected.len()));
        for (cells, row) in cells.iter().zip(&expected) {
            assert_eq!(cells[position], row["position"].to_string());
            assert_eq!(serde_json::from_str::<Value>(&cells[summary]).unwrap(), row["summary"]);
            assert!(cells.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])));
        }
        let beside = std::fs::read_to_string(format!("{out}.manifest.json")).unwrap();
        let manifest: Value = serde_json::from_str(&beside).unwrap();
        assert_eq!((&manifest["count"], &manifest["format"]), (&json!(expected.len()), &json!("csv")));
        assert_eq!(manifest["sha256"], sha256_between(&file));
        assert_eq!(serde_json::from_str::<Value>(&last[1]).unwrap(), manifest);
    }
    let whole = ok(ran(&shop.place, &["export", "--format", "csv"]).await);
    let message = String::from_utf8(whole.stderr).unwrap();
    assert!(message.contains("\"sha256\""), "its manifest is beside standard output: {message}");
    for (args, expected) in [
        (&["export", "--json"][..], 2),
        (&["export", "--type", "["], 2),
        (&["export", "--q", "nonsense:1"], 2),
        (&["export", "--from", "yesterday"], 2),
        (&["export", "--out", "/nowhere/at/all"], 2),
        (&["tail", "--after", "-1"], 2),
        (&["tail", "--after=x"], 2),
    ] {
        let ran = ran(&shop.place, args).await;
        assert_eq!(code(&ran), expected, "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        assert!(ran.stdout.is_empty() || args.contains(&"--json"), "{args:?}");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_has_the_lines_of_the_endpoint_embedded() {
    Box::pin(exported(Set::Embedded)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_has_the_lines_of_the_endpoint_on_real_servers() {
    Box::pin(exported(Set::Nats)).await;
}

/// An export of many pages during sales is the log up to one position, without gaps and duplicates.
async fn beside_sales(set: Set) {
    let shop = sold(set, 400).await;
    let file = shop.place.folder.path().join("export");
    let before = shop.shop.log().unwrap().head().await.unwrap().position;
    assert!(before > 1_000, "it is more than one page: {before}");
    for order in ["asc", "desc"] {
        let stop = AtomicBool::new(false);
        let selling = async {
            while !stop.load(Ordering::Relaxed) {
                sell(&shop, 4).await;
            }
        };
        let exporting = async {
            let made = ran(&shop.place, &["export", "--order", order, "--out", file.to_str().unwrap()]).await;
            stop.store(true, Ordering::Relaxed);
            ok(made);
        };
        tokio::join!(selling, exporting);
        let text = std::fs::read_to_string(&file).unwrap();
        let mut rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let manifest = rows.next().unwrap()["manifest"].clone();
        let head = manifest["head"].as_i64().unwrap();
        let mut positions: Vec<i64> = rows.map(|row| row["position"].as_i64().unwrap()).collect();
        if order == "desc" {
            positions.reverse();
        }
        assert!(head >= before && positions == (1..=head).collect::<Vec<_>>(), "{order}: up to {head}");
        assert_eq!((&manifest["count"], &manifest["order"]), (&json!(head), &json!(order)));
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_during_sales_is_of_one_position_embedded() {
    Box::pin(beside_sales(Set::Embedded)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_during_sales_is_of_one_position_on_real_servers() {
    Box::pin(beside_sales(Set::Nats)).await;
}

/// Events that are appended while it is followed are shown once, in order, even during a swap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_the_trail_misses_nothing_and_repeats_nothing() {
    let shop = TestShop::start(Set::Nats).await;
    lived(&shop).await;
    let file = shop.place.folder.path().join("tail.ndjson");
    let mut command = command(&shop.place, &["tail", "--follow", "--after", "0", "--format", "ndjson"]);
    let child = command.stdout(std::fs::File::create(&file).unwrap()).spawn().unwrap();
    let positions = || -> Vec<i64> {
        let text = std::fs::read_to_string(&file).unwrap();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let position =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["position"].as_i64().unwrap();
        whole.lines().map(position).collect()
    };
    for (round, verb) in ["rebuild", "verify", "swap"].into_iter().enumerate() {
        ok(ran(&shop.place, &[verb, "audit"]).await);
        shop.client.product(&format!("MORE-{round}"), "More", 1, 1).await;
    }
    shop.settle().await;
    let head = shop.shop.log().unwrap().head().await.unwrap().position;
    eventually("all of it is shown", Duration::from_secs(20), async || positions().last() == Some(&head))
        .await;
    signal(&child, "-INT");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(code(&ended), 130);
    let message = String::from_utf8(ended.stderr).unwrap();
    assert!(message.contains(&format!("tail --follow --after {head}")), "{message}");
    assert_eq!(positions(), (1..=head).collect::<Vec<_>>());

    let last = ok(ran(&shop.place, &["tail", "--json"]).await);
    let shown: Vec<i64> = rows(&last).iter().map(|row| row["position"].as_i64().unwrap()).collect();
    assert_eq!(shown, (head - 9..=head).collect::<Vec<_>>());
    let text = ok(ran(&shop.place, &["tail", "--after", "0", "--type", "UserRegistered"]).await);
    assert_clean("tail", &text.stdout);
    assert_eq!(String::from_utf8(text.stdout).unwrap().lines().count(), 2);
    shop.stop().await;
}

/// An event that was parked is shown once it is projected, and reported as missing until then.
async fn parked_and_followed(set: Set) {
    let shop = TestShop::start(set).await;
    lived(&shop).await;
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    let head = shop.shop.log().unwrap().head().await.unwrap().position;
    let generation = tool.known("audit", None).await.unwrap().generation;
    let db = generation.db(tool.registry.database()).unwrap();
    // This is as if the release before could not project two of them. One stays parked: it now names another event.
    for (position, id) in [(3, "id"), (5, "'another'")] {
        for sql in [
            format!(
                "INSERT INTO @parked (position, event_id, rows, cause) SELECT position, {id}, \
                 '[\"audit/' || id || '\"]', 'a test' FROM @audit WHERE position = {position}"
            ),
            format!("DELETE FROM @audit WHERE position = {position}"),
        ] {
            assert_eq!(db.connection.execute_unprepared(&db.sql(&sql)).await.unwrap().rows_affected(), 1);
        }
    }
    let file = shop.place.folder.path().join("tail.ndjson");
    let mut command = command(&shop.place, &["tail", "--follow", "--after", "0", "--format", "ndjson"]);
    let child = command.stdout(std::fs::File::create(&file).unwrap()).spawn().unwrap();
    let positions = || -> Vec<i64> {
        let text = std::fs::read_to_string(&file).unwrap();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let position =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["position"].as_i64().unwrap();
        whole.lines().map(position).collect()
    };
    eventually("the others are shown", Duration::from_secs(20), async || positions().last() == Some(&head))
        .await;
    let mut expected: Vec<i64> = (1..=head).filter(|position| ![3, 5].contains(position)).collect();
    assert_eq!(positions(), expected);
    ok(ran(&shop.place, &["parked", "retry", "audit", "--position", "3"]).await);
    eventually("so is the one that was late", Duration::from_secs(20), async || {
        positions().last() == Some(&3)
    })
    .await;
    shop.client.product("NEW", "New", 1, 1).await;
    shop.settle().await;
    let last = shop.shop.log().unwrap().head().await.unwrap().position;
    eventually("it goes on", Duration::from_secs(20), async || positions().last() == Some(&last)).await;
    expected.push(3);
    expected.extend(head + 1..=last);
    assert_eq!(positions(), expected, "each once");
    signal(&child, "-INT");
    let ended = child.wait_with_output().unwrap();
    let message = String::from_utf8(ended.stderr).unwrap();
    assert!(message.contains("position 3 was parked, and is shown late"), "{message}");
    assert!(message.contains("1 event up to there is parked and was not shown, at 5"), "{message}");
    assert!(message.contains("tail --after 4"), "{message}");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retried_event_reaches_followers_of_the_trail_embedded() {
    Box::pin(parked_and_followed(Set::Embedded)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retried_event_reaches_followers_of_the_trail_on_real_servers() {
    Box::pin(parked_and_followed(Set::Rabbit)).await;
}
