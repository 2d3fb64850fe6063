//! Rates over HTTP: of the embedded shop, and of several processes that count together.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use soonshop::api_keys::ApiKeys;
use soonshop::serve::{self, Options};
use soonshop::{RateOptions, Role, Shop, contexts};
use soonshop_service_kit::access::Role as KeyRole;
use uuid::Uuid;

use crate::health::{Fault, green, red};
use crate::support::{Answer, Client, Place, Set, TestShop, eventually};

/// Of an hour, so that nothing is given back while a test runs.
const RATES: &str = "writes=5/1h,searches=3/1h,look-ups=2/1h,sign-ins=4/1h,reads=20/1h";

fn rates(settings: &str) -> RateOptions {
    let rates = settings.split(',').map(|setting| setting.parse().unwrap()).collect();
    RateOptions { rates, behind_proxies: vec!["127.0.0.1".parse().unwrap()], ..RateOptions::off() }
}

async fn limited(mut place: Place, settings: &str) -> TestShop {
    place.config.rates = rates(settings);
    TestShop::serve(place).await
}

/// As somebody at that address, by a proxy that is trusted.
async fn from(
    client: &Client,
    address: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let key = Uuid::new_v4().to_string();
    let buys = path == "/orders" && method == Method::POST;
    let keyed = if buys { &[("idempotency-key", key.as_str())][..] } else { &[] };
    let headers = [headers, &[("x-forwarded-for", address)], keyed].concat();
    let order = || json!({ "lines": [{ "sku": "NOTED", "quantity": 1 }], "country": "UK" });
    let body = (method == Method::POST).then(|| if buys { order() } else { json!({}) });
    client.send(method, path, body.as_ref(), &headers).await
}

/// Made by the operator: behind a proxy guests may not trade. Its id.
async fn product(shop: &TestShop) -> String {
    let price = json!({ "amount": 100, "currency": "GBP" });
    let body =
        json!({ "name": "A thing", "category": "things", "variants": [{ "sku": "NOTED", "price": price }] });
    let made = shop.client.operate("/products", &body).await.expect(201);
    shop.settle().await;
    made.json()["id"].as_str().unwrap().to_owned()
}

