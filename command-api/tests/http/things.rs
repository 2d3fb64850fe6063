//! The owner of the things that a command touches: each row of the description, for each identity. A guest, a
//! user and the holder of a key are told apart.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use soonshop_command_api::{self as http, Commands};
use soonshop_domain::{Purpose, ids};
use soonshop_service_kit::access::{Access, ApiKey, Owner, Permission, Role};
use soonshop_service_kit::serve::stack;
use uuid::Uuid;

use super::shelf::Shelf;
use super::{Got, OPERATOR, Shop, TOKEN, erasure, key, kinds, order};

/// A shop in which every role has a key, and one key of each kind is no longer valid.
pub(super) struct Staffed {
    pub(super) shop: Shop,
    /// The ids and the header values of the holders, in the order of [`Role::ALL`]; a guest sends none.
    holders: Vec<(Role, Uuid, Option<String>)>,
    pub(super) revoked: Uuid,
    expired: Uuid,
}

impl Staffed {
    pub(super) async fn open() -> Self {
        let shop = Shop::open().await;
        let shelf = Shelf::default();
        let holders = Role::ALL.map(|role| {
            if role == Role::Guest {
                return (role, Uuid::nil(), None);
            }
            let (key, id) = shelf.add(role, |_| {}).unwrap();
            (role, id, Some(format!("Bearer {}", key.text())))
        });
        let (_, revoked) = shelf.add(Role::Support, |known| known.revoked = true).unwrap();
        let past = soonshop_domain::clock::now() - chrono::TimeDelta::seconds(1);
        let (_, expired) = shelf.add(Role::Service, |known| known.expires_at = Some(past)).unwrap();
        let access = Access::new(Some(Arc::from(TOKEN))).with_keys(Arc::new(shelf));
        let router = stack(http::router(Commands { access, ..Commands::new(shop.store.clone(), None) }));
        Self { shop: Shop { router, ..shop }, holders: holders.into(), revoked, expired }
    }

    fn id_of(&self, role: Role) -> Uuid {
        self.holders.iter().find(|(one, ..)| *one == role).unwrap().1
    }

    async fn send_as(&self, role: Role, method: &str, path: &str, body: &Value) -> Got {
        self.send_with(role, method, path, &[], body).await
    }

    async fn send_with(
        &self,
        role: Role,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &Value,
    ) -> Got {
        let (_, _, bearer) = self.holders.iter().find(|(one, ..)| *one == role).unwrap();
        let key = key();
        let mut headers = vec![("idempotency-key", &*key), ("content-type", "application/json")];
        if ["PUT", "DELETE"].contains(&method) {
            headers.push(("if-match", "*"));
        }
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        headers.extend(more);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.shop.send(method, path, &headers, body).await
    }

    /// A user or an order that a holder of this role began; its id.
    async fn begun(&self, role: Role, aggregate_type: &str) -> String {
        let (path, body) = match aggregate_type {
            "user" => ("/users".to_owned(), json!({ "name": "Ada" })),
            "order" => ("/orders".to_owned(), order("mug")),
            "cart" => ("/carts".to_owned(), json!({ "sku": "mug", "quantity": 1 })),
            "payment" => {
                let ordered = self.send_as(role, "POST", "/orders", &order("mug")).await.id();
                (format!("/orders/{ordered}/payments"), json!({}))
            }
            "checkout" => {
                let cart = json!({ "sku": "mug", "quantity": 1 });
                let cart = self.send_as(role, "POST", "/carts", &cart).await.id();
                ("/checkouts".to_owned(), json!({ "cart": cart, "country": "UK" }))
            }
            other => panic!("say how a {other} begins"),
        };
        let got = self.send_as(role, "POST", &path, &body).await;
        let expected = if aggregate_type == "checkout" { 202 } else { 201 };
        assert_eq!(got.status, expected, "{}", got.text);
        got.id()
    }

    /// An order of this SKU that a holder of this role began; its id.
    async fn begun_of(&self, role: Role, sku: &str) -> String {
        self.send_as(role, "POST", "/orders", &order(sku)).await.id()
    }

    async fn operate(&self, path: &str, body: Value) -> Got {
        self.shop.operate(path, body).await
    }
}

/// A row of the description.
struct Described {
    name: String,
    method: String,
    path: String,
    permission: Permission,
    of: Owner,
    privileged: Vec<Value>,
}

