//! Stock over HTTP.
#![expect(clippy::unnecessary_wraps, reason = "all functions of the table have one signature")]

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use soonshop_domain::claim::scope;
use soonshop_domain::ids::OrderId;
use soonshop_domain::inventory::{self, At, Command, MAIN, Stock, StockPlace};
use soonshop_domain::product::{self, Product};
use soonshop_domain::text::Sku;
use soonshop_event_store::{EventStore, ExecuteError};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::action::{Action, prepares};
use crate::http::answer::{answer, refused, unreadable};
use crate::http::body::{Input, reason, reason_schema};
use crate::http::call::Call;
use crate::http::endpoint::{Endpoint, endpoints};
use crate::http::privileged::{OCCURRED_AT, Privileged};
use crate::http::row::Success::Done;

#[rustfmt::skip]
pub(super) fn endpoints() -> Vec<Endpoint> {
    endpoints! {
        POST "/inventory/{sku}/receipts"     "stock.receive": Stock,  TheShop, Required, Done, "Receive stock"                => stocks(receive);
        POST "/inventory/{sku}/adjustments"  "stock.adjust":  Stock,  TheShop, Required, Done, "Correct stock after a count"  => stocks(adjust);
        POST "/inventory/{sku}/reservations" "stock.reserve": Fulfil, TheShop, Required, Done, "Reserve stock for a line"     => stocks(reserve);
        POST "/inventory/{sku}/releases"     "stock.release": Fulfil, TheShop, Required, Done, "Release a line's reservation" => stocks(release);
        POST "/inventory/{sku}/shipments"    "stock.ship":    Fulfil, TheShop, Required, Done, "Ship what a line reserved"    => stocks(ship);
    }
}

/// A parsed body.
struct Parsed {
    /// The location that it names.
    location: Option<String>,
    /// It also takes a SKU that no product has.
    unlisted: bool,
    command: Command,
}

type ParsedBody = Result<Parsed, Problem>;

/// The reason beside the events of stock that no product has.
const UNLISTED: &str = "sku-without-product";

/// Makes the body a command on the SKU's stock at its location.
fn stocks<B: Input>(command: fn(B) -> ParsedBody) -> Action {
    prepares(move |mut call: Call, sku: Sku, body: B| async move {
        let Parsed { location: named, unlisted, command } = command(body)?;
        let location = location(named)?;
        let id = inventory::stream(&sku, &location);
        let place = StockPlace { sku, location };
        // Import keys are claimed per stream, and all receipts of one stock share a stream, so the claim cannot refuse
        // a second import. An empty command is refused in any state: it is answered from the command's record, or as
        // imported before.
        if call.imported().await? {
            return call.execute::<Stock>(id, At { place, command: NOTHING }).await;
        }
        let product = product_of(&call.store, &place.sku).await?;
        if product.is_none() && is_unknown(&call.store, &command, id).await? {
            if !unlisted {
                return unknown(call, id, At { place, command }).await;
            }
            call.because(UNLISTED);
        }
        match product {
            Some(product) if brings(&command) => held(call, id, At { place, command }, product).await,
            _ => call.execute::<Stock>(id, At { place, command }).await,
        }
    })
}

/// Whether the command may bring stock that was not there.
fn brings(command: &Command) -> bool {
    matches!(command, Command::Receive { .. } | Command::Adjust { .. })
}

/// Executes it together with the product, which has a say in the append itself: it must hold the SKU. Otherwise stock
/// could come in at the moment in which the product gives the SKU back, and another one would inherit it.
async fn held(call: Call, id: Uuid, at: At, product: Uuid) -> Result<Response, Problem> {
    let hold = product::Command::HoldSku { sku: at.place.sku.clone() };
    let done = call.attempt_joined::<Stock, Product>((id, at.clone()), (product, hold), not_held).await;
    match done {
        Err(ExecuteError::Rejected(inventory::Error::UnknownSku)) => unknown(call, id, at).await,
        done => answer::<Stock>(id, at, done),
    }
}

/// A refusal of the product as one of the stock.
fn not_held(_: product::Error) -> inventory::Error {
    inventory::Error::UnknownSku
}

/// Refused in any state.
const NOTHING: Command = Command::Receive { quantity: 0 };

/// The product that has the SKU.
async fn product_of(store: &EventStore, sku: &Sku) -> Result<Option<Uuid>, Problem> {
    let owner = store.owner_of(scope::SKU, sku.as_str()).await.map_err(unreadable)?;
    Ok(owner.and_then(|owner| owner.strip_prefix("product:")?.parse().ok()))
}