fn is_too_fast(answer: &Answer, class: &str) {
    assert_eq!(answer.status, 429);
    let problem = answer.json();
    assert_eq!(problem["type"], "/problems/too-many-requests", "{problem}");
    assert_eq!(problem["violated-policies"], json!([class]));
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    // A token that was not known to be right was counted as a sign-in before.
    assert!(answer.header("ratelimit").contains(&format!("\"{class}\";r=0;t=")), "{:?}", answer.headers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_places_so_many_orders_and_no_more_while_others_go_on() {
    let shop = limited(Place::new(Set::Embedded).await, RATES).await;
    product(&shop).await;
    let keys = ApiKeys::new(&shop.shop.read_database).unwrap();
    let key = async |role| keys.create(role, "a key", None).await.unwrap().text();
    let (support, service) = (key(KeyRole::Support).await, key(KeyRole::Service).await);
    let buy = async |address: &str, headers: &[(&str, &str)]| {
        from(&shop.client, address, Method::POST, "/orders", headers).await
    };
    let mut tokens = Vec::new();
    for left in (0..5).rev() {
        let made = buy("192.0.2.1", &[]).await.expect(201);
        tokens.push(format!("Bearer {}", made.header("guest-token")));
        assert_eq!(made.header("ratelimit-policy"), "\"writes\";q=5;w=3600");
        assert!(made.header("ratelimit").starts_with(&format!("\"writes\";r={left};t=")));
    }
    // The orders go on by themselves.
    shop.settle().await;
    let head = shop.shop.log().unwrap().head().await.unwrap().position;
    for _ in 0..50 {
        is_too_fast(&buy("192.0.2.1", &[]).await, "writes");
    }
    assert_eq!(shop.shop.log().unwrap().head().await.unwrap().position, head, "nothing was done");
    // Nor does a guest with a token have more at that address; and elsewhere each has a rate of their own.
    is_too_fast(&buy("192.0.2.1", &[("authorization", &tokens[0])]).await, "writes");
    for n in 0..5 {
        let address = format!("192.0.2.{}", 10 + n);
        buy(&address, &[("authorization", &tokens[0])]).await.expect(201);
    }
    is_too_fast(&buy("192.0.2.15", &[("authorization", &tokens[0])]).await, "writes");
    buy("192.0.2.15", &[("authorization", &tokens[1])]).await.expect(201);
    // Another address, callers with a key at the same address, programs, and the operator.
    buy("192.0.2.2", &[]).await.expect(201);
    let bearer = |key: &str| format!("Bearer {key}");
    let (support, service, operator) = (bearer(&support), bearer(&service), bearer(&shop.client.token));
    buy("192.0.2.1", &[("authorization", &support)]).await.expect(201);
    for _ in 0..20 {
        buy("192.0.2.1", &[("authorization", &service)]).await.expect(201);
        buy("192.0.2.1", &[("authorization", &operator)]).await.expect(201);
    }
    for path in ["/health/live", "/health/ready", "/health/audit", "/metrics"] {
        for _ in 0..30 {
            let answer = from(&shop.client, "192.0.2.1", Method::GET, path, &[]).await;
            assert!(answer.status == 200 || path == "/health/audit", "{path} {}", answer.status);
            assert_ne!(answer.status, 429, "{path}");
            assert_eq!(answer.header("ratelimit"), "", "{path}");
        }
    }
    let metrics = String::from_utf8(shop.client.look("/metrics").await.expect(200).bytes).unwrap();
    assert!(metrics.contains("soonshop_rate_refused_total{class=\"writes\"} 52"), "{metrics}");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_class_has_a_rate_of_its_own_and_a_page_says_so_in_the_language_of_its_reader() {
    let shop = limited(Place::new(Set::Embedded).await, RATES).await;
    // A worker makes the index that is searched.
    shop.settle().await;
    let of = async |path: &str| from(&shop.client, "192.0.2.1", Method::GET, path, &[]).await;
    for (path, class, most) in
        [("/products/search?q=x", "searches", 3), ("/users", "look-ups", 2), ("/products", "reads", 20)]
    {
        for n in 0..most {
            of(path).await.expect(200);
            assert!(n < most);
        }
        is_too_fast(&of(path).await, class);
    }
    // Of one class: they are refused before anything is read.
    for path in ["/orders", "/inventory/X", "/documentation/api", "/", "/docs/", "/problems/not-found"] {
        is_too_fast(&of(path).await, "reads");
    }
    is_too_fast(&of("/analytics/sales").await, "searches");
    let page = [("accept-language", "zh-CN"), ("accept", "text/html")];
    let refused = from(&shop.client, "192.0.2.1", Method::GET, "/audit/sign-in", &page).await;
    assert_eq!((refused.status.as_u16(), refused.header("content-type")), (429, "text/html; charset=utf-8"));
    let text = String::from_utf8(refused.bytes.clone()).unwrap();
    assert!(text.contains("请求过于频繁"), "{text}");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    // Wrong keys, with the form and without.
    for n in 0..8 {
        let wrong = [("authorization", "Bearer wrong")];
        let answer = from(&shop.client, "192.0.2.3", Method::GET, "/products", &wrong).await;
        assert_eq!(answer.status, if n < 4 { 401 } else { 429 }, "{n}");
    }
    let wrong = [("authorization", "Bearer wrong")];
    is_too_fast(&from(&shop.client, "192.0.2.3", Method::POST, "/users", &wrong).await, "sign-ins");
    from(&shop.client, "192.0.2.3", Method::GET, "/products", &[]).await.expect(200);
    shop.stop().await;
}

/// To register is no way to find out which addresses are known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_taken_is_a_look_up() {
    let shop = limited(Place::new(Set::Embedded).await, "writes=off,look-ups=2/1h").await;
    let keys = ApiKeys::new(&shop.shop.read_database).unwrap();
    let bearer = format!("Bearer {}", keys.create(KeyRole::Support, "a key", None).await.unwrap().text());
    let register = async |email: &str| {
        let headers = [("x-forwarded-for", "192.0.2.1"), ("authorization", bearer.as_str())];
        shop.client.send(Method::POST, "/users", Some(&json!({ "email": email })), &headers).await
    };
    register("ada@example.com").await.expect(201);
    for _ in 0..2 {
        let taken = register("ada@example.com").await.expect(409);
        assert!(taken.header("ratelimit").starts_with("\"look-ups\";r="), "{:?}", taken.headers);
    }
    is_too_fast(&register("ada@example.com").await, "look-ups");
    register("bob@example.com").await.expect(201);
    is_too_fast(&register("ada@example.com").await, "look-ups");
    shop.stop().await;
}

/// Look-ups of people and notes are counted by the rates of their classes alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_ups_of_people_and_notes_are_counted_by_the_classes_of_their_rows_alone() {
    let shop = limited(Place::new(Set::Embedded).await, "look-ups=25/1h,writes=25/1h").await;
    let product = product(&shop).await;
    let keys = ApiKeys::new(&shop.shop.read_database).unwrap();
    let key = keys.create(KeyRole::Support, "a key", None).await.unwrap().text();
    let bearer = format!("Bearer {key}");
    let notes = format!("/api/audit/a/product/{product}/notes");
    for (path, form, class) in [
        ("/api/audit/look-ups", "value=ada@example.com", "look-ups"),
        (notes.as_str(), "version=1&tags=late", "writes"),
    ] {
        for left in (0..25).rev() {
            let answer = shop.client.send_form(path, form, &[("authorization", &bearer)]).await.expect(200);
            let message = answer.header("ratelimit");
            assert!(message.contains(&format!("\"{class}\";r={left};t=")), "{path}: {message}");
        }
        is_too_fast(&shop.client.send_form(path, form, &[("authorization", &bearer)]).await, class);
    }
    shop.stop().await;
}

/// The box of the audit pages looks somebody up only where a text names nothing in the shop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_in_the_box_is_counted_as_a_look_up_where_it_is_one() {
    let shop = limited(Place::new(Set::Embedded).await, "look-ups=2/1h,searches=off").await;
    product(&shop).await;
    let keys = ApiKeys::new(&shop.shop.read_database).unwrap();
    let key = keys.create(KeyRole::Support, "a key", None).await.unwrap().text();
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    let (client, headers) = (&shop.client.without_redirects(), &headers);
    let typed = |form: &'static str| client.send_form("/audit/jump", form, headers);
    for form in ["id=1", "id=99", "id=00000000-0000-4000-8000-000000000000"] {
        let answer = typed(form).await;
        let counted = answer.header("ratelimit");
        assert!(!counted.contains("look-ups"), "{form}: {} {counted}", answer.status);
    }
    for left in (0..2).rev() {
        let nobody = typed("id=nobody%40quux.example").await.expect(404);
        assert!(nobody.header("ratelimit").starts_with(&format!("\"look-ups\";r={left};t=")));
    }
    let refused = typed("id=nobody%40quux.example").await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("ratelimit").starts_with("\"look-ups\";r=0;t="), "{:?}", refused.headers);
    assert_eq!(typed("id=1").await.status, 303, "a position is no look-up");
    shop.stop().await;
}

