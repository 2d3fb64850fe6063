//! Stock: one stream per SKU and location. On hand are the units there; reserved are those for order lines; available
//! is the difference and never below zero.

mod line;

#[cfg(test)]
mod hold_tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{self, OrderId};
use crate::order;
use crate::text::Sku;
use crate::{
    Classified, Decider, ErrorKind, EventInfo, Expectation, Facts, Money, PartsPage, PersonalValue, Sensitive,
};

use line::{GivenBack, LineState, Unfit};

pub use line::{Cause, Line};

/// The location of a shop that has one.
pub const MAIN: &str = "main";

/// The most units that one command moves, and that one stock may hold: far from where sums overflow.
pub const MOST_UNITS: i64 = 1_000_000_000_000;

/// The most units that a line of an order or a credit note has, or that a receipt or a reservation moves. A count corrects
/// a stock by up to [`MOST_UNITS`], all that it may hold.
pub const MOST_QUANTITY: u32 = u32::MAX;

/// Where the stocks of a SKU are found: the aggregate type, and the field of the first event of each.
pub const BY_SKU: [&str; 2] = ["stock", "sku"];

/// The stream of a SKU at a location.
pub fn stream(sku: &Sku, location: &str) -> Uuid {
    ids::derived(ids::STOCK, &[sku.as_str(), location])
}

/// The SKU and location that the stream is for; every command and event names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockPlace {
    pub sku: Sku,
    pub location: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Receive {
        quantity: u32,
    },
    /// The result of a count: more or fewer than recorded.
    Adjust {
        quantity: i64,
        reason: String,
    },
    Reserve {
        order_id: OrderId,
        line: u32,
        quantity: u32,
    },
    /// Releasing a line that was never reserved bars it, so that a late reservation is refused.
    Release {
        order_id: OrderId,
        line: u32,
    },
    Ship {
        order_id: OrderId,
        line: u32,
    },
    /// Reserves units of a line under the hold of that number. Beside an earlier hold that stands they are what an edit of
    /// the order adds.
    Hold {
        order_id: OrderId,
        line: u32,
        quantity: u32,
        hold: NonZeroU32,
    },
    /// Releases what that hold reserved of a line, and bars every hold up to it; the next one is free to come.
    GiveBack {
        order_id: OrderId,
        line: u32,
        hold: NonZeroU32,
    },
    ReleasePart {
        order_id: OrderId,
        line: u32,
        quantity: u32,
        cause: Cause,
    },
    ShipPart {
        order_id: OrderId,
        line: u32,
        quantity: u32,
        cause: Cause,
    },
    /// Changes nothing, and is refused while there is stock: its SKU is about to be given back.
    BeEmpty,
}

#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::VariantNames,
    strum::EnumDiscriminants,
)]
#[strum_discriminants(name(EventKind), derive(strum::IntoStaticStr, strum::VariantArray))]
pub enum Event {
    StockReceived {
        #[serde(flatten)]
        place: StockPlace,
        quantity: u32,
    },
    StockAdjusted {
        #[serde(flatten)]
        place: StockPlace,
        quantity: i64,
        reason: String,
    },
    StockReserved {
        #[serde(flatten)]
        place: StockPlace,
        order_id: OrderId,
        line: u32,
        quantity: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hold: Option<NonZeroU32>,
    },
    StockReleased {
        #[serde(flatten)]
        place: StockPlace,
        order_id: OrderId,
        line: u32,
        quantity: u32,
        /// The hold that was given back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hold: Option<NonZeroU32>,
        /// Of a part of a line. Without a cause it is the whole line, or the whole hold: version 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Cause>,
    },
    /// The line was released before it was reserved, and can no longer be reserved.
    StockReservationBarred {
        #[serde(flatten)]
        place: StockPlace,
        order_id: OrderId,
        line: u32,
        /// Holds up to this one are barred.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hold: Option<NonZeroU32>,
    },
    StockShipped {
        #[serde(flatten)]
        place: StockPlace,
        order_id: OrderId,
        line: u32,
        quantity: u32,
        /// Of a part of a line. Without a cause it is the whole line: version 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Cause>,
    },
}

