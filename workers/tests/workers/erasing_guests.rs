//! Guests whose orders an account claimed go with the account.

use std::collections::BTreeSet;

use soonshop_domain::cart::{self, Cart, NewLine, Seen};
use soonshop_domain::ids::{CartId, GuestId, ProductId, UserId};
use soonshop_domain::order::{self, ClaimedBy, Command, Customer, Order, Placement};
use soonshop_domain::user::person::{self, Person};
use soonshop_domain::{Currency, Metadata, Money, Personal, Purpose, ids};
use soonshop_event_log::EventLog;
use soonshop_event_store::{CommandContext, EventStore, ExecuteError, Executed};
use soonshop_identity::Guest;
use soonshop_workers::claimed_guests::{guests_of, requested};
use uuid::Uuid;

use crate::erasing::{eraser, killed_after, living_keys, register, send};
use crate::fixture::{Shop, on_both, until};
use crate::history::{contact, line, sku, uuid};
use crate::recording::{identity, open};

on_both!(
    guests_go_with_the_account_that_claimed_their_orders_for_the_same_purposes,
    guests_go_with_the_account_that_took_their_carts_over,
    a_guest_stays_while_an_order_of_theirs_is_nobodys_or_of_an_account_that_stays,
    a_killed_eraser_asks_for_each_guest_once,
    guests_of_people_whom_an_earlier_release_erased_go_when_the_eraser_starts,
    a_claim_that_an_earlier_release_took_after_the_erasure_takes_the_guest_with_it,
    of_a_claim_and_an_erasure_at_the_same_moment_no_guest_is_left,
    guests_are_erased_again_after_a_restore,
    nothing_is_left_with_which_an_erased_guest_is_known_or_their_orders_are_claimed,
);

const BOTH: [Purpose; 2] = [Purpose::Account, Purpose::Invoice];

async fn place(store: &EventStore, order: Uuid, guest: Uuid) {
    let placement = Placement {
        number: format!("S-{order}"),
        customer: Customer::Guest(GuestId(guest)),
        lines: vec![line(1, "MUG", 1, 100)],
        country: "Austria".to_owned(),
        contact: contact(guest),
    };
    send::<Order>(store, order, Command::Place(placement)).await;
}

/// Claims an order as a process does it.
async fn claim(
    store: &EventStore,
    order: Uuid,
    (account, guest): (Uuid, Uuid),
) -> Result<Executed, ExecuteError<order::Error>> {
    let command = Command::Claim { account: UserId(account), by: ClaimedBy::Token, guest: GuestId(guest) };
    let context = CommandContext::new(ids::new(), b"a test".to_vec(), Metadata::default());
    let (first, second) = ((order, command), (account, person::Command::TakeOver { purpose: None }));
    Box::pin(store.execute_joined::<Order, Person>(first, second, context, order::Error::Person)).await
}

/// Claims an order as an earlier release did: nobody asks whether the account is there.
async fn claim_as_before(store: &EventStore, order: Uuid, (account, guest): (Uuid, Uuid)) {
    let command = Command::Claim { account: UserId(account), by: ClaimedBy::Link, guest: GuestId(guest) };
    send::<Order>(store, order, command).await;
}

/// An order of this guest that this account claimed.
async fn claimed(store: &EventStore, order: Uuid, account: Uuid, guest: Uuid) {
    place(store, order, guest).await;
    claim(store, order, (account, guest)).await.unwrap();
}

async fn ask(store: &EventStore, subject: Uuid, purposes: &[Purpose]) {
    let purposes = purposes.to_vec();
    send::<Person>(store, subject, person::Command::RequestErasure { purposes }).await;
}

/// The purposes whose erasure is confirmed.
async fn erased(log: &EventLog, subject: Uuid) -> BTreeSet<Purpose> {
    let mut all = BTreeSet::new();
    for row in log.of_type("person", &subject.to_string(), "PersonErased").await.unwrap() {
        let payload: serde_json::Value = serde_json::from_str(&row.payload).unwrap();
        let purposes: Vec<Purpose> =
            serde_json::from_value(payload["PersonErased"]["purposes"].clone()).unwrap();
        all.extend(purposes);
    }
    all
}

async fn until_erased(log: &EventLog, subject: Uuid, purposes: &[Purpose]) {
    let purposes: BTreeSet<Purpose> = purposes.iter().copied().collect();
    until("the erasure is confirmed", async || Box::pin(erased(log, subject)).await == purposes).await;
}

async fn requests(shop: &Shop, subject: Uuid) -> usize {
    shop.log().of_type("person", &subject.to_string(), "ErasureRequested").await.unwrap().len()
}

