//! The pages and endpoints of the audit trail with hostile input, and with callers of every role.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request};
use futures::{StreamExt as _, stream};
use soonshop_domain::Purpose;
use soonshop_domain::ids;
use soonshop_service_kit::access::{Permission, Role};
use tower::ServiceExt as _;
use url::form_urlencoded::{Serializer, byte_serialize};
use uuid::Uuid;

use crate::shop::*;

/// An endpoint: method, path, parameters, form fields, and the permission that it needs.
struct Way {
    method: Method,
    path: &'static str,
    query: &'static [&'static str],
    form: &'static [&'static str],
    needs: Permission,
}

const LOOKS: &[&str] = &["lang", "theme", "tz", "density"];
const SEARCH: &[&str] = &[
    "q",
    "type",
    "agg",
    "id",
    "actor",
    "chan",
    "correlation",
    "from",
    "to",
    "occurred_from",
    "occurred_to",
    "order",
    "sort",
    "before",
    "after",
    "failures",
];
const RECORD: &[&str] = &["actor", "action", "subject", "from", "to", "before", "sign_ins", "tz"];
const NOTE: &[&str] = &["version", "text", "tags", "shared"];
const TRAIL: &[&str] = &["v", "cmp", "before", "asof", "where"];

#[rustfmt::skip]
fn ways() -> Vec<Way> {
    use Permission::{Acknowledge, Audit, Export, RetryParked, Read, Reveal};
    let get = |path, query, needs| Way { method: Method::GET, path, query, form: &[], needs };
    let post = |path, query, form, needs| Way { method: Method::POST, path, query, form, needs };
    vec![
        get("/audit", LOOKS, Audit),
        get("/audit/timeline", SEARCH, Audit),
        get("/audit/timeline", &["limit", "group", "past", "at", "lang", "theme", "tz", "density"], Audit),
        get("/audit/e/{position}", &[], Audit),
        get("/audit/jump", &["id", "lang"], Audit),
        post("/audit/jump", &["lang"], &["id"], Audit),
        post("/audit/look-up", &[], &["value"], Audit),
        post("/audit/views", &[], &["title", "query", "until"], Audit),
        get("/audit/views", &["done", "lang"], Audit),
        get("/audit/views/{slug}", &[], Audit),
        post("/audit/views/{slug}/renames", &["lang"], &["title"], Audit),
        post("/audit/views/{slug}/deletions", &["lang"], &[], Audit),
        get("/audit/a/{type}/{id}", TRAIL, Audit),
        post("/audit/a/{type}/{id}", TRAIL, &["reason"], Reveal),
        post("/audit/a/{type}/{id}/notes", &["lang"], NOTE, Audit),
        get("/audit/c/{id}", LOOKS, Audit),
        get("/audit/c/{id}", &["view", "gap", "depth", "sel"], Audit),
        get("/audit/projections", &[], Audit),
        get("/audit/projections/{name}", &[], Audit),
        get("/audit/runs/{run}", &[], Audit),
        get("/audit/processes", &["process", "state", "limit", "after"], Audit),
        get("/audit/processes/{process}/{instance}", &["retry", "lang"], Audit),
        post("/audit/processes/{process}/{instance}/retries", &["lang"], &["reason"], RetryParked),
        get("/audit/parked", &["asked"], Audit),
        post("/audit/parked/retries", &[], &["generation", "position", "like", "reason"], RetryParked),
        get("/audit/integrity", &[], Audit),
        post("/audit/integrity", &[], &["of", "from", "upto"], Audit),
        post("/audit/integrity/acknowledgements", &["lang"], &["of", "from", "upto", "reason"], Acknowledge),
        get("/audit/operations", RECORD, Audit),
        get("/audit/operations", &["limit", "lang", "theme", "tz"], Audit),
        get("/audit/operations/{position}", &[], Audit),
        post("/audit/operations/look-up", &["lang"], &["value"], Audit),
        post("/audit/operations/{position}", &["lang"], &["reason"], Reveal),
        get("/audit/keys", &[], Audit),
        get("/audit/sign-in", &["to", "lang"], Read),
        post("/audit/sign-in", &["lang"], &["key", "email", "password", "to"], Read),
        post("/audit/second-factor", &["lang"], &["token", "code", "to"], Read),
        get("/audit/step-up", &["to", "lang"], Read),
        post("/audit/step-up", &["lang"], &["code", "to"], Read),
        get("/audit/factors", &["to", "lang"], Read),
        post("/audit/factors", &["lang"], &["password", "to"], Read),
        post("/audit/factors/proofs", &["lang"], &["factor", "code", "to"], Read),
        post("/audit/passkey-requests", &["lang"], &["token"], Read),
        post("/audit/factors/passkeys", &["lang"], &["name", "password", "to"], Read),
        post("/audit/factors/passkeys/proofs", &["lang"], &["factor", "code", "to"], Read),
        post("/audit/factors/removals", &["lang"], &["factor"], Read),
        post("/audit/recovery-codes", &["lang"], &[], Read),
        post("/audit/sign-out", &[], &[], Read),
        get("/audit/audit.css", &[], Read),
        get("/audit/audit.js", &[], Read),
        get("/audit/follow.js", &[], Read),
        get("/audit/tail.js", &[], Read),
        get("/audit/passkeys.js", &[], Read),
        get("/audit/icon.svg", &[], Read),
        get("/health/audit", &[], Read),
        get("/api/audit/timeline", SEARCH, Audit),
        get("/api/audit/a/{type}/{id}", TRAIL, Audit),
        post("/api/audit/a/{type}/{id}/reveals", TRAIL, &["reason"], Reveal),
        post("/api/audit/a/{type}/{id}/notes", &[], NOTE, Audit),
        get("/api/audit/c/{id}", &[], Audit),
        get("/api/audit/processes", &["process", "state", "limit", "after"], Audit),
        get("/api/audit/processes/{process}/{instance}", &[], Audit),
        get("/api/audit/export.csv", SEARCH, Export),
        get("/api/audit/export.ndjson", SEARCH, Export),
        get("/api/audit/operations", RECORD, Audit),
        get("/api/audit/operations/{position}", &[], Audit),
        post("/api/audit/operations/{position}/reveals", &[], &["reason"], Reveal),
        get("/api/audit/operations/export.csv", RECORD, Export),
        get("/api/audit/operations/export.ndjson", RECORD, Export),
        get("/api/audit/stream", &["q", "after", "html", "tz"], Audit),
        post("/api/audit/look-ups", &[], &["value"], Audit),
        get("/api/audit/integrity", &[], Audit),
        post("/api/audit/integrity/acknowledgements", &[], &["of", "from", "upto", "reason"], Acknowledge),
        get("/api/audit/views", &[], Audit),
        post("/api/audit/views/{slug}/renames", &[], &["title"], Audit),
        post("/api/audit/views/{slug}/deletions", &[], &[], Audit),
    ]
}

