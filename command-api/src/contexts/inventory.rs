//! Stock over HTTP.
#![expect(clippy::unnecessary_wraps, reason = "all functions of the table have one signature")]

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use soonshop_domain::ids::OrderId;
use soonshop_domain::inventory::{self, At, Command, MAIN, Stock, StockPlace};
use soonshop_domain::text::Sku;
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::action::{Action, prepares};
use crate::http::body::{Input, reason};
use crate::http::call::Call;
use crate::http::endpoint::{Endpoint, endpoints};
use crate::http::row::Success::Done;

#[rustfmt::skip]
pub(super) fn endpoints() -> Vec<Endpoint> {
    endpoints! {
        POST "/inventory/{sku}/receipts"     "stock.receive": Trade,  Required, Done, "Receive stock"                => stocks(receive);
        POST "/inventory/{sku}/adjustments"  "stock.adjust":  Trade,  Required, Done, "Correct stock after a count"  => stocks(adjust);
        POST "/inventory/{sku}/reservations" "stock.reserve": Fulfil, Required, Done, "Reserve stock for a line"     => stocks(reserve);
        POST "/inventory/{sku}/releases"     "stock.release": Fulfil, Required, Done, "Release a line's reservation" => stocks(release);
        POST "/inventory/{sku}/shipments"    "stock.ship":    Fulfil, Required, Done, "Ship what a line reserved"    => stocks(ship);
    }
}

/// A parsed body: the location it names, if any, and the command.
type ParsedBody = Result<(Option<String>, Command), Problem>;

/// Makes the body a command on the SKU's stock at its location.
fn stocks<B: Input>(command: fn(B) -> ParsedBody) -> Action {
    prepares(move |call: Call, sku: Sku, body: B| async move {
        let (named, mut command) = command(body)?;
        let location = location(named)?;
        // Import keys are claimed per stream, and all receipts of one stock share a stream, so the claim cannot refuse
        // a second import. An empty command is refused in any state: it is answered from the command's record, or as
        // imported before.
        if call.imported().await? {
            command = Command::Receive { quantity: 0 };
        }
        let id = inventory::stream(&sku, &location);
        call.execute::<Stock>(id, At { place: StockPlace { sku, location }, command }).await
    })
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockReceipt)]
struct Receipt {
    #[schema(minimum = 1)]
    quantity: u32,
    /// `main` if it is left out.
    #[serde(serialize_with = "located")]
    location: Option<String>,
    /// Only with the operator's token.
    occurred_at: Option<DateTime<Utc>>,
}

impl Input for Receipt {
    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockAdjustment)]
struct Adjustment {
    /// How many units more (or, below zero, fewer) than recorded.
    quantity: i64,
    /// A code, such as `broken`: free text would be personal.
    #[schema(pattern = "^[a-z0-9-]{1,64}$")]
    reason: String,
    #[serde(serialize_with = "located")]
    location: Option<String>,
    /// Only with the operator's token.
    occurred_at: Option<DateTime<Utc>>,
}

impl Input for Adjustment {
    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockReservation)]
struct Reservation {
    order_id: Uuid,
    /// The line's number.
    line: u32,
    #[schema(minimum = 1)]
    quantity: u32,
    #[serde(serialize_with = "located")]
    location: Option<String>,
}

impl Input for Reservation {}

/// A line of an order.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReservedLine {
    order_id: Uuid,
    /// Its number.
    line: u32,
    #[serde(serialize_with = "located")]
    location: Option<String>,
}

impl Input for ReservedLine {}

/// Left out, it means `main`.
#[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
fn located<S: Serializer>(location: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(location.as_deref().unwrap_or(MAIN))
}

/// The location by its name, or `main`.
fn location(named: Option<String>) -> Result<String, Problem> {
    let Some(name) = named else { return Ok(MAIN.to_owned()) };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(name);
    }
    let detail = "a location is 1 to 64 small letters, digits and hyphens";
    Err(Problem::invalid("invalid-body", detail).with_pointer("/location"))
}

fn receive(body: Receipt) -> ParsedBody {
    Ok((body.location, Command::Receive { quantity: body.quantity }))
}

fn adjust(body: Adjustment) -> ParsedBody {
    Ok((body.location, Command::Adjust { quantity: body.quantity, reason: reason(&body.reason)? }))
}

fn reserve(body: Reservation) -> ParsedBody {
    let Reservation { order_id, line, quantity, location } = body;
    Ok((location, Command::Reserve { order_id: OrderId(order_id), line, quantity }))
}

fn release(ReservedLine { order_id, line, location }: ReservedLine) -> ParsedBody {
    Ok((location, Command::Release { order_id: OrderId(order_id), line }))
}

fn ship(ReservedLine { order_id, line, location }: ReservedLine) -> ParsedBody {
    Ok((location, Command::Ship { order_id: OrderId(order_id), line }))
}
