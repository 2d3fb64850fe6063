//! The process manager of checkouts on a store: a paid one becomes an order, wherever a process is killed.

use soonshop_domain::cart::{self, Cart, NewLine, Seen};
use soonshop_domain::checkout::{self, Checkout, PayWith, Status};
use soonshop_domain::checkout_process::payment_of as payment_of_all;
use soonshop_domain::ids::{self, CartId, OrderId, ProductId};
use soonshop_domain::order::{self, Contact, Line, Order};
use soonshop_domain::payment::{self, Capture, Kind, Opening, Outcome, Payment, Report, Tender};
use soonshop_domain::personal::kid;
use soonshop_domain::user::person::{self, Person};
use soonshop_domain::{Metadata, Money, PersonalValue as _, Purpose};
use soonshop_event_log::checkpoint::of_process;
use soonshop_event_log::codec::kid_of;
use soonshop_event_store::{CommandContext, EventStore, Joined};
use uuid::Uuid;

use crate::fixture::{Shop, on_both, until};
use crate::history::{guest, line, money, sku, uuid};
use crate::reacting::{NAME, idle_of, killed_at_some_moment, reactor, receive, send, there};

on_both!(
    a_paid_checkout_becomes_an_order_whose_contact_is_under_the_key_of_invoices,
    somebody_who_is_being_erased_gets_no_order_and_all_goes_back,
    killed_at_any_step_every_checkout_ends_and_nothing_is_doubled,
    a_checkout_from_before_the_process_began_is_seen_by_it,
    a_payment_that_a_checkout_was_started_with_is_opened_only_once_its_stock_is_held,
);

fn context() -> CommandContext {
    CommandContext::new(ids::new(), b"a test".to_vec(), Metadata::default())
}

fn cart_of(checkout: u128) -> Uuid {
    uuid(100_000 + checkout)
}

fn payment_of(checkout: u128) -> Uuid {
    uuid(200_000 + checkout)
}

fn lines(quantities: &[(&str, u32)]) -> Vec<Line> {
    (1..).zip(quantities).map(|(number, (name, quantity))| line(number, name, *quantity, 100)).collect()
}

/// A cart of a guest of its own, and a checkout of it.
async fn start(store: &EventStore, number: u128, quantities: &[(&str, u32)]) -> Uuid {
    start_with(store, number, quantities, Vec::new()).await
}

async fn start_with(store: &EventStore, number: u128, quantities: &[(&str, u32)], pay: Vec<PayWith>) -> Uuid {
    let (customer, id) = (guest(number), uuid(number));
    for (at, (name, quantity)) in quantities.iter().enumerate() {
        let seen = Seen { name: "Mug".to_owned(), price: money(100) };
        let product_id = ProductId(uuid(3));
        let line = NewLine { sku: sku(name), product_id, quantity: *quantity, note: None, seen };
        let command = match at {
            0 => cart::Command::Start { channel: cart::CHANNEL.to_owned(), customer, line },
            _ => cart::Command::Add { line },
        };
        send::<Cart>(store, cart_of(number), command).await;
    }
    let changes = u32::try_from(quantities.len()).unwrap();
    let opening = checkout::Opening {
        cart: CartId(cart_of(number)),
        cart_changes: changes,
        channel: cart::CHANNEL.to_owned(),
        customer,
        number: format!("S-{number}"),
        country: "Austria".to_owned(),
        contact: Contact::under((customer.subject(), Purpose::Account), Some("Ada"), None, None, None)
            .unwrap(),
        lines: lines(quantities),
        capture: Capture::AtOnce,
        test: true,
        pay,
    };
    let begin = cart::Command::BeginCheckout { checkout: OrderId(id), changes };
    let start = checkout::Command::Start(Box::new(opening));
    let both = vec![
        Joined::new::<Checkout>(id, start, |error| error),
        Joined::new::<Cart>(cart_of(number), begin, checkout::Error::Cart),
    ];
    Box::pin(store.execute_all(both, context())).await.unwrap();
    id
}

