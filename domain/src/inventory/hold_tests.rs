//! Holds with numbers, and parts of lines.

use cqrs_es::test::{AggregateTestExecutor, TestFramework};
use serde_json::json;

use super::*;
use crate::catalog::UPCASTERS;
use crate::golden::sku;

fn place() -> StockPlace {
    StockPlace { sku: sku("MUG"), location: MAIN.to_owned() }
}

fn order() -> OrderId {
    OrderId(Uuid::nil())
}

fn number(hold: u32) -> NonZeroU32 {
    NonZeroU32::new(hold).unwrap()
}

fn cause(sequence: i64) -> Cause {
    Cause { event: Uuid::nil(), sequence }
}

fn received(quantity: u32) -> Event {
    Event::StockReceived { place: place(), quantity }
}

fn held(hold: u32, quantity: u32) -> Event {
    let (place, order_id, hold) = (place(), order(), Some(number(hold)));
    Event::StockReserved { place, order_id, line: 1, quantity, hold }
}

fn given_back(hold: u32, quantity: u32) -> Event {
    let (place, order_id, hold, cause) = (place(), order(), Some(number(hold)), None);
    Event::StockReleased { place, order_id, line: 1, quantity, hold, cause }
}

fn barred(hold: u32) -> Event {
    let (place, order_id, hold) = (place(), order(), Some(number(hold)));
    Event::StockReservationBarred { place, order_id, line: 1, hold }
}

fn part_released(quantity: u32, sequence: i64) -> Event {
    let (place, order_id, cause) = (place(), order(), Some(cause(sequence)));
    Event::StockReleased { place, order_id, line: 1, quantity, hold: None, cause }
}

fn part_shipped(quantity: u32, sequence: i64) -> Event {
    let (place, order_id, cause) = (place(), order(), Some(cause(sequence)));
    Event::StockShipped { place, order_id, line: 1, quantity, cause }
}

fn reserved(quantity: u32) -> Event {
    Event::StockReserved { place: place(), order_id: order(), line: 1, quantity, hold: None }
}

fn released(quantity: u32) -> Event {
    let (place, order_id) = (place(), order());
    Event::StockReleased { place, order_id, line: 1, quantity, hold: None, cause: None }
}

fn shipped(quantity: u32) -> Event {
    Event::StockShipped { place: place(), order_id: order(), line: 1, quantity, cause: None }
}

fn at(command: Command) -> At {
    At { place: place(), command }
}

fn hold(hold: u32, quantity: u32) -> At {
    at(Command::Hold { order_id: order(), line: 1, quantity, hold: number(hold) })
}

fn give_back(hold: u32) -> At {
    at(Command::GiveBack { order_id: order(), line: 1, hold: number(hold) })
}

fn release_part(quantity: u32, sequence: i64) -> At {
    at(Command::ReleasePart { order_id: order(), line: 1, quantity, cause: cause(sequence) })
}

fn ship_part(quantity: u32, sequence: i64) -> At {
    at(Command::ShipPart { order_id: order(), line: 1, quantity, cause: cause(sequence) })
}

fn given(events: &[Event]) -> AggregateTestExecutor<Stock> {
    let history = [&[received(9)][..], events].concat();
    TestFramework::<Stock>::with(Facts { now: crate::clock::now() }).given(history)
}

fn line_of(events: &[Event]) -> Option<Line> {
    let mut stock = Stock::default();
    for event in [&[received(9)][..], events].concat() {
        stock.evolve(event);
    }
    stock.line(order(), 1)
}

#[test]
fn giving_back_a_hold_bars_every_hold_up_to_it_and_the_next_one_is_free() {
    given(&[held(2, 3)]).when(give_back(2)).then_expect_events(vec![given_back(2, 3)]);
    let over = [held(2, 3), given_back(2, 3)];
    given(&over).when(give_back(2)).then_expect_events(vec![]);
    for late in [1, 2] {
        given(&over).when(hold(late, 3)).then_expect_error(Error::LineReleased);
    }
    given(&over).when(hold(3, 4)).then_expect_events(vec![held(3, 4)]);
    assert_eq!(line_of(&[&over[..], &[held(3, 4)]].concat()), Some(Line::Reserved(4)));
}

