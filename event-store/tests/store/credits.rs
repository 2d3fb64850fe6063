//! A credit note and the order that it credits, in one append.

use std::time::Duration;

use futures::future::join_all;
use soonshop_domain::ids::{CreditNoteId, GuestId, OrderId};
use soonshop_domain::order::credit_note::{self, BY_ORDER, CreditNote};
use soonshop_domain::order::credits::{self, CreditedLine};
use soonshop_domain::order::{self, Customer, Order, Placement};
use soonshop_domain::{Currency, Money, ids};
use soonshop_event_store::{CommandContext, EventStore, ExecuteError, Executed};
use tokio::time::Instant;

use crate::fixture::{Fixture, context, on_both, place_order};

on_both! {
    a_hundred_credits_at_once_never_give_back_more_than_the_order_was_charged,
    an_order_that_refuses_a_credit_refuses_the_credit_note,
    the_credit_notes_of_an_order_are_found_through_an_index,
}

/// An order of that many mugs at 2.50.
async fn ordered(store: &EventStore, units: u32) -> (OrderId, Placement) {
    let (id, guest) = (ids::new(), Customer::Guest(GuestId(ids::new())));
    let order::Command::Place(mut placement) = place_order(guest, &format!("S-{id}")) else { unreachable!() };
    placement.lines[0].quantity = units;
    store.execute::<Order>(id, order::Command::Place(placement.clone()), context()).await.unwrap();
    (OrderId(id), placement)
}

/// Credits so many units of its line.
async fn credit(
    store: &EventStore,
    (order_id, placement): &(OrderId, Placement),
    units: u32,
) -> Result<Executed, ExecuteError<credit_note::Error>> {
    let id = ids::new();
    let price = Money::new(250, Currency::GBP);
    let mut lines = placement.lines.clone();
    lines[0].quantity = units;
    let issue = credit_note::Command::IssueForOrder {
        number: format!("C-{id}"),
        order_id: *order_id,
        customer: placement.customer,
        lines,
        order_lines: vec![1],
        country: placement.country.clone(),
    };
    let credit = order::Command::Credit {
        credit_note_id: CreditNoteId(id),
        lines: vec![CreditedLine { line: 1, quantity: units, price }],
        earlier: vec![],
    };
    let context = CommandContext { deadline: Instant::now() + Duration::from_mins(2), ..context() };
    let both =
        store.execute_joined::<CreditNote, Order>((id, issue), (order_id.0, credit), context, Into::into);
    Box::pin(both).await
}

fn too_large(left: u32) -> credit_note::Error {
    order::Error::from(credits::Error::CreditTooLarge { left }).into()
}

async fn a_hundred_credits_at_once_never_give_back_more_than_the_order_was_charged(shop: Fixture) {
    let stores = shop.stores();
    let order = ordered(&stores[0], 30).await;
    let credits = (0..100).map(|number| credit(&stores[number % stores.len()], &order, 1));
    let (mut done, mut refused) = (0, 0);
    for outcome in join_all(credits).await {
        match outcome {
            Ok(_) => done += 1,
            Err(ExecuteError::Rejected(error)) => {
                assert_eq!(error, too_large(0));
                refused += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((done, refused), (30, 70));
    let (state, version) = stores[0].load::<Order>(order.0.0).await.unwrap();
    assert_eq!((state.credits.amount, state.credits.lines[&1].units, version), (30 * 250, 30, 31));
    let notes: Vec<_> =
        shop.events().await.into_iter().filter(|event| event.event_type == "CreditNoteIssued").collect();
    assert_eq!(notes.len(), 30);
}

async fn an_order_that_refuses_a_credit_refuses_the_credit_note(shop: Fixture) {
    let store = shop.store();
    let order = ordered(&store, 2).await;
    let refused = credit(&store, &order, 3).await;
    assert!(matches!(&refused, Err(ExecuteError::Rejected(error)) if *error == too_large(2)), "{refused:?}");
    assert_eq!(shop.events().await.len(), 1, "neither of the two streams got anything");
    let done = credit(&store, &order, 2).await.unwrap();
    assert_eq!((done.answer.version, done.answer.first_position), (Some(1), Some(2)));
    let types: Vec<_> = shop.events().await.into_iter().map(|event| event.event_type).collect();
    assert_eq!(types, ["OrderPlaced", "CreditNoteIssued", "OrderCredited"]);
    let cancel = order::Command::Cancel { reason: "changed-my-mind".to_owned() };
    store.execute::<Order>(order.0.0, cancel, context()).await.unwrap();
    let refused = credit(&store, &order, 1).await;
    let cancelled = order::Error::WrongOrderState(order::Status::Cancelled);
    assert!(
        matches!(&refused, Err(ExecuteError::Rejected(error)) if *error == cancelled.into()),
        "{refused:?}"
    );
}

async fn the_credit_notes_of_an_order_are_found_through_an_index(shop: Fixture) {
    let [aggregate_type, event_type, field] = BY_ORDER;
    let (series, made) = if shop.is_sqlite() {
        (
            "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) SELECT n FROM s)",
            "0",
        )
    } else {
        ("generate_series(1, 20000) s(n)", "now()")
    };
    let (id, json) = if shop.is_sqlite() {
        ("printf('%08d-0000-7000-8000-000000000000', n)", "")
    } else {
        ("(lpad(n::text, 8, '0') || '-0000-7000-8000-000000000000')", "::json")
    };
    let event_id = if shop.is_sqlite() { id.to_owned() } else { format!("{id}::uuid") };
    shop.run(
        "log",
        &format!(
            "INSERT INTO @events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
             position, event_id, occurred_at, recorded_at) \
             SELECT '{aggregate_type}', {id}, 1, '{event_type}', '1', \
             ('{{\"{event_type}\":{{\"{field}\":\"order-' || n || '\"}}}}'){json}, '{{}}', n, {event_id}, {made}, {made} \
             FROM {series}"
        ),
    )
    .await;
    let found = shop.log().with_field(BY_ORDER, "order-77").await.unwrap();
    assert_eq!(found.iter().map(|event| event.position).collect::<Vec<_>>(), [77]);
    assert_eq!(shop.log().with_field(BY_ORDER, "order-0").await.unwrap().len(), 0);
    let plan = shop.plan(&shop.log().with_field_sql(BY_ORDER).replace("$1", "'order-77'")).await;
    assert!(plan.contains("credit_notes_by_order"), "{plan}");
}
