//! `soonshop verify stock`: reads the whole log and checks, for every SKU and location and at every position, that no more
//! is reserved than is on hand, that what is released or shipped was reserved, that every order which is confirmed or shipped
//! has the units of its lines, and that what is still reserved at the end is of an order or a checkout that has not ended.
//! It counts by itself, from the events alone.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use anyhow::{Context as _, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use soonshop_domain::checkout::{self, Checkout};
use soonshop_domain::ids::OrderId;
use soonshop_domain::inventory::{self, Event as StockEvent, MAIN, Stock, StockPlace};
use soonshop_domain::order::{self, Order};
use soonshop_domain::{Event, type_of};
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

/// How long units of an order or a checkout that ended may still be reserved: a process manager releases or ships them.
/// Measured up to the last event of the log.
const MOVED_WITHIN: TimeDelta = TimeDelta::minutes(15);

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
    /// Of them those whose order or checkout ended less than 15 minutes before the end of the log: a process manager is to
    /// release or ship their units.
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
                "{ending} of them are of orders and checkouts that ended in the last 15 minutes: they are still to be released or shipped"
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
                "nothing was found: no more was ever reserved than was on hand, and every confirmed order has its units"
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
    let (mut books, mut reader, mut end) = (Books::default(), log.read_all(0, PAGE), DateTime::UNIX_EPOCH);
    loop {
        let page = reader.next_stored().await?;
        if page.is_empty() {
            return Ok(books.close(end));
        }
        for row in page {
            let position = row.position;
            ensure!(position == books.report.position + 1, "the event before position {position} is missing");
            (books.report.position, end) = (position, row.recorded_at);
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
    }
}

/// The units of one SKU at one location.
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
#[derive(Default)]
struct OrderBook {
    /// Until it ends: what its lines take.
    lines: Vec<Wanted>,
    /// The position at which it was confirmed.
    confirmed: Option<i64>,
    ended: Option<Ended>,
}

impl OrderBook {
    /// Whether its units stay its own: it was confirmed and was neither cancelled nor refused.
    fn keeps_units(&self) -> bool {
        self.ended.map_or(self.confirmed.is_some(), |ended| ended.is_shipped)
    }
}

/// What a line of an order takes, of the stock at `main`.
struct Wanted {
    line: u32,
    place: StockPlace,
    quantity: i64,
}

#[derive(Clone, Copy)]
struct Ended {
    position: i64,
    at: DateTime<Utc>,
    is_shipped: bool,
}

/// The books of all stocks, kept by the events as they are read.
#[derive(Default)]
struct Books {
    stocks: BTreeMap<Uuid, Book>,
    /// The units that are reserved for a line, by stock, order and line; none that are 0.
    lines: BTreeMap<(Uuid, OrderId, u32), i64>,
    orders: HashMap<OrderId, OrderBook>,
    /// Reservations for what is neither an order nor a checkout when they are made, with their positions.
    unknown: BTreeMap<(Uuid, OrderId, u32), i64>,
    report: Report,
}

impl Books {
    fn read(&mut self, position: i64, stream: Uuid, at: DateTime<Utc>, event: &Event) {
        let id = OrderId(stream);
        let ended = |is_shipped| Ended { position, at, is_shipped };
        match event {
            Event::Stock(stock) => self.stock(position, stream, stock),
            Event::Checkout(checkout::Event::CheckoutStarted(_)) => {
                self.orders.entry(id).or_default();
            }
            Event::Order(order::Event::OrderPlaced { lines, .. }) => {
                let wanted = |line: &order::Line| Wanted {
                    line: line.number,
                    place: StockPlace { sku: line.sku.clone(), location: MAIN.to_owned() },
                    quantity: line.quantity.into(),
                };
                self.orders.entry(id).or_default().lines = lines.iter().map(wanted).collect();
            }
            Event::Order(order::Event::OrderConfirmed {}) => {
                self.orders.entry(id).or_default().confirmed = Some(position);
                self.must_have_units(position, id, "confirmed");
            }
            Event::Order(order::Event::OrderShipped {}) => {
                self.must_have_units(position, id, "shipped");
                self.end(id, ended(true));
            }
            Event::Checkout(checkout::Event::CheckoutRefused { .. })
            | Event::Order(order::Event::OrderRefused { .. } | order::Event::OrderCancelled { .. }) => {
                self.end(id, ended(false));
            }
            _ => {}
        }
    }