#[test]
fn giving_back_what_was_never_held_is_an_event_that_bars() {
    given(&[]).when(give_back(2)).then_expect_events(vec![barred(2)]);
    for late in [1, 2] {
        given(&[barred(2)]).when(hold(late, 3)).then_expect_error(Error::LineReleased);
    }
    given(&[barred(2)]).when(hold(3, 3)).then_expect_events(vec![held(3, 3)]);
    given(&[barred(2)]).when(give_back(1)).then_expect_events(vec![]);
    // An edit of which another line was refused leaves what stands alone.
    given(&[held(1, 3)]).when(give_back(2)).then_expect_events(vec![barred(2)]);
    assert_eq!(line_of(&[held(1, 3), barred(2)]), Some(Line::Reserved(3)));
    given(&[held(1, 3), barred(2)]).when(give_back(1)).then_expect_events(vec![given_back(1, 3)]);
}

#[test]
fn a_hold_that_comes_again_reserves_nothing() {
    given(&[held(1, 3)]).when(hold(1, 3)).then_expect_events(vec![]);
    given(&[held(1, 3)]).when(hold(1, 2)).then_expect_error(Error::LineReservedDifferently);
    // Also once a part of it has gone.
    for part in [part_released(1, 5), part_shipped(1, 5)] {
        given(&[held(1, 3), part]).when(hold(1, 3)).then_expect_events(vec![]);
    }
    given(&[held(1, 3), part_shipped(3, 5)]).when(hold(1, 3)).then_expect_events(vec![]);
}

#[test]
fn what_an_edit_holds_is_an_addition_and_is_given_back_alone() {
    given(&[held(1, 3)]).when(hold(2, 4)).then_expect_events(vec![held(2, 4)]);
    let added = [held(1, 3), held(2, 4)];
    assert_eq!(line_of(&added), Some(Line::Reserved(7)));
    given(&added).when(hold(2, 4)).then_expect_events(vec![]);
    given(&added).when(hold(1, 3)).then_expect_events(vec![]);
    given(&added).when(give_back(2)).then_expect_events(vec![given_back(2, 4)]);
    let alone = [&added[..], &[given_back(2, 4)]].concat();
    assert_eq!(line_of(&alone), Some(Line::Reserved(3)));
    given(&alone).when(hold(2, 4)).then_expect_error(Error::LineReleased);
    given(&alone).when(hold(3, 1)).then_expect_events(vec![held(3, 1)]);
    // The next edit comes only once the one before it stands: the two are one from then on.
    let next = [&added[..], &[held(3, 1)]].concat();
    assert_eq!(line_of(&next), Some(Line::Reserved(8)));
    given(&next).when(give_back(2)).then_expect_events(vec![]);
    given(&next).when(give_back(3)).then_expect_events(vec![given_back(3, 1)]);
    given(&next).when(give_back(1)).then_expect_events(vec![given_back(1, 7)]);
    given(&next).when(hold(2, 4)).then_expect_error(Error::LineReleased);
}

#[test]
fn more_than_is_available_is_not_held() {
    let too_many = Error::InsufficientStock { requested: 7, available: 6 };
    given(&[held(1, 3)]).when(hold(2, 7)).then_expect_error(too_many);
    given(&[]).when(hold(1, 0)).then_expect_error(Error::BadQuantity);
}

#[test]
fn a_part_is_taken_once_for_each_cause_and_from_what_is_reserved() {
    let history = [held(1, 5)];
    given(&history).when(ship_part(2, 7)).then_expect_events(vec![part_shipped(2, 7)]);
    given(&history).when(release_part(2, 7)).then_expect_events(vec![part_released(2, 7)]);
    let history = [held(1, 5), part_shipped(2, 7)];
    assert_eq!(line_of(&history), Some(Line::Reserved(3)));
    for repeat in [ship_part(2, 7), release_part(2, 7), ship_part(1, 6)] {
        given(&history).when(repeat).then_expect_events(vec![]);
    }
    let short = Error::PartNotReserved { requested: 4, reserved: 3 };
    given(&history).when(ship_part(4, 8)).then_expect_error(short);
    given(&history).when(release_part(0, 8)).then_expect_error(Error::BadQuantity);
    let gone = [held(1, 5), part_shipped(2, 7), part_released(3, 8)];
    assert_eq!(line_of(&gone), Some(Line::Shipped));
    given(&gone).when(ship_part(1, 9)).then_expect_error(Error::LineShipped);
    given(&[]).when(ship_part(1, 9)).then_expect_error(Error::LineNotReserved);
    given(&[barred(1)]).when(release_part(1, 9)).then_expect_error(Error::LineReleased);
}

