//! Credit notes over HTTP. One for an order takes lines and prices from it, and the order agrees in the same append. One
//! without an order is for imports, whose files name none.

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use soonshop_domain::claim::scope;
use soonshop_domain::ids::{CreditNoteId, GuestId, OrderId};
use soonshop_domain::order::credit_note::{self, BY_ORDER, Command, CreditNote};
use soonshop_domain::order::credits::{self, CreditRequest, EarlierCredit, Unfit};
use soonshop_domain::order::{self, Customer, Line, MOST_LINES, Order, number_of};
use soonshop_domain::text::{Sku, folded};
use soonshop_domain::{Event, Money, type_of};
use soonshop_event_store::{EventStore, ExecuteError, Executed};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use super::facts::{NewLine, buyer, country, invalid, number, numbered, sold};
use crate::http::action::{Action, prepares};
use crate::http::answer::{refused, rejected, render, unreadable};
use crate::http::body::{Input, described};
use crate::http::call::Call;
use crate::http::privileged::{OCCURRED_AT, Privileged, When};
use crate::http::schema;

/// The outcome of the command.
type Done = Result<Executed, ExecuteError<credit_note::Error>>;

/// Some units of the order's lines, or without an order of a SKU.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCreditNoteLine)]
struct NewCreditLine {
    /// The number of the order's line; any line with the SKU if it is left out.
    #[schema(minimum = 1, maximum = 4_294_967_295_i64)]
    line: Option<u32>,
    /// That of the line if it is left out.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    sku: Option<Sku>,
    /// At most as many as are left of the order's lines.
    #[schema(minimum = 1, maximum = 4_294_967_295_i64)]
    quantity: u32,
    /// Of one unit; the order's if it is left out. A lower one needs the permission `override`.
    #[schema(value_type = Option<schema::Price>)]
    price: Option<Money>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCreditNote)]
struct NewCreditNote {
    /// Needs the permission `override`; otherwise one is made.
    #[schema(min_length = 1, max_length = 64)]
    number: Option<String>,
    /// The order that it credits. To leave it out needs the permission `override`.
    order_id: Option<Uuid>,
    /// The order's if it is left out; without an order, a new guest.
    #[schema(value_type = Option<schema::Customer>)]
    customer: Option<Customer>,
    /// The credited lines, with positive quantities and prices.
    #[schema(min_items = 1, max_items = 1500)]
    lines: Vec<NewCreditLine>,
    /// The order's if it is left out; without an order it is required.
    #[schema(min_length = 1, max_length = 64)]
    country: Option<String>,
    /// Needs the permission `override`.
    occurred_at: Option<DateTime<Utc>>,
}

/// The prices are the order's; another one is the caller's choice.
const PRICE: Privileged = Privileged { when: When::Not("the order's"), ..Privileged::sent("/lines/*/price") };

/// Customer, lines and prices are the order's; without an order they are the caller's choice.
const ORDER: Privileged =
    Privileged { when: When::LeftOut("a credit note without an order"), ..Privileged::sent("/order_id") };

impl Input for NewCreditNote {
    const PRIVILEGED: &'static [Privileged] = &[ORDER, Privileged::sent("/number"), PRICE, OCCURRED_AT];
}

/// A credit note that was issued.
#[derive(Serialize, ToSchema)]
#[schema(as = CreditNoteIssued)]
struct Issued {
    /// The id of the credit note.
    id: Uuid,
    /// Its version: also the `ETag`.
    version: Option<i64>,
    /// The position of the last event: also in `Event-Position`.
    position: Option<i64>,
    /// True if it credits no order; left out otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    without_order: bool,
}

/// The action of the row.
pub(super) fn issues() -> Action {
    Action { answer: Some(described::<Issued>), ..prepares(issue) }
}

async fn issue(mut call: Call, (): (), body: NewCreditNote) -> Result<Response, Problem> {
    let id = call.new_stream();
    let given = number(body.number.as_deref())?;
    let placed = match body.order_id {
        Some(order_id) => placed_at(&call.store, order_id).await?,
        None => None,
    };
    let done = match body.order_id {
        Some(_) if placed.is_some_and(|placed| !call.is_not_before(placed)) => {
            let detail = "a credit note is not issued before its order was placed";
            call.unless_done::<CreditNote>(id, again(), invalid("/occurred_at", detail)).await?
        }
        Some(order_id) => for_order(&call, id, given.as_deref(), OrderId(order_id), &body).await?,
        None => without_order(&call, id, given.as_deref(), body).await?,
    };
    // A credit note is always a new one: what is refused says itself why.
    let recorded = done.map_err(refused)?.answer;
    let version = recorded.version.unwrap_or(0);
    let note = call.store.load_at::<CreditNote>(id, version).await.map_err(refused)?;
    let (version, position, without_order) = (recorded.version, recorded.last_position, note.without_order);
    Ok(render(&recorded, &Issued { id, version, position, without_order }))
}

