//! Stock over HTTP.
#![expect(clippy::unnecessary_wraps, reason = "all functions of the table have one signature")]

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use soonshop_domain::claim::scope;
use soonshop_domain::ids::OrderId;
use soonshop_domain::inventory::{self, At, Command, MAIN, MOST_UNITS, Stock, StockPlace};
use soonshop_domain::order::{self, Movement, Order};
use soonshop_domain::product::{self, Product};
use soonshop_domain::text::Sku;
use soonshop_event_store::{EventStore, ExecuteError};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use utoipa::openapi::schema::{KnownFormat, Type};
use utoipa::openapi::{ObjectBuilder, OneOfBuilder, Schema, SchemaFormat};
use uuid::Uuid;

use crate::http::action::{Action, prepares};
use crate::http::answer::{answer, refused, rejected, unreadable};
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
        if let Some((order, movement)) = of_order(&place, &command) {
            return with_order(call, id, At { place, command }, order, movement).await;
        }
        match product {
            Some(product) if brings(&command) => held(call, id, At { place, command }, product).await,
            _ => call.execute::<Stock>(id, At { place, command }).await,
        }
    })
}

/// The order and its line, of a command on the stock of one.
type OfLine = (OrderId, u32);

/// Which line of which order it is for, and what is done with its stock.
fn of_order(place: &StockPlace, command: &Command) -> Option<(OfLine, Movement)> {
    match *command {
        Command::Reserve { order_id, line, quantity } => {
            Some(((order_id, line), Movement::Reserve { quantity }))
        }
        Command::Release { order_id, line } if place.location == MAIN => {
            Some(((order_id, line), Movement::Release))
        }
        Command::Release { order_id, line } => Some(((order_id, line), Movement::ReleaseElsewhere)),
        Command::Ship { order_id, line } => Some(((order_id, line), Movement::Ship)),
        // Those with a hold or a cause are the orders' own: no endpoint sends them.
        Command::Receive { .. }
        | Command::Adjust { .. }
        | Command::BeEmpty
        | Command::Hold { .. }
        | Command::GiveBack { .. }
        | Command::ReleasePart { .. }
        | Command::ShipPart { .. } => None,
    }
}

/// Executes it together with the order, which has a say in the append itself: goods neither leave nor stay for an order
/// that is at another step, or that never asked for them.
async fn with_order(
    call: Call,
    id: Uuid,
    at: At,
    (order_id, line): OfLine,
    movement: Movement,
) -> Result<Response, Problem> {
    if at.place.location != MAIN && movement != Movement::ReleaseElsewhere {
        let detail = "orders are fulfilled from `main`: move the goods there";
        let problem = Problem::invalid("differs-from-order", detail).with_pointer("/location");
        return unless_done(&call, id, at, problem).await;
    }
    let agree = order::Command::MoveStock { line, sku: at.place.sku.clone(), movement };
    let (first, second) = ((id, at.clone()), (order_id.0, agree));
    match call.attempt_joined::<Stock, Order>(first, second, inventory::Error::Order).await {
        Err(ExecuteError::Rejected(inventory::Error::Order(error))) => Err(unfit(&error, movement)),
        done => answer::<Stock>(id, at, done),
    }
}

/// A problem with a pointer to the field that does not fit the order.
fn unfit(error: &order::Error, movement: Movement) -> Problem {
    match error {
        order::Error::OrderNotFound => {
            Problem::invalid("unknown-order", "there is no order of this id").with_pointer("/order_id")
        }
        order::Error::NoSuchLine(_) => rejected(error).with_pointer("/line"),
        order::Error::LineOfAnotherSku(_) => rejected(error).with("parameter", "sku"),
        order::Error::LineOfAnotherQuantity(ordered) => {
            rejected(error).with_pointer("/quantity").with("ordered", *ordered)
        }
        order::Error::WrongOrderState(status) => {
            let then = match movement {
                Movement::Reserve { .. } => "stock is reserved for one that is placed or confirmed",
                Movement::Release | Movement::ReleaseElsewhere => {
                    "its stock is released once it was refused or cancelled"
                }
                Movement::Ship => "its stock is shipped once the order is (`POST /orders/{id}/shipment`)",
            };
            let problem = Problem::conflict("wrong-order-state", format!("the order is {status}: {then}"));
            problem.with_pointer("/order_id")
        }
        other => rejected(other),
    }
}

/// Whether the command may bring stock that was not there.
fn brings(command: &Command) -> bool {
    matches!(command, Command::Receive { .. } | Command::Adjust { .. })
}

