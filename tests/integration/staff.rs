//! Those who work for the shop are no data subjects of it: whatever anybody asks to erase, the record of operations goes
//! on and stays readable; and what the holder of a key wrote is erased by a command of its own.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use soonshop::api_keys::ApiKeys;
use soonshop_domain::ids::OPERATOR;
use soonshop_domain::{Purpose, personal};
use soonshop_event_log::{Key, codec};
use soonshop_event_store::KeyMaker;
use soonshop_projections::operations;
use soonshop_service_kit::access::{ApiKey, Role};
use uuid::Uuid;

use crate::support::{Answer, Set, TestShop, eventually};

/// A key, with the id of its holder.
struct Holder {
    key: ApiKey,
    id: Uuid,
}

impl Holder {
    /// As `soonshop key create` makes one.
    async fn of(shop: &TestShop, role: Role) -> Self {
        let keys = ApiKeys::new(&shop.shop.read_database).unwrap();
        let key = keys.create(role, role.as_ref(), None).await.unwrap();
        let id = keys.all().await.unwrap().into_iter().find(|row| row.prefix == key.prefix()).unwrap().id;
        KeyMaker::new(shop.shop.key_store().unwrap()).ensure(id, Purpose::Account).await.unwrap();
        Self { key, id }
    }

    async fn post(&self, shop: &TestShop, path: &str, more: &[(&str, &str)], body: &Value) -> Answer {
        let (key, bearer) = (Uuid::new_v4().to_string(), format!("Bearer {}", self.key.text()));
        let headers =
            [&[("idempotency-key", key.as_str()), ("authorization", bearer.as_str())], more].concat();
        shop.client.send(Method::POST, path, Some(body), &headers).await
    }

    /// Reveals the user's personal values, for a reason.
    async fn reveal(&self, shop: &TestShop, user: &str, reason: &str) -> u16 {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let path = format!("{}/api/audit/a/user/{user}/reveals", shop.client.base);
        let sent = http
            .post(path)
            .header("authorization", format!("Bearer {}", self.key.text()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("reason={reason}"));
        sent.send().await.unwrap().status().as_u16()
    }
}

/// The text of a value that is encrypted; `None` once it was erased.
async fn read(shop: &TestShop, jwe: &str) -> Option<String> {
    let kid = codec::kid_of(jwe).unwrap();
    let keys = shop.shop.key_store().unwrap().keys(&HashSet::from([kid.clone()])).await.unwrap();
    match &keys[&kid] {
        Key::Living(key) => Some(String::from_utf8(codec::decrypt(jwe, key).unwrap()).unwrap()),
        Key::Tombstone => None,
        Key::Missing => panic!("there is no key {kid}"),
    }
}

/// The reasons in the record of operations, the oldest first.
async fn reasons(shop: &TestShop) -> Vec<Option<String>> {
    let db = shop.shop.read_database.namespace("operations").unwrap();
    let lines = operations::last_of(&db, None, 100).await.unwrap();
    let mut reasons = Vec::new();
    for jwe in lines.iter().rev().filter_map(|line| line.note.as_deref()) {
        reasons.push(read(shop, jwe).await);
    }
    reasons
}

fn message(reasons: &[&str]) -> Vec<Option<String>> {
    reasons.iter().map(|reason| Some(json!({ "v": 1, "value": reason }).to_string())).collect()
}

async fn reasons_stay_readable(set: Set) {
    let shop = TestShop::start(set).await;
    let support = Holder::of(&shop, Role::Support).await;
    let colleague = Holder::of(&shop, Role::Support).await;
    let auditor = Holder::of(&shop, Role::Auditor).await;
    let admin = Holder::of(&shop, Role::Admin).await;
    let user = shop.client.post("/users", &json!({ "name": "Ada Quuxley" })).await.expect(201);
    let user = user.json()["id"].as_str().unwrap().to_owned();
    let noted = [("x-reason-note", "she rang")];
    colleague.post(&shop, "/users", &noted, &json!({})).await.expect(201);
    shop.settle().await;
    assert_eq!(auditor.reveal(&shop, &user, "before").await, 200);

    let both = json!({ "purposes": ["account", "invoice"] });
    for subject in [OPERATOR, support.id, colleague.id, auditor.id, admin.id] {
        for holder in [&support, &admin] {
            let got =
                holder.post(&shop, &format!("/people/{subject}/erasures"), &[], &both).await.expect(422);
            assert_eq!(got.json()["type"], "/problems/not-a-data-subject");
        }
        shop.client.operate(&format!("/people/{subject}/erasures"), &both).await.expect(422);
    }
    let confirm = |of: &Holder| json!({ "confirm": of.key.prefix() });
    let path = format!("/keys/{}/erasures", colleague.id);
    assert_eq!(
        support.post(&shop, &path, &[], &confirm(&colleague)).await.expect(403).json()["permission"],
        "erase-staff"
    );
    assert_eq!(
        admin.post(&shop, &path, &[], &confirm(&colleague)).await.expect(409).json()["type"],
        "/problems/key-in-use"
    );
    shop.client
        .operate(&format!("/keys/{OPERATOR}/erasures"), &json!({ "confirm": "b14e07" }))
        .await
        .expect(422);

    // A colleague left: what they wrote is erased, and the record of operations is what it was.
    ApiKeys::new(&shop.shop.read_database).unwrap().revoke(colleague.key.prefix()).await.unwrap();
    admin.post(&shop, &path, &[], &confirm(&support)).await.expect(422);
    admin.post(&shop, &path, &[], &confirm(&colleague)).await.expect(200);
    let event = shop.shop.log().unwrap().read(2, 1).await.unwrap().remove(0);
    let note = serde_json::from_str::<Value>(&event.metadata).unwrap()["reason_note"].clone();
    let note = note.as_str().unwrap();
    assert_eq!(codec::kid_of(note).unwrap(), personal::kid(colleague.id, Purpose::Account));
    eventually("what the colleague wrote is erased", Duration::from_secs(60), async || {
        read(&shop, note).await.is_none()
    })
    .await;

    assert_eq!(auditor.reveal(&shop, &user, "after").await, 200);
    assert_eq!(reasons(&shop).await, message(&["before", "after"]));
    // The reason of a swap or a rollback is written like this.
    operations::note(&shop.shop.key_store().unwrap(), "a swap").await.unwrap();
    support.post(&shop, "/users", &noted, &json!({})).await.expect(201);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reasons_stay_readable_whatever_support_asks_to_erase() {
    reasons_stay_readable(Set::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reasons_stay_readable_whatever_support_asks_to_erase_on_servers() {
    reasons_stay_readable(Set::Nats).await;
}
