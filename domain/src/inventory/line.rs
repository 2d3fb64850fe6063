//! A line of an order in a stock: how many units are held for it, and under which holds.
//!
//! A line of which no event has the number of a hold or a cause is a [`Line`], as every line was before holds had
//! numbers.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The event of an order that asks for a part of a line. An order asks one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    pub event: Uuid,
    /// Its sequence in the order's stream: what is not above the last one is a repeat.
    pub sequence: i64,
}

/// The state of one line of one order, as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    Reserved(u32),
    Released,
    Shipped,
}

/// The state of one line of one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum LineState {
    Whole(Line),
    Counted(Counted),
}

/// A line with holds that have numbers, or of which parts were released or shipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counted {
    /// The present hold; 0: it has no number.
    hold: u32,
    /// The units that the present hold asked for; 0: there is none.
    held: u32,
    /// Its units that are still reserved.
    reserved: u32,
    shipped: u32,
    /// What an edit of the order holds beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    addition: Option<Addition>,
    /// Holds up to this number are over: given back, or one with the present hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over: Option<u32>,
    /// What was not shipped was released as a whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rest_released: bool,
    /// The sequence of the last cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_cause: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Addition {
    hold: u32,
    quantity: u32,
}

/// Why a line is not as it would have to be.
pub(super) enum Unfit {
    BadQuantity,
    Released,
    Shipped,
    ReservedDifferently,
    NotReserved,
    PartNotReserved { requested: u32, reserved: u32 },
}

/// What giving back a hold does.
pub(super) enum GivenBack {
    /// These units are released.
    Units(u32),
    /// It was never held, and cannot be any more.
    Barred,
    /// It was given back before.
    Before,
}

impl LineState {
    pub(super) fn as_a_whole(self) -> Line {
        match self {
            Self::Whole(line) => line,
            Self::Counted(line) => match line.total() {
                0 if line.shipped > 0 && !line.rest_released => Line::Shipped,
                0 => Line::Released,
                total => Line::Reserved(total),
            },
        }
    }

    fn counted(before: Option<Self>) -> Counted {
        match before {
            None => Counted::default(),
            Some(Self::Counted(line)) => line,
            Some(Self::Whole(Line::Reserved(units))) => {
                Counted { held: units, reserved: units, ..Counted::default() }
            }
            Some(Self::Whole(Line::Released)) => Counted { over: Some(0), ..Counted::default() },
            // How many were shipped is not known of it; it takes no hold any more.
            Some(Self::Whole(Line::Shipped)) => Counted { shipped: 1, over: Some(0), ..Counted::default() },
        }
    }

    /// Whether the hold reserves its units; false: it has done so before.
    pub(super) fn hold(before: Option<Self>, number: NonZeroU32, quantity: u32) -> Result<bool, Unfit> {
        let (number, line) = (number.get(), Self::counted(before));
        if before == Some(Self::Whole(Line::Shipped)) {
            return Err(Unfit::Shipped);
        }
        let present = (line.held > 0).then_some(Addition { hold: line.hold, quantity: line.held });
        if let Some(same) = [present, line.addition].into_iter().flatten().find(|one| one.hold == number) {
            return if same.quantity == quantity { Ok(false) } else { Err(Unfit::ReservedDifferently) };
        }
        let newest = line.addition.map_or(line.hold, |addition| addition.hold);
        if line.over.is_some_and(|over| number <= over) || number < newest {
            return Err(Unfit::Released);
        }
        match line.total().checked_add(quantity) {
            Some(_) if quantity > 0 => Ok(true),
            _ => Err(Unfit::BadQuantity),
        }
    }

    pub(super) fn give_back(before: Option<Self>, number: NonZeroU32) -> Result<GivenBack, Unfit> {
        let (number, line) = (number.get(), Self::counted(before));
        let present = line.held > 0 && line.hold == number;
        match line.addition {
            Some(addition) if addition.hold == number => return Ok(GivenBack::Units(addition.quantity)),
            _ if present && line.reserved > 0 => return Ok(GivenBack::Units(line.reserved)),
            _ if line.over.is_some_and(|over| number <= over) => return Ok(GivenBack::Before),
            _ => {}
        }
        if before == Some(Self::Whole(Line::Shipped)) || (present && line.shipped > 0) {
            return Err(Unfit::Shipped);
        }
        Ok(GivenBack::Barred)
    }