/// Hostile values, percent-encoded.
fn hostile() -> Vec<String> {
    let signs = [
        "",
        " ",
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' OR '1'='1",
        "\0",
        "a\0b",
        "\r\nX-Evil: 1\r\n\r\n<b>",
        "\u{7f}",
        "\u{202e}\u{2066}x",
        "%",
        "_",
        "\\",
        "..",
        "../../x",
        "//evil.example",
        "https://evil.example/audit",
        "/audit/\\evil.example",
        "-1",
        "0",
        "1",
        "+1",
        "1e9",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "0000-01-01",
        "9999-12-31T23:59:59.999999999Z",
        "2011-06-30T12:00:00-23:59",
        "created:0000-01-01..9999-12-31",
        "created:last:4294967295d",
        "amount:>99999999999999999999",
        "amount:-9223372036854775808..9223372036854775807",
        "amount:<=999999999999999.999KWD",
        "amount:>=-999999999999999JPY",
        "type:*",
        "-type:x agg:order \"",
        "Mars/Olympus",
        "=1+1",
        "/a=b",
        "😀",
        "a\u{301}",
        "00000000-0000-0000-0000-000000000000",
        "staff:\0",
        "reason:\u{7f}",
        "\"\u{7f}\"",
    ];
    let raw = ["%ff%fe", "%", "%zz", "%c0%80"].map(str::to_owned);
    let long = ["x".repeat(2_001), "%25".repeat(660), "😀".repeat(500), "x".repeat(60_000)];
    signs.iter().copied().map(encoded).chain(raw).chain(long.iter().map(|text| encoded(text))).collect()
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// Existing names to put into paths.
struct Known {
    user: Uuid,
    correlation: Uuid,
}

impl Known {
    async fn planted(shop: &Shop) -> Self {
        shop.store.keys().ensure(ids::OPERATOR, Purpose::Account).await.unwrap();
        let user = shop.user("Zebedee", "UK").await;
        shop.product("Mug", &["mug"], None).await;
        let form = [("title", "mugs"), ("query", "q=mug")];
        assert_eq!(shop.post_as(Some(Role::Ops), "/audit/views", &form).await.status, 303);
        // Notes need a notes key, as `soonshop key create` makes one.
        let notes = format!("/api/audit/a/user/{user}/notes");
        let tagged = shop.post_as(Some(Role::Admin), &notes, &[("version", "1"), ("tags", "x")]).await.ok();
        let writer = tagged["by"].as_str().unwrap().strip_prefix("staff:").unwrap().parse().unwrap();
        shop.store.keys().ensure(writer, Purpose::Account).await.unwrap();
        shop.see("/api/audit/timeline").await.ok();
        let process = shop.store.log().db().beside("process").unwrap();
        let planted = format!(
            "INSERT INTO @instances (process, instance, state, next) VALUES ('fulfilment', '{user}', \
             '{{\"phase\":\"new\",\"lines\":[]}}', 0)"
        );
        shop.sql(&process, &planted).await;
        Self { user, correlation: Uuid::from_u128(7) }
    }

    /// The path with its placeholders filled in, one of them with this value.
    fn path(&self, path: &str, place: Option<(&str, &str)>) -> String {
        let (user, correlation) = (self.user.to_string(), self.correlation.to_string());
        let id = if path.contains("/c/") { &correlation } else { &user };
        let places = [
            ("{type}", "user"),
            ("{id}", id),
            ("{position}", "1"),
            ("{slug}", "mugs"),
            ("{name}", "orders"),
            ("{run}", "1"),
            ("{process}", "fulfilment"),
            ("{instance}", &user),
        ];
        let place = place.into_iter().chain(places);
        place.fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
    }
}

fn places(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| part.starts_with('{')).collect()
}

