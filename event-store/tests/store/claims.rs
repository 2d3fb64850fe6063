//! Unique values: one owner each, freed by their owner, judged with the append.

use futures::future::join_all;
use soonshop_domain::checkout::{self, Checkout};
use soonshop_domain::claim::scope;
use soonshop_domain::ids::{self, CartId, GuestId};
use soonshop_domain::inventory::Stock;
use soonshop_domain::order::{self, Contact, Customer, Order, Placement};
use soonshop_domain::payment::Capture;
use soonshop_domain::user::{self, User};
use soonshop_event_log::codec;
use soonshop_event_store::{AppendError, Claim, CommandContext, ExecuteError, Outcome, Request};

use crate::fixture::{
    Fixture, Tip, change, checking, context, masters, on_both, place_order, receive, register, request,
    submit, words,
};

on_both! {
    a_unique_value_has_one_owner_and_is_free_again_when_its_owner_changes_it,
    exactly_one_of_many_concurrent_claims_wins,
    of_two_claims_in_one_batch_one_wins_and_the_other_gets_the_owner,
    a_value_that_is_claimed_and_given_up_at_once_is_free,
    a_refused_request_neither_claims_nor_frees_a_value,
    only_the_claims_with_outdated_keys_are_refused,
    a_new_key_for_unique_values_is_used_without_a_restart,
    an_imported_record_is_claimed_by_its_natural_key,
    a_checkout_and_the_order_that_it_becomes_hold_one_number,
    a_claim_does_not_reveal_its_value,
}

async fn a_unique_value_has_one_owner_and_is_free_again_when_its_owner_changes_it(shop: Fixture) {
    let store = shop.store();
    let (ada, bob) = (ids::new(), ids::new());
    let owner = async |email: &str| store.owner_of(scope::EMAIL, email).await.unwrap();
    store.execute::<User>(ada, register(ada, "Ada@Example.org"), context()).await.unwrap();
    assert_eq!(owner("ada@example.org").await, Some(format!("user:{ada}")));
    let taken = store.execute::<User>(bob, register(bob, "ada@example.ORG"), context()).await;
    let expected = format!("user:{ada}");
    assert!(matches!(&taken, Err(ExecuteError::Taken { owner, .. }) if *owner == expected), "{taken:?}");
    // Its owner may claim it again.
    store.execute::<User>(ada, change(ada, "ADA@example.org"), context()).await.unwrap();
    store.execute::<User>(ada, change(ada, "lovelace@example.org"), context()).await.unwrap();
    assert_eq!(owner("ada@example.org").await, None);
    store.execute::<User>(bob, register(bob, "ada@example.org"), context()).await.unwrap();
    assert_eq!(owner("ada@example.org").await, Some(format!("user:{bob}")));
    store.execute::<User>(ada, user::Command::Delete, context()).await.unwrap();
    assert_eq!(owner("lovelace@example.org").await, None);
    assert_eq!(shop.number("log", "SELECT count(*) FROM @claims").await, 1);
}

/// A checkout of a guest with this number.
fn checkout(number: &str) -> checkout::Command {
    let customer = Customer::Guest(GuestId(ids::new()));
    let order::Command::Place(Placement { lines, country, .. }) = place_order(customer, number) else {
        unreachable!("an order is placed")
    };
    checkout::Command::Start(Box::new(checkout::Opening {
        cart: CartId(ids::new()),
        cart_changes: 1,
        channel: "main".to_owned(),
        customer,
        number: number.to_owned(),
        country,
        contact: Contact::default(),
        lines,
        capture: Capture::AtOnce,
        test: true,
        pay: Vec::new(),
    }))
}

