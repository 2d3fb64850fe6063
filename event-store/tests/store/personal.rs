//! Personal data: encrypted wherever it is stored, unreadable without its key, and erased only by a tombstone.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sea_orm::ConnectionTrait as _;
use soonshop_domain::order::{self, Customer, Order};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Metadata, Personal, PersonalValue as _, Purpose, ids, personal};
use soonshop_event_log::{
    Checkpoint, Content, Database, DatabaseLocation, Entry, Error, Key, KeyStore, codec,
};
use soonshop_event_store::{CommandContext, ExecuteError, KeyMaker};
use uuid::Uuid;

use crate::fixture::{
    ADDRESS, EMAIL, Fixture, NAME, PHONE, change, context, masters, on_both, place_order, postgres_url,
    register,
};

on_both! {
    no_table_and_no_file_holds_a_personal_value,
    an_encrypted_value_is_readable_until_its_key_is_erased,
    no_new_key_is_made_for_an_erased_person,
    each_purpose_is_erased_by_itself,
    a_value_with_neither_key_nor_tombstone_is_damaged_and_not_erased,
    many_values_without_keys_in_one_page_mean_a_lost_key_store,
    a_key_under_another_master_key_stops_the_reader,
    a_value_that_was_changed_is_damaged,
    a_key_is_stored_before_the_first_event_that_needs_it,
    two_processes_make_one_key,
    a_jwe_is_decrypted_by_the_steps_of_the_rfc,
    a_note_in_the_metadata_is_encrypted_too,
}

async fn page(shop: &Fixture) -> Result<Vec<Entry>, Error> {
    shop.log().read_after("a reader", &Checkpoint::start(), 100).await
}

fn user_of(entry: &Entry) -> user::Details {
    let (Content::Event(event) | Content::Damaged(event, _)) = &entry.content else { panic!("{entry:?}") };
    match &event.event {
        soonshop_domain::Event::User(
            user::Event::UserRegistered { details } | user::Event::UserDetailsChanged { details },
        ) => details.clone(),
        other => panic!("{other:?}"),
    }
}

