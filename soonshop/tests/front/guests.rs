//! Guests: the token that comes with their first command, what it opens, and that it opens nothing else.

use std::path::Path;
use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop::Role;
use soonshop::serve::openapi;
use soonshop_domain::Metadata;
use uuid::Uuid;

use crate::accounts::{Served, refused};

/// A guest: the token, and the order that they began with.
pub(crate) struct Guest {
    pub(crate) token: String,
    pub(crate) order: String,
    /// The `Idempotency-Key` of that order.
    key: String,
}

pub(crate) fn new_key() -> String {
    Uuid::new_v4().to_string()
}

/// An order with a name and an address to write to.
pub(crate) fn order(name: &str, email: &str) -> Value {
    json!({
        "lines": [{ "sku": "MUG", "quantity": 1 }],
        "country": "United Kingdom",
        "contact": { "name": name, "email": email },
    })
}

/// As a proxy passes a request on: others reach the shop, and guests without a token are not told apart.
pub(crate) fn passed_on(request: RequestBuilder) -> RequestBuilder {
    request.header("via", "1.1 proxy")
}

impl Served {
    /// Something that can be bought.
    pub(crate) async fn sell_mugs(&self) {
        let token = self.shop.operator_token().unwrap();
        let price = json!({ "amount": 500, "currency": "GBP" });
        let product = json!({ "name": "Mug", "variants": [{ "sku": "MUG", "price": price }] });
        let made = self.client.post(self.url("/products")).bearer_auth(token).json(&product);
        assert_eq!(made.send().await.unwrap().status(), 201);
        let token = self.shop.operator_token().unwrap();
        let units = json!({ "quantity": 1_000 });
        let received = self.change("POST", "/inventory/MUG/receipts", &token, &units).await;
        assert_eq!(received.status(), 200);
    }

    /// Waits until the order of a guest is confirmed: from then on nothing happens to it by itself.
    async fn confirmed(&self, guest: &Guest) {
        let path = format!("/orders/{}", guest.order);
        let confirmed =
            async { while self.see(&path, Some(&guest.token)).await.1["status"] != "confirmed" {} };
        tokio::time::timeout(Duration::from_mins(2), confirmed).await.unwrap();
    }

    pub(crate) async fn buy(&self, token: Option<&str>, key: &str, order: &Value) -> Response {
        let request = passed_on(self.client.post(self.url("/orders"))).header("idempotency-key", key);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.json(order).send().await.unwrap()
    }

    pub(crate) async fn new_guest(&self, name: &str, email: &str) -> Guest {
        let key = new_key();
        let got = self.buy(None, &key, &order(name, email)).await;
        assert_eq!(got.status(), 201);
        let (token, order) = token_and_order(got).await;
        Guest { token: token.unwrap(), order, key }
    }

    /// Sends a change with a token, as a proxy passes it on.
    pub(crate) async fn change(&self, method: &str, path: &str, token: &str, body: &Value) -> Response {
        let request = passed_on(self.request(method, path)).bearer_auth(token);
        let request = request.header("idempotency-key", new_key());
        let replaces = ["PUT", "DELETE"].contains(&method);
        let request = if replaces { request.header("if-match", "*") } else { request };
        request.json(body).send().await.unwrap()
    }

    /// Reads with a token, once the read model has seen what was written so far.
    pub(crate) async fn see(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        let head = self.shop.log().unwrap().head().await.unwrap().position;
        let request = passed_on(self.client.get(self.url(path)));
        let request = request.header("event-position", format!("main:{head}")).header("prefer", "wait=60");
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let got = request.send().await.unwrap();
        (got.status().as_u16(), got.json().await.unwrap_or_default())
    }

    /// Runs a statement on the tables of accounts.
    pub(crate) async fn on_accounts(&self, sql: &str) {
        let db = self.shop.store_database.namespace("identity").unwrap();
        db.connection.execute(db.statement(sql, [])).await.unwrap();
    }
}