/// Every operation of the description says that it has a rate, and has one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_of_the_description_is_counted_but_health() {
    let shop = limited(Place::new(Set::Embedded).await, "writes=1000000/1h").await;
    let document: Value = serde_json::from_str(&serve::openapi_file().unwrap()).unwrap();
    // Without the operator's token, who is not counted.
    let nobody = Client::new(&shop.client.base, "");
    let mut seen = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let what = format!("{method} {path}");
            let counted = !path.starts_with("/health/");
            let refused = &operation["responses"]["429"];
            // OAuth has errors of its own form.
            let own_form = path.starts_with("/oauth/") && refused["headers"]["RateLimit"].is_object();
            let described = own_form || refused["$ref"] == "#/components/responses/TooMany";
            assert_eq!(described, counted, "{what}");
            let asked = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
            let asked = asked.collect::<Vec<_>>().join("/");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = from(&nobody, "192.0.2.1", method, &asked, &[]).await;
            assert_eq!(!answer.header("ratelimit").is_empty(), counted, "{what}: {}", answer.status);
            assert_eq!(!answer.header("ratelimit-policy").is_empty(), counted, "{what}");
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
    let described = &document["components"]["responses"]["TooMany"];
    for header in ["Retry-After", "RateLimit", "RateLimit-Policy"] {
        assert!(described["headers"][header].is_object(), "{header}");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_count_together_on_servers() {
    let shop = limited(Place::new(Set::Nats).await, RATES).await;
    product(&shop).await;
    let mut config = shop.place.config.clone();
    config.name = "other".to_owned();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = Options { role: Role::CommandApi, contexts: contexts(None).unwrap(), listen };
    let second = Shop::open(&config, Role::CommandApi).unwrap();
    let running = serve::start(second, options, Vec::new()).await.unwrap();
    let other = Client::new(&format!("http://{}", running.address), &shop.client.token);
    let calls = (0..40).map(|n| {
        let client = if n % 2 == 0 { shop.client.clone() } else { other.clone() };
        tokio::spawn(
            async move { from(&client, "192.0.2.1", Method::POST, "/orders", &[]).await.status.as_u16() },
        )
    });
    let calls: Vec<_> = calls.collect();
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses[..5], [201; 5]);
    assert_eq!(statuses[5..], [429; 35]);
    green(&shop.client, "rates").await;
    running.stop().await.unwrap();
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_locks_nobody_out_and_is_named() {
    let mut place = Place::new(Set::Embedded).await;
    place.config.cache = "redis://127.0.0.1:1/0".to_owned();
    let shop = limited(place, RATES).await;
    let fault = Fault { check: "rates", object: "127.0.0.1:1", remedy: "rates" };
    red(&shop.client, &fault).await;
    product(&shop).await;
    let buy = async || from(&shop.client, "192.0.2.1", Method::POST, "/orders", &[]).await;
    for _ in 0..5 {
        buy().await.expect(201);
    }
    is_too_fast(&buy().await, "writes");
    eventually("another caller goes on", Duration::from_secs(30), async || {
        from(&shop.client, "192.0.2.2", Method::POST, "/orders", &[]).await.status == 201
    })
    .await;
    shop.stop().await;
}
