//! Payments and the order that they are for, in one append: whatever races, no more is charged than is owed and no more
//! paid back than was paid.

use std::time::Duration;

use futures::future::join_all;
use soonshop_domain::ids::{CreditNoteId, GuestId, OrderId};
use soonshop_domain::order::credits::CreditedLine;
use soonshop_domain::order::{self, Customer, Order, payments};
use soonshop_domain::payment::{self, Capture, Command, Kind, Opening, Outcome, Payment, Report, Tender};
use soonshop_domain::{Currency, Money, ids};
use soonshop_event_store::{CommandContext, EventStore, ExecuteError, Executed};
use tokio::time::Instant;
use uuid::Uuid;

use crate::fixture::{Fixture, context, on_both, place_order};

on_both! {
    two_cards_at_once_are_one_payment,
    charges_at_once_never_take_more_than_is_owed,
    refunds_at_once_never_give_back_more_than_was_paid,
    a_cancellation_beside_a_charge_leaves_nothing_that_is_owed_or_kept,
}

type Done = Result<Executed, ExecuteError<payment::Error>>;

fn gbp(amount: i64) -> Money {
    Money::new(amount, Currency::GBP)
}

/// An order of one mug at this price.
async fn ordered(store: &EventStore, price: i64) -> Uuid {
    let (id, guest) = (ids::new(), Customer::Guest(GuestId(ids::new())));
    let order::Command::Place(mut placement) = place_order(guest, &format!("S-{id}")) else { unreachable!() };
    placement.lines[0].price = gbp(price);
    store.execute::<Order>(id, order::Command::Place(placement), context()).await.unwrap();
    id
}

async fn both(
    store: &EventStore,
    (payment, command): (Uuid, Command),
    (order, of_order): (Uuid, order::Command),
) -> Done {
    let context = CommandContext { deadline: Instant::now() + Duration::from_mins(2), ..context() };
    let (first, second) = ((payment, command), (order, of_order));
    Box::pin(store.execute_joined::<Payment, Order>(first, second, context, payment::Error::Order)).await
}

async fn open(store: &EventStore, order: Uuid, payment: Uuid, amount: i64) -> Done {
    let (tender, revision, amount) = (Tender::Provider, 1, gbp(amount));
    let opening = Opening {
        order_id: OrderId(order),
        revision,
        customer: Customer::Guest(GuestId(ids::new())),
        amount,
        tender,
        provider: Some("sandbox".to_owned()),
        capture: Capture::Later,
        test: true,
        transaction: ids::derived(payment, &["authorization"]),
    };
    let add = order::Command::AddPayment { payment, tender, amount, revision, earlier: vec![] };
    both(store, (payment, Command::Open(opening)), (order, add)).await
}

/// The provider says that it was done; of an authorization the order does not hear.
async fn succeeded(store: &EventStore, payment: Uuid, kind: Kind, transaction: Uuid, amount: i64) {
    let (state, _) = store.load::<Payment>(payment).await.unwrap();
    let amount = gbp(amount);
    let outcome = Outcome::Succeeded { amount, reference: Some("sb_1".to_owned()), until: None };
    let report = Command::Report(Report { transaction, kind, outcome, unasked: false });
    let order = state.order_id.unwrap().0;
    let of_order = match kind {
        Kind::Charge => order::Command::EndCharge { payment, transaction, amount },
        Kind::Refund => order::Command::EndRepayment { payment, transaction, amount },
        Kind::Authorization | Kind::Release => {
            store.execute::<Payment>(payment, report, context()).await.unwrap();
            return;
        }
    };
    both(store, (payment, report), (order, of_order)).await.unwrap();
}

/// A payment of which this amount is authorized.
async fn authorized(store: &EventStore, order: Uuid, amount: i64) -> Uuid {
    let payment = ids::new();
    open(store, order, payment, amount).await.unwrap();
    let transaction = ids::derived(payment, &["authorization"]);
    succeeded(store, payment, Kind::Authorization, transaction, amount).await;
    payment
}

async fn ask(store: &EventStore, order: Uuid, payment: Uuid, kind: Kind, amount: i64) -> (Uuid, Done) {
    let (transaction, amount) = (ids::new(), gbp(amount));
    let of_order = match kind {
        Kind::Refund => order::Command::BeginRepayment { payment, transaction, amount },
        _ => order::Command::BeginCharge { payment, transaction, amount },
    };
    let command = Command::Request { kind, transaction, amount };
    (transaction, both(store, (payment, command), (order, of_order)).await)
}

