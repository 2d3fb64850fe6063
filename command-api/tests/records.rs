//! Commands that an earlier release did and recorded: sent again, they are answered byte for byte as they were then.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "what the tests of the store ask of it")]
#[path = "../../event-store/tests/store/fixture.rs"]
mod fixture;

use axum::body::Body;
use axum::http::Request;
use soonshop_command_api::{Commands, router};
use soonshop_domain::ids;
use soonshop_event_store::EventStore;
use soonshop_service_kit::serve::stack;
use tower::ServiceExt as _;
use uuid::Uuid;

use fixture::{Fixture, on_both};

on_both! {
    a_record_of_an_earlier_release_is_answered_byte_for_byte,
    a_record_of_an_earlier_release_answers_no_other_command,
    a_new_record_is_stored_with_the_columns_of_earlier_releases,
}

/// A request, as it was sent the first time.
struct Sent {
    method: &'static str,
    path: String,
    if_match: &'static str,
    body: &'static str,
    key: String,
    /// As the operator; otherwise as a guest.
    operator: bool,
}

const TOKEN: &str = "a-token-of-the-operator";

impl Sent {
    fn new(method: &'static str, path: impl Into<String>, body: &'static str) -> Self {
        let if_match = if method == "POST" { "" } else { "\"3\"" };
        Self { method, path: path.into(), if_match, body, key: Uuid::new_v4().to_string(), operator: false }
    }

    fn caller(&self) -> &'static str {
        if self.operator { "service:operator" } else { "guest:anonymous" }
    }

    /// As the releases before 0.2 made it: of the path as it was sent.
    fn command_id(&self) -> Uuid {
        ids::derived(ids::COMMANDS, &[self.caller(), self.method, &self.path, &self.key])
    }

    /// As the releases before 0.2 made it: over the JSON without the white space around it.
    async fn fingerprint(&self, store: &EventStore) -> String {
        let body = self.body.trim();
        let over = [self.caller(), self.method, &self.path, self.if_match, body].map(str::as_bytes);
        let bytes = store.keys().fingerprint(&over).await.unwrap();
        bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    /// Its whole answer, as text.
    async fn answer(&self, store: &EventStore) -> String {
        let mut request = Request::builder().method(self.method).uri(&self.path);
        request = request.header("idempotency-key", &self.key);
        if !self.if_match.is_empty() {
            request = request.header("if-match", self.if_match);
        }
        if !self.body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        if self.operator {
            request = request.header("authorization", format!("Bearer {TOKEN}"));
        }
        let token = self.operator.then(|| std::sync::Arc::from(TOKEN));
        let router = stack(router(Commands::new(store.clone(), token)));
        let response = router.oneshot(request.body(Body::from(self.body)).unwrap()).await.unwrap();
        let mut text = response.status().to_string();
        for name in ["location", "etag", "event-position", "content-type"] {
            if let Some(value) = response.headers().get(name) {
                text = format!("{text}\n{name}: {}", value.to_str().unwrap());
            }
        }
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        format!("{text}\n\n{}", std::str::from_utf8(&body).unwrap())
    }
}

const ID: &str = "0199aabb-0000-7000-8000-000000000007";

async fn a_record_of_an_earlier_release_is_answered_byte_for_byte(shop: Fixture) {
    let store = shop.store();
    let mut users = Sent::new("POST", "/users", " { \"name\": \"Ada\" }\r\n");
    users.operator = true;
    let new_user = ids::stream_of(users.command_id());
    // Its quotes were part of the key then: the new stream is the one that was made with them.
    let mut quoted = Sent::new("POST", "/users", "{\"name\":\"Bob\"}");
    quoted.operator = true;
    quoted.key = format!("\"{}\"", quoted.key);
    let quoted_user = ids::stream_of(quoted.command_id());
    let product = format!("/products/{ID}");
    let stock =
        soonshop_domain::inventory::stream(&soonshop_domain::text::Sku::try_new("mug").unwrap(), "main");
    let json = "content-type: application/json";
    let cases = [
        (
            users,
            format!("201, '/users/{new_user}', 1, 7, 7"),
            format!(
                "201 Created\nlocation: /users/{new_user}\netag: \"1\"\nevent-position: main:7\n{json}\n\n\
                 {{\"id\":\"{new_user}\",\"version\":1,\"position\":7}}"
            ),
        ),
        (
            quoted,
            format!("201, '/users/{quoted_user}', 1, 8, 8"),
            format!(
                "201 Created\nlocation: /users/{quoted_user}\netag: \"1\"\nevent-position: main:8\n{json}\n\n\
                 {{\"id\":\"{quoted_user}\",\"version\":1,\"position\":8}}"
            ),
        ),
        (
            Sent::new("PUT", &product, "{\"name\":\"Mug\"}"),
            "200, NULL, 4, 9, 9".to_owned(),
            format!(
                "200 OK\netag: \"4\"\nevent-position: main:9\n{json}\n\n\
                 {{\"id\":\"{ID}\",\"version\":4,\"position\":9}}"
            ),
        ),
        (
            Sent::new("POST", "/inventory/mug/receipts", "{\"quantity\":1}"),
            "200, NULL, 5, 10, 11".to_owned(),
            format!(
                "200 OK\netag: \"5\"\nevent-position: main:11\n{json}\n\n\
                 {{\"id\":\"{stock}\",\"version\":5,\"position\":11}}"
            ),
        ),
        (
            Sent::new("DELETE", &product, ""),
            "204, NULL, 4, 12, 13".to_owned(),
            "204 No Content\netag: \"4\"\nevent-position: main:13\n\n".to_owned(),
        ),
    ];
    for (sent, columns, expected) in cases {
        let (command, hex) = (sent.command_id(), sent.fingerprint(&store).await);
        let (fingerprint, now) = if shop.is_sqlite() {
            (format!("'{hex}'"), "1700000000000000")
        } else {
            (format!("decode('{hex}', 'hex')"), "now()")
        };
        // The columns as the releases before outcome kinds filled them.
        let sql = format!(
            "INSERT INTO @commands (command_id, fingerprint, status, location, version, first_position, last_position, \
             recorded_at) VALUES ('{command}', {fingerprint}, {columns}, {now})"
        );
        assert_eq!(shop.run("log", &sql).await, 1);
        assert_eq!(sent.answer(&store).await, expected, "{} {}", sent.method, sent.path);
        // White space around the body does not make it another request; another body does.
        if !sent.body.is_empty() {
            let spaced = Sent { body: "\n{\"other\":1}", ..sent };
            assert!(spaced.answer(&store).await.starts_with("422"), "the shape is wrong");
        }
    }
    assert!(shop.events().await.is_empty(), "nothing was done again");
}

