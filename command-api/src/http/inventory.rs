//! Stock over HTTP.
#![expect(clippy::unnecessary_wraps, reason = "what the table calls has one shape")]

use chrono::{DateTime, Utc};
use serde::Deserialize;
use soonshop_domain::ids::OrderId;
use soonshop_domain::inventory::{Command, MAIN};
use soonshop_domain::text;
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use super::action::Input;

/// What a body becomes: the location that it names, and the command.
pub(super) type Moved = Result<(Option<String>, Command), Problem>;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockReceipt)]
pub(super) struct Receipt {
    #[schema(minimum = 1)]
    quantity: u32,
    /// `main` where it is left out.
    location: Option<String>,
    /// Only with the operator's token.
    occurred_at: Option<DateTime<Utc>>,
}

impl Input for Receipt {
    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockAdjustment)]
pub(super) struct Adjustment {
    /// How many more or, below zero, fewer there are than was thought.
    quantity: i64,
    /// A code, such as `broken`: free text would be personal.
    #[schema(pattern = "^[a-z0-9-]{1,64}$")]
    reason: String,
    location: Option<String>,
    /// Only with the operator's token.
    occurred_at: Option<DateTime<Utc>>,
}

impl Input for Adjustment {
    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockReservation)]
pub(super) struct Reservation {
    order_id: Uuid,
    /// The line's number.
    line: u32,
    #[schema(minimum = 1)]
    quantity: u32,
    location: Option<String>,
}

impl Input for Reservation {}

/// A line of an order.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReservedLine {
    order_id: Uuid,
    /// Its number.
    line: u32,
    location: Option<String>,
}

impl Input for ReservedLine {}

/// The location by its name, or the one that every shop has.
pub(super) fn location(named: Option<String>) -> Result<String, Problem> {
    let Some(name) = named else { return Ok(MAIN.to_owned()) };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(name);
    }
    let detail = "a location is 1 to 64 small letters, digits and hyphens";
    Err(Problem::invalid("invalid-body", detail).with_pointer("/location"))
}

/// Why, as a code: free text would be personal, and stand in the log for ever.
pub(super) fn reason(raw: &str) -> Result<String, Problem> {
    text::code(raw)
        .map_err(|error| Problem::invalid("invalid-body", error.to_string()).with_pointer("/reason"))
}

pub(super) fn receive(body: Receipt) -> Moved {
    Ok((body.location, Command::Receive { quantity: body.quantity }))
}

pub(super) fn adjust(body: Adjustment) -> Moved {
    Ok((body.location, Command::Adjust { quantity: body.quantity, reason: reason(&body.reason)? }))
}

pub(super) fn reserve(body: Reservation) -> Moved {
    let Reservation { order_id, line, quantity, location } = body;
    Ok((location, Command::Reserve { order_id: OrderId(order_id), line, quantity }))
}

pub(super) fn release(ReservedLine { order_id, line, location }: ReservedLine) -> Moved {
    Ok((location, Command::Release { order_id: OrderId(order_id), line }))
}

pub(super) fn ship(ReservedLine { order_id, line, location }: ReservedLine) -> Moved {
    Ok((location, Command::Ship { order_id: OrderId(order_id), line }))
}