impl Sensitive for Event {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        match self {
            Self::StockReceived { .. }
            | Self::StockAdjusted { .. }
            | Self::StockReserved { .. }
            | Self::StockReleased { .. }
            | Self::StockReservationBarred { .. }
            | Self::StockShipped { .. } => Vec::new(),
        }
    }
}

impl EventInfo for Event {
    fn subject(&self, _stream: Uuid) -> Option<Uuid> {
        match self {
            Self::StockReceived { .. }
            | Self::StockAdjusted { .. }
            | Self::StockReserved { .. }
            | Self::StockReleased { .. }
            | Self::StockReservationBarred { .. }
            | Self::StockShipped { .. } => None,
        }
    }

    fn amount(&self) -> Option<Money> {
        match self {
            Self::StockReceived { .. }
            | Self::StockAdjusted { .. }
            | Self::StockReserved { .. }
            | Self::StockReleased { .. }
            | Self::StockReservationBarred { .. }
            | Self::StockShipped { .. } => None,
        }
    }

    fn amount_path(kind: EventKind) -> Option<&'static str> {
        match kind {
            EventKind::StockReceived
            | EventKind::StockAdjusted
            | EventKind::StockReserved
            | EventKind::StockReleased
            | EventKind::StockReservationBarred
            | EventKind::StockShipped => None,
        }
    }

    fn name_paths(kind: EventKind) -> &'static [&'static str] {
        match kind {
            EventKind::StockReceived
            | EventKind::StockAdjusted
            | EventKind::StockReserved
            | EventKind::StockReleased
            | EventKind::StockReservationBarred
            | EventKind::StockShipped => &["sku", "location"],
        }
    }

    fn is_refusal(kind: EventKind) -> bool {
        match kind {
            EventKind::StockReservationBarred => true,
            EventKind::StockReceived
            | EventKind::StockAdjusted
            | EventKind::StockReserved
            | EventKind::StockReleased
            | EventKind::StockShipped => false,
        }
    }

    fn older_version(&self) -> Option<u32> {
        match self {
            Self::StockReleased { cause: None, .. } | Self::StockShipped { cause: None, .. } => Some(1),
            _ => None,
        }
    }

    fn expects(kind: EventKind) -> Option<Expectation<EventKind>> {
        match kind {
            EventKind::StockReceived
            | EventKind::StockAdjusted
            | EventKind::StockReserved
            | EventKind::StockReleased
            | EventKind::StockReservationBarred
            | EventKind::StockShipped => None,
        }
    }
}

impl Event {
    pub fn place(&self) -> &StockPlace {
        match self {
            Self::StockReceived { place, .. }
            | Self::StockAdjusted { place, .. }
            | Self::StockReserved { place, .. }
            | Self::StockReleased { place, .. }
            | Self::StockReservationBarred { place, .. }
            | Self::StockShipped { place, .. } => place,
        }
    }
}

#[derive(Debug, Clone, PartialEq, thiserror::Error, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Error {
    #[error("{requested} requested, {available} available")]
    InsufficientStock { requested: i64, available: i64 },
    #[error(
        "a quantity is at least 1, and an adjustment is not 0 (a count that finds what is recorded needs none); a stock \
         holds at most 1,000,000,000,000"
    )]
    BadQuantity,
    #[error("the line was released before")]
    LineReleased,
    #[error("the line was shipped already")]
    LineShipped,
    #[error("the line is reserved with another quantity")]
    LineReservedDifferently,
    #[error("the line is not reserved")]
    LineNotReserved,
    #[error("{requested} units of the line requested, {reserved} reserved")]
    PartNotReserved { requested: u32, reserved: u32 },
    #[error("{on_hand} units are there, {reserved} of them reserved")]
    StockLeft { on_hand: i64, reserved: i64 },
    #[error("no product has this SKU")]
    UnknownSku,
    #[error("the product was deleted: its goods come in at `main` only")]
    ProductDeleted,
    #[error(transparent)]
    #[strum(transparent)]
    Order(#[from] order::Error),
}