    /// An order that ended keeps no lines here: there are many.
    fn end(&mut self, id: OrderId, ended: Ended) {
        let order = self.orders.entry(id).or_default();
        (order.lines, order.ended) = (Vec::new(), Some(ended));
    }

    /// An order is confirmed and shipped with the units of all its lines.
    fn must_have_units(&mut self, position: i64, id: OrderId, how: &str) {
        let Some(order) = self.orders.get(&id) else { return };
        for Wanted { line, place, quantity } in &order.lines {
            let stock = inventory::stream(&place.sku, &place.location);
            let reserved = self.lines.get(&(stock, id, *line)).copied().unwrap_or(0);
            if reserved < *quantity {
                let why = format!(
                    "{} is {how}, and {reserved} of the {quantity} units of its line {line} are reserved",
                    id.0
                );
                self.report.find(position, place, why);
            }
        }
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
                    self.unknown.insert((stream, *order_id, *line), position);
                }
            }
            StockEvent::StockReleased { order_id, line, quantity, .. } => {
                book.moved(0, -i64::from(*quantity));
                if place.location == MAIN && self.orders.get(order_id).is_some_and(OrderBook::keeps_units) {
                    let why = format!(
                        "units of line {line} of {} were released, which goes on with them",
                        order_id.0
                    );
                    self.report.find(position, place, why);
                }
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

    /// Checks the end of the log. An order that ended more than 15 minutes before `end`, the time of the last event, has no
    /// reservations left; an order that is confirmed has those of all its lines; every reservation is of a known order.
    fn close(mut self, end: DateTime<Utc>) -> Report {
        let confirmed = self.orders.iter().filter(|(_, order)| order.ended.is_none());
        let confirmed = confirmed.filter_map(|(id, order)| Some((*id, order.confirmed?)));
        for (id, position) in confirmed.collect::<Vec<_>>() {
            self.must_have_units(position, id, "confirmed");
        }
        let Self { stocks, lines, orders, unknown, mut report } = self;
        for (key, units) in &lines {
            let (stream, order, line) = key;
            let Some(book) = stocks.get(stream) else { continue };
            match orders.get(order).map(|order| order.ended) {
                Some(None) => {}
                Some(Some(Ended { at, .. })) if end.signed_duration_since(at) < MOVED_WITHIN => {
                    report.ending += 1;
                }
                Some(Some(Ended { position, .. })) => {
                    let why = format!(
                        "{units} units are still reserved for line {line} of {}, which ended at this position",
                        order.0
                    );
                    report.find(position, &book.place, why);
                }
                None => {
                    let position = unknown.get(key).copied().unwrap_or(report.position);
                    let why = format!(
                        "{units} units are reserved for {}, which is neither an order nor a checkout",
                        order.0
                    );
                    report.find(position, &book.place, why);
                }
            }
        }
        report.lines = lines.len() as u64;
        report.stocks = stocks.len() as u64;
        for book in stocks.values() {
            report.on_hand = report.on_hand.saturating_add(book.on_hand);
            report.reserved = report.reserved.saturating_add(book.reserved);
        }
        report.found.sort_by(|a, b| (a.position, &a.why).cmp(&(b.position, &b.why)));
        report.found.dedup();
        report
    }
}

#[cfg(test)]
mod tests {
    use soonshop_domain::ids::{GuestId, ProductId};
    use soonshop_domain::text::Sku;
    use soonshop_domain::{Currency, Money};

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

    fn placed(quantity: u32) -> order::Event {
        let price = Money::new(100, Currency::GBP);
        let product_id = ProductId(Uuid::nil());
        let line =
            order::Line { number: 1, sku: place().sku, product_id, name: "Mug".to_owned(), quantity, price };
        order::Event::OrderPlaced {
            number: "1".to_owned(),
            customer: order::Customer::Guest(GuestId(Uuid::nil())),
            lines: vec![line],
            total: price,
            country: "France".to_owned(),
            contact: order::Contact::default(),
        }
    }

    fn cancelled() -> order::Event {
        order::Event::OrderCancelled { reason: "changed-mind".to_owned() }
    }