/// A request to send.
struct Shot {
    what: String,
    request: Request<Body>,
}

fn shot(shop: &Shop, method: &Method, path: &str, form: String, headers: &[(&str, &[u8])]) -> Option<Shot> {
    let role = headers.iter().all(|(name, _)| *name != "cookie").then_some(Role::Admin);
    let mut request = Request::builder().method(method).uri(path);
    if let Some(key) = role.and_then(|role| shop.keys.get(&role)) {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    if *method == Method::POST && headers.iter().all(|(name, _)| *name != "content-type") {
        request = request.header("content-type", "application/x-www-form-urlencoded");
    }
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_bytes(value).ok()?);
    }
    let what: String = format!("{method} {path} {form} {headers:?}").chars().take(300).collect();
    // An invalid address is refused by the HTTP library already.
    Some(Shot { what, request: request.body(Body::from(form)).ok()? })
}

/// Sends it; returns the status, and what is wrong with the answer.
async fn fire(shop: &Shop, Shot { what, request }: Shot) -> (u16, Option<String>) {
    let reveals = request.method() == Method::POST && request.uri().path().contains("/a/user/");
    let answer = async {
        let response = shop.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let endless = parts.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let body = if endless { Body::empty() } else { body };
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Got { status: parts.status.as_u16(), headers: parts.headers, text }
    };
    match tokio::time::timeout(Duration::from_secs(30), answer).await {
        Err(_) => (0, Some(format!("{what}: it never ends"))),
        Ok(got) => {
            let wrong = wrong(&what, &got, reveals);
            (got.status, wrong.map(|wrong| format!("{what}: {} {wrong}\n{:.300}", got.status, got.text)))
        }
    }
}

