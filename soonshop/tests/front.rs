//! A process that runs: its page at `/`, the documents that it leads to, and read models of another release; and on
//! every path, under which names it answers, to whose pages, and with which headers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "front/accounts.rs"]
mod accounts;
#[path = "../../identity/tests/fixture/authenticator.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod authenticator;
#[path = "front/carts.rs"]
mod carts;
#[path = "front/claims.rs"]
mod claims;
#[path = "fixture/config.rs"]
mod config;
#[path = "front/consenting.rs"]
mod consenting;
#[path = "front/factors.rs"]
mod factors;
#[path = "front/granted.rs"]
mod granted;
#[path = "front/guessing.rs"]
mod guessing;
#[path = "front/guests.rs"]
mod guests;
#[path = "front/mailed.rs"]
mod mailed;
#[path = "front/oauth.rs"]
mod oauth;
#[path = "front/own_data.rs"]
mod own_data;
#[path = "front/pages.rs"]
mod pages;
#[path = "front/passkeys.rs"]
mod passkeys;

use std::time::Duration;

use reqwest::Method;
use sea_orm::ConnectionTrait as _;
use serde_json::Value;
use soonshop::serve::{Options, Running, openapi_file, start};
use soonshop::{Config, ConnectionSettings, Role, Shop, contexts, migrate, seed, settle};

use crate::config::config;

