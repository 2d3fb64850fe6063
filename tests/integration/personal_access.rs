//! Every answer to every role: a personal value is only where the table says it may be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use soonshop::api_keys::ApiKeys;
use soonshop_projections::operations;
use soonshop_service_kit::access::Role;
use uuid::Uuid;

use crate::support::{Client, Set, TestShop};

/// Of a user: name, e-mail address, telephone number, and a street of their address book.
const USER: [&str; 4] =
    ["Zebedee Quuxfield", "zebedee@quuxfield.example", "+44 7700 900123", "12 Concealed Row"];
/// Of a guest who ordered, and their address.
const BUYER: [&str; 4] =
    ["Gwendolen Vexworth", "gwendolen@vexworth.example", "+44 7700 900456", "7 Hidden Mews"];
/// Of what was changed since.
const EARLIER: [&str; 1] = ["+44 7700 900789"];

/// How a request asks for personal values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Plainly,
    WithReason,
    OnBehalfOfUser,
    OnBehalfOfBuyer,
}

/// The data of the shop.
struct Filled {
    user: String,
    buyer: String,
    order: String,
    credit: String,
    cart: String,
    checkout: String,
    payment: String,
    product: String,
    correlation: String,
}

async fn filled(shop: &TestShop) -> Filled {
    let client = &shop.client;
    let id = |answer: &Value| answer["id"].as_str().unwrap().to_owned();
    let earlier = json!({"name": USER[0], "email": USER[1], "phone": EARLIER[0], "country": "Chile"});
    let user = id(&client.post("/users", &earlier).await.expect(201).json());
    let now = json!({"name": USER[0], "email": USER[1], "phone": USER[2], "country": "Chile"});
    let path = format!("/users/{user}");
    client.send(Method::PUT, &path, Some(&now), &[("if-match", "\"1\"")]).await.expect(200);
    let book =
        json!({"name": USER[0], "street": USER[3], "city": "Valdivia", "country": "CL", "phone": USER[2]});
    client.post(&format!("{path}/addresses"), &book).await.expect(201);
    let (product, _) = client.product("MUG", "A mug", 500, 9).await;
    let buyer = Uuid::new_v4().to_string();
    let contact = json!({"name": BUYER[0], "email": BUYER[1], "phone": BUYER[2], "address": BUYER[3]});
    let order = json!({"lines": [{"sku": "MUG", "quantity": 2}], "country": "France",
        "customer": {"guest": buyer}, "contact": contact});
    let (key, correlation) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let headers = [("idempotency-key", key.as_str()), ("x-correlation-id", correlation.as_str())];
    let order = id(&client.send(Method::POST, "/orders", Some(&order), &headers).await.expect(201).json());
    let credit = json!({"order_id": order, "lines": [{"sku": "MUG", "quantity": 1}]});
    let credit = id(&client.operate("/credit-notes", &credit).await.expect(201).json());
    let cart = json!({ "sku": "MUG", "quantity": 1 });
    let cart = id(&client.operate("/carts", &cart).await.expect(201).json());
    let paying = client.operate(&format!("/orders/{order}/payments"), &json!({})).await.expect(201);
    let payment = id(&paying.json());
    let another = json!({ "sku": "MUG", "quantity": 1, "customer": { "guest": buyer } });
    let another = id(&client.operate("/carts", &another).await.expect(201).json());
    let checkout = json!({ "cart": another, "country": "France", "contact": contact });
    let checkout = id(&client.operate("/checkouts", &checkout).await.expect(202).json());
    shop.settle().await;
    Filled { user, buyer, order, credit, cart, checkout, payment, product, correlation }
}