async fn a_checkout_and_the_order_that_it_becomes_hold_one_number(shop: Fixture) {
    let store = shop.store();
    let (bought, refused) = (ids::new(), ids::new());
    for (id, number) in [(bought, "S-1"), (refused, "S-2")] {
        store.execute::<Checkout>(id, checkout(number), context()).await.unwrap();
    }
    let owner = async |number: &str| store.owner_of(scope::ORDER_NUMBER, number).await.unwrap();
    let order = |number| place_order(Customer::Guest(GuestId(ids::new())), number);
    let taken = store.execute::<Order>(ids::new(), order("S-1"), context()).await;
    assert!(matches!(&taken, Err(ExecuteError::Taken { .. })), "no other order has its number: {taken:?}");
    store.execute::<Order>(bought, order("S-1"), context()).await.unwrap();
    assert_eq!(owner("S-1").await, Some(format!("order:{bought}")));
    let refusal = checkout::Refusal { reason: "given-up".to_owned(), line: None, sku: None };
    store.execute::<Checkout>(refused, checkout::Command::Refuse { refusal }, context()).await.unwrap();
    assert_eq!(owner("S-2").await, None);
    store.execute::<Order>(ids::new(), order("S-2"), context()).await.unwrap();
}

async fn exactly_one_of_many_concurrent_claims_wins(shop: Fixture) {
    let stores = shop.stores();
    let register = |number: usize| {
        let (id, store) = (ids::new(), &stores[number % stores.len()]);
        store.execute::<User>(id, register(id, "one@example.org"), context())
    };
    let outcomes = join_all((0..30).map(register)).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(ExecuteError::Taken { .. }))));
    assert_eq!(shop.events().await.len(), 1);
}

fn claim(request: &mut Request, value: u8, owner: &str) {
    let claim = Claim { scope: "sku", key_id: 1, value: vec![value; 32], form: 1, owner: owner.to_owned() };
    request.claims.push(claim);
    request.claim_keys = vec![1];
}

fn claiming(tip: &mut Tip, value: u8, owner: &str) -> Request {
    let mut request = request(tip);
    claim(&mut request, value, owner);
    request
}

async fn of_two_claims_in_one_batch_one_wins_and_the_other_gets_the_owner(shop: Fixture) {
    let store = shop.store();
    let requests = vec![
        claiming(&mut Tip::new(), 1, "product:a"),
        claiming(&mut Tip::new(), 1, "product:b"),
        claiming(&mut Tip::new(), 2, "product:b"),
    ];
    let outcomes = submit(&store, requests).await;
    assert_eq!(words(&outcomes), ["done", "claimed", "done"]);
    assert!(
        matches!(&outcomes[1], Ok(Outcome::Claimed { owner, .. }) if owner == "product:a"),
        "{outcomes:?}"
    );
    assert_eq!(shop.events().await.len(), 2);
}

async fn a_value_that_is_claimed_and_given_up_at_once_is_free(shop: Fixture) {
    let store = shop.store();
    let mut tip = Tip::new();
    let first = claiming(&mut tip, 1, "product:a");
    let mut second = claiming(&mut tip, 2, "product:a");
    second.frees.push(("sku", "product:a".into()));
    assert_eq!(words(&submit(&store, vec![first, second]).await), ["done", "done"]);
    let held = if shop.is_sqlite() {
        "SELECT value FROM @claims"
    } else {
        "SELECT encode(value, 'hex') FROM @claims"
    };
    assert_eq!(shop.number("log", "SELECT count(*) FROM @claims").await, 1);
    assert_eq!(shop.text("log", held).await, "02".repeat(32));
    let outcomes = submit(&store, vec![claiming(&mut Tip::new(), 1, "product:b")]).await;
    assert_eq!(words(&outcomes), ["done"]);
}

async fn a_refused_request_neither_claims_nor_frees_a_value(shop: Fixture) {
    let store = shop.store();
    let mut tip = Tip::new();
    let mut stale = tip.clone();
    let first = claiming(&mut tip, 1, "product:a");
    assert_eq!(words(&submit(&store, vec![first]).await), ["done"]);
    // It would claim another value in place of the first, but does not know the stream's event.
    let mut refused = claiming(&mut stale, 2, "product:a");
    refused.frees.push(("sku", "product:a".into()));
    let outcomes = submit(&store, vec![refused, claiming(&mut stale, 3, "product:c")]).await;
    assert_eq!(words(&outcomes), ["version", "behind"]);
    assert_eq!(shop.number("log", "SELECT count(*) FROM @claims").await, 1);
    let outcomes = submit(
        &store,
        vec![
            claiming(&mut Tip::new(), 1, "product:b"),
            claiming(&mut Tip::new(), 2, "product:b"),
            claiming(&mut Tip::new(), 3, "product:b"),
        ],
    )
    .await;
    assert_eq!(words(&outcomes), ["claimed", "done", "done"]);
}