    /// Whether the part is taken, to be released or shipped; false: it was before.
    pub(super) fn take(before: Option<Self>, quantity: u32, cause: Cause) -> Result<bool, Unfit> {
        let line = Self::counted(before);
        if line.last_cause.is_some_and(|last| cause.sequence <= last) {
            return Ok(false);
        }
        if quantity == 0 {
            return Err(Unfit::BadQuantity);
        }
        match before.map(Self::as_a_whole) {
            None => Err(Unfit::NotReserved),
            Some(Line::Released) => Err(Unfit::Released),
            Some(Line::Shipped) => Err(Unfit::Shipped),
            Some(Line::Reserved(reserved)) if quantity > reserved => {
                Err(Unfit::PartNotReserved { requested: quantity, reserved })
            }
            Some(Line::Reserved(_)) => Ok(true),
        }
    }

    pub(super) fn reserved(before: Option<Self>, hold: Option<NonZeroU32>, quantity: u32) -> Self {
        if hold.is_none() && !matches!(before, Some(Self::Counted(_))) {
            return Self::Whole(Line::Reserved(quantity));
        }
        let (mut line, hold) = (Self::counted(before), hold.map_or(0, NonZeroU32::get));
        if line.total() > 0 && hold > line.hold {
            line.join_addition();
            line.addition = Some(Addition { hold, quantity });
        } else {
            let reserved = line.total().saturating_add(quantity);
            (line.hold, line.held, line.reserved, line.addition) = (hold, quantity, reserved, None);
            line.rest_released = false;
        }
        Self::Counted(line)
    }

    pub(super) fn released(
        before: Option<Self>,
        hold: Option<NonZeroU32>,
        cause: Option<Cause>,
        quantity: u32,
    ) -> Self {
        if hold.is_none() && cause.is_none() && !matches!(before, Some(Self::Counted(_))) {
            return Self::Whole(Line::Released);
        }
        let mut line = Self::counted(before);
        match (cause, hold.map(NonZeroU32::get)) {
            (Some(cause), _) => line.part(quantity, cause),
            (None, Some(hold)) if line.addition.is_some_and(|addition| addition.hold == hold) => {
                line.addition = None;
                line.ends_up_to(hold);
            }
            (None, Some(hold)) => {
                (line.held, line.reserved, line.rest_released) = (0, 0, true);
                line.ends_up_to(hold);
            }
            (None, None) => {
                line.join_addition();
                line.ends_up_to(line.hold);
                (line.held, line.reserved, line.rest_released) = (0, 0, true);
            }
        }
        Self::Counted(line)
    }

    pub(super) fn barred(before: Option<Self>, hold: Option<NonZeroU32>) -> Self {
        if hold.is_none() && !matches!(before, Some(Self::Counted(_))) {
            return Self::Whole(Line::Released);
        }
        let mut line = Self::counted(before);
        line.ends_up_to(hold.map_or(0, NonZeroU32::get));
        Self::Counted(line)
    }

    pub(super) fn shipped(before: Option<Self>, cause: Option<Cause>, quantity: u32) -> Self {
        if cause.is_none() && !matches!(before, Some(Self::Counted(_))) {
            return Self::Whole(Line::Shipped);
        }
        let mut line = Self::counted(before);
        line.shipped = line.shipped.saturating_add(quantity);
        line.rest_released = false;
        if let Some(cause) = cause {
            line.part(quantity, cause);
        } else {
            line.join_addition();
            line.reserved = 0;
        }
        Self::Counted(line)
    }
}

impl Counted {
    /// The units that are reserved.
    fn total(&self) -> u32 {
        self.reserved.saturating_add(self.addition.map_or(0, |addition| addition.quantity))
    }

    /// The edit stands: a later one comes only then.
    fn join_addition(&mut self) {
        if let Some(addition) = self.addition.take() {
            self.reserved = self.reserved.saturating_add(addition.quantity);
            self.ends_up_to(addition.hold);
        }
    }

    /// A part is no longer reserved.
    fn part(&mut self, quantity: u32, cause: Cause) {
        if quantity > self.reserved {
            self.join_addition();
        }
        self.reserved = self.reserved.saturating_sub(quantity);
        self.last_cause = Some(cause.sequence).max(self.last_cause);
    }

    fn ends_up_to(&mut self, hold: u32) {
        self.over = Some(hold).max(self.over);
    }
}
