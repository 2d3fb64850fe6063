//! `/metrics` holds exactly the metrics that docs/deployment.md lists, in a form that a scraper reads; and
//! `/health/audit` agrees.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::{Set, TestShop, eventually};

/// Names and values.
type Labels = Vec<(String, String)>;

/// A metric as the text has it.
#[derive(Debug, Default)]
struct Family {
    help: String,
    kind: String,
    /// Name and labels of a line, and its value.
    lines: BTreeMap<(String, Labels), f64>,
}

/// Reads the text format, and accepts nothing that is not in it: a family's help, its type, then its lines, each once;
/// a histogram's buckets in order, growing, up to all of them.
fn parse(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n') && !text.contains("\n\n"), "lines end, and none is empty");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut now = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(!families.contains_key(name), "{name} comes twice");
            name.clone_into(&mut now);
            families.insert(now.clone(), Family { help: help.to_owned(), ..Family::default() });
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            let family = families.get_mut(name).filter(|_| name == now).unwrap_or_else(|| panic!("{line}"));
            assert!(["counter", "gauge", "histogram"].contains(&kind) && family.kind.is_empty(), "{line}");
            kind.clone_into(&mut family.kind);
        } else {
            let (name, labels, value) =
                sample(line).unwrap_or_else(|| panic!("{line:?} is not of the format"));
            let family = families.get_mut(&now).filter(|family| !family.kind.is_empty());
            let family = family.unwrap_or_else(|| panic!("{line} belongs to nothing"));
            let ends: &[&str] = match family.kind.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(ends.iter().any(|end| name == format!("{now}{end}")), "{line} is not of {now}");
            if family.kind == "counter" {
                assert!(name.ends_with("_total") && value >= 0.0, "{line}");
            }
            assert!(family.lines.insert((name, labels), value).is_none(), "{line} comes twice");
        }
    }
    for (name, family) in families.iter().filter(|(_, family)| family.kind == "histogram") {
        whole(name, family);
    }
    families
}

fn is_name(text: &str) -> bool {
    let head = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    head && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `name{label="value",…} value`.
fn sample(line: &str) -> Option<(String, Labels, f64)> {
    let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((label.to_owned(), value));
            if let Some(end) = after.strip_prefix('}') {
                rest = end;
                break;
            }
            rest = after.strip_prefix(',')?;
        }
    }
    let value = rest.strip_prefix(' ')?.parse().ok()?;
    let named = is_name(name) && labels.iter().all(|(label, _)| is_name(label));
    named.then(|| (name.to_owned(), labels, value))
}

/// The text before the closing quote, and the text after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut all) = (String::new(), text.chars());
    loop {
        match all.next()? {
            '"' => return Some((value, all.as_str())),
            '\\' => value.push(match all.next()? {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
}

/// Each series of a histogram has its buckets up to `+Inf`, never fewer in a wider one, and as many as it counts.
fn whole(name: &str, family: &Family) {
    let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for ((line, labels), value) in &family.lines {
        if *line == format!("{name}_bucket") {
            let (bounds, of): (Vec<_>, Vec<_>) = labels.iter().cloned().partition(|(label, _)| label == "le");
            let [(_, bound)] = &bounds[..] else { panic!("{name} {labels:?}") };
            let bound = bound.strip_prefix('+').unwrap_or(bound).parse::<f64>().unwrap();
            series.entry(of).or_default().push((bound, *value));
        }
    }
    for (of, mut buckets) in series {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name} {of:?} {buckets:?}");
        let (last, count) = *buckets.last().unwrap();
        assert!(last.is_infinite(), "{name} {of:?}");
        assert_eq!(family.lines[&(format!("{name}_count"), of.clone())].to_bits(), count.to_bits());
        assert!(family.lines[&(format!("{name}_sum"), of)] >= 0.0);
    }
}

async fn scraped(shop: &TestShop) -> BTreeMap<String, Family> {
    let answer = shop.client.get("/metrics").await.expect(200);
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    parse(std::str::from_utf8(&answer.bytes).unwrap())
}

/// The sum over the lines that have these labels.
fn value(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let family = families.iter().find(|(known, _)| name.starts_with(known.as_str()));
    let (_, family) = family.unwrap_or_else(|| panic!("there is no {name}"));
    let has =
        |all: &Labels| labels.iter().all(|(label, value)| all.iter().any(|(l, v)| l == label && v == value));
    family.lines.iter().filter(|((line, all), _)| line == name && has(all)).map(|(_, value)| value).sum()
}

#[expect(clippy::cast_precision_loss, reason = "a position of a small log")]
fn at(position: i64) -> f64 {
    position as f64
}

/// A row of the table in docs/deployment.md: name, type, labels, help.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>, String)> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/deployment.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `soonshop_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, help, _] = cells[..] else { panic!("{row}") };
        let labels = labels.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (name.trim_matches('`').to_owned(), (kind.to_owned(), labels, help.to_owned()))
    })
    .collect()
}