impl From<Unfit> for Error {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::BadQuantity => Self::BadQuantity,
            Unfit::Released => Self::LineReleased,
            Unfit::Shipped => Self::LineShipped,
            Unfit::ReservedDifferently => Self::LineReservedDifferently,
            Unfit::NotReserved => Self::LineNotReserved,
            Unfit::PartNotReserved { requested, reserved } => Self::PartNotReserved { requested, reserved },
        }
    }
}

impl Classified for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::BadQuantity | Self::UnknownSku => ErrorKind::Invalid,
            Self::ProductDeleted => ErrorKind::Gone,
            Self::Order(error) => error.kind(),
            Self::InsufficientStock { .. }
            | Self::LineReleased
            | Self::LineShipped
            | Self::LineReservedDifferently
            | Self::LineNotReserved
            | Self::PartNotReserved { .. }
            | Self::StockLeft { .. } => ErrorKind::Conflict,
        }
    }
}

/// A command together with the place it is for; the place goes into its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    pub place: StockPlace,
    pub command: Command,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    pub sku: Option<Sku>,
    pub location: Option<String>,
    pub on_hand: i64,
    pub reserved: i64,
    /// The parts of the state, by `<order>/<line>`. There is one for every line that was ever reserved, so the store
    /// keeps only some of them in memory and none in snapshots.
    lines: BTreeMap<String, LineState>,
}

fn key(order_id: OrderId, line: u32) -> String {
    format!("{order_id}/{line}")
}

impl Stock {
    pub fn available(&self) -> i64 {
        self.on_hand.saturating_sub(self.reserved)
    }

    pub fn line(&self, order_id: OrderId, line: u32) -> Option<Line> {
        self.state_of(order_id, line).map(LineState::as_a_whole)
    }

    fn state_of(&self, order_id: OrderId, line: u32) -> Option<LineState> {
        self.lines.get(&key(order_id, line)).copied()
    }

    fn enough(&self, quantity: u32) -> Result<(), Error> {
        let (requested, available) = (i64::from(quantity), self.available());
        if requested > available { Err(Error::InsufficientStock { requested, available }) } else { Ok(()) }
    }

    fn with_lines(&self, lines: BTreeMap<String, LineState>) -> Self {
        Self { sku: self.sku.clone(), location: self.location.clone(), lines, ..*self }
    }
}