/// Such a record is found under its own path and under that path in its normal form; its bytes are all that is known of
/// what it meant.
async fn a_record_of_an_earlier_release_answers_no_other_command(shop: Fixture) {
    let store = shop.store();
    let product = Sent::new("POST", "/products", "{\"name\":\"Mug\",\"variants\":[{\"sku\":\"MUG\"}]}");
    assert!(product.answer(&store).await.starts_with("201"));
    let first = Sent::new("POST", "/inventory/MUG/receipts", "{\"quantity\":1}");
    let (command, hex) = (first.command_id(), first.fingerprint(&store).await);
    let (fingerprint, now) = if shop.is_sqlite() {
        (format!("'{hex}'"), "1700000000000000")
    } else {
        (format!("decode('{hex}', 'hex')"), "now()")
    };
    let sql = format!(
        "INSERT INTO @commands (command_id, fingerprint, status, version, first_position, last_position, recorded_at) \
         VALUES ('{command}', {fingerprint}, 200, 5, 10, 11, {now})"
    );
    assert_eq!(shop.run("log", &sql).await, 1);
    let again = async |path: &str, body: &'static str| {
        Sent { path: path.to_owned(), body, key: first.key.clone(), ..Sent::new("POST", "", "") }
            .answer(&store)
            .await
    };
    for same in ["/inventory/MUG/receipts", "/inventory/mug/receipts", "/inventory/%4DUG/receipts"] {
        assert!(again(same, "{\"quantity\":1}").await.starts_with("200 OK\netag: \"5\""), "{same}");
    }
    for (path, body) in
        [("/inventory/MUG/receipts", "{\"quantity\":2}"), ("/inventory/mug/receipts", "{\"quantity\":2}")]
    {
        let got = again(path, body).await;
        assert!(got.starts_with("422") && got.contains("idempotency-key-reused"), "{path} {body}: {got}");
    }
    assert_eq!(shop.events().await.len(), 1, "the product, and no stock");
}

async fn a_new_record_is_stored_with_the_columns_of_earlier_releases(shop: Fixture) {
    let store = shop.store();
    let body = "{\"name\":\"Mug\",\"variants\":[{\"sku\":\"mug\"}]}";
    let created = Sent::new("POST", "/products", body);
    let id = ids::stream_of(created.command_id());
    let path = format!("/products/{id}");
    let changed = Sent { if_match: "\"1\"", ..Sent::new("PUT", &path, " {\"name\":\"Cup\"} ") };
    let removed = Sent { if_match: "\"2\"", ..Sent::new("DELETE", &path, "") };
    // Golden: what the ids and fingerprints of records are made of.
    for (sent, columns, route, target, meaning) in [
        (
            created,
            format!("201 /products/{id} 1 1 1 -"),
            "/products",
            None,
            "{\"attributes\":{},\"description\":\"\",\"name\":\"Mug\",\"variants\":[{\"sku\":\"MUG\"}]}",
        ),
        (
            changed,
            "200 - 2 2 2 -".to_owned(),
            "/products/{id}",
            Some(id.to_string()),
            "{\"attributes\":{},\"description\":\"\",\"name\":\"Cup\"}",
        ),
        (removed, "204 - 3 3 3 -".to_owned(), "/products/{id}", Some(id.to_string()), ""),
    ] {
        let first = sent.answer(&store).await;
        assert!(first.starts_with('2'), "{first}");
        let command = ids::derived(ids::COMMANDS, &["guest:anonymous", sent.method, route, &sent.key]);
        let sql = format!(
            "SELECT CAST(status AS TEXT) || ' ' || coalesce(location, '-') || ' ' || CAST(version AS TEXT) || ' ' || \
             CAST(first_position AS TEXT) || ' ' || CAST(last_position AS TEXT) || ' ' || coalesce(detail, '-') \
             FROM @commands WHERE command_id = '{command}'"
        );
        assert_eq!(shop.text("log", &sql).await, columns);
        let mut over = vec!["2", "guest:anonymous", sent.method, route];
        over.extend(target.as_deref());
        over.extend([sent.if_match, meaning]);
        let over: Vec<_> = over.into_iter().map(str::as_bytes).collect();
        let bytes = store.keys().fingerprint(&over).await.unwrap();
        let expected = bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let fingerprint = if shop.is_sqlite() { "fingerprint" } else { "encode(fingerprint, 'hex')" };
        let sql = format!("SELECT {fingerprint} FROM @commands WHERE command_id = '{command}'");
        assert_eq!(shop.text("log", &sql).await, expected);
        assert_eq!(sent.answer(&store).await, first, "and answered alike");
    }
}