/// Every address that is asked with GET: those of the description, with and without what can make them say more, and
/// the pages.
fn addresses(shop: &Filled) -> Vec<String> {
    let Filled { user, order, credit, cart, checkout, payment, product, correlation, .. } = shop;
    let api = serde_json::to_value(soonshop::serve::openapi(soonshop::Role::All)).unwrap();
    let mut all = Vec::new();
    for (path, methods) in api["paths"].as_object().unwrap() {
        // A stream does not end: it is read for itself.
        if methods.get("get").is_none() || path == "/api/audit/stream" {
            continue;
        }
        let ids = match path.split('/').nth(1).unwrap() {
            "users" => user,
            "orders" => order,
            "credit-notes" => credit,
            "carts" => cart,
            "checkouts" => checkout,
            "payments" => payment,
            "api" => correlation,
            _ => product,
        };
        let of = |kind: &str, id: &str| path.replace("{type}", kind).replace("{id}", id);
        let filled = if path.contains("{type}") {
            vec![
                of("user", user),
                of("order", order),
                of("credit_note", credit),
                of("payment", payment),
                of("checkout", checkout),
            ]
        } else {
            vec![
                path.replace("{id}", ids)
                    .replace("{sku}", "MUG")
                    .replace("{secret}", "ssc_nothing")
                    .replace("{process}", "fulfilment")
                    .replace("{instance}", order)
                    .replace("{position}", "1"),
            ]
        };
        for path in filled {
            // A parameter that it requires.
            let path = if path == "/products/suggestions" { format!("{path}?q=mu") } else { path };
            assert!(!path.contains('{'), "{path} has a parameter that this test does not know");
            all.push(path);
        }
    }
    all.extend([
        format!("/users/{user}?as_of=v:1"),
        format!("/users/{user}?as_of=v:2"),
        format!("/users/{user}?as_of=v:3"),
        format!("/orders/{order}?as_of=v:1"),
        format!("/credit-notes/{credit}?as_of=v:1"),
        format!("/checkouts/{checkout}?as_of=v:1"),
        "/users?limit=200&country=Chile".to_owned(),
        "/orders?limit=200&country=France".to_owned(),
        "/products/search?q=quuxfield".to_owned(),
        "/products/suggestions?q=zeb".to_owned(),
        format!("/api/audit/timeline?q=subject:{user}&limit=200"),
        "/api/audit/timeline?q=quuxfield".to_owned(),
        format!("/api/audit/a/user/{user}?v=2&cmp=1"),
        format!("/api/audit/a/order/{order}?v=1&cmp=0"),
        "/api/audit/export.ndjson?changes=0".to_owned(),
        "/api/audit/processes?state=all".to_owned(),
        "/audit".to_owned(),
        "/audit/timeline".to_owned(),
        format!("/audit/timeline?q=subject:{user}"),
        format!("/audit/a/user/{user}"),
        format!("/audit/a/user/{user}?v=2&cmp=1"),
        format!("/audit/a/order/{order}"),
        format!("/audit/c/{correlation}"),
        "/audit/projections".to_owned(),
        "/audit/processes".to_owned(),
        "/audit/parked".to_owned(),
        "/audit/integrity".to_owned(),
        "/audit/operations?sign_ins=1".to_owned(),
        "/api/audit/operations?sign_ins=1".to_owned(),
        "/api/audit/operations/export.ndjson".to_owned(),
        "/".to_owned(),
        "/health/ready".to_owned(),
        "/metrics".to_owned(),
        "/openapi.json".to_owned(),
        format!("/users/{user}x"),
        format!("/orders/{order}?as_of=v:99"),
    ]);
    all
}

/// The table: which values the answer may hold.
fn allowed(role: Role, asks: Asks, path: &str, shop: &Filled) -> BTreeSet<&'static str> {
    let of_user = path.starts_with(&format!("/users/{}", shop.user));
    // The row of a checkout has none: what it began with has.
    let of_checkout = path.starts_with(&format!("/checkouts/{}?as_of", shop.checkout));
    let of_order = path.starts_with(&format!("/orders/{}", shop.order)) || of_checkout;
    if !(of_user || of_order) || path.ends_with('x') || path.ends_with("v:99") {
        return BTreeSet::new();
    }
    let (name, email, phone, address) = (0, 1, 2, 3);
    let fields: &[usize] = match (role, asks) {
        (Role::Auditor | Role::Admin, _) => &[name, email, phone, address],
        (Role::Support, Asks::WithReason) => &[name, email, phone],
        (Role::Warehouse | Role::Ops, Asks::WithReason) => &[name, phone, address],
        (Role::Finance, Asks::WithReason) => &[name, address],
        (Role::Service, Asks::OnBehalfOfUser) if of_user => &[name, email, phone, address],
        (Role::Service, Asks::OnBehalfOfBuyer) if of_order => &[name, email, phone, address],
        _ => &[],
    };
    let values = if of_user { &USER[..] } else { &BUYER[..] };
    let values = fields.iter().filter_map(|field| values.get(*field).copied());
    // The first version of the user has another telephone number.
    let earlier = |value| if value == USER[2] && path.ends_with("v:1") { EARLIER[0] } else { value };
    // The address came with the third.
    let is_there = |value: &&str| *value != USER[3] || !(path.ends_with("v:1") || path.ends_with("v:2"));
    values.filter(is_there).map(earlier).collect()
}

fn found_in(text: &str) -> BTreeSet<&'static str> {
    let text = text.to_lowercase();
    let all = USER.into_iter().chain(BUYER).chain(EARLIER);
    let encoded = |value: &str| value.replace('@', "%40").replace('+', "%2b").replace(' ', "%20");
    let held = |value: &&str| {
        let value = value.to_lowercase();
        [encoded(&value), value.replace(' ', "+"), value].iter().any(|form| text.contains(form.as_str()))
    };
    all.filter(held).collect()
}

