//! `soonshop verify stock`: reads the whole log and checks, for every SKU and location and at every position, that no more
//! is reserved than is on hand, that what is given back or shipped was reserved, and that every reservation is of an order
//! or a checkout, which still lives at the end. It counts by itself, from the events alone.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use soonshop_domain::checkout::{self, Checkout};
use soonshop_domain::ids::OrderId;
use soonshop_domain::inventory::{self, Event as StockEvent, Stock, StockPlace};
use soonshop_domain::order::{self, Order};
use soonshop_domain::{Event, clock, type_of};
use soonshop_event_log::EventLog;
use uuid::Uuid;

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Report as JSON
    #[arg(long)]
    pub json: bool,
}

/// How many events are read at once.
const PAGE: i64 = 1_000;

/// How long the stock of an order or a checkout that ended may still be reserved: a process gives it back.
const GIVEN_BACK_WITHIN: TimeDelta = TimeDelta::minutes(15);

/// The most findings that are listed.
const MOST_FINDINGS: usize = 1_000;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Of the event after which it is so.
    pub position: i64,
    pub sku: String,
    pub location: String,
    pub why: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The log was read up to this position.
    pub position: i64,
    /// How many events of stock it has.
    pub events: u64,
    /// How many SKUs there are stocks of, each location for itself.
    pub stocks: u64,
    /// Units of all stocks, at the end.
    pub on_hand: i64,
    pub reserved: i64,
    /// How many lines of orders and checkouts units are reserved for, at the end.
    pub lines: u64,
    /// Of them those whose order or checkout ended a short while ago: their units are about to be given back.
    pub ending: u64,
    pub found: Vec<Finding>,
    /// How many findings more there are than are listed.
    pub more: u64,
}

impl Report {
    pub fn exit_code(&self) -> u8 {
        if self.found.is_empty() { 0 } else { 3 }
    }

    fn find(&mut self, position: i64, place: &StockPlace, why: String) {
        if self.found.len() == MOST_FINDINGS {
            self.more += 1;
            return;
        }
        let (sku, location) = (place.sku.as_str().to_owned(), place.location.clone());
        self.found.push(Finding { position, sku, location, why });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, events, stocks, on_hand, reserved, lines, ending, found, more } = self;
        writeln!(f, "read up to position {position}: {events} events of {stocks} stocks")?;
        writeln!(f, "on hand {on_hand}, reserved {reserved} for {lines} lines of orders and checkouts")?;
        if *ending > 0 {
            writeln!(
                f,
                "of them {ending} of orders and checkouts that ended just now: they are about to be given back"
            )?;
        }
        for Finding { position, sku, location, why } in found {
            writeln!(f, "FOUND at position {position}: {sku} at {location}: {why}")?;
        }
        if *more > 0 {
            writeln!(f, "and {more} findings more")?;
        }
        match found.len() {
            0 => write!(
                f,
                "nothing was found: at no position was more reserved than on hand, and every reservation is of an order or a checkout"
            ),
            _ => write!(
                f,
                "keep the log as it is, and look at what happened at these positions in the audit trail"
            ),
        }
    }
}

/// Reads the whole log. An error means that not all of it could be read, which proves nothing.
pub async fn verify(log: &EventLog) -> anyhow::Result<Report> {
    let types = [type_of::<Stock>(), type_of::<Order>(), type_of::<Checkout>()];
    let (mut books, mut reader) = (Books::default(), log.read_all(0, PAGE));
    loop {
        let page = reader.next_stored().await?;
        let Some(last) = page.last() else { return Ok(books.close(clock::now())) };
        let end = last.position;
        for row in page {
            let position = row.position;
            if !types.contains(&row.aggregate_type.as_str()) {
                continue;
            }
            match log.decode_row(row) {
                Some(Ok(read)) => books.read(position, read.stream, read.recorded_at, &read.event),
                Some(Err(reason)) => {
                    return Err(anyhow::Error::msg(reason)).with_context(|| format!("position {position}"));
                }
                None => {}
            }
        }
        books.report.position = end;
    }
}

/// What is there of one SKU at one location.
struct Book {
    place: StockPlace,
    on_hand: i64,
    reserved: i64,
}

impl Book {
    fn moved(&mut self, on_hand: i64, reserved: i64) {
        self.on_hand = self.on_hand.saturating_add(on_hand);
        self.reserved = self.reserved.saturating_add(reserved);
    }
}

/// An order, or the checkout that may become it.
#[derive(Clone, Copy)]
enum Life {
    Lives,
    Ended { position: i64, at: DateTime<Utc> },
}

/// The books of all stocks, kept by the events as they are read.
#[derive(Default)]
struct Books {
    stocks: BTreeMap<Uuid, Book>,
    /// The units that are reserved for a line, by stock, order and line; none that are 0.
    lines: BTreeMap<(Uuid, OrderId, u32), i64>,
    orders: HashMap<OrderId, Life>,
    report: Report,
}