/// Every stored byte: all tables as text on PostgreSQL, all files on SQLite.
async fn everything(shop: &Fixture) -> Vec<u8> {
    if shop.is_sqlite() {
        let files = std::fs::read_dir(shop.folder())
            .unwrap()
            .map(|file| std::fs::read(file.unwrap().path()).unwrap());
        return files.collect::<Vec<_>>().concat();
    }
    let mut all = String::new();
    for namespace in ["log", "keys"] {
        let db = shop.db(namespace);
        let tables = format!(
            "SELECT table_name::text FROM information_schema.tables WHERE table_schema = '{namespace}'"
        );
        for table in db.connection.query_all(db.statement(&tables, [])).await.unwrap() {
            let table: String = table.try_get_by_index(0).unwrap();
            let rows = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM {namespace}.{table} t");
            all += &shop.text(namespace, &rows).await;
        }
    }
    all.into_bytes()
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

async fn no_table_and_no_file_holds_a_personal_value(shop: Fixture) {
    let store = shop.store();
    let (ada, order) = (ids::new(), ids::new());
    let with_note = CommandContext {
        record: true,
        metadata: Metadata {
            reason_note: Some(Personal::new("she rang about Zebedee".into(), ada, Purpose::Account)),
            ..Metadata::default()
        },
        ..context()
    };
    store.execute::<User>(ada, register(ada, EMAIL), with_note).await.unwrap();
    // A clash and a refusal leave records too.
    let clash = CommandContext { record: true, ..context() };
    store.execute::<User>(ids::new(), register(ids::new(), EMAIL), clash).await.unwrap_err();
    let refusal = CommandContext { record: true, ..context() };
    store.execute::<User>(ada, register(ada, EMAIL), refusal).await.unwrap_err();
    let placed = place_order(Customer::User(ids::UserId(ada)), "S-1");
    store.execute::<Order>(order, placed, context()).await.unwrap();
    // Enough events for a snapshot.
    let changes = (0..201).map(|_| store.execute::<User>(ada, change(ada, EMAIL), context()));
    futures::future::join_all(changes).await;
    crate::fixture::until("a snapshot", async || {
        shop.number("log", "SELECT count(*) FROM @states").await == 1
    })
    .await;

    let stored = everything(&shop).await;
    assert!(contains(&stored, "OrderPlaced") && contains(&stored, "Austria"), "the search works");
    // Parts of them as well: long enough not to appear by chance in an id or in ciphertext.
    let parts = ["Zebedee", "Quuxham", "sterreicher", "7946 0958", "79460958", "Zanzibar", "Gruenhild"];
    for value in [NAME, EMAIL, PHONE, ADDRESS].into_iter().chain(parts) {
        for form in [value.to_owned(), value.to_lowercase(), value.to_uppercase()] {
            assert!(!contains(&stored, &form), "{form:?} is stored in the clear");
        }
        for engine in [&base64::engine::general_purpose::STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            assert!(!contains(&stored, &engine.encode(value)), "{value:?} is stored in base64");
        }
    }
}

async fn an_encrypted_value_is_readable_until_its_key_is_erased(shop: Fixture) {
    let store = shop.store();
    let (ada, bob) = (ids::new(), ids::new());
    store.execute::<User>(ada, register(ada, "ada@example.org"), context()).await.unwrap();
    store.execute::<User>(bob, register(bob, "bob@example.org"), context()).await.unwrap();
    let read = page(&shop).await.unwrap();
    assert_eq!(user_of(&read[0]).name.unwrap().get().unwrap(), NAME);
    assert_eq!(user_of(&read[1]).email.unwrap().get().unwrap(), "bob@example.org");

    store.keys().erase(ada, &[Purpose::Account]).await.unwrap();
    let read = page(&shop).await.unwrap();
    let erased = user_of(&read[0]);
    assert!(matches!(read[0].content, Content::Event(_)), "{:?}", read[0]);
    for value in [erased.name, erased.email, erased.phone] {
        assert!(value.unwrap().is_erased());
    }
    assert_eq!(erased.country.as_deref(), Some("Austria"), "values that are not personal stay");
    assert_eq!(user_of(&read[1]).email.unwrap().get().unwrap(), "bob@example.org");
    let row = format!(
        "SELECT count(*) FROM @data_keys WHERE subject = '{ada}' AND wrapped IS NULL AND master = ''"
    );
    assert_eq!(shop.number("keys", &row).await, 1, "a tombstone stays");
}

async fn no_new_key_is_made_for_an_erased_person(shop: Fixture) {
    let (here, there) = (shop.store(), shop.store());
    let (ada, never) = (ids::new(), ids::new());
    here.execute::<User>(ada, register(ada, "ada@example.org"), context()).await.unwrap();
    // Also for a person without any stored value.
    here.keys().erase(ada, &[Purpose::Account]).await.unwrap();
    here.keys().erase(never, &[Purpose::Account]).await.unwrap();
    here.keys().erase(never, &[Purpose::Account]).await.unwrap();
    for (subject, command) in
        [(ada, change(ada, "new@example.org")), (never, register(never, "new@example.org"))]
    {
        let refused = here.execute::<User>(subject, command.clone(), context()).await;
        assert!(matches!(refused, Err(ExecuteError::Erased)), "{refused:?}");
        let mut items = [Personal::new("x".to_owned(), subject, Purpose::Account)].map(One);
        assert!(there.keys().encrypt(&mut items).await.is_err());
        assert!(items[0].0.jwe().is_none());
    }
    assert_eq!(shop.number("keys", "SELECT count(*) FROM @data_keys WHERE wrapped IS NOT NULL").await, 0);
    assert_eq!(shop.events().await.len(), 1);
    // Even a lost tombstone does not allow a second key.
    shop.run("keys", "DELETE FROM @data_keys").await;
    let mut items = [One(Personal::new("x".to_owned(), never, Purpose::Account))];
    assert!(shop.store().keys().encrypt(&mut items).await.is_err(), "asked by who remembers nothing");
    assert_eq!(shop.number("keys", "SELECT count(*) FROM @data_keys").await, 0);
    // Other commands of the person still work.
    here.execute::<User>(ada, user::Command::Delete, context()).await.unwrap();
}

struct One(Personal<String>);

impl soonshop_domain::Sensitive for One {
    fn personal(&mut self) -> Vec<&mut dyn soonshop_domain::PersonalValue> {
        vec![&mut self.0]
    }
}

async fn each_purpose_is_erased_by_itself(shop: Fixture) {
    let store = shop.store();
    let ada = ids::new();
    store.execute::<User>(ada, register(ada, "ada@example.org"), context()).await.unwrap();
    let placed = place_order(Customer::User(ids::UserId(ada)), "S-1");
    store.execute::<Order>(ids::new(), placed, context()).await.unwrap();
    store.keys().erase(ada, &[Purpose::Account]).await.unwrap();
    let read = page(&shop).await.unwrap();
    assert!(user_of(&read[0]).name.unwrap().is_erased());
    let Content::Event(event) = &read[1].content else { panic!("{:?}", read[1]) };
    let soonshop_domain::Event::Order(order::Event::OrderPlaced { contact, .. }) = &event.event else {
        panic!()
    };
    assert_eq!(contact.address.as_ref().unwrap().get().unwrap(), ADDRESS, "the invoice outlives the account");
}

/// Makes this many users; returns the ids of their keys.
async fn users(shop: &Fixture, count: usize) -> Vec<String> {
    let store = shop.store();
    let mut kids = Vec::new();
    for number in 0..count {
        let id = ids::new();
        let register = register(id, &format!("user{number}@example.org"));
        store.execute::<User>(id, register, context()).await.unwrap();
        kids.push(personal::kid(id, Purpose::Account));
    }
    kids
}

async fn a_value_with_neither_key_nor_tombstone_is_damaged_and_not_erased(shop: Fixture) {
    let kids = users(&shop, 6).await;
    for kid in &kids[1..4] {
        shop.run("keys", &format!("DELETE FROM @data_keys WHERE kid = '{kid}'")).await;
    }
    let read = page(&shop).await.unwrap();
    for (number, entry) in read.iter().enumerate() {
        let damaged = matches!(entry.content, Content::Damaged(..));
        assert_eq!(damaged, (1..4).contains(&number), "{entry:?}");
        assert!(!user_of(entry).name.unwrap().is_erased());
    }
}

async fn many_values_without_keys_in_one_page_mean_a_lost_key_store(shop: Fixture) {
    let kids = users(&shop, 6).await;
    for kid in &kids[1..5] {
        shop.run("keys", &format!("DELETE FROM @data_keys WHERE kid = '{kid}'")).await;
    }
    let lost = page(&shop).await;
    assert!(matches!(lost, Err(Error::KeyStoreLost { count: 4 })), "{lost:?}");
    // A store that is empty, and one that does not exist.
    shop.run("keys", "DELETE FROM @data_keys").await;
    assert!(matches!(page(&shop).await, Err(Error::KeyStoreLost { count: 6 })));
    shop.run("keys", "DROP TABLE @data_keys").await;
    let gone = page(&shop).await;
    assert!(matches!(gone, Err(Error::Keys(_))), "{gone:?}");
    let refused =
        shop.store().execute::<User>(ids::new(), register(ids::new(), "x@example.org"), context()).await;
    assert!(matches!(refused, Err(ExecuteError::Unavailable(_))), "{refused:?}");
}

async fn a_key_under_another_master_key_stops_the_reader(shop: Fixture) {
    users(&shop, 1).await;
    let log = shop.log_with(KeyStore::new(shop.db("keys"), masters(8)));
    let locked = log.read_after("a reader", &Checkpoint::start(), 100).await;
    assert!(matches!(&locked, Err(Error::Keys(reason)) if reason.contains("locked")), "{locked:?}");
    // A value under another person's key does not decrypt, and does not count as erased.
    let other = ids::new();
    shop.store().execute::<User>(other, register(other, "other@example.org"), context()).await.unwrap();
    let kid = personal::kid(other, Purpose::Account);
    let swap = format!(
        "UPDATE @data_keys SET wrapped = (SELECT max(wrapped) FROM @data_keys WHERE kid <> '{kid}') WHERE kid = '{kid}'"
    );
    shop.run("keys", &swap).await;
    let swapped = page(&shop).await;
    assert!(matches!(swapped, Err(Error::Keys(_))), "{swapped:?}");
}

async fn a_value_that_was_changed_is_damaged(shop: Fixture) {
    users(&shop, 2).await;
    let event = &shop.events().await[0];
    let Some(jwe) =
        serde_json::from_str::<serde_json::Value>(&event.payload).unwrap()["UserRegistered"]["name"]
            .as_str()
            .map(str::to_owned)
    else {
        panic!("{}", event.payload)
    };
    let (start, tag) = jwe.rsplit_once('.').unwrap();
    let turned: String = tag.chars().rev().collect();
    let json = if shop.is_sqlite() { "" } else { "::json" };
    let payload = event.payload.replace(&jwe, &format!("{start}.{turned}"));
    shop.run("log", &format!("UPDATE @events SET payload = '{payload}'{json} WHERE position = 1")).await;
    let read = page(&shop).await.unwrap();
    assert!(matches!(read[0].content, Content::Damaged(..)), "{:?}", read[0]);
    assert!(matches!(read[1].content, Content::Event(_)));
    // The same for a value that is not a JWE.
    let payload = event.payload.replace(&jwe, "Ada");
    shop.run("log", &format!("UPDATE @events SET payload = '{payload}'{json} WHERE position = 1")).await;
    let read = page(&shop).await.unwrap();
    assert!(matches!(read[0].content, Content::Damaged(..)), "{:?}", read[0]);
    assert!(matches!(read[1].content, Content::Event(_)));
}

async fn a_key_is_stored_before_the_first_event_that_needs_it(shop: Fixture) {
    let store = shop.store();
    let (ada, bob) = (ids::new(), ids::new());
    store.execute::<User>(ada, register(ada, "ada@example.org"), context()).await.unwrap();
    // Without the key store nothing is appended, not even events that could be encrypted later.
    shop.run("keys", "ALTER TABLE @data_keys RENAME TO away").await;
    let refused = store.execute::<User>(bob, register(bob, "bob@example.org"), context()).await;
    assert!(matches!(refused, Err(ExecuteError::Unavailable(_))), "{refused:?}");
    assert_eq!(shop.events().await.len(), 1);
    // The other way round: a refused append leaves its key behind.
    shop.run(
        "keys",
        if shop.is_sqlite() {
            "ALTER TABLE away RENAME TO data_keys"
        } else {
            "ALTER TABLE keys.away RENAME TO data_keys"
        },
    )
    .await;
    let taken = store.execute::<User>(bob, register(bob, "ada@example.org"), context()).await;
    assert!(matches!(taken, Err(ExecuteError::Taken { .. })), "{taken:?}");
    let key = format!("SELECT count(*) FROM @data_keys WHERE subject = '{bob}'");
    assert_eq!(shop.number("keys", &key).await, 1);
}

async fn two_processes_make_one_key(shop: Fixture) {
    let makers = [shop.store(), shop.store()];
    let ada = ids::new();
    let seal = async |number: usize| {
        let mut items = [One(Personal::new(number.to_string(), ada, Purpose::Account))];
        makers[number % 2].keys().encrypt(&mut items).await.unwrap();
        items[0].0.jwe().unwrap().to_owned()
    };
    let sealed = futures::future::join_all((0..16).map(seal)).await;
    let kid = personal::kid(ada, Purpose::Account);
    let keys = shop.log().keys().keys(&HashSet::from([kid.clone()])).await.unwrap();
    let Key::Living(key) = &keys[&kid] else { panic!("it is there") };
    for (number, jwe) in sealed.iter().enumerate() {
        let text = String::from_utf8(codec::decrypt(jwe, key).unwrap()).unwrap();
        assert_eq!(text, format!("{{\"v\":1,\"value\":\"{number}\"}}"));
    }
}

/// RFC 7516, step by step, without this project's code.
async fn a_jwe_is_decrypted_by_the_steps_of_the_rfc(shop: Fixture) {
    users(&shop, 1).await;
    let payload: serde_json::Value = serde_json::from_str(&shop.events().await[0].payload).unwrap();
    let jwe = payload["UserRegistered"]["name"].as_str().unwrap();
    let [header, key, iv, text, tag] = jwe.split('.').collect::<Vec<_>>()[..] else { panic!("five parts") };
    assert_eq!(key, "", "`dir`: the encrypted key is empty");
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let fields: serde_json::Value = serde_json::from_slice(&decode(header)).unwrap();
    let kid = fields["kid"].as_str().unwrap();
    assert_eq!(fields, serde_json::json!({"alg": "dir", "enc": "A256GCM", "kid": kid, "v": 1}));

    // The key, as the store keeps it: nonce, text and tag in base64, bound to its name.
    let wrapped =
        decode(&shop.text("keys", &format!("SELECT wrapped FROM @data_keys WHERE kid = '{kid}'")).await);
    let open = |key: &[u8], nonce: &[u8], aad: &str, mut sealed: Vec<u8>| {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
        key.open_in_place(nonce, Aad::from(aad.as_bytes()), &mut sealed).unwrap().to_vec()
    };
    let content_key = open(&[7; 32], &wrapped[..12], kid, wrapped[12..].to_vec());
    // The additional data is the encoded header; the IV has 96 bits, the tag 128.
    assert_eq!((decode(iv).len(), decode(tag).len()), (12, 16));
    let plain = open(&content_key, &decode(iv), header, [decode(text), decode(tag)].concat());
    let inner: serde_json::Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!(inner, serde_json::json!({"v": 1, "value": NAME}));
}

async fn a_note_in_the_metadata_is_encrypted_too(shop: Fixture) {
    let store = shop.store();
    let ada = ids::new();
    let note = |text: &str| CommandContext {
        metadata: Metadata {
            reason_note: Some(Personal::new(text.to_owned(), ada, Purpose::Account)),
            ..Metadata::default()
        },
        ..context()
    };
    store.execute::<User>(ada, register(ada, "ada@example.org"), note("she rang")).await.unwrap();
    let metadata: Metadata = serde_json::from_str(&shop.events().await[0].metadata).unwrap();
    let sealed = metadata.reason_note.unwrap();
    assert!(sealed.is_encrypted());
    let kid = codec::kid_of(sealed.jwe().unwrap()).unwrap();
    assert_eq!(kid, personal::kid(ada, Purpose::Account));
    let keys = shop.log().keys().keys(&HashSet::from([kid.clone()])).await.unwrap();
    let Key::Living(key) = &keys[&kid] else { panic!("it is there") };
    assert_eq!(codec::decrypt(sealed.jwe().unwrap(), key).unwrap(), br#"{"v":1,"value":"she rang"}"#);
    store.keys().erase(ada, &[Purpose::Account]).await.unwrap();
    let refused = store.execute::<User>(ada, user::Command::Delete, note("again")).await;
    assert!(matches!(refused, Err(ExecuteError::Erased)), "{refused:?}");
}

/// No error of a server that is down counts as an answer: readers stop, and no person is erased.
#[tokio::test]
async fn a_key_store_that_does_not_answer_stops_readers_and_writers() {
    let shop = Fixture::sqlite().await;
    users(&shop, 1).await;
    let (server, _) = postgres_url().rsplit_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let nowhere = Database::new(DatabaseLocation::parse(&format!("{server}@127.0.0.1:9/nothing")).unwrap());
    let keys = KeyStore::new(nowhere.namespace("keys").unwrap(), masters(7));
    let unanswered = shop.log_with(keys.clone()).read_after("a reader", &Checkpoint::start(), 100).await;
    assert!(matches!(unanswered, Err(Error::Keys(_))), "{unanswered:?}");
    let maker = KeyMaker::new(keys);
    let mut items = [One(Personal::new("x".to_owned(), Uuid::nil(), Purpose::Account))];
    assert!(maker.encrypt(&mut items).await.is_err());
    assert!(maker.erase(Uuid::nil(), &[Purpose::Account]).await.is_err());
}
