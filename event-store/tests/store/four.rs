//! Up to four streams in one append.

use futures::future::join_all;
use soonshop_domain::ids::{self, GuestId, OrderId};
use soonshop_domain::inventory::{self, Stock};
use soonshop_domain::order::Customer;
use soonshop_domain::product::{self, Details, Variant};
use soonshop_domain::text::Sku;
use soonshop_domain::user::person;
use soonshop_domain::{Command, ErrorKind, Purpose};
use soonshop_event_store::{CommandContext, EventStore, ExecuteError, Executed, RefusedBy};
use uuid::Uuid;

use crate::fixture::{Fixture, at, context, context_of, on_both, on_hand, place_order, receive};

on_both! {
    four_streams_of_four_types_are_appended_at_once_and_a_repeat_gets_the_same_answer,
    a_refusal_of_the_third_says_whose_it_is_and_writes_nothing,
    each_of_the_four_is_judged_on_the_state_that_it_is_written_against,
    writers_on_every_one_of_the_four_streams_and_four_at_once_all_finish,
    four_that_were_cut_off_at_any_step_are_done_once_by_a_repeat,
    no_stream_five_streams_and_one_stream_twice_are_errors_of_the_caller,
    the_version_that_is_expected_is_that_of_the_first,
}

type Done = Result<Executed, ExecuteError<RefusedBy>>;

async fn send(store: &EventStore, commands: Vec<(Uuid, Command)>, context: CommandContext) -> Done {
    Box::pin(store.execute_commands(commands, context)).await
}

/// Four receipts.
fn received(streams: &[Uuid]) -> Vec<(Uuid, Command)> {
    streams.iter().map(|stream| (*stream, Command::Stock(receive(1)))).collect()
}

fn four() -> Vec<Uuid> {
    (0..4).map(|_| ids::new()).collect()
}

fn reserve() -> Command {
    let (order_id, line, quantity) = (OrderId(ids::new()), 1, 1);
    Command::Stock(at(inventory::Command::Reserve { order_id, line, quantity }))
}

async fn four_streams_of_four_types_are_appended_at_once_and_a_repeat_gets_the_same_answer(shop: Fixture) {
    let stores = shop.stores();
    let (store, other) = (&stores[0], stores.last().unwrap());
    let (order, person) = (ids::new(), ids::new());
    let details = Details { name: "Mug".to_owned(), ..Details::default() };
    let variants = vec![Variant { sku: Sku::try_new("MUG").unwrap(), price: None }];
    let commands = vec![
        (order, Command::Order(place_order(Customer::Guest(GuestId(person)), "S-1"))),
        (ids::new(), Command::Stock(receive(3))),
        (ids::new(), Command::Product(product::Command::Create { details, variants })),
        (person, Command::Person(person::Command::RequestErasure { purposes: vec![Purpose::Account] })),
    ];
    let command = ids::new();
    let done = send(store, commands.clone(), context_of(command)).await.unwrap();
    assert_eq!((done.answer.first_position, done.answer.last_position), (Some(1), Some(4)));
    assert_eq!((done.answer.version, done.repeated), (Some(1), false), "the answer is the first stream's");
    let events = shop.events().await;
    let types: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["OrderPlaced", "StockReceived", "ProductCreated", "ErasureRequested"]);
    // Also from another process, which has nothing in memory.
    let again = send(other, commands, context_of(command)).await.unwrap();
    assert_eq!((again.answer, again.repeated), (done.answer, true));
    assert_eq!(shop.events().await.len(), 4);
}

async fn a_refusal_of_the_third_says_whose_it_is_and_writes_nothing(shop: Fixture) {
    let store = shop.store();
    let streams = four();
    let mut commands = received(&streams);
    commands[2].1 = reserve();
    let command = ids::new();
    let recorded = || CommandContext { record: true, ..context_of(command) };
    let refused = send(&store, commands.clone(), recorded()).await;
    let Err(ExecuteError::Rejected(by)) = refused else { panic!("{refused:?}") };
    assert_eq!((by.aggregate_type, by.id, by.slug.as_str()), ("stock", streams[2], "insufficient-stock"));
    assert_eq!(by.kind, ErrorKind::Conflict);
    assert_eq!(shop.events().await.len(), 0);
    // It is the outcome of this id, also once there is enough.
    store.execute::<Stock>(streams[2], receive(9), context()).await.unwrap();
    let again = send(&store, commands.clone(), recorded()).await;
    let Err(ExecuteError::RejectedBefore { slug, sentence }) = again else { panic!("{again:?}") };
    assert_eq!((slug, sentence), (by.slug.clone(), by.to_string()));
    assert!(by.to_string().starts_with(&format!("stock {}: ", streams[2])), "{by}");
    assert_eq!(shop.events().await.len(), 1);
    send(&store, commands, context()).await.unwrap();
    assert_eq!(shop.events().await.len(), 5);
    for (stream, there) in streams.iter().zip([(1, 1), (1, 1), (9, 2), (1, 1)]) {
        assert_eq!(on_hand(&store, *stream).await, there);
    }
}