/// Executes it together with the product, which has a say in the append itself: it must hold the SKU. Otherwise stock
/// could come in at the moment in which the product gives the SKU back, and another one would inherit it. Stock of a
/// deleted product comes in at the main location only: the command that gives its SKU back has looked at the other
/// locations before, and relies on their staying empty.
async fn held(call: Call, id: Uuid, at: At, product: Uuid) -> Result<Response, Problem> {
    let sku = at.place.sku.clone();
    let leaves = matches!(at.command, Command::Adjust { quantity, .. } if quantity < 0);
    let hold = if leaves || at.place.location == MAIN {
        product::Command::HoldSku { sku }
    } else {
        product::Command::HoldListedSku { sku }
    };
    let done = call.attempt_joined::<Stock, Product>((id, at.clone()), (product, hold), not_held).await;
    match done {
        Err(ExecuteError::Rejected(inventory::Error::UnknownSku)) => unknown(call, id, at).await,
        done => answer::<Stock>(id, at, done),
    }
}

/// A refusal of the product as one of the stock.
fn not_held(error: product::Error) -> inventory::Error {
    match error {
        product::Error::ProductDeleted => inventory::Error::ProductDeleted,
        _ => inventory::Error::UnknownSku,
    }
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
    let detail = if may_be_unlisted {
        "no product has this SKU: correct it, or list the product first; `\"unlisted\": true` takes stock before its \
         product"
    } else {
        "no product has this SKU, and there is no stock of it: correct it"
    };
    unless_done(&call, id, at, Problem::invalid("unknown-sku", detail).with("parameter", "sku")).await
}

/// The problem, unless the command was done before: then it is answered as it was.
async fn unless_done(call: &Call, id: Uuid, at: At, problem: Problem) -> Result<Response, Problem> {
    match call.attempt::<Stock>(id, At { command: NOTHING, ..at.clone() }).await {
        Err(ExecuteError::Rejected(_)) => Err(problem),
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
    #[schema(schema_with = adjusted)]
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

/// The quantity of an adjustment: not 0, which would change nothing.
fn adjusted() -> Schema {
    let range = |least, most| {
        let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
        let object = ObjectBuilder::new().schema_type(Type::Integer).format(Some(format));
        object.minimum(Some(least)).maximum(Some(most)).build()
    };
    let about = "How many units more (or, below zero, fewer) than recorded.";
    let either = OneOfBuilder::new().item(range(-MOST_UNITS, -1)).item(range(1, MOST_UNITS));
    either.description(Some(about)).build().into()
}

impl Input for Adjustment {
    const PRIVILEGED: &'static [Privileged] = &[OCCURRED_AT];
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockReservation)]
struct Reservation {
    /// An order that is placed or confirmed.
    order_id: Uuid,
    /// The number of the order's line, which has this SKU.
    #[schema(minimum = 1, maximum = 1500)]
    line: u32,
    /// As many as the line has.
    #[schema(minimum = 1, maximum = 4_294_967_295_i64)]
    quantity: u32,
    /// Orders are fulfilled from `main`.
    #[serde(serialize_with = "located")]
    #[schema(pattern = "^main$")]
    location: Option<String>,
}

impl Input for Reservation {
    const PRIVILEGED: &'static [Privileged] = &[];
}

/// A line of an order whose stock goes back.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReservedLine {
    /// An order that was refused or cancelled; at another location than `main`, any.
    order_id: Uuid,
    /// The number of the order's line, which has this SKU.
    #[schema(minimum = 1, maximum = 1500)]
    line: u32,
    #[serde(serialize_with = "located")]
    #[schema(pattern = "^[a-z0-9-]{1,64}$")]
    location: Option<String>,
}

impl Input for ReservedLine {
    const PRIVILEGED: &'static [Privileged] = &[];
}

/// A line of an order whose goods leave.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ShippedLine {
    /// An order that was shipped.
    order_id: Uuid,
    /// The number of the order's line, which has this SKU.
    #[schema(minimum = 1, maximum = 1500)]
    line: u32,
    /// Orders are fulfilled from `main`.
    #[serde(serialize_with = "located")]
    #[schema(pattern = "^main$")]
    location: Option<String>,
}

impl Input for ShippedLine {
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
    if body.quantity == 0 {
        return Err(rejected(&inventory::Error::BadQuantity).with_pointer("/quantity"));
    }
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

fn ship(ShippedLine { order_id, line, location }: ShippedLine) -> ParsedBody {
    Ok(Parsed { location, unlisted: false, command: Command::Ship { order_id: OrderId(order_id), line } })
}