impl Books {
    fn read(&mut self, position: i64, stream: Uuid, at: DateTime<Utc>, event: &Event) {
        let life = match event {
            Event::Stock(stock) => return self.stock(position, stream, stock),
            Event::Checkout(checkout::Event::CheckoutStarted(_))
            | Event::Order(order::Event::OrderPlaced { .. }) => Life::Lives,
            Event::Checkout(checkout::Event::CheckoutRefused { .. })
            | Event::Order(
                order::Event::OrderRefused { .. }
                | order::Event::OrderCancelled { .. }
                | order::Event::OrderShipped {},
            ) => Life::Ended { position, at },
            _ => return,
        };
        self.orders.insert(OrderId(stream), life);
    }

    fn stock(&mut self, position: i64, stream: Uuid, event: &StockEvent) {
        self.report.events += 1;
        let place = event.place();
        if inventory::stream(&place.sku, &place.location) != stream {
            self.report.find(position, place, "the event stands in the stream of another stock".to_owned());
        }
        let new = || Book { place: place.clone(), on_hand: 0, reserved: 0 };
        let book = self.stocks.entry(stream).or_insert_with(new);
        match event {
            StockEvent::StockReceived { quantity, .. } => book.moved(i64::from(*quantity), 0),
            StockEvent::StockAdjusted { quantity, .. } => book.moved(*quantity, 0),
            StockEvent::StockReserved { order_id, line, quantity, .. } => {
                book.moved(0, i64::from(*quantity));
                let units = self.lines.entry((stream, *order_id, *line)).or_default();
                *units = units.saturating_add(i64::from(*quantity));
                if !self.orders.contains_key(order_id) {
                    let why = format!(
                        "{quantity} units are reserved for {}, which is neither an order nor a checkout",
                        order_id.0
                    );
                    self.report.find(position, place, why);
                }
            }
            StockEvent::StockReleased { order_id, line, quantity, .. } => {
                book.moved(0, -i64::from(*quantity));
                self.taken(position, (stream, *order_id, *line), place, *quantity, "released");
            }
            StockEvent::StockShipped { order_id, line, quantity, .. } => {
                book.moved(-i64::from(*quantity), -i64::from(*quantity));
                self.taken(position, (stream, *order_id, *line), place, *quantity, "shipped");
            }
            StockEvent::StockReservationBarred { .. } => return,
        }
        let Some(Book { on_hand, reserved, .. }) = self.stocks.get(&stream) else { return };
        let (on_hand, reserved) = (*on_hand, *reserved);
        if !(0 <= reserved && reserved <= on_hand) {
            self.report.find(position, place, format!("{reserved} units are reserved of {on_hand} on hand"));
        }
    }

    /// Units leave what is reserved for a line.
    fn taken(
        &mut self,
        position: i64,
        key: (Uuid, OrderId, u32),
        place: &StockPlace,
        quantity: u32,
        how: &str,
    ) {
        let reserved = self.lines.remove(&key).unwrap_or(0);
        let left = reserved.saturating_sub(i64::from(quantity));
        if left < 0 {
            let (order, line) = (key.1.0, key.2);
            let why = format!(
                "{quantity} units of line {line} of {order} were {how}, and {reserved} were reserved"
            );
            self.report.find(position, place, why);
        }
        if left > 0 {
            self.lines.insert(key, left);
        }
    }

    /// What is reserved at the end is of what still lives, or ended a short while ago.
    fn close(self, now: DateTime<Utc>) -> Report {
        let Self { stocks, lines, orders, mut report } = self;
        for ((stream, order, line), units) in &lines {
            let Some(Life::Ended { position, at }) = orders.get(order) else { continue };
            if now.signed_duration_since(at) < GIVEN_BACK_WITHIN {
                report.ending += 1;
                continue;
            }
            let Some(book) = stocks.get(stream) else { continue };
            let why =
                format!("{units} units are still reserved for line {line} of {}, which ended then", order.0);
            report.find(*position, &book.place, why);
        }
        report.lines = lines.len() as u64;
        report.stocks = stocks.len() as u64;
        for book in stocks.values() {
            report.on_hand = report.on_hand.saturating_add(book.on_hand);
            report.reserved = report.reserved.saturating_add(book.reserved);
        }
        report.found.sort_by_key(|finding| finding.position);
        report
    }
}

#[cfg(test)]
mod tests {
    use soonshop_domain::inventory::MAIN;
    use soonshop_domain::text::Sku;

    use super::*;

    const ORDER: OrderId = OrderId(Uuid::from_u128(7));