/// Checks that hold for every answer, whatever was sent.
fn wrong(what: &str, got: &Got, reveals: bool) -> Option<&'static str> {
    let (health, waits) = (what.contains("/health/audit"), what.contains("event-position"));
    let to = got.headers.get("location").map(|to| to.to_str().unwrap_or_default());
    let page = got.header("content-type").starts_with("text/html");
    let one = |tag: &str| got.text.matches(tag).count() == 1;
    let problem =
        || serde_json::from_str::<serde_json::Value>(&got.text).unwrap_or_default()["type"].is_string();
    let holds = [
        ("is no clear answer", (200..500).contains(&got.status) || got.status == 503 && (health || waits)),
        ("has a header of the asker's", !got.headers.contains_key("x-evil")),
        ("leads nowhere", (got.status == 303) == to.is_some()),
        ("leads elsewhere", to.is_none_or(|to| to == "/audit" || to.starts_with("/audit/"))),
        (
            "has a sign of the asker's",
            !page || one("<script") && !got.text.contains("<img") && !got.text.contains("<b>"),
        ),
        ("has no policy", !page || got.header("content-security-policy").starts_with("default-src 'none'")),
        ("is no problem", page || health || got.status < 400 || problem()),
        ("says more than was asked", got.text.len() < 150_000 || !what.contains("xxxx")),
        ("tells of a person", reveals || !got.text.to_lowercase().contains("zebedee")),
    ];
    holds.into_iter().find(|(_, holds)| !holds).map(|(wrong, _)| wrong)
}

/// Sends all requests, several at a time; returns every status.
async fn fire_all(shop: &Shop, shots: Vec<Shot>) -> BTreeSet<u16> {
    let shots = stream::iter(shots).map(|shot| fire(shop, shot)).buffer_unordered(8);
    let (statuses, wrong): (BTreeSet<_>, Vec<_>) = shots.unzip().await;
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(
        wrong.is_empty(),
        "{} are wrong, among them\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n\n")
    );
    statuses
}

#[tokio::test]
async fn hostile_addresses_and_forms_are_refused_and_change_nothing() {
    let shop = Shop::open().await;
    let known = Known::planted(&shop).await;
    let mut shots = Vec::new();
    for Way { method, path, query, form, .. } in ways() {
        let there = known.path(path, None);
        let valid = |field: &str| match field {
            "title" => "views",
            "reason" | "text" => "ticket 4711",
            "generation" => "rm_orders_1",
            "position" | "from" | "version" => "1",
            _ => "",
        };
        let whole = |changed: Option<(&str, &str)>| {
            let pairs = form.iter().map(|field| {
                (
                    *field,
                    changed
                        .filter(|(name, _)| name == field)
                        .map_or_else(|| valid(field).to_owned(), |(_, value)| value.to_owned()),
                )
            });
            pairs
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join("&")
        };
        for value in hostile() {
            for place in places(path) {
                shots.extend(shot(
                    &shop,
                    &method,
                    &known.path(path, Some((place, &value))),
                    whole(None),
                    &[],
                ));
            }
            for name in query.iter().copied().chain(["secret"]) {
                shots.extend(shot(&shop, &method, &format!("{there}?{name}={value}"), whole(None), &[]));
            }
            shots.extend(shot(&shop, &method, &format!("{there}?{value}=1"), whole(None), &[]));
            for field in form {
                shots.extend(shot(&shop, &method, &there, whole(Some((field, &value))), &[]));
            }
        }
        for name in query {
            shots.extend(shot(&shop, &method, &format!("{there}?{name}=1&{name}=1"), whole(None), &[]));
        }
        for field in form {
            shots.extend(shot(&shop, &method, &there, format!("{field}=1&{field}=1"), &[]));
        }
        if method == Method::POST {
            let huge = format!("{}={}", form.first().unwrap_or(&"x"), "x".repeat(100_000));
            for body in [String::new(), "&&==".to_owned(), "%ff=%ff".to_owned(), huge] {
                shots.extend(shot(&shop, &method, &there, body, &[]));
            }
        }
    }
    let statuses = fire_all(&shop, shots).await;
    assert!([200, 303, 400, 404, 413].iter().all(|status| statuses.contains(status)), "{statuses:?}");
}