impl Decider for Stock {
    const STATE_VERSION: u32 = 3;
    /// Snapshots of version 1 hold all lines, which are left aside, and those of version 2 none; the rest is the same.
    const OLDEST_STATE: u32 = 1;
    const PART_KEY: &'static [&'static str] = &["order_id", "line"];

    fn decide(&self, At { place, command }: At, _: &Facts) -> Result<Vec<Event>, Error> {
        match command {
            Command::Receive { quantity } => {
                if quantity == 0 || self.on_hand.saturating_add(quantity.into()) > MOST_UNITS {
                    return Err(Error::BadQuantity);
                }
                Ok(vec![Event::StockReceived { place, quantity }])
            }
            Command::Adjust { quantity: 0, .. } | Command::Reserve { quantity: 0, .. } => {
                Err(Error::BadQuantity)
            }
            Command::Adjust { quantity, reason } => {
                if !(-MOST_UNITS..=MOST_UNITS).contains(&quantity)
                    || self.on_hand.saturating_add(quantity) > MOST_UNITS
                {
                    return Err(Error::BadQuantity);
                }
                if quantity < 0 && -quantity > self.available() {
                    return Err(Error::InsufficientStock {
                        requested: -quantity,
                        available: self.available(),
                    });
                }
                Ok(vec![Event::StockAdjusted { place, quantity, reason }])
            }
            Command::Reserve { order_id, line, quantity } => match self.line(order_id, line) {
                Some(Line::Reserved(same)) if same == quantity => Ok(vec![]),
                Some(Line::Reserved(_)) => Err(Error::LineReservedDifferently),
                Some(Line::Released) => Err(Error::LineReleased),
                Some(Line::Shipped) => Err(Error::LineShipped),
                None => {
                    self.enough(quantity)?;
                    Ok(vec![Event::StockReserved { place, order_id, line, quantity, hold: None }])
                }
            },
            Command::Release { order_id, line } => match self.line(order_id, line) {
                Some(Line::Reserved(quantity)) => {
                    let (hold, cause) = (None, None);
                    Ok(vec![Event::StockReleased { place, order_id, line, quantity, hold, cause }])
                }
                Some(Line::Released) => Ok(vec![]),
                Some(Line::Shipped) => Err(Error::LineShipped),
                None => Ok(vec![Event::StockReservationBarred { place, order_id, line, hold: None }]),
            },
            Command::Ship { order_id, line } => match self.line(order_id, line) {
                Some(Line::Reserved(quantity)) => {
                    Ok(vec![Event::StockShipped { place, order_id, line, quantity, cause: None }])
                }
                Some(Line::Shipped) => Ok(vec![]),
                Some(Line::Released) => Err(Error::LineReleased),
                None => Err(Error::LineNotReserved),
            },
            Command::Hold { order_id, line, quantity, hold } => {
                if !LineState::hold(self.state_of(order_id, line), hold, quantity)? {
                    return Ok(vec![]);
                }
                self.enough(quantity)?;
                Ok(vec![Event::StockReserved { place, order_id, line, quantity, hold: Some(hold) }])
            }
            Command::GiveBack { order_id, line, hold } => {
                let given_back = LineState::give_back(self.state_of(order_id, line), hold)?;
                let (hold, cause) = (Some(hold), None);
                Ok(match given_back {
                    GivenBack::Units(quantity) => {
                        vec![Event::StockReleased { place, order_id, line, quantity, hold, cause }]
                    }
                    GivenBack::Barred => vec![Event::StockReservationBarred { place, order_id, line, hold }],
                    GivenBack::Before => vec![],
                })
            }
            Command::ReleasePart { order_id, line, quantity, cause } => {
                let taken = LineState::take(self.state_of(order_id, line), quantity, cause)?;
                let (hold, cause) = (None, Some(cause));
                let released = || Event::StockReleased { place, order_id, line, quantity, hold, cause };
                Ok(taken.then(released).into_iter().collect())
            }
            Command::ShipPart { order_id, line, quantity, cause } => {
                let taken = LineState::take(self.state_of(order_id, line), quantity, cause)?;
                let cause = Some(cause);
                let shipped = || Event::StockShipped { place, order_id, line, quantity, cause };
                Ok(taken.then(shipped).into_iter().collect())
            }
            Command::BeEmpty if self.on_hand == 0 && self.reserved == 0 => Ok(vec![]),
            Command::BeEmpty => Err(Error::StockLeft { on_hand: self.on_hand, reserved: self.reserved }),
        }
    }

    /// Of its lines the one that the event is about; and another one, as none at all would be another state.
    fn around(&self, event: &Event) -> Option<Self> {
        let line = event.line();
        let its = |name: &&String| Some(name.as_str()) == line.as_deref();
        let own = line.as_ref().and_then(|name| self.lines.get_key_value(name));
        let other = self.lines.iter().find(|(name, _)| !its(name));
        let lines = own.into_iter().chain(other).map(|(name, line)| (name.clone(), *line)).collect();
        Some(self.with_lines(lines))
    }

    fn parts_read(At { command, .. }: &At) -> Vec<String> {
        match command {
            Command::Receive { .. } | Command::Adjust { .. } | Command::BeEmpty => Vec::new(),
            Command::Reserve { order_id, line, .. }
            | Command::Release { order_id, line }
            | Command::Ship { order_id, line }
            | Command::Hold { order_id, line, .. }
            | Command::GiveBack { order_id, line, .. }
            | Command::ReleasePart { order_id, line, .. }
            | Command::ShipPart { order_id, line, .. } => vec![key(*order_id, *line)],
        }
    }

    fn part_changed(event: &Event) -> Option<String> {
        event.line()
    }

    fn is_part(name: &str) -> bool {
        let (order, line) = name.split_once('/').unwrap_or_default();
        let (Ok(order), Ok(line)) = (order.parse(), line.parse()) else { return false };
        key(OrderId(order), line) == name
    }

    fn move_part(&mut self, key: &str, to: &mut Self) {
        match self.lines.remove_entry(key) {
            Some((key, line)) => {
                to.lines.insert(key, line);
            }
            None => {
                to.lines.remove(key);
            }
        }
    }

    fn without_parts(&self) -> Cow<'_, Self> {
        if self.lines.is_empty() { Cow::Borrowed(self) } else { Cow::Owned(self.with_lines(BTreeMap::new())) }
    }

    fn page(&self, after: &str, most: usize) -> Option<PartsPage<Self>> {
        let mut rest = self.lines.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        let lines: BTreeMap<_, _> =
            rest.by_ref().take(most).map(|(name, line)| (name.clone(), *line)).collect();
        let next = rest.next().and_then(|_| lines.last_key_value()).map(|(name, _)| name.clone());
        Some(PartsPage { state: self.with_lines(lines), total: self.lines.len(), next })
    }
}