/// When the order was placed, in business time; `None`: there is no such order.
async fn placed_at(store: &EventStore, order: Uuid) -> Result<Option<DateTime<Utc>>, Problem> {
    let first = store.log().stream(type_of::<Order>(), &order.to_string(), 0, 1).await.map_err(unreadable)?;
    Ok(first.first().map(|placed| placed.occurred_at))
}

/// A command that every credit note refuses that was issued.
fn again() -> Command {
    let (number, country) = (String::new(), String::new());
    Command::Issue { number, customer: Customer::Guest(GuestId(Uuid::nil())), lines: Vec::new(), country }
}

/// The number that a credit note has if it was not given one.
fn generated(id: Uuid) -> impl Fn(u32) -> String {
    move |attempt| number_of(OrderId(id), attempt).replacen('S', "C", 1)
}

async fn for_order(
    call: &Call,
    id: Uuid,
    given: Option<&str>,
    order_id: OrderId,
    body: &NewCreditNote,
) -> Result<Done, Problem> {
    loop {
        let (order, version) = call.store.load::<Order>(order_id.0).await.map_err(refused)?;
        let earlier = earlier_credits(&call.store, order_id).await?;
        let ForOrder { customer, country, lines, order_lines } = match fitted(call, &order, &earlier, body) {
            Ok(fitted) => fitted,
            Err(problem) => return call.unless_done::<CreditNote>(id, again(), problem).await,
        };
        let credited = order_lines.iter().zip(&lines);
        let credit = order::Command::Credit {
            credit_note_id: CreditNoteId(id),
            lines: credited
                .map(|(line, Line { quantity, price, .. })| credits::CreditedLine {
                    line: *line,
                    quantity: *quantity,
                    price: *price,
                })
                .collect(),
            earlier,
        };
        let execute = |number| {
            let (lines, order_lines, country) = (lines.clone(), order_lines.clone(), country.clone());
            let issue = Command::IssueForOrder { number, order_id, customer, lines, order_lines, country };
            call.attempt_joined::<CreditNote, Order>((id, issue), (order_id.0, credit.clone()), Into::into)
        };
        let done = numbered(given, scope::CREDIT_NOTE_NUMBER, generated(id), execute).await;
        if !matches!(done, Err(ExecuteError::Rejected(_))) {
            return Ok(done);
        }
        // Another credit may have taken what this one was to be taken from: then there may be other lines.
        let (_, now) = call.store.load::<Order>(order_id.0).await.map_err(refused)?;
        if now == version {
            return Ok(done);
        }
    }
}

/// The parts of a credit note that come from its order.
struct ForOrder {
    customer: Customer,
    country: String,
    lines: Vec<Line>,
    /// For each line, the number of the order's line.
    order_lines: Vec<u32>,
}

/// The body, compared with the order.
fn fitted(
    call: &Call,
    order: &Order,
    earlier: &[EarlierCredit],
    body: &NewCreditNote,
) -> Result<ForOrder, Problem> {
    let placed = order.placed.as_ref().ok_or_else(|| {
        Problem::invalid("unknown-order", "there is no order of this id").with_pointer("/order_id")
    })?;
    if !order.is_charged() {
        return Err(rejected(&order::Error::WrongOrderState(order.status)).with_pointer("/order_id"));
    }
    let differs = |pointer| Err(rejected(&credits::Error::DiffersFromOrder).with_pointer(pointer));
    if body.customer.is_some_and(|customer| customer != placed.customer) {
        return differs("/customer");
    }
    if let Some(sent) = &body.country
        && folded(&country(sent)?) != folded(&placed.country)
    {
        return differs("/country");
    }
    let allocations = order.allocate(earlier, &requests(&body.lines)?).map_err(unfit)?;
    let (mut lines, mut order_lines) = (Vec::with_capacity(allocations.len()), Vec::new());
    for (number, allocation) in (1..).zip(allocations) {
        let credits::CreditedLine { line, quantity, price } = allocation.credited;
        if allocation.below_price {
            PRICE.must(call.caller(), format!("/lines/{}/price", allocation.request))?;
        }
        let sold = placed.lines.iter().find(|sold| sold.number == line);
        let sold = sold.ok_or_else(|| Problem::internal("a line that the order lacks was allocated"))?;
        lines.push(Line { number, quantity, price, ..sold.clone() });
        order_lines.push(line);
    }
    may_refund(call, &lines)?;
    Ok(ForOrder { customer: placed.customer, country: placed.country.clone(), lines, order_lines })
}

