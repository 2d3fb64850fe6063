//! What aggregates decide and say where nothing else would show it: each of these was a change of the code that no other
//! test of the domain noticed (`make mutants`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use serde_json::json;
use soonshop_domain::decider::{state_to_show, type_of};
use soonshop_domain::identity::account::{Account, FactorKind};
use soonshop_domain::identity::client::Client;
use soonshop_domain::identity::session::{BegunFrom, Session};
use soonshop_domain::identity::{account, client, session};
use soonshop_domain::ids::{CreditNoteId, GuestId, OrderId, ProductId};
use soonshop_domain::inventory::{self, At, MAIN, Stock, StockPlace};
use soonshop_domain::order::credits::CreditedLine;
use soonshop_domain::order::{self, Contact, Customer, Line, Movement, Order, Placement, Refusal, Status};
use soonshop_domain::process_managers::find;
use soonshop_domain::product::{self, Details, Product, Variant};
use soonshop_domain::text::Sku;
use soonshop_domain::user::address::{Address, Typed};
use soonshop_domain::user::kept::{Booked, Kept};
use soonshop_domain::user::person::{self, Person};
use soonshop_domain::{Currency, Decider, EventInfo as _, Facts, Money, Purpose, Sensitive as _};
use uuid::Uuid;

fn facts() -> Facts {
    Facts { now: "2026-01-02T03:04:05Z".parse().unwrap() }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn sku(text: &str) -> Sku {
    Sku::try_new(text).unwrap()
}

fn after<A: Decider>(events: impl IntoIterator<Item = A::Event>) -> A {
    let mut state = A::default();
    for event in events {
        state.apply(event);
    }
    state
}

fn gbp(amount: i64) -> Money {
    Money::new(amount, Currency::GBP)
}

fn placed() -> order::Event {
    let line = Line {
        number: 1,
        sku: sku("MUG"),
        product_id: ProductId(id(5)),
        name: "Mug".to_owned(),
        quantity: 3,
        price: gbp(100),
    };
    let placement = Placement {
        number: "S-1".to_owned(),
        customer: Customer::Guest(GuestId(id(9))),
        lines: vec![line],
        country: "Austria".to_owned(),
        contact: Contact::default(),
    };
    Order::default().decide(order::Command::Place(placement), &facts()).unwrap().remove(0)
}

/// An order in each status.
fn in_status(status: Status) -> Order {
    let refused = || order::Event::OrderRefused {
        refusal: Refusal { line: 1, sku: sku("MUG"), reason: "insufficient-stock".to_owned() },
    };
    let cancelled = || order::Event::OrderCancelled { reason: "changed-my-mind".to_owned() };
    let (confirmed, shipped) = (order::Event::OrderConfirmed {}, order::Event::OrderShipped {});
    after(match status {
        Status::Unknown => vec![],
        Status::Placed => vec![placed()],
        Status::Confirmed => vec![placed(), confirmed],
        Status::Refused => vec![placed(), refused()],
        Status::Cancelled => vec![placed(), confirmed, cancelled()],
        Status::Shipped => vec![placed(), confirmed, shipped],
    })
}

#[test]
fn stock_moves_by_hand_as_the_order_has_its_line_and_is_so_far() {
    use Status::{Cancelled, Confirmed, Placed, Refused, Shipped, Unknown};
    let all = [Unknown, Placed, Confirmed, Refused, Cancelled, Shipped];
    let moved = |status, line, sku, movement| {
        let command = order::Command::MoveStock { line, sku, movement };
        in_status(status).decide(command, &facts())
    };
    for (movement, statuses) in [
        (Movement::Reserve { quantity: 3 }, &[Placed, Confirmed][..]),
        (Movement::Release, &[Refused, Cancelled]),
        (Movement::ReleaseElsewhere, &[Placed, Confirmed, Refused, Cancelled, Shipped]),
        (Movement::Ship, &[Shipped]),
    ] {
        for status in all {
            let expected = match status {
                Unknown => Err(order::Error::OrderNotFound),
                _ if statuses.contains(&status) => Ok(vec![]),
                _ => Err(order::Error::WrongOrderState(status)),
            };
            assert_eq!(moved(status, 1, sku("MUG"), movement), expected, "{movement:?} {status:?}");
        }
        assert_eq!(moved(Placed, 2, sku("MUG"), movement), Err(order::Error::NoSuchLine(2)));
        let another = order::Error::LineOfAnotherSku(sku("MUG"));
        assert_eq!(moved(Placed, 1, sku("CUP"), movement), Err(another));
    }
    for quantity in [2, 4] {
        let movement = Movement::Reserve { quantity };
        assert_eq!(moved(Placed, 1, sku("MUG"), movement), Err(order::Error::LineOfAnotherQuantity(3)));
    }
}

#[test]
fn a_note_beside_an_event_of_an_order_is_about_its_buyer_and_one_beside_an_erasure_about_nobody() {
    let confirmed = order::Event::OrderConfirmed {};
    assert_eq!(in_status(Status::Placed).note_about(&confirmed, id(1)), Some(id(9)));
    assert_eq!(Order::default().note_about(&placed(), id(1)), Some(id(9)));
    assert_eq!(Order::default().note_about(&confirmed, id(1)), None);
    let requested = person::Event::ErasureRequested { purposes: vec![Purpose::Account] };
    assert_eq!(Person::default().note_about(&requested, id(1)), None);
    // As every other aggregate has it: whom the event is about.
    let started = started(id(2));
    assert_eq!(Session::default().note_about(&started, id(1)), started.subject(id(1)));
}

#[test]
fn what_is_counted_on_a_listed_product_is_refused_once_it_is_deleted() {
    let created = product::Event::ProductCreated {
        details: Details { name: "Mug".to_owned(), ..Details::default() },
        variants: vec![Variant { sku: sku("MUG"), price: Some(gbp(500)) }],
    };
    let held = |deleted: bool, command| {
        let events =
            [created.clone()].into_iter().chain(deleted.then_some(product::Event::ProductDeleted {}));
        after::<Product>(events).decide(command, &facts())
    };
    let (mug, cup) = (sku("MUG"), sku("CUP"));
    let listed = |sku: &Sku| product::Command::HoldListedSku { sku: sku.clone() };
    let any = |sku: &Sku| product::Command::HoldSku { sku: sku.clone() };
    assert_eq!(held(false, listed(&mug)), Ok(vec![]));
    assert_eq!(held(true, listed(&mug)), Err(product::Error::ProductDeleted));
    assert_eq!(held(false, any(&mug)), Ok(vec![]));
    assert_eq!(held(true, any(&mug)), Ok(vec![]));
    for deleted in [false, true] {
        assert_eq!(held(deleted, listed(&cup)), Err(product::Error::NoSuchVariant(cup.clone())));
        assert_eq!(held(deleted, any(&cup)), Err(product::Error::NoSuchVariant(cup.clone())));
    }
}

#[test]
fn goods_that_nobody_reserved_are_stock() {
    let place = StockPlace { sku: sku("MUG"), location: MAIN.to_owned() };
    let stock: Stock = after([inventory::Event::StockReceived { place: place.clone(), quantity: 5 }]);
    let refused = stock.decide(At { place, command: inventory::Command::BeEmpty }, &facts());
    assert_eq!(refused, Err(inventory::Error::StockLeft { on_hand: 5, reserved: 0 }));
}

#[test]
fn recovery_codes_go_with_the_last_second_factor() {
    let (added, removed) = (
        |number| account::Event::SecondFactorAdded { factor: id(number), kind: FactorKind::Totp },
        |number| account::Event::SecondFactorRemoved { factor: id(number), kind: FactorKind::Totp },
    );
    let codes = || account::Event::RecoveryCodesMade { left: 10 };
    let one_left: Account = after([added(1), codes(), added(2), removed(1)]);
    assert_eq!((one_left.second_factors, one_left.recovery_codes), (1, 10));
    let none_left: Account = after([added(1), codes(), removed(1)]);
    assert_eq!((none_left.second_factors, none_left.recovery_codes), (0, 0));
}

fn started(account: Uuid) -> session::Event {
    session::Event::SessionStarted {
        account,
        client: "soonshop".to_owned(),
        factors: vec!["password".to_owned()],
        from: BegunFrom::SignIn,
        unusual: false,
        expires_at: "2026-02-02T03:04:05Z".parse().unwrap(),
    }
}

#[test]
fn facts_of_accounts_and_sessions_say_whose_they_are() {
    let ended = account::Event::AllSessionsEnded { reason: account::EndedBy::PasswordChanged };
    assert_eq!(ended.subject(id(1)), Some(id(1)), "the stream is the account's");
    assert_eq!(started(id(2)).subject(id(1)), Some(id(2)));
    assert_eq!(session::Event::SessionEnded { reason: session::EndedBy::Idle }.subject(id(1)), None);
}

#[test]
fn a_client_is_public_as_it_was_registered() {
    for public in [false, true] {
        let registered = client::Event::ClientRegistered {
            name: "storefront".to_owned(),
            public,
            redirects: vec!["https://app.example/cb".to_owned()],
            scope: vec!["own".to_owned()],
        };
        assert_eq!(after::<Client>([registered]).public, public);
    }
}

#[test]
fn a_state_is_shown_with_the_currency_of_each_amount() {
    let credited = order::Event::OrderCredited {
        credit_note_id: CreditNoteId(id(6)),
        lines: vec![CreditedLine { line: 1, quantity: 2, price: gbp(100) }],
        total: gbp(200),
        earlier: false,
    };
    let order: Order = after([placed(), order::Event::OrderConfirmed {}, credited]);
    let shown = state_to_show(&order, &order).unwrap();
    assert_eq!(shown["credits"]["amount"], json!({ "amount": 200, "currency": "GBP" }), "{shown}");
    assert_eq!(shown["status"], json!("confirmed"), "{shown}");
}

#[test]
fn an_aggregate_without_parts_has_none() {
    let (order, confirmed) = (in_status(Status::Placed), order::Event::OrderConfirmed {});
    assert_eq!(Order::parts_read(&order::Command::Confirm), Vec::<String>::new());
    assert_eq!(Order::part_changed(&confirmed), None);
    assert!(!Order::is_part("1"));
    assert!(order.page("", 10).is_none());
    let (person, erased) = (Person::default(), person::Event::PersonErased { purposes: vec![] });
    assert!(person.around(&erased).is_none() && person.holds(&erased).is_empty());
}

#[test]
fn an_aggregate_is_found_by_its_name_in_the_log() {
    assert_eq!((type_of::<Order>(), type_of::<Stock>(), type_of::<Person>()), ("order", "stock", "person"));
}

#[test]
fn a_stored_task_says_its_purpose_and_its_target() {
    let fulfilment = find("fulfilment").unwrap();
    let purpose = |task: &str| fulfilment.purpose(task);
    assert_eq!(purpose(r#"{"do":"confirm"}"#), Ok(("confirm", String::new())));
    let ship = r#"{"do":"ship","place":{"sku":"MUG","location":"main"},"line":2}"#;
    assert_eq!(purpose(ship), Ok(("ship", "2".to_owned())));
    assert_eq!(purpose("{}").unwrap_err().what, "command");
    assert_eq!(fulfilment.subject(&OrderId(id(1)).0.to_string()), Some(("order", id(1))));
}

#[test]
fn every_address_that_a_user_keeps_is_personal() {
    let typed =
        |city| Typed { name: "Ada", street: "1 High Street", city, country: "GB", ..Typed::default() };
    let booked = |number, city| Booked { id: id(number), at: Address::try_new(id(9), typed(city)).unwrap() };
    let mut kept = Kept { addresses: vec![booked(1, "Leeds"), booked(2, "York")], ..Kept::default() };
    let (mut first, mut second) = (booked(1, "Leeds").at, booked(2, "York").at);
    assert_eq!(kept.personal().len(), first.personal().len() + second.personal().len());
}