/// The names of the contexts that a process says it serves.
fn names(front: &Value) -> Vec<&str> {
    front["contexts"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_at_the_root_says_what_the_process_is_and_every_link_works() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open(&config(folder.path()), Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    // All of it, and then a process that serves one context only.
    for (list, served) in [
        (
            None,
            &[
                "user",
                "product",
                "inventory",
                "order",
                "payment",
                "analytics",
                "identity",
                "audit",
                "cart",
                "checkout",
            ][..],
        ),
        (Some("order"), &["order"]),
    ] {
        let listen = "127.0.0.1:0".parse().unwrap();
        let options = Options { role: Role::All, contexts: contexts(list).unwrap(), listen };
        let running = start(shop.clone(), options, Vec::new()).await.unwrap();
        let origin = format!("http://{}", running.address);
        let front: Value = client.get(format!("{origin}/")).send().await.unwrap().json().await.unwrap();
        assert_eq!((&front["role"], &front["ready"]), (&"all".into(), &true.into()), "{front}");
        assert_eq!(names(&front), served);
        let page =
            client.get(format!("{origin}/?lang=en")).header("accept", "text/html").send().await.unwrap();
        assert_eq!(page.status(), 200);
        let page = page.text().await.unwrap();
        assert!(page.contains("This process does everything."), "{page}");
        let ways = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        let ways: Vec<_> = ways.filter(|way| way.starts_with('/')).collect();
        let trail = served.contains(&"audit");
        assert_eq!(ways.iter().any(|way| way.starts_with("/audit?")), trail, "{ways:?}");
        for way in ways {
            let way = way.replace("&amp;", "&");
            let status = client.get(format!("{origin}{way}")).send().await.unwrap().status();
            // Nobody keeps the read models of this shop, which /health/audit says.
            assert!(status == 200 || way == "/health/audit" && status == 503, "{way}: {status}");
        }
        // Files that are the same for everybody are compressed once, and not sent again to those who have them.
        for file in [
            "/docs/swagger-ui-bundle.js",
            "/docs/",
            "/openapi.json",
            "/audit/audit.css",
            "/documentation/api",
        ] {
            let get = || client.get(format!("{origin}{file}")).header("accept-encoding", "gzip");
            let got = get().send().await.unwrap();
            let header = |name: &str| got.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let (coding, tag) = (header("content-encoding"), header("etag").unwrap());
            let bytes = got.bytes().await.unwrap();
            assert!(coding.as_deref() == Some("gzip") || bytes.len() < 1024, "{file}: {coding:?}");
            let again = get().header("if-none-match", tag).send().await.unwrap();
            assert_eq!((again.status().as_u16(), again.bytes().await.unwrap().len()), (304, 0), "{file}");
        }
        for (name, status) in [("readme.zh-CN", 200), ("nothing", 404), ("..%2FCargo.toml", 404)] {
            let got = client.get(format!("{origin}/documentation/{name}")).send().await.unwrap();
            assert_eq!(got.status(), status, "{name}");
        }
        running.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_models_of_another_release_are_made_anew_where_that_is_asked_for() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open(&config(folder.path()), Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let store = shop.event_store().unwrap();
    seed::seed(&store).await.unwrap();
    store.close().await;
    assert_eq!(migrate::renew_read_models(&shop).await.unwrap(), [""; 0], "those of this release stay");
    let registry = shop.registry().unwrap();
    let sql = registry.operations().sql("UPDATE @generations SET version = 0 WHERE projection = 'products'");
    registry.operations().connection.execute_unprepared(&sql).await.unwrap();
    migrate::migrate(&shop).await.unwrap();

    assert_eq!(migrate::renew_read_models(&shop).await.unwrap(), ["products"]);
    assert_eq!(migrate::renew_read_models(&shop).await.unwrap(), [""; 0], "and only once");
    let options = Options {
        role: Role::All,
        contexts: contexts(None).unwrap(),
        listen: "127.0.0.1:0".parse().unwrap(),
    };
    let running = start(shop.clone(), options, soonshop_projections::all()).await.unwrap();
    settle::settle(&shop, Duration::from_secs(30)).await.unwrap();
    let listed = reqwest::get(format!("http://{}/products", running.address)).await.unwrap();
    let listed: Value = listed.json().await.unwrap();
    assert!(listed["items"].as_array().is_some_and(|items| !items.is_empty()), "{listed}");
    running.stop().await.unwrap();
}

/// A process with every endpoint, under the names that these settings give it.
async fn running_with(settings: ConnectionSettings) -> (tempfile::TempDir, Running) {
    running_behind(settings, &[]).await
}

/// The same, with proxies that are trusted.
async fn running_behind(settings: ConnectionSettings, proxies: &[&str]) -> (tempfile::TempDir, Running) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config { connections: settings, ..config(folder.path()) };
    config.rates.behind_proxies = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
    let shop = Shop::open(&config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let options = Options { role: Role::All, contexts: contexts(None).unwrap(), listen };
    let running = start(shop, options, Vec::new()).await.unwrap();
    (folder, running)
}

/// Every path with every method of the description, pages and files that it does not describe, and paths that are not
/// there. Parameters are filled in with what is no id.
fn asked() -> Vec<(Method, String)> {
    let described: Value = serde_json::from_str(&openapi_file().unwrap()).unwrap();
    let mut asked = Vec::new();
    for (path, methods) in described["paths"].as_object().unwrap() {
        let parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
        let path = parts.collect::<Vec<_>>().join("/");
        for method in methods.as_object().unwrap().keys() {
            asked.push((method.to_uppercase().parse().unwrap(), path.clone()));
        }
    }
    for path in [
        "/",
        "/health/live",
        "/health/ready",
        "/health/audit",
        "/metrics",
        "/docs",
        "/docs/",
        "/docs/swagger-ui-bundle.js",
        "/docs/nothing",
        "/openapi.json",
        "/audit",
        "/audit/timeline",
        "/audit/sign-in",
        "/audit/audit.css",
        "/audit/audit.js",
        "/documentation/readme",
        "/documentation/%ff",
        "/problems/not-found",
        "/nowhere",
    ] {
        asked.extend([Method::GET, Method::HEAD, Method::DELETE].map(|method| (method, path.to_owned())));
    }
    assert!(asked.len() > 80, "{asked:?}");
    asked
}

fn client() -> reqwest::Client {
    let none = reqwest::redirect::Policy::none();
    reqwest::Client::builder().timeout(Duration::from_secs(30)).redirect(none).no_proxy().build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_is_answered_under_the_configured_host_names_and_no_other() {
    let host = vec!["shop.example".to_owned(), "127.0.0.1".to_owned()];
    let front = ConnectionSettings { host, ..ConnectionSettings::default() };
    let (_folder, running) = running_with(front).await;
    let client = client();
    let status = async |method: &Method, path: &str, host: &str| {
        let url = format!("http://{}{path}", running.address);
        let answer = client.request(method.clone(), url).header("host", host).send().await.unwrap();
        answer.status().as_u16()
    };
    for (method, path) in asked() {
        for other in ["evil.example", "localhost", "shop.example.evil.example:80", "[::1]"] {
            assert_eq!(status(&method, &path, other).await, 421, "{method} {path} as {other}");
        }
        for name in ["shop.example", "SHOP.EXAMPLE.:8000", "127.0.0.1"] {
            assert_ne!(status(&method, &path, name).await, 421, "{method} {path} as {name}");
        }
    }
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_the_security_headers_and_every_refusal_is_a_problem_or_a_page() {
    let (_folder, running) = running_behind(ConnectionSettings::default(), &["127.0.0.1"]).await;
    let client = client();
    for (method, path) in asked() {
        for proto in ["http", "https"] {
            let url = format!("http://{}{path}", running.address);
            let answer =
                client.request(method.clone(), url).header("x-forwarded-proto", proto).send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let field = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
            let what = format!("{method} {path}: {status}");
            assert_eq!(field("x-content-type-options"), "nosniff", "{what}");
            assert_eq!(field("x-frame-options"), "DENY", "{what}");
            assert_eq!(field("cross-origin-opener-policy"), "same-origin", "{what}");
            assert_eq!(field("cross-origin-resource-policy"), "same-origin", "{what}");
            assert!(["no-referrer", "same-origin"].contains(&field("referrer-policy")), "{what}");
            let policy = field("content-security-policy");
            assert!(policy.starts_with("default-src 'none'"), "{what}: {policy}");
            assert!(policy.contains("frame-ancestors 'none'"), "{what}: {policy}");
            assert!(
                !policy.contains("unsafe-eval") && !policy.contains("script-src 'unsafe"),
                "{what}: {policy}"
            );
            assert_eq!(headers.contains_key("strict-transport-security"), proto == "https", "{what}");
            assert!(headers.contains_key("x-request-id"), "{what}");
            assert!(!headers.contains_key("access-control-allow-origin"), "{what}");
            let kind = field("content-type");
            // Readiness and the health of the audit trail are reports, also when something is wrong.
            let report = status == 503 && path.starts_with("/health/") && kind == "application/json";
            // Clients of OAuth get its errors.
            let of_oauth = path.starts_with("/oauth/") && kind == "application/json";
            let message =
                kind == "application/problem+json" || kind.starts_with("text/html") || report || of_oauth;
            assert!(status < 400 || message, "{what}: {kind}");
        }
    }
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_an_origin_that_is_named_may_use_every_path_and_others_none() {
    let origin = "https://shop.example";
    let named = ConnectionSettings { cors_origin: vec![origin.to_owned()], ..ConnectionSettings::default() };
    let (_folder, running) = running_with(named).await;
    let client = client();
    for (method, path) in asked() {
        for (from, expected) in [(origin, Some(origin)), ("https://evil.example", None), ("null", None)] {
            let url = format!("http://{}{path}", running.address);
            let preflight = client.request(Method::OPTIONS, &url);
            let preflight = preflight.header("access-control-request-method", method.as_str());
            for request in [preflight, client.request(method.clone(), &url)] {
                let answer = request.header("origin", from).send().await.unwrap();
                let headers = answer.headers();
                let allowed = headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap());
                assert_eq!(allowed, expected, "{method} {path} from {from}");
                assert!(!headers.contains_key("access-control-allow-credentials"), "{method} {path}");
            }
        }
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn certificates_for_servers_are_watched_like_the_one_of_the_process() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let folder = tempfile::tempdir().unwrap();
    let data = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tls"));
    let put = |from: &str, to: &str| {
        let file = folder.path().join(to);
        std::fs::copy(data.join(from), &file).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        file
    };
    let (certificate, key) = (put("valid.pem", "own.pem"), put("server.key", "own.key"));
    let (client, client_key) = (put("client.pem", "client.pem"), put("client.key", "client.key"));
    let mut config = config(folder.path());
    let found = async |config: &Config| {
        let shop = Shop::open(config, Role::All).unwrap();
        let checks = soonshop::checks::of(&shop, Role::All, None, None).unwrap();
        checks.examine().await.into_iter().find(|one| one.name == "certificate")
    };
    assert!(found(&config).await.is_none());
    // Nothing listens there.
    config.cache = format!("rediss://127.0.0.1:9?cert={}&key={}", client.display(), client_key.display());
    assert!(found(&config).await.unwrap().ok);
    put("client-expired.pem", "client.pem");
    let ended = found(&config).await.unwrap();
    assert_eq!((ended.ok, ended.remedy), (false, Some("own-certificate")));
    let reason = ended.reason.unwrap();
    assert!(reason.contains("client.pem for servers ended on 2020-12-31T23:59:59Z"), "{reason}");
    (config.connections.tls_cert, config.connections.tls_key) = (Some(certificate), Some(key));
    put("client.pem", "client.pem");
    let both = found(&config).await.unwrap();
    let object = both.object.unwrap();
    assert!(both.ok && object.contains("own.pem, ") && object.ends_with("client.pem"), "{object}");
}