async fn guests_go_with_the_account_that_claimed_their_orders_for_the_same_purposes(shop: Shop) {
    let store = shop.store();
    let (ada, one, other, stranger) = (uuid(1), uuid(11), uuid(12), uuid(13));
    register(&store, ada).await;
    for (order, guest) in [(101, one), (102, one), (103, other)] {
        claimed(&store, uuid(order), ada, guest).await;
    }
    place(&store, uuid(104), stranger).await;
    let run = eraser(&shop, &store);
    // What the law makes the shop keep of the account's own orders, it keeps of these.
    ask(&store, ada, &[Purpose::Account]).await;
    for guest in [one, other] {
        until_erased(store.log(), guest, &[Purpose::Account]).await;
    }
    assert_eq!(living_keys(&shop).await, 3, "those for the invoices of the three guests");
    ask(&store, ada, &[Purpose::Invoice]).await;
    for guest in [one, other] {
        until_erased(store.log(), guest, &BOTH).await;
        assert_eq!(requests(&shop, guest).await, 2);
    }
    assert_eq!(living_keys(&shop).await, 1, "that of the stranger");
    assert_eq!(requests(&shop, stranger).await, 0);
    let asked = shop.log().of_type("person", &one.to_string(), "ErasureRequested").await.unwrap().remove(0);
    let metadata: Metadata = serde_json::from_str(&asked.metadata).unwrap();
    assert_eq!(metadata.actor().unwrap().to_string(), "system:eraser");
    let cause = shop.log().of_type("person", &ada.to_string(), "ErasureRequested").await.unwrap().remove(0);
    assert_eq!(metadata.causation_id, Some(cause.event_id));
    // Neither the erasure of a guest nor that of somebody who claimed nothing leads to another.
    assert!(guests_of(store.log(), one).await.unwrap().is_empty());
    run.stop().await;
}

/// Starts a cart with a note.
async fn fill(store: &EventStore, cart: Uuid, customer: Customer) {
    let note = Personal::new("a gift".to_owned(), customer.subject(), Purpose::Account);
    let seen = Seen { name: "Mug".to_owned(), price: Money::new(100, Currency::GBP) };
    let product_id = ProductId(uuid(3));
    let line = NewLine { sku: sku("MUG"), product_id, quantity: 1, note: Some(note), seen };
    let start = cart::Command::Start { channel: cart::CHANNEL.to_owned(), customer, line };
    send::<Cart>(store, cart, start).await;
}

async fn guests_go_with_the_account_that_took_their_carts_over(shop: Shop) {
    let store = shop.store();
    let (ada, claimed, merged, stranger) = (uuid(1), uuid(11), uuid(12), uuid(13));
    let guest = |id| Customer::Guest(GuestId(id));
    for (cart, owner) in [(101, claimed), (102, merged), (103, stranger)] {
        fill(&store, uuid(cart), guest(owner)).await;
    }
    let claim =
        cart::Command::Claim { user: UserId(ada), guest: GuestId(claimed), notes: Vec::new(), changes: 1 };
    send::<Cart>(&store, uuid(101), claim).await;
    let (into, owner) = (CartId(uuid(101)), UserId(ada));
    let merge = cart::Command::MergeInto { into, owner, guest: GuestId(merged), changes: 1 };
    send::<Cart>(&store, uuid(102), merge).await;
    let run = eraser(&shop, &store);
    ask(&store, ada, &[Purpose::Account]).await;
    for guest in [claimed, merged] {
        until_erased(store.log(), guest, &[Purpose::Account]).await;
        assert_eq!(requests(&shop, guest).await, 1);
    }
    assert_eq!((living_keys(&shop).await, requests(&shop, stranger).await), (1, 0));
    // Merged at the moment of the erasure, or after it.
    let late = cart::Command::MergeInto { into, owner, guest: GuestId(stranger), changes: 1 };
    send::<Cart>(&store, uuid(103), late).await;
    until_erased(store.log(), stranger, &[Purpose::Account]).await;
    assert_eq!(living_keys(&shop).await, 0);
    // An order that nobody claimed keeps what orders hold, and no notes.
    let (bob, buyer) = (uuid(2), uuid(14));
    fill(&store, uuid(105), guest(buyer)).await;
    place(&store, uuid(106), buyer).await;
    let claim =
        cart::Command::Claim { user: UserId(bob), guest: GuestId(buyer), notes: Vec::new(), changes: 1 };
    send::<Cart>(&store, uuid(105), claim).await;
    ask(&store, bob, &BOTH).await;
    until_erased(store.log(), buyer, &[Purpose::Account]).await;
    assert_eq!(living_keys(&shop).await, 1);
    run.stop().await;
}