    /// The report of a log of these events, one a second, so long after the last one.
    fn report(after: TimeDelta, happens: Vec<Event>) -> Report {
        let mut books = Books::default();
        let mut at = DateTime::UNIX_EPOCH;
        for (position, event) in (1..).zip(happens) {
            at += TimeDelta::seconds(1);
            let stream = if matches!(event, Event::Stock(_)) { mugs() } else { ORDER.0 };
            books.read(position, stream, at, &event);
        }
        books.close(at + after)
    }

    /// What is found an hour later, by position.
    fn found(happens: Vec<Event>) -> Vec<(i64, String)> {
        let found = report(TimeDelta::hours(1), happens).found;
        found.into_iter().map(|one| (one.position, one.why)).collect()
    }

    macro_rules! events {
        ($($event:expr),+ $(,)?) => { vec![$(Event::from($event)),+] };
    }

    #[test]
    fn an_order_that_is_reserved_confirmed_and_shipped_or_cancelled_is_in_order() {
        let (confirmed, left) = (order::Event::OrderConfirmed {}, order::Event::OrderShipped {});
        let happens = events![received(5), placed(3), reserved(3), confirmed.clone(), left, shipped(3)];
        assert_eq!(found(happens), []);
        let happens = events![received(5), placed(3), reserved(3), confirmed, cancelled(), released(3)];
        assert_eq!(found(happens), []);
    }

    #[test]
    fn units_that_are_reserved_twice_are_found_at_their_position() {
        let why = "6 units are reserved of 5 on hand".to_owned();
        assert_eq!(found(events![placed(6), received(5), reserved(3), reserved(3)]), [(4, why)]);
        let why = "3 units are reserved of 2 on hand".to_owned();
        let lost = StockEvent::StockAdjusted { place: place(), quantity: -3, reason: "broken".to_owned() };
        assert_eq!(found(events![placed(3), received(5), reserved(3), lost]), [(4, why)]);
    }

    #[test]
    fn more_than_was_reserved_is_neither_released_nor_shipped() {
        for (taken, how) in [(released(4), "released"), (shipped(4), "shipped")] {
            let found = found(events![placed(3), received(9), reserved(3), taken]);
            let why = format!("4 units of line 1 of {} were {how}, and 3 were reserved", ORDER.0);
            assert!(found.contains(&(4, why)), "{found:?}");
            assert_eq!(found.len(), 2, "and fewer than none are reserved then: {found:?}");
        }
    }

    #[test]
    fn an_order_is_neither_confirmed_nor_shipped_without_its_units_and_keeps_them() {
        let confirmed = || order::Event::OrderConfirmed {};
        let why = |how: &str, reserved: u32| {
            format!("{} is {how}, and {reserved} of the 3 units of its line 1 are reserved", ORDER.0)
        };
        assert_eq!(
            found(events![received(5), placed(3), reserved(2), confirmed()]),
            [(4, why("confirmed", 2))]
        );
        // Sold a second time: what it had was released while it goes on.
        let happens = events![received(3), placed(3), reserved(3), confirmed(), released(3)];
        let released_why = format!("units of line 1 of {} were released, which goes on with them", ORDER.0);
        assert_eq!(found(happens), [(4, why("confirmed", 0)), (5, released_why.clone())]);
        let happens = events![
            received(3),
            placed(3),
            reserved(3),
            confirmed(),
            order::Event::OrderShipped {},
            released(3)
        ];
        assert_eq!(found(happens), [(6, released_why)]);
    }

    #[test]
    fn what_is_still_reserved_is_of_an_order_or_a_checkout_that_is_known() {
        let unknown = report(TimeDelta::zero(), events![received(5), reserved(3)]);
        assert_eq!((unknown.found.len(), unknown.exit_code()), (1, 3));
        assert_eq!((unknown.found[0].position, unknown.found[0].sku.as_str()), (2, "MUG"));
        assert_eq!(found(events![received(5), reserved(3), placed(3)]), [], "it was placed after it");
        assert_eq!(found(events![received(5), reserved(3), released(3)]), [], "by hand, and it is gone");
    }

    #[test]
    fn what_an_order_that_ended_still_holds_is_found_unless_it_ended_just_before_the_end() {
        let happens = || events![received(5), placed(3), reserved(3), cancelled()];
        let why =
            format!("3 units are still reserved for line 1 of {}, which ended at this position", ORDER.0);
        assert_eq!(found(happens()), [(4, why)]);
        let report = report(TimeDelta::minutes(1), happens());
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