#[test]
fn a_part_of_a_line_without_numbers_is_taken_too_and_the_rest_goes_as_a_whole() {
    given(&[reserved(5)]).when(ship_part(2, 7)).then_expect_events(vec![part_shipped(2, 7)]);
    let history = [reserved(5), part_shipped(2, 7)];
    let (order_id, line) = (order(), 1);
    given(&history).when(at(Command::Ship { order_id, line })).then_expect_events(vec![shipped(3)]);
    given(&history).when(at(Command::Release { order_id, line })).then_expect_events(vec![released(3)]);
    assert_eq!(line_of(&[&history[..], &[shipped(3)]].concat()), Some(Line::Shipped));
    // Either way, a repeat changes nothing.
    let over = [&history[..], &[shipped(3)]].concat();
    given(&over).when(at(Command::Ship { order_id, line })).then_expect_events(vec![]);
    let over = [&history[..], &[released(3)]].concat();
    given(&over).when(at(Command::Release { order_id, line })).then_expect_events(vec![]);
}

#[test]
fn a_line_as_a_whole_takes_all_holds_with_it() {
    let (order_id, line) = (order(), 1);
    let added = [held(1, 3), held(2, 4)];
    given(&added).when(at(Command::Release { order_id, line })).then_expect_events(vec![released(7)]);
    let over = [&added[..], &[released(7)]].concat();
    assert_eq!(line_of(&over), Some(Line::Released));
    for late in [1, 2] {
        given(&over).when(hold(late, 1)).then_expect_error(Error::LineReleased);
        given(&over).when(give_back(late)).then_expect_events(vec![]);
    }
    given(&over).when(hold(3, 1)).then_expect_events(vec![held(3, 1)]);
    let reserve = Command::Reserve { order_id, line, quantity: 1 };
    given(&over).when(at(reserve)).then_expect_error(Error::LineReleased);
}

#[test]
fn a_line_that_was_shipped_as_a_whole_takes_no_hold() {
    let history = [reserved(3), shipped(3)];
    given(&history).when(hold(1, 1)).then_expect_error(Error::LineShipped);
    given(&history).when(give_back(1)).then_expect_error(Error::LineShipped);
    given(&[held(1, 3), shipped(3)]).when(give_back(1)).then_expect_error(Error::LineShipped);
    let added = [held(1, 3), held(2, 1), shipped(4)];
    given(&added).when(hold(2, 1)).then_expect_error(Error::LineReleased);
    // Under the next number an edit adds to what was sent.
    given(&[held(1, 3), shipped(3)]).when(hold(2, 1)).then_expect_events(vec![held(2, 1)]);
    assert_eq!(line_of(&[held(1, 3), shipped(3), held(2, 1)]), Some(Line::Reserved(1)));
}

#[test]
fn an_event_without_a_cause_is_written_as_version_one() {
    use cqrs_es::DomainEvent as _;
    for (event, version) in [
        (released(3), "1"),
        (shipped(3), "1"),
        (given_back(1, 3), "1"),
        (held(1, 3), "1"),
        (part_released(3, 7), "2"),
        (part_shipped(3, 7), "2"),
    ] {
        assert_eq!(event.event_version(), version, "{event:?}");
    }
    assert!(UPCASTERS.iter().all(|row| row.aggregate_type != "stock" || row.change.is_none()));
}

#[test]
fn events_of_today_are_written_as_they_always_were() {
    for name in ["StockReserved", "StockReleased", "StockReservationBarred", "StockShipped"] {
        let path = format!("{}/tests/golden/events/{name}.v1.json", env!("CARGO_MANIFEST_DIR"));
        let golden = std::fs::read_to_string(path).unwrap();
        let event: Event = serde_json::from_str(&golden).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), golden.trim(), "{name}");
        assert!(event.older_version().is_none_or(|version| version == 1));
    }
}

#[test]
fn fields_that_came_with_holds_are_stored_beside_those_of_before() {
    for (event, name) in [
        (held(2, 3), "StockReserved.hold"),
        (given_back(2, 3), "StockReleased.hold"),
        (barred(2), "StockReservationBarred.hold"),
    ] {
        let path = format!("{}/tests/golden/added/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let golden = std::fs::read_to_string(path).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), golden.trim(), "{name}");
        assert_eq!(serde_json::from_str::<Event>(&golden).unwrap(), event, "{name}");
    }
    let zero = json!({"StockReserved": {"sku": "MUG", "location": "main", "order_id": order(), "line": 1, "quantity": 1, "hold": 0}});
    assert!(serde_json::from_value::<Event>(zero).is_err(), "holds count from 1");
}

#[test]
fn lines_of_snapshots_of_before_are_read_as_they_are() {
    let stored = json!({"sku": "MUG", "location": "main", "on_hand": 9, "reserved": 3,
        "lines": {"a/1": {"reserved": 3}, "a/2": "released", "a/3": "shipped"}});
    let stock: Stock = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(&stock).unwrap(), stored);
}