async fn only_the_claims_with_outdated_keys_are_refused(shop: Fixture) {
    let store = shop.store();
    let mut other_keys = claiming(&mut Tip::new(), 1, "product:a");
    other_keys.claim_keys = vec![1, 9];
    let outcomes = submit(&store, vec![request(&mut Tip::new()), other_keys, checking(&Tip::new())]).await;
    assert_eq!(words(&outcomes), ["done", "error", "done"]);
    assert!(matches!(outcomes[1], Err(AppendError::ClaimKeysChanged)));
    assert_eq!(shop.number("log", "SELECT count(*) FROM @claims").await, 0);
}

async fn a_new_key_for_unique_values_is_used_without_a_restart(shop: Fixture) {
    let store = shop.store();
    let (ada, bob) = (ids::new(), ids::new());
    store.execute::<User>(ada, register(ada, "ada@example.org"), context()).await.unwrap();
    let master = masters(7);
    let (id, key) = master.current();
    let wrapped = codec::wrap(key, "claim.3", &[3; 32]).unwrap();
    shop.run(
        "keys",
        &format!(
            "INSERT INTO @hmac_keys (key_id, master, wrapped, use) VALUES (3, '{id}', '{wrapped}', 'claim')"
        ),
    )
    .await;
    shop.run("log", "INSERT INTO @claim_keys (key_id) VALUES (3)").await;
    // The store still has the old set: the log refuses it, and the store reads the new one.
    store.execute::<User>(bob, register(bob, "bob@example.org"), context()).await.unwrap();
    let bobs = format!("SELECT count(*) FROM @claims WHERE owner = 'user:{bob}' AND key_id IN (1, 3)");
    assert_eq!(shop.number("log", &bobs).await, 2, "a claim is written under every living key");
    let taken = store.execute::<User>(ids::new(), register(ids::new(), "ada@example.org"), context()).await;
    assert!(matches!(taken, Err(ExecuteError::Taken { .. })), "{taken:?}");
}

async fn an_imported_record_is_claimed_by_its_natural_key(shop: Fixture) {
    let store = shop.store();
    let importing = || CommandContext { import_key: Some("receipt:1".into()), ..context() };
    store.execute::<Stock>(ids::new(), receive(1), importing()).await.unwrap();
    let taken = store.execute::<Stock>(ids::new(), receive(1), importing()).await;
    assert!(matches!(&taken, Err(ExecuteError::Taken { scope, .. }) if scope == scope::IMPORT), "{taken:?}");
    // A second receipt of the same stream takes nothing from the first.
    let stream = ids::new();
    for number in 2..4 {
        let importing = CommandContext { import_key: Some(format!("receipt:{number}")), ..context() };
        store.execute::<Stock>(stream, receive(1), importing).await.unwrap();
    }
    // Nor does the stream take one of them again under another command.
    let again = CommandContext { import_key: Some("receipt:2".into()), ..context() };
    let taken = store.execute::<Stock>(stream, receive(1), again).await;
    assert!(matches!(&taken, Err(ExecuteError::Taken { scope, .. }) if scope == scope::IMPORT), "{taken:?}");
    assert_eq!(shop.number("log", "SELECT count(*) FROM @claims WHERE scope = 'import'").await, 3);
}

async fn a_claim_does_not_reveal_its_value(shop: Fixture) {
    let store = shop.store();
    let ada = ids::new();
    store.execute::<User>(ada, register(ada, "ada@example.org"), context()).await.unwrap();
    let plain = ring::digest::digest(&ring::digest::SHA256, b"ada@example.org");
    let stored = if shop.is_sqlite() { "value" } else { "encode(value, 'hex')" };
    let value = shop.text("log", &format!("SELECT {stored} FROM @claims")).await;
    assert_eq!(value.len(), 64);
    // The HMAC keys are random: another log has another HMAC for the same address.
    let other = if shop.is_sqlite() { Fixture::sqlite().await } else { Fixture::postgres().await };
    other.store().execute::<User>(ada, register(ada, "ada@example.org"), context()).await.unwrap();
    assert_ne!(other.text("log", &format!("SELECT {stored} FROM @claims")).await, value);
    let hex = plain.as_ref().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    assert_ne!(hex, value);
}