fn described() -> Vec<Described> {
    let document = serde_json::to_value(http::openapi()).unwrap();
    let mut rows = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let permission = operation["description"].as_str().unwrap().split('`').nth(1).unwrap();
            let of = operation["x-of"].as_str().unwrap_or_else(|| panic!("{method} {path} has no x-of"));
            rows.push(Described {
                name: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                permission: *Permission::ALL.iter().find(|one| one.as_ref() == permission).unwrap(),
                of: Owner::all().find(|one| one.as_ref() == of).unwrap(),
                privileged: operation["requestBody"]["x-privileged"].as_array().cloned().unwrap_or_default(),
            });
        }
    }
    rows
}

/// A body that the command takes, whatever it is about.
fn plain(name: &str, id: &str) -> Value {
    match name {
        "user.change" => json!({ "name": "Bea" }),
        "user.delete" | "user.remove-address" | "cart.remove" | "cart.end-share" => Value::Null,
        "user.add-address" | "user.change-address" => {
            json!({ "name": "Bea", "street": "1 Road", "city": "Bath", "country": "GB" })
        }
        "user.set-consent" => json!({ "given": false }),
        "order.cancel" => json!({ "reason": "changed-mind" }),
        "order.ship" | "order.pay" | "payment.stop" | "payment.close" | "cart.save" | "cart.want"
        | "cart.share" | "checkout.pay" | "checkout.give-up" => {
            json!({})
        }
        "cart.add" => json!({ "sku": "mug", "quantity": 1 }),
        "cart.change" => json!({ "quantity": 1 }),
        "payment.charge" | "payment.release" | "payment.refund" => {
            json!({ "amount": { "amount": 1, "currency": "GBP" } })
        }
        "person.request-erasure" => erasure(&["account"]),
        "person.request-staff-erasure" => {
            json!({ "confirm": ApiKey::prefix_of(Uuid::try_parse(id).unwrap()) })
        }
        other => panic!("give {other} a body: it is about a thing that not everybody may touch"),
    }
}

/// Whether it was refused because of the thing, and why.
fn refused_for_the_thing(got: &Got) -> Option<String> {
    let slug = got.json()["type"].as_str().unwrap_or_default().replace("/problems/", "");
    ["not-yours", "not-a-data-subject", "key-in-use", "key-not-found"].contains(&&*slug).then_some(slug)
}

#[tokio::test]
async fn every_identity_touches_the_things_that_a_row_says_and_no_others() {
    let shop = Staffed::open().await;
    shop.shop.sell("mug").await;
    let (operator, nobody) = (ids::OPERATOR.to_string(), Uuid::new_v4().to_string());
    let mut tried = BTreeSet::new();
    for row in described() {
        for role in Role::ALL {
            let aggregate_type = row.name.split('.').next().unwrap();
            // Each thing, and why it is refused to this identity although the permission is there.
            let mut things: Vec<(String, Option<&str>)> = Vec::new();
            match row.of {
                Owner::Own => {
                    things.push((shop.begun(Role::Guest, aggregate_type).await, None));
                    let foreign = (role == Role::Guest).then_some("not-yours");
                    for other in [Role::Support, Role::Admin, Role::Service] {
                        things.push((shop.begun(other, aggregate_type).await, foreign));
                    }
                    things.push((nobody.clone(), None));
                }
                Owner::Person => {
                    for begun in [Role::Guest, Role::Service] {
                        things.push((shop.begun(begun, "user").await, None));
                    }
                    for one in [operator.clone(), shop.revoked.to_string(), shop.expired.to_string()] {
                        things.push((one, Some("not-a-data-subject")));
                    }
                    for (_, id, _) in &shop.holders[1..] {
                        things.push((id.to_string(), Some("not-a-data-subject")));
                    }
                }
                Owner::Staff => {
                    things.push((shop.begun(Role::Guest, "user").await, Some("key-not-found")));
                    things.push((nobody.clone(), Some("key-not-found")));
                    things.push((operator.clone(), Some("not-a-data-subject")));
                    for (_, id, _) in &shop.holders[1..] {
                        things.push((id.to_string(), Some("key-in-use")));
                    }
                    things.push((shop.revoked.to_string(), None));
                    things.push((shop.expired.to_string(), None));
                }
                // No thing of anybody's is at stake.
                Owner::New | Owner::Guests | Owner::TheShop | Owner::Anyone => continue,
            }
            tried.insert(row.name.clone());
            for (id, why) in things {
                let path = row.path.replace("{id}", &id).replace("{address}", &nobody);
                let path = path.replace("{medium}", "email").replace("{line}", "1").replace("{order}", &id);
                let path = path.replace("{share}", &nobody).replace("{checkout}", &id);
                let got = shop.send_as(role, &row.method, &path, &plain(&row.name, &id)).await;
                let what = format!("{} {} as {role}, of {id}: {}", row.method, row.path, got.text);
                if role.may(row.permission) {
                    assert_eq!(refused_for_the_thing(&got).as_deref(), why, "{what}");
                    assert!(why.is_some() || got.status != 403, "{what}");
                    assert!(got.status < 500, "{what}");
                } else {
                    let slug = if role == Role::Guest { "operator-only" } else { "not-permitted" };
                    assert_eq!(got.refused(), (403, slug.to_owned()), "{what}");
                }
            }
        }
    }
    let expected = [
        "cart.add",
        "cart.change",
        "cart.end-share",
        "cart.remove",
        "cart.save",
        "cart.share",
        "cart.want",
        "checkout.give-up",
        "checkout.pay",
        "order.cancel",
        "order.pay",
        "order.ship",
        "payment.charge",
        "payment.close",
        "payment.refund",
        "payment.release",
        "payment.stop",
        "person.request-erasure",
        "person.request-staff-erasure",
        "user.add-address",
        "user.change",
        "user.change-address",
        "user.delete",
        "user.remove-address",
        "user.set-consent",
    ];
    assert_eq!(tried, BTreeSet::from(expected.map(str::to_owned)));
}