/// Whether a SKU that no product has is unknown. Stock that is there can be counted, released and shipped all the same.
async fn is_unknown(store: &EventStore, command: &Command, id: Uuid) -> Result<bool, Problem> {
    let brings = match command {
        Command::Receive { .. } => true,
        Command::Adjust { quantity, .. } => *quantity > 0,
        _ => false,
    };
    Ok(brings || store.version::<Stock>(id).await.map_err(refused)? == 0)
}

/// Refuses it, unless it was done before: then it is answered as it was.
async fn unknown(call: Call, id: Uuid, at: At) -> Result<Response, Problem> {
    let may_be_unlisted = matches!(at.command, Command::Receive { .. } | Command::Adjust { .. });
    match call.attempt::<Stock>(id, At { command: NOTHING, ..at.clone() }).await {
        Err(ExecuteError::Rejected(_)) => {
            let detail = if may_be_unlisted {
                "no product has this SKU: correct it, or list the product first; `\"unlisted\": true` takes stock before \
                 its product"
            } else {
                "no product has this SKU, and there is no stock of it: correct it"
            };
            Err(Problem::invalid("unknown-sku", detail).with("parameter", "sku"))
        }
        done => answer::<Stock>(id, at, done),
    }
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockReceipt)]
struct Receipt {
    #[schema(minimum = 1, maximum = 4_294_967_295_i64)]
    quantity: u32,
    /// `main` if it is left out.
    #[serde(serialize_with = "located")]
    #[schema(pattern = "^[a-z0-9-]{1,64}$")]
    location: Option<String>,
    /// Takes stock of a SKU that no product has (yet). Its events then have the reason `sku-without-product`.
    #[serde(default)]
    unlisted: bool,
    /// Needs the permission `override`.
    occurred_at: Option<DateTime<Utc>>,
}

impl Input for Receipt {
    const PRIVILEGED: &'static [Privileged] = &[OCCURRED_AT];
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockAdjustment)]
struct Adjustment {
    /// How many units more (or, below zero, fewer) than recorded.
    #[schema(minimum = -1_000_000_000_000_i64, maximum = 1_000_000_000_000_i64)]
    quantity: i64,
    #[schema(schema_with = reason_schema)]
    reason: String,
    #[serde(serialize_with = "located")]
    #[schema(pattern = "^[a-z0-9-]{1,64}$")]
    location: Option<String>,
    /// Takes a SKU that no product has (yet). Its events then have the reason `sku-without-product`.
    #[serde(default)]
    unlisted: bool,
    /// Needs the permission `override`.
    occurred_at: Option<DateTime<Utc>>,
}

impl Input for Adjustment {
    const PRIVILEGED: &'static [Privileged] = &[OCCURRED_AT];
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockReservation)]
struct Reservation {
    order_id: Uuid,
    /// The line's number.
    #[schema(maximum = 4_294_967_295_i64)]
    line: u32,
    #[schema(minimum = 1, maximum = 4_294_967_295_i64)]
    quantity: u32,
    #[serde(serialize_with = "located")]
    #[schema(pattern = "^[a-z0-9-]{1,64}$")]
    location: Option<String>,
}

impl Input for Reservation {
    const PRIVILEGED: &'static [Privileged] = &[];
}

/// A line of an order.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReservedLine {
    order_id: Uuid,
    /// Its number.
    #[schema(maximum = 4_294_967_295_i64)]
    line: u32,
    #[serde(serialize_with = "located")]
    #[schema(pattern = "^[a-z0-9-]{1,64}$")]
    location: Option<String>,
}

impl Input for ReservedLine {
    const PRIVILEGED: &'static [Privileged] = &[];
}

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
    let command = Command::Receive { quantity: body.quantity };
    Ok(Parsed { location: body.location, unlisted: body.unlisted, command })
}

fn adjust(body: Adjustment) -> ParsedBody {
    let command = Command::Adjust { quantity: body.quantity, reason: reason(&body.reason)? };
    Ok(Parsed { location: body.location, unlisted: body.unlisted, command })
}

fn reserve(body: Reservation) -> ParsedBody {
    let Reservation { order_id, line, quantity, location } = body;
    let command = Command::Reserve { order_id: OrderId(order_id), line, quantity };
    Ok(Parsed { location, unlisted: false, command })
}

fn release(ReservedLine { order_id, line, location }: ReservedLine) -> ParsedBody {
    let command = Command::Release { order_id: OrderId(order_id), line };
    Ok(Parsed { location, unlisted: false, command })
}

fn ship(ReservedLine { order_id, line, location }: ReservedLine) -> ParsedBody {
    Ok(Parsed { location, unlisted: false, command: Command::Ship { order_id: OrderId(order_id), line } })
}