/// A payment of all of it, which is authorized.
async fn pay(store: &EventStore, number: u128) {
    let (id, payment) = (uuid(number), payment_of(number));
    let (checkout, _) = store.load::<Checkout>(id).await.unwrap();
    let (amount, transaction) = (money(checkout.unpaid()), payment::authorization_of(payment));
    let opening = Opening {
        order_id: OrderId(id),
        revision: 1,
        customer: guest(number),
        amount,
        tender: Tender::Provider,
        provider: Some("sandbox".to_owned()),
        capture: Capture::AtOnce,
        test: true,
        transaction,
    };
    let add = checkout::Command::AddPayment { payment, tender: Tender::Provider, amount };
    both(store, (payment, payment::Command::Open(opening)), (id, add)).await;
    authorize(store, id, payment, amount).await;
}

/// What the provider says of a payment of a checkout, as its worker appends it.
async fn authorize(store: &EventStore, id: Uuid, payment: Uuid, amount: Money) {
    let transaction = payment::authorization_of(payment);
    let outcome = Outcome::Succeeded { amount, reference: None, until: None };
    let report = Report { transaction, kind: Kind::Authorization, outcome, unasked: false };
    let settle = checkout::Command::Settle { payment, transaction, amount };
    both(store, (payment, payment::Command::Report(report)), (id, settle)).await;
}

async fn both(
    store: &EventStore,
    of_payment: (Uuid, payment::Command),
    of_checkout: (Uuid, checkout::Command),
) {
    let error = payment::Error::Checkout;
    Box::pin(store.execute_joined::<Payment, Checkout>(of_payment, of_checkout, context(), error))
        .await
        .unwrap();
}

async fn checkout(store: &EventStore, id: Uuid) -> Checkout {
    store.load::<Checkout>(id).await.unwrap().0
}

async fn becomes(store: &EventStore, id: Uuid, expected: Status) {
    until(&format!("the checkout is {expected}"), async || checkout(store, id).await.status == expected)
        .await;
}

async fn all_is_done(shop: &Shop) {
    idle_of(shop, &[NAME, &of_process("checkout")]).await;
}

async fn a_paid_checkout_becomes_an_order_whose_contact_is_under_the_key_of_invoices(shop: Shop) {
    let store = shop.store();
    receive(&store, "MUG", 5).await;
    let run = reactor(&shop, &store);
    let id = start(&store, 1, &[("MUG", 2)]).await;
    until("its stock is held", async || checkout(&store, id).await.stock_held).await;
    assert_eq!(there(&store, "MUG").await, (5, 2));
    pay(&store, 1).await;
    becomes(&store, id, Status::Completed).await;
    all_is_done(&shop).await;
    assert_eq!(there(&store, "MUG").await, (5, 2), "the order has what the checkout held");
    let (placed, _) = store.load::<Order>(id).await.unwrap();
    assert_eq!((placed.status, placed.unpaid()), (order::Status::Confirmed, 0));
    let contact = |contact: &Contact| contact.name.as_ref().unwrap().jwe().unwrap().to_owned();
    let (of_order, of_checkout) = (
        contact(&placed.placed.as_ref().unwrap().contact),
        contact(&checkout(&store, id).await.started.unwrap().contact),
    );
    let subject = guest(1).subject();
    assert_eq!(kid_of(&of_order).unwrap(), kid(subject, Purpose::Invoice));
    assert_eq!(kid_of(&of_checkout).unwrap(), kid(subject, Purpose::Account));
    // What was paid was charged by nobody yet: that is the worker of payments.
    assert_eq!(placed.payments.paid(), 0);
    run.stop().await;
}

async fn somebody_who_is_being_erased_gets_no_order_and_all_goes_back(shop: Shop) {
    let store = shop.store();
    receive(&store, "MUG", 5).await;
    let run = reactor(&shop, &store);
    let id = start(&store, 1, &[("MUG", 2)]).await;
    until("its stock is held", async || checkout(&store, id).await.stock_held).await;
    let purposes = vec![Purpose::Account];
    send::<Person>(&store, guest(1).subject(), person::Command::RequestErasure { purposes }).await;
    pay(&store, 1).await;
    becomes(&store, id, Status::Refused).await;
    all_is_done(&shop).await;
    assert_eq!(checkout(&store, id).await.refusal.unwrap().reason, "person-erased");
    assert_eq!(there(&store, "MUG").await, (5, 0));
    assert!(store.load::<Payment>(payment_of(1)).await.unwrap().0.stopped);
    assert_eq!(store.load::<Order>(id).await.unwrap().0.placed, None);
    run.stop().await;
}

