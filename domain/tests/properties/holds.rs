//! Holds with numbers and parts of lines, in any order and with repeats.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use soonshop_domain::inventory::{Cause, Command, Error, Event, Line};

use super::*;

type OfLine = (OrderId, u32);

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let line = || ((0..2_u128).prop_map(|n| OrderId(Uuid::from_u128(n))), 1..3_u32);
    let quantity = || 1..4_u32;
    let hold = || (1..6_u32).prop_map(|n| NonZeroU32::new(n).unwrap());
    let cause = || (1..8_i64).prop_map(|sequence| Cause { event: Uuid::nil(), sequence });
    let command = prop_oneof![
        2 => (1..6_u32).prop_map(|quantity| Command::Receive { quantity }),
        1 => (-3..3_i64).prop_map(|quantity| Command::Adjust { quantity, reason: "a count".to_owned() }),
        8 => (line(), quantity(), hold())
            .prop_map(|((order_id, line), quantity, hold)| Command::Hold { order_id, line, quantity, hold }),
        5 => (line(), hold()).prop_map(|((order_id, line), hold)| Command::GiveBack { order_id, line, hold }),
        3 => (line(), quantity(), cause()).prop_map(|((order_id, line), quantity, cause)| {
            Command::ReleasePart { order_id, line, quantity, cause }
        }),
        3 => (line(), quantity(), cause())
            .prop_map(|((order_id, line), quantity, cause)| Command::ShipPart { order_id, line, quantity, cause }),
        1 => (line(), quantity())
            .prop_map(|((order_id, line), quantity)| Command::Reserve { order_id, line, quantity }),
        1 => line().prop_map(|(order_id, line)| Command::Release { order_id, line }),
        1 => line().prop_map(|(order_id, line)| Command::Ship { order_id, line }),
    ];
    // Some come again, much later.
    (vec(command, 0..50), vec(any::<prop::sample::Index>(), 0..20)).prop_map(|(mut commands, again)| {
        for (place, index) in again.iter().enumerate() {
            if !commands.is_empty() {
                let again = index.get(&commands).clone();
                commands.insert(commands.len() * place / 20, again);
            }
        }
        commands
    })
}

fn decide(stock: &Stock, command: Command) -> Result<Vec<Event>, Error> {
    stock.decide(At { place: place(), command }, &Facts { now: soonshop_domain::clock::now() })
}

/// What happened to a line, counted by its events alone.
#[derive(Default)]
struct Seen {
    held: BTreeMap<Option<NonZeroU32>, u32>,
    causes: BTreeSet<i64>,
    given_back: Option<NonZeroU32>,
    reserved: i64,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn holds_never_promise_more_than_there_is_and_nothing_is_doubled(commands in commands()) {
        let mut lines: BTreeMap<OfLine, Seen> = BTreeMap::new();
        let all = commands.into_iter().map(|command| At { place: place(), command }).collect();
        let history = live::<Stock>(all, |stock| {
            assert!(0 <= stock.reserved && stock.reserved <= stock.on_hand, "{stock:?}");
        });
        for event in history {
            match event {
                Event::StockReserved { order_id, line, quantity, hold, .. } => {
                    let seen = lines.entry((order_id, line)).or_default();
                    prop_assert!(seen.held.insert(hold, quantity).is_none(), "{hold:?} reserved twice");
                    prop_assert!(hold.is_none() || seen.given_back < hold, "{hold:?} came after it was given back");
                    seen.reserved += i64::from(quantity);
                }
                Event::StockReleased { order_id, line, quantity, hold, cause, .. } => {
                    let seen = lines.entry((order_id, line)).or_default();
                    seen.given_back = seen.given_back.max(hold);
                    prop_assert!(cause.is_none_or(|cause| seen.causes.insert(cause.sequence)));
                    seen.reserved -= i64::from(quantity);
                }
                Event::StockReservationBarred { order_id, line, hold, .. } => {
                    let seen = lines.entry((order_id, line)).or_default();
                    seen.given_back = seen.given_back.max(hold);
                }
                Event::StockShipped { order_id, line, quantity, cause, .. } => {
                    let seen = lines.entry((order_id, line)).or_default();
                    prop_assert!(cause.is_none_or(|cause| seen.causes.insert(cause.sequence)));
                    seen.reserved -= i64::from(quantity);
                }
                Event::StockReceived { .. } | Event::StockAdjusted { .. } => {}
            }
            prop_assert!(lines.values().all(|seen| seen.reserved >= 0));
        }
    }

    #[test]
    fn what_the_lines_hold_is_what_is_reserved_and_a_hold_above_all_others_is_free(commands in commands()) {
        let mut stock = Stock::default();
        let orders = || (0..2_u128).map(|n| OrderId(Uuid::from_u128(n)));
        for command in commands {
            for event in decide(&stock, command).unwrap_or_default() {
                stock.apply(event);
            }
            let states = orders().flat_map(|order| (1..3).map(move |line| (order, line)));
            let states: Vec<_> = states.map(|(order, line)| (order, line, stock.line(order, line))).collect();
            let held: i64 = states.iter().map(|(.., line)| match line {
                Some(Line::Reserved(units)) => i64::from(*units),
                _ => 0,
            }).sum();
            prop_assert_eq!(held, stock.reserved);
            let hold = NonZeroU32::new(9).unwrap();
            for (order_id, line, _) in states {
                let free = decide(&stock, Command::Hold { order_id, line, quantity: 1, hold });
                let (short, whole) = (stock.available() < 1, matches!(free, Err(Error::LineShipped)));
                prop_assert!(short || whole || free.as_ref().is_ok_and(|events| events.len() == 1), "{:?}", free);
                // Giving it back at once bars it, whatever was held before.
                if let Ok(events) = decide(&stock, Command::GiveBack { order_id, line, hold }) {
                    let mut after = stock.clone();
                    for event in events {
                        after.apply(event);
                    }
                    let late = decide(&after, Command::Hold { order_id, line, quantity: 1, hold });
                    prop_assert_eq!(late, Err(Error::LineReleased));
                    prop_assert_eq!(after.reserved, stock.reserved, "what was held stands");
                    let next = NonZeroU32::new(10).unwrap();
                    let next = decide(&after, Command::Hold { order_id, line, quantity: 1, hold: next });
                    prop_assert!(short || next.is_ok_and(|events| events.len() == 1));
                }
            }
        }
    }

    #[test]
    fn repeating_a_hold_its_end_or_a_part_changes_nothing(commands in commands()) {
        let mut stock = Stock::default();
        for command in commands {
            let moves = matches!(command, Command::Receive { .. } | Command::Adjust { .. });
            let Ok(events) = decide(&stock, command.clone()) else { continue };
            for event in events {
                stock.apply(event);
            }
            prop_assert!(moves || decide(&stock, command) == Ok(vec![]));
        }
    }
}