async fn a_guest_stays_while_an_order_of_theirs_is_nobodys_or_of_an_account_that_stays(shop: Shop) {
    let store = shop.store();
    let (ada, bob, shared, open) = (uuid(1), uuid(2), uuid(11), uuid(12));
    claimed(&store, uuid(101), ada, shared).await;
    claimed(&store, uuid(102), bob, shared).await;
    claimed(&store, uuid(103), ada, open).await;
    place(&store, uuid(104), open).await;
    let run = eraser(&shop, &store);
    ask(&store, ada, &BOTH).await;
    until_erased(store.log(), ada, &BOTH).await;
    assert_eq!((requests(&shop, shared).await, requests(&shop, open).await), (0, 0));
    assert_eq!(living_keys(&shop).await, 2, "both guests wrote something that others still have");
    // Bob keeps what the law wants.
    ask(&store, bob, &[Purpose::Account]).await;
    until_erased(store.log(), shared, &[Purpose::Account]).await;
    assert_eq!(living_keys(&shop).await, 2);
    ask(&store, bob, &[Purpose::Invoice]).await;
    until_erased(store.log(), shared, &BOTH).await;
    assert_eq!((living_keys(&shop).await, requests(&shop, open).await), (1, 0));
    // The other order is claimed at last, by somebody who is erased then.
    let cleo = uuid(3);
    claim(&store, uuid(104), (cleo, open)).await.unwrap();
    ask(&store, cleo, &BOTH).await;
    until_erased(store.log(), open, &BOTH).await;
    assert_eq!(living_keys(&shop).await, 0);
    run.stop().await;
}

async fn a_killed_eraser_asks_for_each_guest_once(shop: Shop) {
    let store = shop.store();
    let guests: Vec<Uuid> = (11..16).map(uuid).collect();
    for (number, guest) in (100..).zip(&guests) {
        claimed(&store, uuid(number), uuid(1), *guest).await;
    }
    ask(&store, uuid(1), &BOTH).await;
    for steps in [1, 3, 6, 10, 14, 18, 22, 26, 30, 34] {
        killed_after(steps, &shop, &store).await;
    }
    let run = eraser(&shop, &store);
    for guest in &guests {
        until_erased(store.log(), *guest, &BOTH).await;
        assert_eq!(requests(&shop, *guest).await, 1);
    }
    run.stop().await;
    assert_eq!(living_keys(&shop).await, 0);
    let registered = "SELECT count(*) FROM @erasures";
    assert_eq!(shop.number("erasures", registered).await, 12);
}

/// Has the eraser begin behind all that is in the log.
async fn all_was_read(shop: &Shop) {
    let head = shop.log().head().await.unwrap();
    let moved = format!(
        "UPDATE @checkpoints SET position = {}, event_id = '{}' WHERE follower = 'eraser'",
        head.position,
        head.event_id.unwrap()
    );
    assert_eq!(shop.run("process", &moved).await, 1);
}

async fn guests_of_people_whom_an_earlier_release_erased_go_when_the_eraser_starts(shop: Shop) {
    let store = shop.store();
    let (ada, bob, guest, kept) = (uuid(1), uuid(2), uuid(11), uuid(12));
    ask(&store, ada, &BOTH).await;
    let run = eraser(&shop, &store);
    until_erased(store.log(), ada, &BOTH).await;
    run.stop().await;
    for (order, account, guest) in [(101, ada, guest), (102, bob, kept)] {
        place(&store, uuid(order), guest).await;
        claim_as_before(&store, uuid(order), (account, guest)).await;
    }
    all_was_read(&shop).await;
    let run = eraser(&shop, &store);
    until_erased(store.log(), guest, &BOTH).await;
    assert_eq!((living_keys(&shop).await, requests(&shop, kept).await), (1, 0));
    run.stop().await;
    // Once: another start asks for nobody again.
    let head = shop.log().head().await.unwrap();
    let run = eraser(&shop, &store);
    ask(&store, uuid(3), &[Purpose::Account]).await;
    until_erased(store.log(), uuid(3), &[Purpose::Account]).await;
    run.stop().await;
    assert_eq!(shop.log().head().await.unwrap().position, head.position + 2);
}

async fn a_claim_that_an_earlier_release_took_after_the_erasure_takes_the_guest_with_it(shop: Shop) {
    let store = shop.store();
    let (ada, guest) = (uuid(1), uuid(11));
    place(&store, uuid(101), guest).await;
    ask(&store, ada, &BOTH).await;
    // This release takes none.
    let refused = claim(&store, uuid(101), (ada, guest)).await;
    let gone = order::Error::Person(person::Error::PersonErased);
    assert!(matches!(&refused, Err(ExecuteError::Rejected(error)) if *error == gone), "{refused:?}");
    let run = eraser(&shop, &store);
    until_erased(store.log(), ada, &BOTH).await;
    assert_eq!(requests(&shop, guest).await, 0);
    claim_as_before(&store, uuid(101), (ada, guest)).await;
    until_erased(store.log(), guest, &BOTH).await;
    assert_eq!(living_keys(&shop).await, 0);
    run.stop().await;
}

