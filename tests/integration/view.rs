//! An export as pages, without its shop: the same rows, masked alike, and nothing that would need more than the file
//! has.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::replay::{code, lines, ran, signal};
use crate::support::{Client, Set, TestShop, built};
use crate::trail::{assert_clean, listed, lived, ok};

/// `replay-tool view` in an empty folder, with its own temporary folder and no shop.
struct Viewer {
    folder: tempfile::TempDir,
}

impl Viewer {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["here", "tmp"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    fn command(&self, file: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(built("replay-tool"));
        command.arg("view").arg(file).args(args).args(["--progress", "none"]);
        command.current_dir(self.folder.path().join("here")).env("TMPDIR", self.folder.path().join("tmp"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SOONSHOP_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A running viewer, with the address that it printed.
    fn begin(&self, file: &Path, args: &[&str]) -> (Shown, String) {
        let mut shown = Shown(self.command(file, args).stderr(Stdio::inherit()).spawn().unwrap());
        let mut message = String::new();
        BufReader::new(shown.0.stdout.as_mut().unwrap()).read_line(&mut message).unwrap();
        assert!(!message.is_empty(), "it says no address: {:?}", shown.0.wait().unwrap());
        (shown, message.trim().to_owned())
    }

    /// The output when it ends by itself; one that does not end times out.
    fn ended(&self, file: &Path, args: &[&str]) -> Output {
        self.command(file, args).args(["--timeout", "120s"]).output().unwrap()
    }

    /// The names in its working folder and in its temporary folder.
    fn left(&self) -> Vec<String> {
        let names = |name: &str| std::fs::read_dir(self.folder.path().join(name)).unwrap();
        let all = names("here").chain(names("tmp"));
        all.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }
}

/// A viewer that shows a file; none outlives its test.
struct Shown(Child);

impl Shown {
    /// The exit code after that signal.
    fn code_after_signal(&mut self, name: &str) -> Option<i32> {
        signal(&self.0, name);
        self.0.wait().unwrap().code()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Those of pages that lead somewhere: where links and forms go to.
fn ways(page: &str) -> BTreeSet<String> {
    let after = |mark| page.split(mark).skip(1).filter_map(|rest: &str| Some(rest.split_once('"')?.0));
    let all = after("href=\"").chain(after("action=\""));
    all.map(|way| way.replace("&amp;", "&").split('#').next().unwrap_or_default().to_owned())
        .filter(|way| !way.is_empty())
        .collect()
}

/// The file gives the same answers as the shop; exported again from there, it is the same file.
async fn answers_as_the_shop(set: Set) {
    let shop = TestShop::start(set).await;
    let all = lived(&shop).await;
    let order = &all.iter().find(|(kind, _)| *kind == "order").unwrap().1;
    let user = &all.iter().find(|(kind, _)| *kind == "user").unwrap().1;
    let rows = listed(&shop, "").await;
    let correlation = rows.last().unwrap()["correlation_id"].as_str().unwrap();
    let questions = [
        "/api/audit/timeline?limit=200".to_owned(),
        "/api/audit/timeline?limit=3&order=asc&q=-agg:stock".to_owned(),
        "/api/audit/timeline?q=type:Order*+chan:api".to_owned(),
        format!("/api/audit/timeline?q=subject:{user}"),
        format!("/api/audit/timeline?q=id:{order}+created:last:24h"),
        "/api/audit/timeline?q=france&limit=200".to_owned(),
        "/api/audit/timeline?actor=service".to_owned(),
        "/api/audit/timeline?q=amount:%3E1".to_owned(),
        "/api/audit/timeline?q=-amount:%3E=0&order=asc".to_owned(),
        format!("/api/audit/c/{correlation}"),
    ];
    let mut expected = Vec::new();
    for question in &questions {
        let answer = shop.client.look(question).await.expect(200);
        expected.push((answer.json(), answer.position()));
    }
    let exported = shop.client.look("/api/audit/export.ndjson").await.expect(200).bytes;
    let narrow = shop.client.look("/api/audit/export.ndjson?q=agg:order&order=asc").await.expect(200).bytes;
    let csv = shop.client.look("/api/audit/export.csv?separator=semicolon").await.expect(200).bytes;
    shop.stop().await;

    let viewer = Viewer::new();
    let file = viewer.folder.path().join("all of it.ndjson");
    std::fs::write(&file, &exported).unwrap();
    let (mut child, address) = viewer.begin(&file, &[]);
    let base = address.strip_suffix("/audit/timeline").unwrap();
    assert!(base.starts_with("http://127.0.0.1:"), "{address}");
    // A cookie of a shop on this machine, or a program's key, changes nothing.
    let client = Client::new(base, "nonsense");
    for (question, (answer, position)) in questions.iter().zip(&expected) {
        let found = client.look(question).await.expect(200);
        assert_eq!((&found.json(), &found.position()), (answer, position), "{question}");
    }
    // Line names are only counted in a row, and text that the file lacks is not found.
    let found = client.get("/api/audit/timeline?q=HYPERLINK").await.expect(200).json();
    let kinds: Vec<_> = found["items"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["ProductCreated"]);
    let again = client.get("/api/audit/export.ndjson").await.expect(200).bytes;
    let (first, rest) = split(&exported);
    let (first_again, rest_again) = split(&again);
    assert!(rest == rest_again, "the rows are those of the file");
    for field in ["count", "head", "role", "order", "sha256"] {
        assert_eq!(first["manifest"][field], first_again["manifest"][field], "{field}");
    }
    assert_eq!(first_again["manifest"]["filter"], json!({ "file": first["manifest"]["sha256"] }));
    assert_eq!(child.code_after_signal("-INT"), Some(130));

    // As CSV it is the same.
    let file_of_csv = viewer.folder.path().join("all of it.csv");
    std::fs::write(&file_of_csv, &csv).unwrap();
    let (mut child, address) = viewer.begin(&file_of_csv, &[]);
    let client = Client::new(address.strip_suffix("/audit/timeline").unwrap(), "");
    for (question, (answer, position)) in questions.iter().zip(&expected) {
        let found = client.look(question).await.expect(200);
        assert_eq!((&found.json(), &found.position()), (answer, position), "{question}");
    }
    let again = client.get("/api/audit/export.ndjson").await.expect(200).bytes;
    assert!(split(&again).1 == rest, "the rows are those of the file");
    assert_eq!(child.code_after_signal("-INT"), Some(130));
    std::fs::remove_file(&file_of_csv).unwrap();

    // An export of a filtered view says so.
    std::fs::write(&file, &narrow).unwrap();
    let (mut child, address) = viewer.begin(&file, &["--lang", "zh-CN"]);
    let base = address.strip_suffix("/audit/timeline?lang=zh-CN").unwrap();
    let again = Client::new(base, "").get("/api/audit/export.ndjson?type=OrderPlaced").await.expect(200);
    let (first, (again, _)) = (split(&narrow).0, split(&again.bytes));
    let filter = json!({ "file": first["manifest"]["sha256"], "file.q": "agg:order", "type": "OrderPlaced" });
    assert_eq!(again["manifest"]["filter"], filter);
    let page = Client::new(&address, "").get("").await.expect(200).bytes;
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("来自文件") && page.contains("q=agg:order"), "{page}");
    assert_eq!(child.code_after_signal("-TERM"), Some(143));
    assert_eq!(viewer.left(), Vec::<String>::new());
}

/// A file whose manifest is true of these rows, with the rest of it changed.
fn made(mut first: Value, rows: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rows"), rows).unwrap();
    let hash = Command::new("sha256sum").arg(folder.path().join("rows")).output().unwrap().stdout;
    first["manifest"]["count"] = json!(rows.lines().count());
    first["manifest"]["sha256"] = json!(String::from_utf8_lossy(&hash)[..64]);
    format!("{first}\n{rows}")
}

/// The manifest's line, and every byte after it.
fn split(file: &[u8]) -> (Value, &[u8]) {
    let end = file.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    (serde_json::from_slice(&file[..end]).unwrap(), &file[end..])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_gives_the_same_answers_as_its_shop_embedded() {
    Box::pin(answers_as_the_shop(Set::Embedded)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_gives_the_same_answers_as_its_shop_on_real_servers() {
    Box::pin(answers_as_the_shop(Set::Nats)).await;
}

/// The box finds these things by their names, in capitals or not, and nothing by another.
async fn names_are_found(client: &Client, names: &BTreeMap<String, String>) {
    for (id, name) in names {
        for name in [name.clone(), name.to_lowercase()] {
            let typed: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
            let page = client.get(&format!("/audit/jump?id={typed}")).await.expect(200).bytes;
            let page = String::from_utf8(page).unwrap();
            assert!(page.contains(id.as_str()), "{name}: {page}");
        }
    }
    client.get("/audit/jump?id=nothing-of-this-name").await.expect(404);
}

/// Every link of a page leads to a page, and nothing that needs a shop is on any page or at any address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_link_on_the_pages_of_an_export_works_without_a_shop() {
    let shop = TestShop::start(Set::Embedded).await;
    let all = lived(&shop).await;
    let viewer = Viewer::new();
    let file = viewer.folder.path().join("export.ndjson");
    ok(ran(&shop.place, &["export", "--out", file.to_str().unwrap()]).await);
    let events = listed(&shop, &format!("q=id:{}", all[0].1)).await.len();
    let rows = listed(&shop, "").await;
    let (count, correlation) = (rows.len(), rows[0]["correlation_id"].as_str().unwrap().to_owned());
    let named =
        |row: &Value| Some((row["aggregate_id"].as_str()?.to_owned(), row["name"].as_str()?.to_owned()));
    let names: BTreeMap<String, String> = rows.iter().filter_map(named).collect();
    shop.stop().await;

    let (mut child, address) = viewer.begin(&file, &[]);
    let base = address.strip_suffix("/audit/timeline").unwrap();
    let client = Client::new(base, "");
    let (mut seen, mut waiting) = (BTreeSet::new(), vec!["/".to_owned(), "/audit".to_owned()]);
    while let Some(way) = waiting.pop() {
        if !seen.insert(way.clone()) {
            continue;
        }
        assert!(way.starts_with('/'), "{way} leads elsewhere");
        // A form for an id needs an id; a choice of appearance is made once.
        let looks = ["lang=", "theme=", "tz=", "density="].iter().any(|name| way.contains(name));
        let page = client.get(&way).await;
        assert_eq!(page.status.as_u16(), 200, "{way}");
        assert_clean(&way, &page.bytes);
        let text = String::from_utf8(page.bytes.clone()).unwrap();
        if page.header("content-type").starts_with("text/html") {
            assert!(!text.contains("method=\"post\"") && !text.contains("data-live"), "{way}");
            if !looks {
                waiting.extend(ways(&text));
            }
        }
    }
    assert!(seen.iter().any(|way| way.starts_with("/audit/c/")) && seen.len() > count, "{seen:?}");
    for (kind, id) in &all {
        assert!(seen.iter().any(|way| way.starts_with(&format!("/audit/a/{kind}/{id}"))), "{kind} {id}");
    }

    let (kind, id) = &all[0];
    let page = client.get(&format!("/audit/a/{kind}/{id}?v=1")).await.expect(200).bytes;
    let page = String::from_utf8(page).unwrap();
    assert_eq!(page.matches("<li aria-current=\"true\"").count(), 1);
    let page = client.get(&format!("/audit/a/{kind}/{id}")).await.expect(200).bytes;
    let page = String::from_utf8(page).unwrap();
    assert_eq!(page.matches("<li data-position").count(), events, "an aggregate is its events");
    assert!(page.contains(&format!("<strong>{count}</strong>")), "the page says how many are in the file");
    let leads = client.get("/audit/e/1").await.expect(200).bytes;
    assert!(String::from_utf8(leads).unwrap().contains("aria-current=\"true\""));
    for (jump, says) in [
        ("1", "<li aria-current=\"true\"".to_owned()),
        (id, format!("<code class=\"id\" translate=\"no\">{id}</code>")),
        (&correlation, format!("<code class=\"id\" translate=\"no\">{correlation}</code>")),
    ] {
        let page = client.get(&format!("/audit/jump?id={jump}")).await.expect(200).bytes;
        assert!(String::from_utf8(page).unwrap().contains(&says), "{jump}");
    }
    assert!(names.len() > 3, "{names:?}");
    names_are_found(&client, &names).await;
    let page = client.get("/audit/jump?id=tea-2").await.expect(200).bytes;
    assert!(String::from_utf8(page).unwrap().contains(&all[0].1), "a product is found by a SKU");
    client.get("/audit/e/999999").await.expect(404);
    client.get("/audit/a/order/nonsense").await.expect(400);
    client.get("/audit/timeline?q=type:[").await.expect(400);

    for gone in [
        "/audit/projections",
        "/audit/parked",
        "/audit/integrity",
        "/audit/operations",
        "/api/audit/operations",
        "/audit/sign-in",
        "/audit/look-up",
        "/audit/views",
        "/audit/views/x",
        "/audit/runs/1",
        "/api/audit/stream",
        &format!("/api/audit/a/{kind}/{id}"),
        &format!("/api/audit/a/{kind}/{id}/reveals"),
        "/api/audit/look-ups",
        "/health/audit",
        "/orders",
        "/users",
    ] {
        for method in [Method::GET, Method::POST] {
            let answer = client.send(method, gone, None, &[]).await;
            assert_eq!(answer.status.as_u16(), 404, "{gone}");
        }
    }
    // A name that another site leads here.
    let led = client.send(Method::GET, "/audit/timeline", None, &[("host", "evil.example")]).await;
    assert_eq!(led.status.as_u16(), 421);
    assert!(!String::from_utf8(led.bytes).unwrap().contains("TEA"));
    assert_eq!(child.code_after_signal("-INT"), Some(130));
    assert_eq!(viewer.left(), Vec::<String>::new());
}

/// Exit code 3 for a file that differs from its manifest; 2 for one that is no export. Neither leaves a file behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_differs_from_its_manifest_or_is_no_export_is_refused() {
    let shop = TestShop::start(Set::Embedded).await;
    shop.client.product("MUG", "Mug", 100, 5).await;
    shop.settle().await;
    let good = shop.client.look("/api/audit/export.ndjson?order=asc").await.expect(200).bytes;
    let csv = shop.client.look("/api/audit/export.csv").await.expect(200).bytes;
    shop.stop().await;
    let (good, csv) = (String::from_utf8(good).unwrap(), String::from_utf8(csv).unwrap());
    let lines_of: Vec<_> = good.split_inclusive('\n').collect();
    let first: Value = serde_json::from_str(lines_of[0]).unwrap();
    let repeated = made(first, &[lines_of[1], lines_of[1]].concat());
    let of_role = |role: &str| good.replacen("\"role\":\"admin\"", &format!("\"role\":\"{role}\""), 1);
    let viewer = Viewer::new();
    let file = viewer.folder.path().join("export");
    for (bytes, args, expected, says) in [
        (good.replacen("Mug", "Jug", 1), &[][..], 3, "SHA-256"),
        (lines_of[..lines_of.len() - 1].concat(), &[], 3, "rows"),
        (good.trim_end().to_owned(), &[], 3, "SHA-256"),
        (format!("{good}{{}}\n"), &[], 3, "rows"),
        (repeated, &[], 3, "twice"),
        (csv.replacen("Mug", "Jug", 1), &[], 3, "SHA-256"),
        (
            csv.lines().take(2).collect::<Vec<_>>().join("\r\n") + "\r\n",
            &[],
            2,
            "its last line is not a manifest",
        ),
        (csv.replacen("position,", "place,", 1), &[], 3, "other columns"),
        (csv.replacen("\"\"role\"\":\"\"admin\"\"", "\"\"role\"\":\"\"guest\"\"", 1), &[], 2, "role"),
        (String::new(), &[], 2, "not an export"),
        ("{\"manifest\":7}\n".to_owned(), &[], 2, "not an export"),
        (good.replacen("\"schema\":1", "\"schema\":9", 1), &[], 2, "schema"),
        (of_role("guest"), &[], 2, "role"),
        (of_role("emperor"), &[], 2, "role"),
        (good.clone(), &["--listen", "0.0.0.0:0"], 2, "loopback"),
        (good.clone(), &["--listen", "nowhere"], 2, "--listen"),
        (good.clone(), &["--tls-cert", "/no/file.pem"], 2, "--tls-key"),
        (good.clone(), &["--tls-cert", "/no/file.pem", "--tls-key", "/no/file.key"], 2, "/no/file.key"),
        (good.clone(), &["--lang", "fr"], 2, "zh-CN"),
    ] {
        std::fs::write(&file, &bytes).unwrap();
        let ran = viewer.ended(&file, args);
        let message = String::from_utf8(ran.stderr.clone()).unwrap();
        assert_eq!(code(&ran), expected, "{says}: {message}");
        assert!(message.contains(says) && ran.stdout.is_empty(), "{says}: {message}");
        assert!(!message.contains("igration"), "of its own folder it says nothing: {message}");
        let ran = viewer.ended(&file, &[args, &["--json"]].concat());
        let last = lines(&ran).pop().unwrap();
        let in_json = last["exit_code"].as_i64().or(last["code"].as_i64());
        assert_eq!((code(&ran), in_json), (expected, Some(i64::from(expected))), "{last}");
        assert_eq!(viewer.left(), Vec::<String>::new(), "{says}");
    }
    for missing in [viewer.folder.path().join("missing"), viewer.folder.path().join("here")] {
        let ran = viewer.ended(&missing, &[]);
        assert_eq!(code(&ran), 2, "{}", String::from_utf8_lossy(&ran.stderr));
    }
    assert_eq!(viewer.left(), Vec::<String>::new());

    // The unchanged file is shown, at an address that scripts can read too.
    std::fs::write(&file, &good).unwrap();
    let (mut child, message) = viewer.begin(&file, &["--json", "--listen", "[::1]:0"]);
    let message: Value = serde_json::from_str(&message).unwrap();
    assert_eq!(
        (&message["message_type"], &message["role"]),
        (&json!("status"), &json!("admin")),
        "{message}"
    );
    let address = message["address"].as_str().unwrap();
    assert!(address.starts_with("http://[::1]:"), "{address}");
    Client::new(address, "").get("").await.expect(200);
    assert_eq!(viewer.left().len(), 1, "it works in a folder of its own");
    assert_eq!(child.code_after_signal("-INT"), Some(130));
    assert_eq!(viewer.left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_shown_over_tls_where_a_certificate_is_given() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let viewer = Viewer::new();
    let row = json!({
        "position": 1, "id": uuid::Uuid::from_u128(1).to_string(), "aggregate_type": "stock",
        "aggregate_id": uuid::Uuid::from_u128(7).to_string(), "version": 1, "context": "inventory",
        "type": "StockReceived", "event_version": 1, "recorded_at": "2026-11-22T10:45:00.000001Z",
        "occurred_at": "2026-11-22T10:45:00Z", "has_note": false, "summary": { "sku": "MUG", "quantity": 1 },
    });
    let first = json!({ "manifest": {
        "schema": 1, "format": "ndjson", "filter": {}, "order": "asc", "head": 1, "role": "support",
        "made_at": "2026-11-22T10:46:00Z",
    }});
    let file = viewer.folder.path().join("one.ndjson");
    std::fs::write(&file, made(first, &format!("{row}\n"))).unwrap();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/tls");
    let key = viewer.folder.path().join("server.key");
    std::fs::copy(format!("{data}/server.key"), &key).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let certificate = format!("{data}/valid.pem");
    let (mut child, address) =
        viewer.begin(&file, &["--tls-cert", &certificate, "--tls-key", &key.display().to_string()]);
    assert!(address.starts_with("https://127.0.0.1:"), "{address}");
    let authority = std::fs::read(format!("{data}/authority.pem")).unwrap();
    let client = reqwest::Client::builder()
        .timeout(std::time::Duration::from_secs(30))
        .tls_certs_only([reqwest::Certificate::from_pem(&authority).unwrap()])
        .build()
        .unwrap();
    let page = client.get(&address).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.headers().contains_key("strict-transport-security"));
    assert!(page.text().await.unwrap().contains("MUG"));
    assert_eq!(child.code_after_signal("-TERM"), Some(143));
}

/// As the shop's own check says it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_with_a_certificate_that_has_ended_says_so_and_what_to_do() {
    let viewer = Viewer::new();
    let first = json!({ "manifest": {
        "schema": 1, "format": "ndjson", "filter": {}, "order": "asc", "head": 1, "role": "support",
        "made_at": "2026-11-22T10:46:00Z",
    }});
    let file = viewer.folder.path().join("none.ndjson");
    std::fs::write(&file, made(first, "")).unwrap();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/tls");
    let key = viewer.folder.path().join("server.key");
    std::fs::copy(format!("{data}/server.key"), &key).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let key = key.display().to_string();
    for (certificate, warned) in [("expired.pem", true), ("valid.pem", false)] {
        let certificate = format!("{data}/{certificate}");
        for (lang, ended, remedy) in [
            ("en", "the certificate in use ended on ", "Put a certificate that is valid"),
            ("zh-CN", "需要更换：", "请把有效的证书及其私钥放到所列的文件中"),
        ] {
            let args = ["--tls-cert", &certificate, "--tls-key", &key, "--lang", lang, "--timeout", "120s"];
            let mut shown = Shown(viewer.command(&file, &args).spawn().unwrap());
            let mut address = String::new();
            BufReader::new(shown.0.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
            assert!(address.starts_with("https://"), "{address}");
            let mut message = String::new();
            let mut errors = BufReader::new(shown.0.stderr.take().unwrap());
            if warned {
                while !message.contains(remedy) && errors.read_line(&mut message).unwrap() > 0 {}
                assert!(
                    message.contains(ended) && message.contains(&certificate) && message.contains(remedy),
                    "{message}"
                );
            }
            assert_eq!(shown.code_after_signal("-TERM"), Some(143));
            errors.read_to_string(&mut message).unwrap();
            assert_eq!(message.contains(remedy), warned, "{message}");
        }
    }
}

/// A history that is too long for one page is listed around the requested version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shown_version_of_a_long_history_is_listed() {
    let id = uuid::Uuid::from_u128(7).to_string();
    let mut rows = String::new();
    for version in 1..=450 {
        let row = json!({
            "position": version, "id": uuid::Uuid::from_u128(version), "aggregate_type": "stock", "aggregate_id": id,
            "version": version, "context": "inventory", "type": "StockReceived", "event_version": 1,
            "recorded_at": "2026-11-22T10:45:00.000001Z", "occurred_at": "2026-11-22T10:45:00Z",
            "has_note": false, "summary": { "sku": "MUG", "quantity": 1 },
        });
        rows.extend([row.to_string(), "\n".to_owned()]);
    }
    let first = json!({ "manifest": {
        "schema": 1, "format": "ndjson", "filter": {}, "order": "asc", "head": 450, "role": "support",
        "made_at": "2026-11-22T10:46:00Z",
    }});
    let viewer = Viewer::new();
    let file = viewer.folder.path().join("long.ndjson");
    std::fs::write(&file, made(first, &rows)).unwrap();
    let (mut child, address) = viewer.begin(&file, &[]);
    let client = Client::new(address.strip_suffix("/audit/timeline").unwrap(), "");
    for (query, listed, marked, earlier) in [
        ("", 30, 0, true),
        ("?v=225", 30, 1, true),
        ("?v=1", 26, 1, false),
        ("?v=450", 5, 1, true),
        ("?v=225&before=30", 29, 0, false),
    ] {
        let page = client.get(&format!("/audit/a/stock/{id}{query}")).await.expect(200).bytes;
        let page = String::from_utf8(page).unwrap();
        let found = (page.matches("data-position=").count(), page.matches("<li aria-current").count());
        assert_eq!((found, page.contains('▴')), ((listed, marked), earlier), "{query}");
        let at = page.find("<li aria-current").map(|at| page[..at].matches("data-position=").count());
        assert!(at.is_none_or(|above| above <= 4), "{query}: it stands near the top");
    }
    // The pages join: none skips or repeats a version.
    let (mut way, mut versions) = (format!("/audit/a/stock/{id}?v=1"), Vec::new());
    loop {
        let page = String::from_utf8(client.get(&way).await.expect(200).bytes).unwrap();
        let rows = page.split("data-position=\"").skip(1);
        versions.extend(rows.map(|row| row.split('"').next().unwrap().parse::<u32>().unwrap()));
        let Some(later) = page.split("<a href=\"").find(|link| link.contains('▾')) else { break };
        way = later.split('"').next().unwrap().replace("&amp;", "&");
    }
    assert_eq!(versions, (1..=450).collect::<Vec<_>>());
    assert_eq!(child.code_after_signal("-INT"), Some(130));
}