impl Event {
    /// The line that it changes.
    fn line(&self) -> Option<String> {
        match self {
            Self::StockReceived { .. } | Self::StockAdjusted { .. } => None,
            Self::StockReserved { order_id, line, .. }
            | Self::StockReleased { order_id, line, .. }
            | Self::StockReservationBarred { order_id, line, .. }
            | Self::StockShipped { order_id, line, .. } => Some(key(*order_id, *line)),
        }
    }
}

impl Stock {
    pub(crate) fn evolve(&mut self, event: Event) {
        if self.sku.is_none() {
            let place = event.place();
            (self.sku, self.location) = (Some(place.sku.clone()), Some(place.location.clone()));
        }
        match event {
            Event::StockReceived { quantity, .. } => {
                self.on_hand = self.on_hand.saturating_add(quantity.into());
            }
            Event::StockAdjusted { quantity, .. } => self.on_hand = self.on_hand.saturating_add(quantity),
            Event::StockReserved { order_id, line, quantity, hold, .. } => {
                self.reserved = self.reserved.saturating_add(quantity.into());
                self.change(order_id, line, |before| LineState::reserved(before, hold, quantity));
            }
            Event::StockReleased { order_id, line, quantity, hold, cause, .. } => {
                self.reserved = self.reserved.saturating_sub(quantity.into());
                self.change(order_id, line, |before| LineState::released(before, hold, cause, quantity));
            }
            Event::StockReservationBarred { order_id, line, hold, .. } => {
                self.change(order_id, line, |before| LineState::barred(before, hold));
            }
            Event::StockShipped { order_id, line, quantity, cause, .. } => {
                self.on_hand = self.on_hand.saturating_sub(quantity.into());
                self.reserved = self.reserved.saturating_sub(quantity.into());
                self.change(order_id, line, |before| LineState::shipped(before, cause, quantity));
            }
        }
    }