async fn of_a_claim_and_an_erasure_at_the_same_moment_no_guest_is_left(shop: Shop) {
    // On PostgreSQL the two may be in two processes.
    let store = shop.store();
    let other = if shop.is_sqlite() { store.clone() } else { shop.store() };
    let run = eraser(&shop, &store);
    let mut claims = Vec::new();
    for number in 0..12 {
        let (account, guest, order) = (uuid(number + 1), uuid(number + 100), uuid(number + 200));
        place(&store, order, guest).await;
        let ask = ask(&other, account, &BOTH);
        let (claimed, ()) = tokio::join!(claim(&store, order, (account, guest)), ask);
        let is_claimed = match claimed {
            Ok(_) => true,
            Err(ExecuteError::Rejected(order::Error::Person(_))) => false,
            Err(error) => panic!("{error}"),
        };
        claims.push((account, guest, is_claimed));
    }
    for (account, guest, is_claimed) in claims {
        until_erased(store.log(), account, &BOTH).await;
        if is_claimed {
            until_erased(store.log(), guest, &BOTH).await;
        } else {
            assert_eq!(requests(&shop, guest).await, 0, "nobody has the order");
        }
    }
    run.stop().await;
}

async fn guests_are_erased_again_after_a_restore(shop: Shop) {
    let store = shop.store();
    let (ada, guest) = (uuid(1), uuid(11));
    register(&store, ada).await;
    claimed(&store, uuid(101), ada, guest).await;
    shop.run("keys", "CREATE TABLE @backup AS SELECT * FROM @data_keys").await;
    let backup = shop.log().head().await.unwrap().position;
    ask(&store, ada, &BOTH).await;
    let run = eraser(&shop, &store);
    until_erased(store.log(), guest, &BOTH).await;
    run.stop().await;
    store.close().await;
    // The log, the keys and the checkpoints come back, and of the register what was there of the account.
    shop.run("log", &format!("DELETE FROM @events WHERE position > {backup}")).await;
    shop.run("log", "DELETE FROM @commands").await;
    shop.run("process", "DELETE FROM @checkpoints").await;
    shop.run("keys", "DELETE FROM @data_keys").await;
    shop.run("keys", "DELETE FROM @barred").await;
    shop.run("keys", "INSERT INTO @data_keys SELECT * FROM @backup").await;
    shop.run("erasures", &format!("DELETE FROM @erasures WHERE subject = '{guest}'")).await;
    let store = shop.store();
    assert_eq!(living_keys(&shop).await, 2);
    let run = eraser(&shop, &store);
    until_erased(store.log(), guest, &BOTH).await;
    assert_eq!(requested(store.log(), ada).await.unwrap(), BOTH.into());
    assert_eq!(living_keys(&shop).await, 0);
    run.stop().await;
}

async fn nothing_is_left_with_which_an_erased_guest_is_known_or_their_orders_are_claimed(shop: Shop) {
    let store = shop.store();
    let identity = identity(&shop);
    let account = open(&shop, &store, &identity, "customer").await;
    let guest = Guest { id: uuid(11), first_command: ids::new() };
    let stranger = Guest { id: uuid(12), first_command: ids::new() };
    for (number, one) in [(101, guest), (102, stranger)] {
        place(&store, uuid(number), one.id).await;
        identity.begin_guest(one).await.unwrap().unwrap();
        let link = format!(
            "INSERT INTO @links (id, account, purpose, language, address_hash, password_generation, made_at, expires_at, \
             order_id) VALUES ('link-{number}', '{account}', 'claim', 'en', 'x', 1, 1, 9999999999999, '{}')",
            uuid(number)
        );
        shop.run("identity", &link).await;
        let mail = format!(
            "INSERT INTO @mails (id, kind, request, account, address, language, expires_at, due_at) \
             VALUES ('mail-{number}', 'claim', 'link-{number}', '{account}', 'sealed', 'en', 9999999999999, 1)"
        );
        shop.run("identity", &mail).await;
    }
    let counted =
        async |table: &str| shop.number("identity", &format!("SELECT count(*) FROM @{table}")).await;
    let run = eraser(&shop, &store);
    ask(&store, guest.id, &[Purpose::Invoice]).await;
    until_erased(store.log(), guest.id, &[Purpose::Invoice]).await;
    for table in ["guests", "links", "mails"] {
        assert_eq!(counted(table).await, 1, "{table}: what is of the stranger");
    }
    assert_eq!(identity.begin_guest(guest).await.unwrap(), None);
    // Who is erased for another purpose begins no more either.
    ask(&store, stranger.id, &[Purpose::Account]).await;
    until_erased(store.log(), stranger.id, &[Purpose::Account]).await;
    assert_eq!(counted("guests").await, 0);
    assert_eq!(identity.begin_guest(stranger).await.unwrap(), None);
    run.stop().await;
}