async fn killed_at_any_step_every_checkout_ends_and_nothing_is_doubled(shop: Shop) {
    let mut store = shop.store();
    receive(&store, "MUG", 40).await;
    receive(&store, "CUP", 15).await;
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let rounds = 24_u128;
    for round in 0..rounds {
        let (first, second) = (2 * round + 1, 2 * round + 2);
        start(&store, first, &[("MUG", 1), ("CUP", 1)]).await;
        start(&store, second, &[("MUG", 1)]).await;
        pay(&store, first).await;
        if round % 3 == 0 {
            let give_up = checkout::Command::GiveUp { reason: "given-up".to_owned() };
            send::<Checkout>(&store, uuid(second), give_up).await;
        } else {
            pay(&store, second).await;
        }
        let run = reactor(&shop, &store);
        let followers = [NAME, &of_process("checkout")];
        store = killed_at_some_moment(&shop, store, run, &mut random, &followers).await;
    }
    let run = reactor(&shop, &store);
    all_is_done(&shop).await;
    run.stop().await;
    let (mut completed, mut mugs, mut cups) = (0, 0, 0);
    for number in 1..=2 * rounds {
        let (one, order) =
            (checkout(&store, uuid(number)).await, store.load::<Order>(uuid(number)).await.unwrap().0);
        let cart = store.load::<Cart>(cart_of(number)).await.unwrap().0;
        if one.status == Status::Completed {
            completed += 1;
            mugs += 1;
            cups += i64::from(one.started.unwrap().lines.len() == 2);
            assert_eq!((order.status, cart.status), (order::Status::Confirmed, cart::Status::CheckedOut));
        } else {
            assert_eq!(one.status, Status::Refused, "{number}");
            assert_eq!((order.placed, cart.checkout), (None, None), "{number}");
            let payment = store.load::<Payment>(payment_of(number)).await.unwrap().0;
            assert!(payment.stopped || payment.order_id.is_none(), "{number}");
        }
    }
    assert_eq!(there(&store, "MUG").await, (40, mugs));
    assert_eq!(there(&store, "CUP").await, (15, cups));
    assert_eq!(
        (completed, cups),
        (31, 15),
        "16 that were not given up, and as many of the others as there are cups"
    );
}

/// It was started when no reactor knew of checkouts yet.
async fn a_checkout_from_before_the_process_began_is_seen_by_it(shop: Shop) {
    let store = shop.store();
    receive(&store, "MUG", 5).await;
    let id = start(&store, 1, &[("MUG", 2)]).await;
    let run = reactor(&shop, &store);
    until("its stock is held", async || checkout(&store, id).await.stock_held).await;
    run.stop().await;
}

async fn a_payment_that_a_checkout_was_started_with_is_opened_only_once_its_stock_is_held(shop: Shop) {
    let store = shop.store();
    receive(&store, "MUG", 2).await;
    let run = reactor(&shop, &store);
    let pay = || vec![PayWith { provider: "sandbox".to_owned() }];
    let first = start_with(&store, 1, &[("MUG", 2)], pay()).await;
    until("its payment is open", async || !checkout(&store, first).await.payments.is_empty()).await;
    let second = start_with(&store, 2, &[("MUG", 1)], pay()).await;
    becomes(&store, second, Status::Refused).await;
    all_is_done(&shop).await;
    let refused = checkout(&store, second).await;
    assert_eq!(refused.refusal.map(|refusal| refusal.reason).as_deref(), Some("insufficient-stock"));
    assert!(refused.payments.is_empty(), "nobody is asked to pay for what is not there");

    let running = checkout(&store, first).await;
    assert_eq!(running.unpaid(), 0, "it is of all of it");
    authorize(&store, first, payment_of_all(first), money(200)).await;
    becomes(&store, first, Status::Completed).await;
    all_is_done(&shop).await;
    let (order, _) = store.load::<Order>(first).await.unwrap();
    assert_eq!((order.status, order.unpaid()), (order::Status::Confirmed, 0));
    run.stop().await;
}