    fn change(&mut self, order_id: OrderId, line: u32, to: impl FnOnce(Option<LineState>) -> LineState) {
        let key = key(order_id, line);
        let state = to(self.lines.get(&key).copied());
        self.lines.insert(key, state);
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::{AggregateTestExecutor, TestFramework};
    use strum::VariantArray as _;

    use super::*;
    use crate::golden::{Sample, order_id, sku};

    impl Sample for Event {
        fn sample(kind: EventKind) -> Self {
            let place = StockPlace { sku: sku("MUG-RED"), location: MAIN.to_owned() };
            let order_id = order_id();
            match kind {
                EventKind::StockReceived => Self::StockReceived { place, quantity: 10 },
                EventKind::StockAdjusted => {
                    Self::StockAdjusted { place, quantity: -1, reason: "broken".to_owned() }
                }
                EventKind::StockReserved => {
                    Self::StockReserved { place, order_id, line: 1, quantity: 3, hold: None }
                }
                EventKind::StockReleased => {
                    let cause = Some(Cause { event: order_id.0, sequence: 3 });
                    Self::StockReleased { place, order_id, line: 1, quantity: 3, hold: None, cause }
                }
                EventKind::StockReservationBarred => {
                    Self::StockReservationBarred { place, order_id, line: 2, hold: None }
                }
                EventKind::StockShipped => {
                    let cause = Some(Cause { event: order_id.0, sequence: 4 });
                    Self::StockShipped { place, order_id, line: 1, quantity: 2, cause }
                }
            }
        }

        /// A released line is reserved again before it is shipped.
        fn history() -> Vec<EventKind> {
            vec![
                EventKind::StockReceived,
                EventKind::StockAdjusted,
                EventKind::StockReserved,
                EventKind::StockReleased,
                EventKind::StockReservationBarred,
                EventKind::StockReserved,
                EventKind::StockShipped,
            ]
        }
    }

    fn place() -> StockPlace {
        StockPlace { sku: Sku::try_new("MUG").unwrap(), location: MAIN.into() }
    }

    fn order() -> OrderId {
        OrderId(Uuid::nil())
    }

    fn given(events: Vec<Event>) -> AggregateTestExecutor<Stock> {
        TestFramework::<Stock>::with(Facts { now: crate::clock::now() }).given(events)
    }

    fn at(command: Command) -> At {
        At { place: place(), command }
    }

    fn received(quantity: u32) -> Event {
        Event::StockReceived { place: place(), quantity }
    }

    fn reserved(quantity: u32) -> Event {
        Event::StockReserved { place: place(), order_id: order(), line: 1, quantity, hold: None }
    }

    #[test]
    fn the_key_of_a_part_is_an_order_and_a_line_as_the_state_writes_them() {
        let order = "00000000-0000-0000-0000-00000000002a";
        let name = key(OrderId(Uuid::from_u128(42)), 7);
        assert_eq!(name, format!("{order}/7"));
        assert!(Stock::is_part(&name));
        for other in ["", "x", "/", "/7", order, &name.to_uppercase(), "2a/7"] {
            assert!(!Stock::is_part(other), "{other:?}");
        }
        for line in ["", "07", "+7", "-1", "7/", "7/7", "4294967296"] {
            assert!(!Stock::is_part(&format!("{order}/{line}")), "{line:?}");
        }
    }

    #[test]
    fn more_than_is_available_is_refused() {
        given(vec![received(5), reserved(3)])
            .when(at(Command::Reserve { order_id: order(), line: 2, quantity: 4 }))
            .then_expect_error(Error::InsufficientStock { requested: 4, available: 2 });
    }

    #[test]
    fn reserving_a_line_again_changes_nothing() {
        given(vec![received(5), reserved(3)])
            .when(at(Command::Reserve { order_id: order(), line: 1, quantity: 3 }))
            .then_expect_events(vec![]);
    }

    #[test]
    fn releasing_what_was_never_reserved_bars_a_late_reservation() {
        let barred = Event::StockReservationBarred { place: place(), order_id: order(), line: 1, hold: None };
        given(vec![received(5)])
            .when(at(Command::Release { order_id: order(), line: 1 }))
            .then_expect_events(vec![barred.clone()]);
        given(vec![received(5), barred])
            .when(at(Command::Reserve { order_id: order(), line: 1, quantity: 1 }))
            .then_expect_error(Error::LineReleased);
    }

    #[test]
    fn a_stock_is_empty_if_nothing_is_there() {
        let gone = Event::StockAdjusted { place: place(), quantity: -5, reason: "sold-off".into() };
        given(vec![]).when(at(Command::BeEmpty)).then_expect_events(vec![]);
        given(vec![received(5), gone]).when(at(Command::BeEmpty)).then_expect_events(vec![]);
        given(vec![received(5), reserved(3)])
            .when(at(Command::BeEmpty))
            .then_expect_error(Error::StockLeft { on_hand: 5, reserved: 3 });
    }

    #[test]
    fn a_count_cannot_remove_reserved_units() {
        given(vec![received(5), reserved(3)])
            .when(at(Command::Adjust { quantity: -3, reason: "lost".into() }))
            .then_expect_error(Error::InsufficientStock { requested: 3, available: 2 });
    }

    #[test]
    fn the_part_around_an_event_shows_the_same_changes_as_the_whole_state() {
        let line = |line, quantity| Event::StockReserved {
            place: place(),
            order_id: order(),
            line,
            quantity,
            hold: None,
        };
        let released = Event::StockReleased {
            place: place(),
            order_id: order(),
            line: 1,
            quantity: 3,
            hold: None,
            cause: None,
        };
        let shipped =
            Event::StockShipped { place: place(), order_id: order(), line: 2, quantity: 1, cause: None };
        let barred = Event::StockReservationBarred { place: place(), order_id: order(), line: 9, hold: None };
        let adjusted = Event::StockAdjusted { place: place(), quantity: -1, reason: "lost".into() };
        let history = vec![
            received(50),
            line(1, 3),
            line(2, 1),
            line(3, 2),
            released,
            barred,
            shipped,
            received(1),
            adjusted,
        ];
        let mut whole = Stock::default();
        let differing = |one: &Stock, other: &Stock| -> Vec<String> {
            let names: std::collections::BTreeSet<_> = one.lines.keys().chain(other.lines.keys()).collect();
            names.into_iter().filter(|name| one.lines.get(*name) != other.lines.get(*name)).cloned().collect()
        };
        for event in history {
            let (before, part_before) = (whole.clone(), whole.around(&event).unwrap());
            whole.evolve(event.clone());
            let part_after = whole.around(&event).unwrap();
            for (part, whole) in [(&part_before, &before), (&part_after, &whole)] {
                let lines = part.lines.clone();
                assert_eq!(*part, Stock { lines, ..whole.clone() });
                assert!(part.lines.iter().all(|(name, line)| whole.lines.get(name) == Some(line)));
                assert_eq!(part.lines.is_empty(), whole.lines.is_empty());
                assert!(part.lines.len() <= 2);
            }
            assert_eq!(differing(&part_before, &part_after), differing(&before, &whole), "{event:?}");
        }
    }

    #[test]
    fn the_pages_of_a_state_have_each_line_once_and_all_counters() {
        let line =
            |line| Event::StockReserved { place: place(), order_id: order(), line, quantity: 1, hold: None };
        let mut stock = Stock::default();
        std::iter::once(received(9)).chain((1..=7).map(line)).for_each(|event| stock.evolve(event));
        assert!(stock.without_parts().lines.is_empty());
        let (mut after, mut lines, mut pages) = (String::new(), BTreeMap::new(), 0);
        loop {
            let page = stock.page(&after, 3).unwrap();
            assert_eq!((page.total, page.state.on_hand, page.state.reserved), (7, 9, 7));
            assert!(page.state.lines.keys().all(|name| *name > after));
            lines.extend(page.state.lines);
            pages += 1;
            let Some(next) = page.next else { break };
            after = next;
        }
        assert_eq!((lines, pages), (stock.lines, 3));
    }

    #[test]
    fn the_key_of_a_line_is_made_of_the_fields_that_it_is_looked_up_by() {
        for event in EventKind::VARIANTS.iter().map(|kind| Event::sample(*kind)) {
            let stored = serde_json::to_value(&event).unwrap();
            let field = |name: &&str| stored[event.as_ref()].get(name).map(ToString::to_string);
            let values: Option<Vec<_>> = Stock::PART_KEY.iter().map(field).collect();
            let key = values.map(|values| values.join("/").replace('"', ""));
            assert_eq!(Stock::part_changed(&event), key, "{event:?}");
        }
    }

    #[test]
    fn shipping_takes_what_was_reserved_once() {
        let shipped =
            Event::StockShipped { place: place(), order_id: order(), line: 1, quantity: 3, cause: None };
        given(vec![received(5), reserved(3)])
            .when(at(Command::Ship { order_id: order(), line: 1 }))
            .then_expect_events(vec![shipped.clone()]);
        given(vec![received(5), reserved(3), shipped])
            .when(at(Command::Ship { order_id: order(), line: 1 }))
            .then_expect_events(vec![]);
    }

    #[test]
    fn a_line_is_shipped_only_while_it_is_reserved() {
        let released = Event::StockReleased {
            place: place(),
            order_id: order(),
            line: 1,
            quantity: 3,
            hold: None,
            cause: None,
        };
        let ship = || at(Command::Ship { order_id: order(), line: 1 });
        given(vec![received(5)]).when(ship()).then_expect_error(Error::LineNotReserved);
        given(vec![received(5), reserved(3), released]).when(ship()).then_expect_error(Error::LineReleased);
    }

    #[test]
    fn a_line_is_released_once_and_never_after_shipment() {
        let released = Event::StockReleased {
            place: place(),
            order_id: order(),
            line: 1,
            quantity: 3,
            hold: None,
            cause: None,
        };
        let shipped =
            Event::StockShipped { place: place(), order_id: order(), line: 1, quantity: 3, cause: None };
        let release = || at(Command::Release { order_id: order(), line: 1 });
        let history = || vec![received(5), reserved(3)];
        given(history()).when(release()).then_expect_events(vec![released.clone()]);
        given(history()).and(vec![released]).when(release()).then_expect_events(vec![]);
        given(history()).and(vec![shipped]).when(release()).then_expect_error(Error::LineShipped);
    }

    #[test]
    fn a_line_that_is_reserved_cannot_be_reserved_with_another_quantity() {
        given(vec![received(5), reserved(3)])
            .when(at(Command::Reserve { order_id: order(), line: 1, quantity: 2 }))
            .then_expect_error(Error::LineReservedDifferently);
    }

    #[test]
    fn all_that_is_available_can_be_reserved_or_counted_away() {
        let history = || vec![received(5), reserved(3)];
        let (order_id, line, quantity) = (order(), 2, 2);
        given(history()).when(at(Command::Reserve { order_id, line, quantity })).then_expect_events(vec![
            Event::StockReserved { place: place(), order_id, line, quantity, hold: None },
        ]);
        let (quantity, reason) = (-2, "lost".to_owned());
        given(history())
            .when(at(Command::Adjust { quantity, reason: reason.clone() }))
            .then_expect_events(vec![Event::StockAdjusted { place: place(), quantity, reason }]);
    }

    #[test]
    fn a_stock_is_filled_up_to_the_maximum() {
        let adjusted =
            |quantity| Event::StockAdjusted { place: place(), quantity, reason: "a count".to_owned() };
        let nearly = || vec![adjusted(MOST_UNITS - 5)];
        given(nearly()).when(at(Command::Receive { quantity: 5 })).then_expect_events(vec![received(5)]);
        given(nearly()).when(at(Command::Receive { quantity: 6 })).then_expect_error(Error::BadQuantity);
        let adjust = |quantity| at(Command::Adjust { quantity, reason: "a count".to_owned() });
        given(nearly()).when(adjust(5)).then_expect_events(vec![adjusted(5)]);
        given(nearly()).when(adjust(6)).then_expect_error(Error::BadQuantity);
        // More than a stock can hold is no quantity, whichever way it goes.
        given(nearly()).when(adjust(-MOST_UNITS - 1)).then_expect_error(Error::BadQuantity);
        given(nearly())
            .when(adjust(-MOST_UNITS))
            .then_expect_error(Error::InsufficientStock { requested: MOST_UNITS, available: MOST_UNITS - 5 });
    }

    #[test]
    fn a_bad_quantity_is_invalid_in_any_state_and_every_other_refusal_is_of_this_one() {
        assert_eq!(Error::BadQuantity.kind(), ErrorKind::Invalid);
        for error in [
            Error::InsufficientStock { requested: 1, available: 0 },
            Error::LineReleased,
            Error::LineShipped,
            Error::LineReservedDifferently,
            Error::LineNotReserved,
        ] {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
        }
    }

    #[test]
    fn a_stock_holds_at_most_the_maximum_and_no_command_moves_zero_units() {
        let adjust = |quantity| at(Command::Adjust { quantity, reason: "a count".into() });
        let full = Event::StockAdjusted { place: place(), quantity: MOST_UNITS, reason: "a count".into() };
        given(vec![]).when(adjust(MOST_UNITS)).then_expect_events(vec![full.clone()]);
        for command in [adjust(1), adjust(i64::MAX), adjust(i64::MIN), at(Command::Receive { quantity: 1 })] {
            given(vec![full.clone()]).when(command).then_expect_error(Error::BadQuantity);
        }
        let reserve = at(Command::Reserve { order_id: order(), line: 1, quantity: 0 });
        for command in [adjust(0), at(Command::Receive { quantity: 0 }), reserve] {
            given(vec![received(1)]).when(command).then_expect_error(Error::BadQuantity);
        }
    }
}