    fn place() -> StockPlace {
        StockPlace { sku: Sku::try_new("MUG").unwrap(), location: MAIN.to_owned() }
    }

    fn mugs() -> Uuid {
        inventory::stream(&place().sku, MAIN)
    }

    fn received(quantity: u32) -> StockEvent {
        StockEvent::StockReceived { place: place(), quantity }
    }

    fn reserved(quantity: u32) -> StockEvent {
        StockEvent::StockReserved { place: place(), order_id: ORDER, line: 1, quantity, hold: None }
    }

    fn released(quantity: u32) -> StockEvent {
        let (hold, cause) = (None, None);
        StockEvent::StockReleased { place: place(), order_id: ORDER, line: 1, quantity, hold, cause }
    }

    fn shipped(quantity: u32) -> StockEvent {
        StockEvent::StockShipped { place: place(), order_id: ORDER, line: 1, quantity, cause: None }
    }

    /// An order that was placed, and may have ended, before these events; what is found an hour later, by position.
    fn found(ended: Option<order::Event>, events: &[StockEvent]) -> Vec<(i64, String)> {
        let at = DateTime::UNIX_EPOCH;
        let mut books = Books::default();
        books.orders.insert(ORDER, Life::Lives);
        for (position, event) in (1..).zip(events) {
            books.read(position, mugs(), at, &Event::Stock(event.clone()));
        }
        if let Some(ended) = ended {
            books.read(90, ORDER.0, at, &Event::Order(ended));
        }
        let found = books.close(at + TimeDelta::hours(1)).found;
        found.into_iter().map(|one| (one.position, one.why)).collect()
    }

    #[test]
    fn what_is_received_reserved_and_shipped_or_released_in_turn_is_in_order() {
        let events = [received(5), reserved(3), released(1), shipped(2), reserved(3), shipped(3)];
        assert_eq!(found(Some(order::Event::OrderShipped {}), &events), []);
    }

    #[test]
    fn units_that_are_reserved_twice_are_found_at_their_position() {
        let why = "6 units are reserved of 5 on hand".to_owned();
        assert_eq!(found(None, &[received(5), reserved(3), reserved(3)]), [(3, why)]);
        let why = "3 units are reserved of 2 on hand".to_owned();
        let lost = StockEvent::StockAdjusted { place: place(), quantity: -3, reason: "broken".to_owned() };
        assert_eq!(found(None, &[received(5), reserved(3), lost]), [(3, why)]);
    }

    #[test]
    fn more_than_was_reserved_is_neither_released_nor_shipped() {
        for (taken, how) in [(released(4), "released"), (shipped(4), "shipped")] {
            let found = found(None, &[received(9), reserved(3), taken]);
            let why = format!("4 units of line 1 of {} were {how}, and 3 were reserved", ORDER.0);
            assert_eq!(found[0], (3, why));
            assert_eq!(found.len(), 2, "and fewer than none are reserved then: {found:?}");
        }
    }

    #[test]
    fn a_reservation_is_of_an_order_or_a_checkout_that_is_known() {
        let mut books = Books::default();
        for (position, event) in (1..).zip([received(5), reserved(3)]) {
            books.read(position, mugs(), DateTime::UNIX_EPOCH, &Event::Stock(event));
        }
        let report = books.close(DateTime::UNIX_EPOCH);
        assert_eq!((report.found.len(), report.exit_code()), (1, 3));
        assert_eq!((report.found[0].position, report.found[0].sku.as_str()), (2, "MUG"));
    }

    #[test]
    fn what_an_order_that_ended_still_holds_is_found_unless_it_ended_just_now() {
        let cancelled = order::Event::OrderCancelled { reason: "changed-mind".to_owned() };
        let still = found(Some(cancelled.clone()), &[received(5), reserved(3)]);
        let why = format!("3 units are still reserved for line 1 of {}, which ended then", ORDER.0);
        assert_eq!(still, [(90, why)]);

        let at = DateTime::UNIX_EPOCH;
        let mut books = Books::default();
        books.orders.insert(ORDER, Life::Lives);
        for event in [received(5), reserved(3)] {
            books.read(1, mugs(), at, &Event::Stock(event));
        }
        books.read(2, ORDER.0, at, &Event::Order(cancelled));
        let report = books.close(at + TimeDelta::minutes(1));
        assert_eq!((report.exit_code(), report.lines, report.ending), (0, 1, 1), "{report}");
    }

    #[test]
    fn an_event_in_the_stream_of_another_stock_is_found() {
        let mut books = Books::default();
        books.read(1, Uuid::from_u128(9), DateTime::UNIX_EPOCH, &Event::Stock(received(5)));
        let report = books.close(DateTime::UNIX_EPOCH);
        assert_eq!(report.found[0].why, "the event stands in the stream of another stock");
    }
}