/// The first events of the live stream.
async fn streamed(client: &Client, key: Option<&str>) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = http.get(format!("{}/api/audit/stream?after=0&html=1", client.base));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let mut answer = request.send().await.unwrap();
    let mut text = format!("{:?}", answer.headers());
    let reading = async {
        while let Some(chunk) = answer.chunk().await.unwrap() {
            text.push_str(&String::from_utf8_lossy(&chunk));
            if text.contains("CreditNoteIssued") {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), reading).await.unwrap();
    text
}

async fn a_value_is_only_where_the_table_says(set: Set) {
    let shop = TestShop::start(set).await;
    let filled = filled(&shop).await;
    let keys = ApiKeys::new(&shop.shop.read_database).unwrap();
    let mut bearers = BTreeMap::new();
    for role in &Role::ALL[1..] {
        bearers.insert(*role, keys.create(*role, "somebody", None).await.unwrap().text());
    }
    let (mine, theirs) = (format!("customer:{}", filled.user), format!("guest:{}", filled.buyer));
    let (mut shown, mut answered) = (0, BTreeMap::new());
    for role in Role::ALL {
        for asks in [Asks::Plainly, Asks::WithReason, Asks::OnBehalfOfUser, Asks::OnBehalfOfBuyer] {
            let bearer = bearers.get(&role).map(|key| format!("Bearer {key}"));
            let message = match asks {
                Asks::Plainly => None,
                Asks::WithReason => Some(("x-reason", "parcel-label")),
                Asks::OnBehalfOfUser => Some(("x-on-behalf-of", mine.as_str())),
                Asks::OnBehalfOfBuyer => Some(("x-on-behalf-of", theirs.as_str())),
            };
            let key = bearer.as_deref().map(|bearer| ("authorization", bearer));
            let headers: Vec<_> = key.into_iter().chain(message).collect();
            for path in addresses(&filled) {
                let answer = shop.client.send(Method::GET, &path, None, &headers).await;
                let text = format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.bytes));
                let expected = allowed(role, asks, &path, &filled);
                assert_eq!(found_in(&text), expected, "{role} {asks:?} {path}");
                shown += expected.len();
                if answer.status.is_success() {
                    *answered.entry(path).or_insert(0) += 1;
                }
            }
        }
        let text = streamed(&shop.client, bearers.get(&role).map(String::as_str)).await;
        assert_eq!(found_in(&text), BTreeSet::new(), "{role} the stream");
        let may = role.may(soonshop_service_kit::access::Permission::Audit);
        assert_eq!(text.contains("CreditNoteIssued"), may, "{role} the stream");
    }
    assert!(shown > 50, "{shown} values were shown where they may be");
    // The server of authorizations is described where the shop's own address is known.
    let silent: Vec<_> = addresses(&filled)
        .into_iter()
        .filter(|path| !answered.contains_key(path) && path != "/.well-known/oauth-authorization-server")
        .collect();
    // Keys have no sessions to list, and no orders to claim; and nobody shared a cart.
    let refused = [
        "/auth/factors".to_owned(),
        "/auth/sessions".to_owned(),
        "/claimable-orders".to_owned(),
        "/shared-carts/ssc_nothing".to_owned(),
        format!("/users/{}x", filled.user),
        format!("/orders/{}?as_of=v:99", filled.order),
    ];
    assert_eq!(silent, refused, "every other address answers somebody");

    // Each look is in the record, and no value is.
    let db = shop.shop.read_database.namespace("operations").unwrap();
    let lines = operations::last_of(&db, "read-personal", 1_000).await.unwrap();
    let ids: BTreeMap<_, _> =
        keys.all().await.unwrap().into_iter().map(|key| (key.id.to_string(), key.role)).collect();
    let looked: BTreeSet<_> = lines
        .iter()
        .map(|line| {
            let role = ids[line.actor.split_once(':').unwrap().1].clone();
            (role, line.subject.split_once('/').unwrap().0.to_owned())
        })
        .collect();
    let expected = ["admin", "auditor", "finance", "ops", "service", "support", "warehouse"];
    let expected =
        expected.map(|role| ["checkout", "order", "user"].map(|kind| (role.to_owned(), kind.to_owned())));
    assert_eq!(looked, expected.into_iter().flatten().collect());
    assert_eq!(found_in(&serde_json::to_string(&lines).unwrap()), BTreeSet::new());
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_personal_value_is_only_where_the_table_says_it_may_be_embedded() {
    a_value_is_only_where_the_table_says(Set::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_personal_value_is_only_where_the_table_says_it_may_be_on_servers() {
    a_value_is_only_where_the_table_says(Set::Nats).await;
}