/// The lines of the body, as requests to the order.
fn requests(lines: &[NewCreditLine]) -> Result<Vec<CreditRequest>, Problem> {
    let bad = |pointer: String| rejected(&order::Error::BadLines).with_pointer(pointer);
    if lines.is_empty() || lines.len() > MOST_LINES {
        return Err(bad("/lines".to_owned()));
    }
    let request = |(index, line): (usize, &NewCreditLine)| {
        let NewCreditLine { line, sku, quantity, price } = line;
        if line.is_none() && sku.is_none() {
            return Err(invalid(format!("/lines/{index}"), "name the order's line, or the SKU"));
        }
        if *quantity == 0 {
            return Err(bad(format!("/lines/{index}/quantity")));
        }
        Ok(CreditRequest { line: *line, sku: sku.clone(), quantity: *quantity, price: *price })
    };
    lines.iter().enumerate().map(request).collect()
}

/// A problem with a pointer to the field that does not fit the order.
fn unfit(Unfit { request, field, error }: Unfit) -> Problem {
    let problem = rejected(&error).with_pointer(format!("/lines/{request}/{}", field.as_ref()));
    match error {
        credits::Error::CreditTooLarge { left } => problem.with("left", left),
        credits::Error::NotInOrder | credits::Error::DiffersFromOrder => problem,
    }
}

/// The credit notes of the order that a release issued which did not ask the order.
pub(super) async fn earlier_credits(
    store: &EventStore,
    order_id: OrderId,
) -> Result<Vec<EarlierCredit>, Problem> {
    let rows = store.log().with_field(BY_ORDER, &order_id.to_string()).await.map_err(unreadable)?;
    let mut earlier = Vec::new();
    for row in rows {
        let event = store.log().decode_row(row).unwrap_or_else(|| Err("it is of another type".to_owned()));
        let event =
            event.map_err(|reason| Problem::internal(format!("a credit note cannot be read: {reason}")))?;
        let credit_note_id = CreditNoteId(event.stream);
        if let Event::CreditNote(credit_note::Event::CreditNoteIssued { lines, order_lines, total, .. }) =
            event.event
            && order_lines.is_empty()
        {
            earlier.push(EarlierCredit { credit_note_id, lines, total });
        }
    }
    Ok(earlier)
}

async fn without_order(
    call: &Call,
    id: Uuid,
    given: Option<&str>,
    body: NewCreditNote,
) -> Result<Done, Problem> {
    let (customer, lines, country) = match facts(call, id, body).await {
        Ok(facts) => facts,
        Err(problem) => return call.unless_done::<CreditNote>(id, again(), problem).await,
    };
    let execute = |number| {
        let (lines, country) = (lines.clone(), country.clone());
        call.attempt::<CreditNote>(id, Command::Issue { number, customer, lines, country })
    };
    Ok(numbered(given, scope::CREDIT_NOTE_NUMBER, generated(id), execute).await)
}

/// The customer, the lines with the names of the products, and the country, from the body.
async fn facts(call: &Call, id: Uuid, body: NewCreditNote) -> Result<(Customer, Vec<Line>, String), Problem> {
    let sent = body.country.ok_or_else(|| invalid("/country", "without an order it is required"))?;
    let country = country(&sent)?;
    let mut lines = Vec::with_capacity(body.lines.len());
    for (index, NewCreditLine { line, sku, quantity, price }) in body.lines.into_iter().enumerate() {
        if line.is_some() {
            let pointer = format!("/lines/{index}/line");
            return Err(invalid(pointer, "it is the line of an order, and none is named"));
        }
        let sku =
            sku.ok_or_else(|| invalid(format!("/lines/{index}/sku"), "without an order it is required"))?;
        lines.push(NewLine { sku, quantity, price });
    }
    let (buyer, lines) = (buyer(call, id, body.customer).await?, sold(&call.store, lines).await?);
    may_refund(call, &lines)?;
    Ok((buyer, lines, country))
}

/// Whether this caller may give so much money back. What has no sum is refused by its own rule.
fn may_refund(call: &Call, lines: &[Line]) -> Result<(), Problem> {
    let amounts = lines.iter().map(|line| line.price.times(line.quantity));
    let sum = amounts.reduce(|sum, amount| sum?.plus(amount?)).flatten();
    sum.map_or(Ok(()), |sum| call.may_refund(sum))
}