async fn metrics_tell_what_the_docs_list(set: Set) {
    let shop = TestShop::start(set).await;
    // No metric of requests exists before the first answer.
    scraped(&shop).await;
    let before = scraped(&shop).await;
    let (product, position) = shop.client.product("mug", "Mug", 500, 3).await;
    shop.client.get_at(&format!("/products/{product}"), &position).await.expect(200);
    shop.client.get("/no/such/path").await.expect(404);
    let order = json!({"lines": [{"sku": "MUG", "quantity": 1}], "country": "United Kingdom"});
    let order = shop.client.post("/orders", &order).await.expect(201);
    shop.settle().await;
    let head = shop.shop.log().unwrap().head().await.unwrap().position;
    eventually("the looked-up metrics are there", Duration::from_secs(10), async || {
        value(&scraped(&shop).await, "soonshop_log_position", &[]).to_bits() == at(head).to_bits()
    })
    .await;
    let after = scraped(&shop).await;
    let grown = |name, labels: &[_]| value(&after, name, labels) - value(&before, name, labels);
    // The order, its reservation and its confirmation, at the least.
    assert!(grown("soonshop_append_events_total", &[]) >= 5.0);
    assert!(grown("soonshop_append_commands_total", &[]) >= 5.0);
    assert!(grown("soonshop_append_batch_requests_sum", &[]) >= 5.0);
    assert!(grown("soonshop_append_commit_seconds_count", &[]) >= 1.0);
    let placed = [("method", "POST"), ("route", "/orders"), ("status", "2xx")];
    assert_eq!(grown("soonshop_http_requests_total", &placed).to_bits(), 1.0_f64.to_bits());
    assert_eq!(grown("soonshop_http_requests_total", &[("route", "none")]).to_bits(), 1.0_f64.to_bits());
    assert!(grown("soonshop_relay_confirmed_total", &[]) >= 5.0);
    assert_eq!(value(&after, "soonshop_relay_position", &[]).to_bits(), at(head).to_bits());
    assert!(value(&after, "soonshop_seals_position", &[]) <= at(head));
    let rows = [("projection", "orders"), ("sink", "rows")];
    assert_eq!(value(&after, "soonshop_projection_position", &rows).to_bits(), at(head).to_bits());

    // Every name, type, help and label is in the docs.
    let docs = documented();
    let metrics: BTreeSet<&String> = after.keys().collect();
    assert_eq!(metrics, docs.keys().collect(), "docs/deployment.md lists every metric");
    let ids = [product.as_str(), order.json()["id"].as_str().unwrap()].map(str::to_owned);
    for (name, family) in &after {
        let (kind, labels, help) = &docs[name];
        assert_eq!((&family.kind, family.help.trim_end_matches('.')), (kind, help.as_str()), "{name}");
        for (line, all) in family.lines.keys() {
            let seen: BTreeSet<String> =
                all.iter().map(|(label, _)| label.clone()).filter(|label| label != "le").collect();
            assert_eq!(&seen, labels, "{line}");
            for (label, value) in all {
                // A name that this release knows, a template, a class, a number of a generation or a bound.
                assert!(!ids.iter().any(|id| value.contains(id.as_str())), "{line} {label}={value}");
                assert!(uuid::Uuid::try_parse(value.rsplit('/').next().unwrap()).is_err(), "{line} {value}");
                assert!(label != "route" || !value.to_lowercase().contains("mug"), "{line} {value}");
            }
        }
        assert!(!family.lines.is_empty(), "{name} tells nothing");
    }
    parked_and_away(&shop).await;
    shop.stop().await;
}

/// Parked events show in the metrics and in `/health/audit`; a metric that cannot be looked up is missing, the rest
/// stays.
async fn parked_and_away(shop: &TestShop) {
    let active = shop.shop.registry().unwrap().active("orders").await.unwrap().unwrap();
    let rows = active.db(&shop.shop.read_database).unwrap();
    let run = async |db: &soonshop_event_log::Db, sql: &str| {
        sea_orm::ConnectionTrait::execute(&db.connection, db.statement(sql, [])).await.unwrap();
    };
    run(
        &rows,
        "INSERT INTO @parked (position, event_id, rows, cause) VALUES (1, 'x', '[\"orders/x\"]', 'broken')",
    )
    .await;
    let of = [("projection", "orders"), ("generation", "1")];
    eventually("the parked event shows", Duration::from_secs(10), async || {
        value(&scraped(shop).await, "soonshop_projection_parked", &of) > 0.5
    })
    .await;
    let (metrics, health) = (scraped(shop).await, shop.client.get("/health/audit").await.expect(503).json());
    assert_eq!((&health["parked"], value(&metrics, "soonshop_healthy", &[]) < 0.5), (&json!(1), true));
    run(&rows, "DELETE FROM @parked").await;

    let operations = shop.shop.read_database.namespace("operations").unwrap();
    run(&operations, "ALTER TABLE @generations RENAME TO away").await;
    eventually("it is said that nothing can be looked up", Duration::from_secs(20), async || {
        let metrics = scraped(shop).await;
        let there = metrics.contains_key("soonshop_append_events_total");
        there
            && value(&metrics, "soonshop_scrape_ok", &[]) < 0.5
            && !metrics.contains_key("soonshop_projection_parked")
    })
    .await;
    let back = match operations.backend() {
        sea_orm::DatabaseBackend::Postgres => "ALTER TABLE @away RENAME TO generations",
        _ => "ALTER TABLE away RENAME TO generations",
    };
    run(&operations, back).await;
    eventually("and again that it can", Duration::from_secs(20), async || {
        value(&scraped(shop).await, "soonshop_scrape_ok", &[]) > 0.5
    })
    .await;
    shop.client.send(Method::POST, "/metrics", None, &[]).await.expect(405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_tell_what_the_docs_list_embedded() {
    metrics_tell_what_the_docs_list(Set::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_tell_what_the_docs_list_on_servers() {
    metrics_tell_what_the_docs_list(Set::Nats).await;
}