/// The token that comes with an answer, and the id of the order.
async fn token_and_order(got: Response) -> (Option<String>, String) {
    let token = got.headers().get("guest-token").map(|value| value.to_str().unwrap().to_owned());
    let body: Value = got.json().await.unwrap();
    (token, body["id"].as_str().unwrap().to_owned())
}

const CANCEL: fn() -> Value = || json!({ "reason": "changed-mind" });

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_the_token_of_a_guest_opens_what_the_guest_began_and_nothing_else() {
    let (shop, _) = Served::with(&["customer"]).await;
    shop.sell_mugs().await;
    let (ada, ben) =
        (shop.new_guest("Ada", "ada@example.org").await, shop.new_guest("Ben", "b@example.org").await);
    assert!(ada.token.starts_with("ssg_") && ada.token != ben.token);
    // The event says which guest it was.
    let log = shop.shop.log().unwrap();
    let first = &log.stream("order", &ada.order, 0, 1).await.unwrap()[0];
    let metadata: Metadata = serde_json::from_str(&first.metadata).unwrap();
    let (status, own) = shop.see(&format!("/orders/{}", ada.order), Some(&ada.token)).await;
    assert_eq!((status, &own["contact"]["name"]), (200, &json!("Ada")));
    let guest = own["customer"]["guest"].as_str().unwrap();
    assert_eq!(metadata.actor().unwrap().to_string(), format!("guest:{guest}"));
    // A second order is theirs as well, and comes with no second token.
    let got = shop.buy(Some(&ada.token), &new_key(), &order("Ada", "ada@example.org")).await;
    let (token, second) = token_and_order(got).await;
    assert_eq!(token, None);
    let (_, listed) = shop.see("/orders", Some(&ada.token)).await;
    let listed: Vec<_> = listed["items"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(listed, [json!(second), json!(ada.order)]);
    // Nobody else sees or changes it, with another token or with none.
    for (token, status) in [(Some(&*ben.token), 404), (None, 404)] {
        assert_eq!(shop.see(&format!("/orders/{}", ada.order), token).await.0, status);
    }
    assert_eq!(shop.see("/orders", None).await.1["items"], json!([]));
    let cancel = format!("/orders/{}/cancellation", ada.order);
    assert_eq!(
        refused(shop.change("POST", &cancel, &ben.token, &CANCEL()).await).await,
        (404, "not-found".into())
    );
    let nobody = passed_on(shop.request("POST", &cancel)).header("idempotency-key", new_key());
    assert_eq!(refused(nobody.json(&CANCEL()).send().await.unwrap()).await, (403, "not-yours".into()));
    assert_eq!(shop.change("POST", &cancel, &ada.token, &CANCEL()).await.status(), 200);
    // It is no key: not for staff, not for trade, and not for what accounts do.
    for (method, path, status) in [
        ("GET", "/api/audit/timeline", 403),
        ("POST", "/products", 403),
        ("POST", "/users", 403),
        ("GET", "/auth/sessions", 401),
        ("POST", "/auth/logout", 401),
    ] {
        let got = shop
            .change(method, path, &ada.token, &json!({ "name": "Cup", "variants": [{ "sku": "C" }] }))
            .await;
        assert_eq!(got.status(), status, "{method} {path}");
    }
    for (path, body) in [
        ("/auth/refresh", json!({ "refresh_token": ada.token })),
        ("/auth/register/confirm", json!({ "link": ada.token, "password": "seven green turtles" })),
    ] {
        assert!(shop.post(path, &body).await.status().is_client_error(), "{path}");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_what_is_no_token_of_a_guest_is_refused_and_so_is_one_that_was_not_used_for_90_days() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    shop.sell_mugs().await;
    let ada = shop.new_guest("Ada", "ada@example.org").await;
    let path = format!("/orders/{}", ada.order);
    let (_, refresh) = shop.sign_in(&accounts[0]).await;
    let (head, tail) = ada.token.split_at(10);
    for bad in [
        "ssg_".to_owned(),
        format!("ssg_{}", "A".repeat(70)),
        format!("{}x", ada.token),
        format!("{head}{}", tail.chars().rev().collect::<String>()),
        ada.token.to_uppercase(),
        format!("ssg_{}", Uuid::new_v4()),
        refresh,
        format!("ssl_{}", &ada.token[4..]),
    ] {
        for got in [
            shop.with_token("GET", &path, &bad).await,
            shop.change("POST", "/orders", &bad, &order("A", "a@x.org")).await,
        ] {
            assert_eq!(refused(got).await, (401, "bad-token".to_owned()), "{bad}");
        }
    }
    // As large as a header can be, and larger.
    for (size, statuses) in [(30_000, &[401, 431][..]), (10 << 20, &[431][..])] {
        let sent =
            shop.client.get(shop.url(&path)).bearer_auth(format!("ssg_{}", "A".repeat(size))).send().await;
        // The server may close the connection while the rest is still sent.
        if let Ok(got) = sent {
            assert!(statuses.contains(&got.status().as_u16()), "{size}: {}", got.status());
        }
    }
    let days = |days: i64| format!("UPDATE @guests SET used_at = used_at - {}", days * 24 * 60 * 60 * 1000);
    let lives = async || {
        // What was read before counts for two seconds.
        tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                let status = shop.with_token("GET", &path, &ada.token).await.status();
                if status == StatusCode::UNAUTHORIZED {
                    return;
                }
            }
        })
        .await
        .is_err()
    };
    shop.on_accounts(&days(91)).await;
    assert!(!lives().await, "it is not valid any more");
    // The worker deletes it.
    let (db, count) =
        (shop.shop.store_database.namespace("identity").unwrap(), "SELECT count(*) FROM @guests");
    shop.shop.identity().unwrap().tend().await.unwrap();
    let row = db.connection.query_one(db.statement(count, [])).await.unwrap().unwrap();
    assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), 0);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guests_first_command_sent_again_is_the_same_command_without_the_token_and_with_it() {
    let (shop, _) = Served::with(&[]).await;
    shop.sell_mugs().await;
    let (body, key) = (order("Ada", "ada@example.org"), new_key());
    let copies = (0..4).map(|_| shop.buy(None, &key, &body));
    let mut answers = Vec::new();
    for got in futures::future::join_all(copies).await {
        assert_eq!(got.status(), 201);
        assert_eq!(got.headers()["cache-control"], "no-store");
        answers.push(token_and_order(got).await);
    }
    let (token, placed) = answers[0].clone();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    // Finding 22: a client that has the token by now, and lost the rest of the answer.
    let token = token.unwrap();
    let got = shop.buy(Some(&token), &key, &body).await;
    assert_eq!((got.status(), token_and_order(got).await), (StatusCode::CREATED, (None, placed.clone())));
    let other = shop.buy(Some(&token), &key, &order("Ada", "other@example.org")).await;
    assert_eq!(refused(other).await, (422, "idempotency-key-reused".to_owned()));
    assert_eq!(shop.see("/orders", Some(&token)).await.1["items"].as_array().unwrap().len(), 1);
    // Another key is another guest.
    let other = shop.new_guest("Ada", "ada@example.org").await;
    assert!(other.token != token && other.order != placed);
    // A first command that is refused begins nobody.
    let unknown = json!({ "lines": [{ "sku": "NONE", "quantity": 1 }], "country": "UK" });
    let got = shop.buy(None, &new_key(), &unknown).await;
    assert_eq!((got.status().as_u16(), got.headers().get("guest-token")), (422, None));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_guests_with_the_same_idempotency_key_do_not_meet() {
    let (shop, _) = Served::with(&[]).await;
    shop.sell_mugs().await;
    let (ada, ben) =
        (shop.new_guest("Ada", "ada@example.org").await, shop.new_guest("Ben", "b@example.org").await);
    let (key, mut orders) = (new_key(), Vec::new());
    for (guest, name) in [(&ada, "Ada"), (&ben, "Ben"), (&ada, "Ada")] {
        let got = shop.buy(Some(&guest.token), &key, &order(name, "x@example.org")).await;
        assert_eq!(got.status(), 201, "{name}");
        orders.push(token_and_order(got).await.1);
    }
    assert_eq!(orders[0], orders[2], "the same guest, the same command");
    assert_ne!(orders[0], orders[1]);
    // Nor does the key of another guest's first command.
    let got = shop.buy(Some(&ben.token), &ada.key, &order("Ada", "ada@example.org")).await;
    assert_eq!(got.status(), 201);
    assert_ne!(token_and_order(got).await.1, ada.order);
    shop.stop().await;
}

/// Whether a file in the folder has these bytes.
fn is_in_a_file(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return is_in_a_file(&path, text);
        }
        std::fs::read(path).unwrap_or_default().windows(text.len()).any(|part| part == text.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_of_a_guest_is_in_no_file_and_its_hash_is() {
    let (shop, _) = Served::with(&[]).await;
    shop.sell_mugs().await;
    let ada = shop.new_guest("Ada", "ada@example.org").await;
    shop.see(&format!("/orders/{}", ada.order), Some(&ada.token)).await;
    let db = shop.shop.store_database.namespace("identity").unwrap();
    let sql = "SELECT token_hash FROM @guests";
    let row = db.connection.query_one(db.statement(sql, [])).await.unwrap().unwrap();
    let hash: String = row.try_get_by_index(0).unwrap();
    assert!(is_in_a_file(shop.folder(), &hash));
    for part in [&ada.token[..], &ada.token[4..], &ada.token[35..]] {
        assert!(!is_in_a_file(shop.folder(), part), "{part}");
    }
    shop.stop().await;
}

/// A body that the operation takes, as far as that can be known.
fn body_of(path: &str, token: &str) -> Value {
    match path.rsplit('/').next().unwrap() {
        "cancellation" => CANCEL(),
        "claim" => json!({ "guest_token": token }),
        "shipment" => json!({}),
        "erasures" => json!({ "purposes": ["account"] }),
        _ => json!({ "name": "Ben" }),
    }
}

/// What an answer says, but for the id that was asked for and what every answer has of its own.
async fn said(got: Response, id: &str) -> (u16, String) {
    let status = got.status().as_u16();
    let mut body: Value = serde_json::from_str(&got.text().await.unwrap()).unwrap_or_default();
    for own in ["instance", "correlation_id"] {
        if let Some(fields) = body.as_object_mut() {
            fields.remove(own);
        }
    }
    (status, body.to_string().replace(id, "{id}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_finds_nothing_of_another_guest_on_any_path_of_the_description() {
    let (shop, _) = Served::with(&[]).await;
    shop.sell_mugs().await;
    let (ada, ben) =
        (shop.new_guest("Ada Quux", "ada@quux.example").await, shop.new_guest("Ben", "b@x.example").await);
    shop.confirmed(&ada).await;
    shop.confirmed(&ben).await;
    let operator = shop.shop.operator_token().unwrap();
    let credit = json!({ "order_id": ada.order, "lines": [{ "sku": "MUG", "quantity": 1 }] });
    let credit = shop.change("POST", "/credit-notes", &operator, &credit).await;
    assert_eq!(credit.status(), 201);
    let credit: Value = credit.json().await.unwrap();
    let (_, seen) = shop.see(&format!("/orders/{}", ada.order), Some(&ada.token)).await;
    let guest = seen["customer"]["guest"].as_str().unwrap().to_owned();
    let user = shop.change("POST", "/users", &operator, &json!({ "name": "Zoe" })).await;
    let user: Value = user.json().await.unwrap();
    let theirs =
        [&ada.order, &guest, credit["id"].as_str().unwrap(), user["id"].as_str().unwrap()].map(str::to_owned);
    // The guest sees the credit of their own order.
    let path = format!("/credit-notes/{}", theirs[2]);
    assert_eq!(shop.see(&path, Some(&ada.token)).await.0, 200);
    assert_eq!(shop.see(&path, Some(&ben.token)).await.0, 404);
    let document = serde_json::to_value(openapi(Role::All)).unwrap();
    let before = shop.shop.log().unwrap().head().await.unwrap().position;
    let mut walked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|name| *name != "parameters") {
            // What begins something of the guest's own, and what a stream never ends to answer.
            let begins = method == "post" && path == "/orders";
            if begins || path.starts_with("/auth/") || path.contains("stream") {
                continue;
            }
            for id in &theirs {
                let mut answers = Vec::new();
                for id in [id.clone(), Uuid::new_v4().to_string()] {
                    let mut filled = path.replace("{id}", &id);
                    while let Some((begin, rest)) = filled.clone().split_once('{') {
                        filled = format!("{begin}{id}{}", rest.split_once('}').unwrap().1);
                    }
                    let method = method.to_uppercase();
                    let got = shop.change(&method, &filled, &ben.token, &body_of(path, &ben.token)).await;
                    answers.push(said(got, &id).await);
                    if !path.contains('{') {
                        break;
                    }
                }
                walked += 1;
                let what = format!("{method} {path} of {id}: {answers:?}");
                assert!(answers.iter().all(|answer| *answer == answers[0]), "{what}");
                assert!(answers[0].0 < 500, "{what}");
                assert!(!path.contains('{') || answers[0].0 >= 400, "{what}");
                for value in ["Quux", "quux.example", &ada.order, &guest] {
                    assert!(!answers[0].1.contains(value), "{value} in {what}");
                }
            }
        }
    }
    assert!(walked > 150, "{walked}");
    assert_eq!(shop.shop.log().unwrap().head().await.unwrap().position, before, "nothing was changed");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_guest_registers_or_changes_users_where_others_reach_the_shop_and_the_address_of_an_account_changes_by_its_links_alone()
 {
    let (shop, accounts) = Served::with(&["customer"]).await;
    shop.sell_mugs().await;
    let (account, operator) = (&accounts[0], shop.shop.operator_token().unwrap());
    let guest = shop.new_guest("Ada", "ada@example.org").await;
    let bare = shop.change("POST", "/users", &operator, &json!({ "email": "bare@example.org" })).await;
    let bare: Value = bare.json().await.unwrap();
    let path = |id: &str| format!("/users/{id}");
    let ids = [account.id.to_string(), bare["id"].as_str().unwrap().to_owned(), new_key()];
    for (method, paths) in
        [("POST", vec!["/users".to_owned()]), ("PUT", ids.each_ref().map(|id| path(id)).to_vec())]
    {
        for path in paths {
            let mut said = Vec::new();
            // From elsewhere, and with a token.
            for sent in [
                passed_on(shop.request(method, &path)),
                shop.request(method, &path).bearer_auth(&guest.token),
            ] {
                let sent = sent.header("if-match", "*").header("idempotency-key", new_key());
                said.push(
                    sent.json(&json!({ "email": "x@example.org" })).send().await.unwrap().status().as_u16(),
                );
            }
            assert_eq!(said, [403, 403], "{method} {path}");
        }
    }
    let change = async |token: &str, id: &str, body: Value| shop.change("PUT", &path(id), token, &body).await;
    let id = account.id.to_string();
    let (access, _) = shop.sign_in(account).await;
    for token in [&*access, &*operator] {
        for body in [json!({ "name": "Ada", "email": "other@example.org" }), json!({ "name": "Ada" })] {
            let got = change(token, &id, body).await;
            assert_eq!(refused(got).await, (409, "address-of-an-account".to_owned()));
        }
        let same = json!({ "name": "Ada L.", "email": account.email() });
        assert_eq!(change(token, &id, same).await.status(), 200);
    }
    let moved = json!({ "email": "moved@example.org" });
    assert_eq!(
        change(&operator, bare["id"].as_str().unwrap(), moved).await.status(),
        200,
        "without an account"
    );
    // A guest buys for nobody else.
    for customer in [
        json!({ "user": ids[0] }),
        json!({ "user": ids[1] }),
        json!({ "user": ids[2] }),
        json!({ "guest": new_key() }),
    ] {
        let mut body = order("Ada", "ada@example.org");
        body["customer"] = customer;
        for token in [None, Some(&*guest.token)] {
            let got = shop.buy(token, &new_key(), &body).await;
            assert_eq!(refused(got).await, (403, "not-yours".to_owned()), "{body}");
        }
    }
    shop.stop().await;
}