#[tokio::test]
async fn the_ids_of_staff_services_and_the_operator_are_no_data_subjects() {
    let shop = Staffed::open().await;
    let keys = shop.shop.store.keys();
    keys.ensure(ids::OPERATOR, Purpose::Account).await.unwrap();
    for (role, id, _) in &shop.holders[1..] {
        keys.ensure(*id, Purpose::Account).await.unwrap();
        for purposes in [&["account"][..], &["invoice"], &["account", "invoice"]] {
            for subject in [*id, ids::OPERATOR] {
                let path = format!("/people/{subject}/erasures");
                let got = shop.operate(&path, erasure(purposes)).await;
                assert_eq!(got.refused(), (422, "not-a-data-subject".into()), "{role} {purposes:?}");
            }
        }
        // Nor is there a user of this id that could be deleted.
        let got = shop.send_as(Role::Support, "DELETE", &format!("/users/{id}"), &Value::Null).await;
        assert_eq!(got.refused(), (404, "user-not-found".into()));
    }
    assert_eq!(shop.shop.head().await, 0, "nothing was asked for");
}

#[tokio::test]
async fn the_notes_of_a_holder_are_erased_by_a_command_of_their_own_once_their_key_is_not_valid() {
    let shop = Staffed::open().await;
    let path = |id: Uuid| format!("/keys/{id}/erasures");
    let confirm = |id: Uuid| json!({ "confirm": ApiKey::prefix_of(id) });
    for role in [Role::Support, Role::Warehouse, Role::Finance, Role::Auditor, Role::Ops, Role::Service] {
        let got = shop.send_as(role, "POST", &path(shop.revoked), &confirm(shop.revoked)).await;
        assert_eq!(
            (got.refused(), &got.json()["permission"]),
            ((403, "not-permitted".into()), &json!("erase-staff"))
        );
    }
    for wrong in [json!({ "confirm": "" }), json!({ "confirm": "00000000" }), confirm(shop.expired)] {
        let got = shop.operate(&path(shop.revoked), wrong).await;
        assert_eq!(
            (got.refused(), &got.json()["pointer"]),
            ((422, "invalid-body".into()), &json!("/confirm"))
        );
    }
    let valid = shop.id_of(Role::Support);
    assert_eq!(shop.operate(&path(valid), confirm(valid)).await.refused(), (409, "key-in-use".into()));
    assert_eq!(shop.shop.head().await, 0, "nothing was asked for");
    let shown = json!({ "confirm": format!("ssk_{}", ApiKey::prefix_of(shop.revoked)) });
    assert_eq!(shop.operate(&path(shop.revoked), shown).await.status, 200);
    assert_eq!(
        kinds(&shop.shop, 1).await,
        [r#"ErasureRequested {"ErasureRequested":{"purposes":["account"]}}"#]
    );
    let got = shop.operate(&path(shop.revoked), confirm(shop.revoked)).await;
    assert_eq!((got.status, &got.json()["position"]), (200, &Value::Null), "it was done");
}

#[tokio::test]
async fn a_guest_names_a_user_whom_a_guest_registered_and_no_id_of_somebody_else_as_a_guest() {
    let shop = Staffed::open().await;
    shop.shop.sell("mug").await;
    let buy = async |role: Role, customer: Value| {
        let mut body = order("mug");
        body["customer"] = customer;
        shop.send_as(role, "POST", "/orders", &body).await
    };
    let (own, foreign) = (shop.begun(Role::Guest, "user").await, shop.begun(Role::Service, "user").await);
    assert_eq!(buy(Role::Guest, json!({ "user": own })).await.status, 201);
    let got = buy(Role::Guest, json!({ "user": foreign })).await;
    assert_eq!(
        (got.refused(), &got.json()["pointer"]),
        ((403, "not-yours".into()), &json!("/customer/user"))
    );
    for role in [Role::Support, Role::Admin, Role::Service] {
        for user in [&own, &foreign] {
            assert_eq!(buy(role, json!({ "user": user })).await.status, 201, "{role}");
        }
    }
    // A guest is nobody else: what is encrypted for them, and erased with them, is theirs alone.
    let keys = shop.shop.store.keys();
    let support = shop.id_of(Role::Support);
    keys.ensure(support, Purpose::Account).await.unwrap();
    let nameless = shop.send_as(Role::Guest, "POST", "/users", &json!({})).await.id();
    for taken in [own, foreign, nameless, support.to_string(), ids::OPERATOR.to_string()] {
        for role in [Role::Guest, Role::Service, Role::Admin] {
            let got = buy(role, json!({ "guest": taken })).await;
            assert_eq!(
                (got.refused(), &got.json()["pointer"]),
                ((422, "unknown-customer".into()), &json!("/customer/guest"))
            );
        }
    }
    let guest = Uuid::new_v4();
    for _ in 0..2 {
        assert_eq!(buy(Role::Guest, json!({ "guest": guest })).await.status, 201);
    }
}

#[tokio::test]
async fn nobody_acts_on_behalf_of_the_holder_of_a_key() {
    let shop = Staffed::open().await;
    let user = shop.begun(Role::Guest, "user").await;
    for (id, status) in [
        (user, [201, 400]),
        (Uuid::new_v4().to_string(), [400, 201]),
        (shop.id_of(Role::Admin).to_string(), [400, 400]),
        (shop.revoked.to_string(), [400, 400]),
        (ids::OPERATOR.to_string(), [400, 400]),
    ] {
        for (kind, status) in ["customer", "guest"].into_iter().zip(status) {
            let header = [("x-on-behalf-of", &*format!("{kind}:{id}"))];
            let got = shop.send_with(Role::Support, "POST", "/users", &header, &json!({})).await;
            assert_eq!(got.status, status, "{kind}:{id} {}", got.text);
            if status == 400 {
                assert_eq!(
                    (got.refused().1, &got.json()["header"]),
                    ("invalid-header".to_owned(), &json!("X-On-Behalf-Of"))
                );
            }
        }
    }
}

#[tokio::test]
async fn a_customer_who_is_named_is_a_user_and_a_guest_one_who_began_something_or_begins_it_now() {
    let shop = Staffed::open().await;
    shop.shop.sell("mug").await;
    let user = shop.begun(Role::Guest, "user").await;
    let of_shop = shop.begun(Role::Service, "order").await;
    let (known, silent, new) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    let buys = |guest: Uuid, contact: Value| {
        let mut body = order("mug");
        body["customer"] = json!({ "guest": guest });
        body["contact"] = contact;
        body
    };
    let send = async |path: &str, named: &str, body: &Value| {
        shop.send_with(Role::Service, "POST", path, &[("x-on-behalf-of", named)], body).await
    };
    let cancel = json!({ "reason": "changed-mind" });
    // A guest begins to exist by the first order, also one of whom nothing personal is stored.
    let first = send("/orders", &format!("guest:{known}"), &buys(known, json!({ "name": "Ada" }))).await;
    let bare = send("/orders", &format!("guest:{silent}"), &buys(silent, json!({}))).await;
    assert_eq!((first.status, bare.status), (201, 201), "{} {}", first.text, bare.text);
    for (order, named, status) in [
        (first.id(), format!("guest:{new}"), 400),
        (first.id(), format!("customer:{known}"), 400),
        (first.id(), format!("customer:{new}"), 400),
        (first.id(), format!("guest:{user}"), 400),
        (of_shop.clone(), format!("guest:{silent}"), 400),
        (bare.id(), format!("guest:{silent}"), 200),
        (first.id(), format!("guest:{known}"), 200),
        (of_shop, format!("customer:{user}"), 200),
    ] {
        let got = send(&format!("/orders/{order}/cancellation"), &named, &cancel).await;
        assert_eq!(got.status, status, "{named} {}", got.text);
        if status == 400 {
            assert_eq!(got.refused(), (400, "invalid-header".to_owned()), "{named}");
            assert_eq!(got.json()["header"], "X-On-Behalf-Of", "{named}");
        }
    }
}

#[tokio::test]
async fn a_command_of_a_user_who_was_deleted_is_repeated_with_its_answer() {
    let shop = Staffed::open().await;
    let user = shop.begun(Role::Guest, "user").await;
    let named = format!("customer:{user}");
    let repeated = key();
    for _ in 0..2 {
        let headers = [("x-on-behalf-of", &*named), ("idempotency-key", &*repeated)];
        let (_, _, bearer) = shop.holders.iter().find(|(one, ..)| *one == Role::Service).unwrap();
        let mut all = vec![("if-match", "*"), ("authorization", bearer.as_deref().unwrap())];
        all.extend(headers);
        let got = shop.shop.send("DELETE", &format!("/users/{user}"), &all, String::new()).await;
        assert!(got.status < 300, "{} {}", got.status, got.text);
    }
}

// ---- privileged fields ---------------------------------------------------------------------------------------------

/// A body without any privileged field, and where it is sent.
async fn unprivileged(shop: &Staffed, row: &Described) -> (String, Value) {
    let sku = format!("M-{}", &key()[..8]);
    let product = shop.shop.sell(&sku).await;
    let price = json!({ "amount": 700, "currency": "GBP" });
    let body = match &*row.name {
        "user.register" | "user.change" => json!({ "name": "Ada" }),
        "user.set-consent" => json!({ "given": false }),
        "product.create" => json!({ "name": "Cup", "variants": [{ "sku": key() }] }),
        "product.set-price" => json!({ "sku": sku, "price": price }),
        "stock.receive" => json!({ "quantity": 1 }),
        "stock.adjust" => json!({ "quantity": 1, "reason": "counted" }),
        "order.place" => order(&sku),
        "order.pay" => json!({}),
        "checkout.start" => {
            let cart = json!({ "sku": sku, "quantity": 1 });
            let cart = shop.send_as(Role::Guest, "POST", "/carts", &cart).await.id();
            json!({ "cart": cart, "country": "UK" })
        }
        "credit_note.issue" => {
            let ordered = shop.send_as(Role::Admin, "POST", "/orders", &order(&sku)).await.id();
            json!({ "order_id": ordered, "lines": [{ "sku": sku, "quantity": 1 }] })
        }
        other => panic!("give {other} a body without its privileged fields"),
    };
    let path = row.path.replace("{sku}", &sku);
    let path = path.replace("{medium}", "email");
    let path = match &*row.name {
        "user.change" | "user.set-consent" => path.replace("{id}", &shop.begun(Role::Guest, "user").await),
        "order.pay" => path.replace("{order}", &shop.begun_of(Role::Guest, &sku).await),
        _ => path.replace("/products/{id}", &product),
    };
    (path, body)
}

/// The body with the field as only some may send it, and the pointer to it.
fn with_field(mut body: Value, privileged: &Value) -> (Value, String) {
    let field = privileged["field"].as_str().unwrap();
    if privileged["when"] == "if it is left out" {
        body.as_object_mut().unwrap().remove(&field[1..]);
        return (body, field.to_owned());
    }
    let place = field.replace('*', "0");
    let (parent, name) = place.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[name] = match name {
        "occurred_at" => json!("2010-12-01T08:26:00Z"),
        "number" => json!(key()),
        "price" => json!({ "amount": 1, "currency": "GBP" }),
        "capture" => json!("later"),
        other => panic!("say what only some may send as {other}"),
    };
    (body, place)
}

#[tokio::test]
async fn a_privileged_field_of_any_body_is_sent_by_those_with_its_permission_and_by_nobody_else() {
    let shop = Staffed::open().await;
    // Who agrees for somebody else says why.
    let why = [("x-reason", "customer-request")];
    let mut tried = BTreeSet::new();
    for row in described().iter().filter(|row| !row.privileged.is_empty()) {
        for role in Role::ALL.into_iter().filter(|role| role.may(row.permission)) {
            let (path, body) = unprivileged(&shop, row).await;
            let got = shop.send_with(role, &row.method, &path, &why, &body).await;
            assert!(got.status < 300, "{} as {role}: {}", row.name, got.text);
            for privileged in &row.privileged {
                let (path, body) = unprivileged(&shop, row).await;
                let (body, place) = with_field(body, privileged);
                let got = shop.send_with(role, &row.method, &path, &why, &body).await;
                let what = format!("{} {} as {role}: {}", row.name, privileged["field"], got.text);
                let needed = privileged["permission"].as_str().unwrap();
                let needed = *Permission::ALL.iter().find(|one| one.as_ref() == needed).unwrap();
                if role.may(needed) {
                    assert!(got.status != 403 && got.status < 500, "{what}");
                } else {
                    let slug = if role == Role::Guest { "operator-only" } else { "not-permitted" };
                    assert_eq!(got.refused(), (403, slug.to_owned()), "{what}");
                    assert_eq!(got.json()["pointer"], place, "{what}");
                }
                tried.insert(format!("{} {}", row.name, privileged["field"].as_str().unwrap()));
            }
        }
    }
    for field in ["credit_note.issue /lines/*/price", "credit_note.issue /order_id", "order.place /number"] {
        assert!(tried.contains(field), "{field} is not described: {tried:?}");
    }
}

/// The fields of a body, as patterns, with their schemas.
fn fields(document: &Value, schema: &Value, at: &str, found: &mut Vec<(String, Value)>) {
    if let Some(reference) = schema["$ref"].as_str() {
        found.push((at.to_owned(), schema.clone()));
        return fields(document, document.pointer(&reference[1..]).unwrap(), at, found);
    }
    found.push((at.to_owned(), schema.clone()));
    for one in ["oneOf", "allOf"].iter().filter_map(|key| schema[*key].as_array()).flatten() {
        fields(document, one, at, found);
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        fields(document, field, &format!("{at}/{name}"), found);
    }
    if schema["items"].is_object() {
        fields(document, &schema["items"], &format!("{at}/*"), found);
    }
}

/// The bodies of the description, by the name of their command: their fields.
fn bodies() -> Vec<(Described, Vec<(String, Value)>)> {
    let document = serde_json::to_value(http::openapi()).unwrap();
    let mut bodies = Vec::new();
    for row in described() {
        let operation = &document["paths"][&row.path][row.method.to_lowercase()];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let mut found = Vec::new();
        fields(&document, schema, "", &mut found);
        bodies.push((row, found));
    }
    bodies
}

#[test]
fn a_body_that_names_an_amount_a_number_or_a_time_says_who_may() {
    // Prices of products are set by those who may trade; the price that a buyer was shown decides
    // nothing.
    let open = [
        ("cart.change", "/seen"),
        // When a share link ends: its own.
        ("cart.share", "/until"),
        // What the buyer was shown: without it, or with another one, nothing costs less.
        ("checkout.start", "/total"),
        ("product.create", "/variants/*/price"),
        ("product.add-variant", "/price"),
        ("product.set-price", "/price"),
    ];
    let mut seen = 0;
    for (row, fields) in bodies() {
        for (at, schema) in fields {
            let of_amounts = |name: &str| name.ends_with("/Price") || name.ends_with("/Total");
            let amount = schema["$ref"].as_str().is_some_and(of_amounts);
            let telling = amount || schema["format"] == "date-time" || at.ends_with("/number");
            if !telling || open.contains(&(&*row.name, &*at)) {
                continue;
            }
            seen += 1;
            let declared = row.privileged.iter().any(|privileged| privileged["field"] == at);
            assert!(declared, "{} takes {at} of everybody: declare it in `PRIVILEGED` of its body", row.name);
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn every_number_in_a_body_has_the_ceiling_of_the_domain() {
    use soonshop_domain::cart::MOST_UNITS as MOST_UNITS_OF_A_LINE;
    use soonshop_domain::inventory::{MOST_QUANTITY, MOST_UNITS};
    use soonshop_domain::money::MOST_AMOUNT;
    let mut amounts = 0;
    for (row, fields) in bodies() {
        for (at, schema) in fields {
            let types = &schema["type"];
            let number = |kind: &Value| *kind == "integer" || *kind == "number";
            if !number(types) && !types.as_array().is_some_and(|all| all.iter().any(number)) {
                continue;
            }
            let most = match (&*row.name, at.rsplit('/').next().unwrap()) {
                (
                    "checkout.start" | "checkout.pay" | "order.pay" | "payment.charge" | "payment.release"
                    | "payment.refund",
                    "amount",
                ) => soonshop_domain::money::MOST_TOTAL,
                (_, "amount") => MOST_AMOUNT,
                // It is not 0: one range is below, the other above.
                ("stock.adjust", "quantity") if schema["maximum"] == -1 => {
                    assert_eq!(schema["minimum"], -MOST_UNITS);
                    continue;
                }
                ("stock.adjust", "quantity") => MOST_UNITS,
                ("cart.start" | "cart.add" | "cart.change", "quantity") => MOST_UNITS_OF_A_LINE.into(),
                (_, "quantity") => MOST_QUANTITY.into(),
                // The number of a line of an order.
                ("stock.reserve" | "stock.release" | "stock.ship", "line") => 1_500,
                (_, "line") => u32::MAX.into(),
                (name, field) => panic!("{name}: say which ceiling {field} has"),
            };
            amounts += usize::from(most == MOST_AMOUNT);
            assert_eq!(schema["maximum"].as_i64(), Some(most), "{} {at}", row.name);
            assert!(schema["minimum"].is_i64(), "{} {at}", row.name);
        }
    }
    assert!(amounts >= 5, "{amounts}");
}

#[tokio::test]
async fn an_amount_above_the_ceiling_is_refused_in_every_body_also_of_the_operator() {
    use soonshop_domain::money::{MOST_AMOUNT, MOST_TOTAL};
    let shop = Shop::open().await;
    let product = shop.sell("mug").await;
    let pounds = |amount: i64| json!({ "amount": amount, "currency": "GBP" });
    let line = |quantity: i64, amount: i64| json!({ "country": "UK", "lines": [{ "sku": "mug", "quantity": quantity, "price": pounds(amount) }] });
    let before = shop.head().await;
    for amount in [MOST_AMOUNT + 1, MOST_TOTAL + 1, i64::MAX - 1, i64::MAX] {
        for (path, body, slug) in [
            ("/orders".to_owned(), line(1, amount), "total-too-large"),
            ("/credit-notes".to_owned(), line(1, amount), "total-too-large"),
            (format!("{product}/prices"), json!({ "sku": "mug", "price": pounds(amount) }), "bad-price"),
            (format!("{product}/variants"), json!({ "sku": "cup", "price": pounds(amount) }), "bad-price"),
            (
                "/products".to_owned(),
                json!({ "name": "Cup", "variants": [{ "sku": "cup", "price": pounds(amount) }] }),
                "bad-price",
            ),
        ] {
            let got = shop.operate(&path, body).await;
            assert_eq!(got.refused(), (422, slug.to_owned()), "{path} {amount}");
        }
    }
    for quantity in [i64::from(u32::MAX), MOST_TOTAL / MOST_AMOUNT + 1] {
        for path in ["/orders", "/credit-notes"] {
            let got = shop.operate(path, line(quantity, MOST_AMOUNT)).await;
            assert_eq!(got.refused(), (422, "total-too-large".into()), "{path} {quantity}");
        }
    }
    assert_eq!(shop.head().await, before);
    let headers = [("idempotency-key", &*key()), OPERATOR];
    let highest = line(MOST_TOTAL / MOST_AMOUNT, MOST_AMOUNT);
    assert_eq!(shop.post_with("/orders", &headers, highest).await.status, 201);
}