async fn each_of_the_four_is_judged_on_the_state_that_it_is_written_against(shop: Fixture) {
    let stores = shop.stores();
    let (one, other) = (&stores[0], stores.last().unwrap());
    for last in 0..4 {
        let streams = four();
        send(one, received(&streams), context()).await.unwrap();
        // One process has seen a unit on each, and another one reserves the last of one stream.
        let Command::Stock(taken) = reserve() else { unreachable!() };
        other.execute::<Stock>(streams[last], taken, context()).await.unwrap();
        let reserving = streams.iter().map(|stream| (*stream, reserve())).collect();
        let refused = send(one, reserving, context()).await;
        let Err(ExecuteError::Rejected(by)) = refused else { panic!("{refused:?}") };
        assert_eq!((by.id, by.slug.as_str()), (streams[last], "insufficient-stock"));
        // What it can do, it does after the events that it had not seen.
        let done = send(one, received(&streams), context()).await.unwrap();
        assert_eq!(done.answer.version, Some(if last == 0 { 3 } else { 2 }));
    }
}

async fn writers_on_every_one_of_the_four_streams_and_four_at_once_all_finish(shop: Fixture) {
    const EACH: usize = 6;
    let stores = shop.stores();
    let streams = four();
    // Joined appends name the streams in every order, and single ones are in the same batches.
    let joined = (0..8).map(|turn| {
        let (store, mut streams) = (stores[turn % stores.len()].clone(), streams.clone());
        streams.rotate_left(turn % 4);
        if turn >= 4 {
            streams.reverse();
        }
        tokio::spawn(async move {
            for _ in 0..EACH {
                send(&store, received(&streams), context()).await.unwrap();
            }
        })
    });
    let single = streams.iter().zip(0..).map(|(stream, turn): (&Uuid, usize)| {
        let (store, stream) = (stores[(turn + 1) % stores.len()].clone(), *stream);
        tokio::spawn(async move {
            for _ in 0..EACH {
                store.execute::<Stock>(stream, receive(1), context()).await.unwrap();
            }
        })
    });
    let all: Vec<_> = joined.chain(single).collect();
    for done in join_all(all).await {
        done.unwrap();
    }
    let expected = i64::try_from(9 * EACH).unwrap();
    for stream in &streams {
        assert_eq!(on_hand(&stores[0], *stream).await, (expected, expected));
    }
    assert_eq!(shop.events().await.len(), 4 * 9 * EACH);
}

async fn four_that_were_cut_off_at_any_step_are_done_once_by_a_repeat(shop: Fixture) {
    let store = shop.store();
    let streams = four();
    send(&store, received(&streams), context()).await.unwrap();
    for steps in 1..16_i64 {
        let command = ids::new();
        {
            let mut cut_off = Box::pin(send(&store, received(&streams), context_of(command)));
            for _ in 0..steps {
                if futures::poll!(&mut cut_off).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        send(&store, received(&streams), context_of(command)).await.unwrap();
        for stream in &streams {
            assert_eq!(on_hand(&store, *stream).await, (steps + 1, steps + 1));
        }
    }
}

async fn no_stream_five_streams_and_one_stream_twice_are_errors_of_the_caller(shop: Fixture) {
    let store = shop.store();
    let streams = four();
    let five = [streams.clone(), vec![ids::new()]].concat();
    let twice = [streams[..3].to_vec(), vec![streams[1]]].concat();
    for wrong in [&[][..], &five, &twice] {
        let refused = send(&store, received(wrong), context()).await;
        assert!(matches!(refused, Err(ExecuteError::Fault(_))), "{refused:?}");
    }
    assert_eq!(shop.events().await.len(), 0);
    for count in 1..=4 {
        send(&store, received(&streams[..count]), context()).await.unwrap();
    }
    assert_eq!(shop.events().await.len(), 10);
}

async fn the_version_that_is_expected_is_that_of_the_first(shop: Fixture) {
    let store = shop.store();
    let streams = four();
    store.execute::<Stock>(streams[0], receive(1), context()).await.unwrap();
    let expecting = |version| CommandContext { expected: Some(version), ..context() };
    let stale = send(&store, received(&streams), expecting(0)).await;
    assert!(matches!(stale, Err(ExecuteError::Stale { expected: 0, actual: 1 })), "{stale:?}");
    let done = send(&store, received(&streams), expecting(1)).await.unwrap();
    assert_eq!(done.answer.version, Some(2));
    assert_eq!(shop.events().await.len(), 5);
}