async fn two_cards_at_once_are_one_payment(shop: Fixture) {
    let stores = shop.stores();
    let order = ordered(&stores[0], 4_000).await;
    let cards = (0..10).map(|number| open(&stores[number % stores.len()], order, ids::new(), 4_000));
    let done = join_all(cards).await;
    assert_eq!(done.iter().filter(|one| one.is_ok()).count(), 1);
    let pending = payment::Error::from(order::Error::from(payments::Error::PaymentPending));
    for refused in done.into_iter().filter_map(Result::err) {
        assert!(matches!(&refused, ExecuteError::Rejected(error) if *error == pending), "{refused:?}");
    }
    let opened = shop.events().await.into_iter().filter(|event| event.event_type == "PaymentOpened").count();
    assert_eq!(opened, 1, "a refused one leaves nothing");
}

async fn charges_at_once_never_take_more_than_is_owed(shop: Fixture) {
    let stores = shop.stores();
    let order = ordered(&stores[0], 4_000).await;
    let cards = [authorized(&stores[0], order, 2_000).await, authorized(&stores[0], order, 2_000).await];
    // What was promised is credited meanwhile: 25.00 are owed.
    let lines = vec![CreditedLine { line: 1, quantity: 1, price: gbp(1_500) }];
    let credit_note_id = CreditNoteId(ids::new());
    let credit = order::Command::Credit { credit_note_id, lines, earlier: vec![] };
    stores[0].execute::<Order>(order, credit, context()).await.unwrap();
    let charges = (0..12).map(|number| {
        let store = &stores[number % stores.len()];
        async move { ask(store, order, cards[number % 2], Kind::Charge, 500).await.1 }
    });
    let done = join_all(charges).await.into_iter().flatten().count();
    assert_eq!(done, 5);
}

/// What was judged by numbers that lag once gave 45 for 25.
async fn refunds_at_once_never_give_back_more_than_was_paid(shop: Fixture) {
    let stores = shop.stores();
    let order = ordered(&stores[0], 2_500).await;
    let payment = authorized(&stores[0], order, 2_500).await;
    let (transaction, done) = ask(&stores[0], order, payment, Kind::Charge, 2_500).await;
    done.unwrap();
    succeeded(&stores[0], payment, Kind::Charge, transaction, 2_500).await;
    let refused = ask(&stores[0], order, payment, Kind::Refund, 1).await.1;
    assert!(matches!(refused, Err(ExecuteError::Rejected(_))), "it is owed: {refused:?}");
    let cancel = order::Command::Cancel { reason: "changed-my-mind".to_owned() };
    stores[0].execute::<Order>(order, cancel, context()).await.unwrap();
    let refunds = (0..10).map(|number| {
        let store = &stores[number % stores.len()];
        async move { ask(store, order, payment, Kind::Refund, 450).await }
    });
    let done: Vec<_> = join_all(refunds).await.into_iter().filter(|(_, done)| done.is_ok()).collect();
    assert_eq!(done.len(), 5, "5 of 4.50 are 22.50");
    for (transaction, _) in done {
        succeeded(&stores[0], payment, Kind::Refund, transaction, 450).await;
    }
    let (state, _) = stores[0].load::<Order>(order).await.unwrap();
    assert_eq!((state.payments.paid(), state.repayable()), (250, 250));
}

async fn a_cancellation_beside_a_charge_leaves_nothing_that_is_owed_or_kept(shop: Fixture) {
    let stores = shop.stores();
    for _ in 0..20 {
        let order = ordered(&stores[0], 4_000).await;
        let payment = authorized(&stores[0], order, 4_000).await;
        let cancel = order::Command::Cancel { reason: "changed-my-mind".to_owned() };
        let cancelled = stores[stores.len() - 1].execute::<Order>(order, cancel, context());
        let (cancelled, (transaction, charged)) =
            tokio::join!(cancelled, ask(&stores[0], order, payment, Kind::Charge, 4_000));
        cancelled.unwrap();
        if charged.is_ok() {
            succeeded(&stores[0], payment, Kind::Charge, transaction, 4_000).await;
        }
        let (state, _) = stores[0].load::<Order>(order).await.unwrap();
        assert_eq!(state.repayable(), if charged.is_ok() { 4_000 } else { 0 });
        let (_, again) = ask(&stores[0], order, payment, Kind::Charge, 1).await;
        assert!(again.is_err(), "nothing is charged for a cancelled order");
    }
}