#[tokio::test]
async fn hostile_headers_are_refused_and_change_nothing() {
    let shop = Shop::open().await;
    let known = Known::planted(&shop).await;
    let values: [&[u8]; 14] = [
        b"",
        b"x",
        b"<script>alert(1)</script>",
        b"\xff\xfe",
        b"-1",
        b"9223372036854775807",
        b"9223372036854775808",
        b"https",
        b"https://evil.example",
        b"null",
        b"cross-site",
        b"zh\xff",
        b"soonshop_session=AAAA; soonshop_lang=<b>",
        b"soonshop_tz=<script>; soonshop_theme=\"><b>; soonshop_density=\"><i>; soonshop_lang=\xe4; =; ;;",
    ];
    let names = [
        "cookie",
        "last-event-id",
        "x-forwarded-proto",
        "origin",
        "sec-fetch-site",
        "accept-language",
        "event-position",
        "prefer",
        "if-none-match",
        "content-type",
        "host",
        "accept",
        "traceparent",
        "x-request-id",
    ];
    let mut shots = Vec::new();
    for Way { method, path, form, .. } in ways() {
        let there = known.path(path, None);
        let form: Vec<_> = form.iter().map(|field| format!("{field}=1")).collect();
        for name in names {
            for value in values {
                shots.extend(shot(&shop, &method, &there, form.join("&"), &[(name, value)]));
                shots.extend(shot(&shop, &method, &there, form.join("&"), &[(name, value), (name, b"1")]));
            }
        }
    }
    let statuses = fire_all(&shop, shots).await;
    assert!([200, 303, 400, 403, 415].iter().all(|status| statuses.contains(status)), "{statuses:?}");
}

#[tokio::test]
async fn every_endpoint_admits_only_the_roles_of_the_permission_table() {
    use Permission::RetryParked;
    let shop = Shop::open().await;
    let known = Known::planted(&shop).await;
    let described = serde_json::to_value(crate::openapi()).unwrap();
    let described: BTreeSet<&str> = described["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .filter(|path| path.contains("/audit"))
        .collect();
    let ours: BTreeSet<_> =
        ways().iter().map(|way| way.path).filter(|path| !path.starts_with("/audit")).collect();
    assert_eq!(ours, described, "a way in that is not in the table of this test");
    for Way { method, path, form, needs, .. } in ways() {
        let there = known.path(path, None);
        let form: Vec<_> =
            form.iter().map(|field| (*field, if *field == "reason" { "ticket 4711" } else { "1" })).collect();
        let form = Serializer::new(String::new()).extend_pairs(form).finish();
        for role in Role::ALL {
            let mut request = Request::builder().method(&method).uri(&there);
            if let Some(key) = shop.keys.get(&role) {
                request = request.header("authorization", format!("Bearer {key}"));
            }
            if method == Method::POST {
                request = request.header("content-type", "application/x-www-form-urlencoded");
            }
            let response =
                shop.router.clone().oneshot(request.body(Body::from(form.clone())).unwrap()).await.unwrap();
            let (status, to) = (response.status().as_u16(), response.headers().get("location"));
            let to_the_door = to.is_some_and(|to| to.to_str().unwrap().starts_with("/audit/sign-in?to="));
            let what = format!("{role} {method} {there}: {status}");
            if role.may(needs) {
                // The view is of ops: others who may save views do not change it.
                let of_another = path.contains("/views/{slug}/") && !role.may(RetryParked);
                assert!((status != 403 || of_another) && !to_the_door, "{what}");
                continue;
            }
            let leads = there.starts_with("/audit") && role == Role::Guest;
            let text = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let text = String::from_utf8(text.to_vec()).unwrap();
            // What somebody typed is given back, with a way to the door beside it.
            let given_back = leads && text.contains("<form class=\"column again\"");
            assert!(!given_back || text.contains("href=\"/audit/sign-in\""), "{what}: {text}");
            let expected = if leads && !given_back { (303, true) } else { (403, false) };
            assert_eq!((status, to_the_door), expected, "{what}");
            assert!(!given_back || method == Method::POST, "{what}");
            assert!(!text.contains("Mug"), "{what}");
        }
    }
}
