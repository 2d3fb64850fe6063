//! Orders and credit notes over HTTP.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use soonshop_domain::clock;
use soonshop_domain::order::Order as State;
use soonshop_domain::order::credit_note::CreditNote as CreditState;
use soonshop_projections::order::{Model, credit};
use soonshop_projections::source::query_failed;
use soonshop_service_kit::access::personal_access::Field;
use soonshop_service_kit::endpoint::Described;
use soonshop_service_kit::endpoint::params::{Kind, Sort};
use soonshop_service_kit::problem::Kind as ProblemKind;
use soonshop_service_kit::rates::Class::Reads;
use soonshop_service_kit::work::Price;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::driver::entity::reads;
use crate::driver::list::lists;
use crate::driver::personal::{DescribedText, PersonalText};
use crate::driver::shapes::{CreditLine, Customer, Line, Money, Refusal};
use crate::driver::shown::{Filter, ReadModel, Shown};
use crate::driver::state::{Action, Call, Endpoint, at_least};

/// The endpoints.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new("/orders", "order.list", Reads, "List orders", lists::<Model>()),
        Endpoint::new("/orders/{id}", "order.read", Reads, "An order", reads::<Model>()),
        Endpoint::new(
            "/claimable-orders",
            "order.list-claimable",
            Reads,
            "The orders that were placed without an account and with the address of the customer who asks",
            claimable(),
        ),
        Endpoint::new(
            "/credit-notes",
            "order.list-credit-notes",
            Reads,
            "List credit notes",
            lists::<credit::Model>(),
        ),
        Endpoint::new(
            "/credit-notes/{id}",
            "order.read-credit-note",
            Reads,
            "A credit note",
            reads::<credit::Model>(),
        ),
    ]
}

/// How to reach the customer; null once their data was erased.
#[derive(Serialize, ToSchema)]
struct Contact {
    #[schema(value_type = Option<DescribedText>)]
    name: Option<PersonalText>,
    #[schema(value_type = Option<DescribedText>)]
    email: Option<PersonalText>,
    #[schema(value_type = Option<DescribedText>)]
    phone: Option<PersonalText>,
    #[schema(value_type = Option<DescribedText>)]
    address: Option<PersonalText>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Order {
    id: String,
    /// The number that people use.
    number: String,
    /// `placed`, `confirmed`, `refused`, `cancelled` or `shipped`.
    status: String,
    customer: Customer,
    /// In lists the first ten at most.
    #[schema(value_type = Vec<Line>)]
    lines: Value,
    /// How many lines it has.
    line_count: i64,
    /// Where all lines are, if they are not all here.
    #[serde(skip_serializing_if = "Option::is_none")]
    all_lines: Option<String>,
    total: Money,
    /// The sum of its credits, over all of its credit notes.
    credited: Money,
    /// What it costs in all, less what was credited; nothing once it is refused or cancelled.
    owed: Money,
    /// What was charged for it here, less what was paid back.
    paid: Money,
    country: String,
    contact: Contact,
    #[schema(value_type = Option<Refusal>)]
    refusal: Option<Value>,
    cancelled_because: Option<String>,
    placed_at: DateTime<Utc>,
    version: i64,
    /// The position of the event that last changed it.
    position: i64,
}

/// An order that a customer may claim by a link: no more than that it is there.
#[derive(Serialize, ToSchema)]
#[schema(as = ClaimableOrder)]
struct Claimable {
    /// For `POST /auth/claims`.
    id: String,
    /// The number that people use.
    number: String,
    placed_at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ClaimableOrders)]
struct ClaimableOrders {
    /// The newest first, 100 at most.
    items: Vec<Claimable>,
}

/// Of guests' orders, those with the address of the account that asks, which its owner has proven.
fn claimable() -> Action {
    let action = Action::new(Vec::new(), Described::one::<ClaimableOrders>(), |call: Call| async move {
        let account = call.caller().claims_for()?;
        let users = call.shared.source("users", None).await?;
        let found = users.plain("SELECT email FROM @users WHERE id = $1", vec![account.to_string().into()]);
        let own: Option<String> = match found.await?.first() {
            Some(user) => user.try_get_by_index(0).map_err(query_failed)?,
            None => None,
        };
        let own = own.unwrap_or_default();
        let orders = call.shared.source("orders", None).await?;
        // The index folds letters as the database does; what counts is that only those of ASCII have a case here.
        let sql = "SELECT id, number, placed_at, contact_email FROM @orders WHERE lower(contact_email) = lower($1) \
                   AND customer_kind = 'guest' AND owner = subject ORDER BY placed_at DESC, id DESC LIMIT 100";
        let order = "placed_at DESC, id DESC";
        let (position, rows) = orders.rows(at_least(&call), None, sql, &[own.as_str().into()], order).await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            let email: String = row.try_get("", "contact_email").map_err(query_failed)?;
            if email.eq_ignore_ascii_case(&own) {
                items.push(Claimable {
                    id: row.try_get("", "id").map_err(query_failed)?,
                    number: row.try_get("", "number").map_err(query_failed)?,
                    placed_at: clock::from_micros(row.try_get("", "placed_at").map_err(query_failed)?),
                });
            }
        }
        call.page(position, &ClaimableOrders { items }, None)
    });
    action.refuses([ProblemKind::Forbidden]).costs(|_| Price::Low)
}

/// The address of the whole, if these are not all of its lines.
pub(super) fn all_lines(path: &str, id: &str, lines: &Value, count: i64) -> Option<String> {
    let shown = lines.as_array().map_or(0, Vec::len);
    (i64::try_from(shown).unwrap_or(i64::MAX) < count).then(|| format!("{path}/{id}"))
}

const CUSTOMER: Filter = Filter::new("customer", Kind::Id, "subject = ?", "A user's or guest's id.");
const COUNTRY: Filter = Filter::new("country", Kind::Text, "country = ?", "The exact value.");
const NUMBER: Filter = Filter::new("number", Kind::Text, "number = ?", "The number that people use.");

impl Shown for Model {
    type View = Order;
    type State = State;

    const MODEL: ReadModel = ReadModel {
        projection: "orders",
        stream: Call::id,
        own: Some("owner = ?"),
        params: &[],
        filters: &[
            Filter::new(
                "status",
                Kind::OneOf(&["placed", "confirmed", "refused", "cancelled", "shipped"]),
                "status = ?",
                "The status of the order.",
            ),
            CUSTOMER,
            COUNTRY,
            NUMBER,
            Filter::new("placed_from", Kind::Time, "placed_at >= ?", "Business time, including this moment."),
            Filter::new("placed_to", Kind::Time, "placed_at < ?", "Business time, excluding this moment."),
        ],
        together: None,
        sorts: &[Sort { name: "-placed", column: "placed_at" }, Sort { name: "placed", column: "placed_at" }],
        changing: &[],
        shortened: &[("lines", "first_lines")],
        gone: ("not-found", "there is nothing of this name"),
        cached: false,
    };

    fn view(self) -> Order {
        let money = |amount| Money { amount, currency: self.currency.clone() };
        let ended = ["refused", "cancelled"].contains(&&*self.status);
        let owed = if ended { 0 } else { self.total.saturating_sub(self.credited) };
        Order {
            total: money(self.total),
            credited: money(self.credited),
            owed: money(owed),
            paid: money(self.paid),
            customer: Customer::of(&self.customer_kind, self.subject),
            contact: Contact {
                name: PersonalText::of(Field::Name, self.contact_name),
                email: PersonalText::of(Field::Email, self.contact_email),
                phone: PersonalText::of(Field::Phone, self.contact_phone),
                address: PersonalText::of(Field::Address, self.contact_address),
            },
            all_lines: all_lines("/orders", &self.id, &self.lines, self.line_count),
            line_count: self.line_count,
            id: self.id,
            number: self.number,
            status: self.status,
            lines: self.lines,
            country: self.country,
            refusal: self.refusal,
            cancelled_because: self.cancelled_because,
            placed_at: clock::from_micros(self.placed_at),
            version: self.version,
            position: self.position,
        }
    }

    fn person(&self) -> Option<Uuid> {
        self.subject.parse().ok()
    }

    fn personal(view: &mut Order) -> Vec<&mut PersonalText> {
        let Contact { name, email, phone, address } = &mut view.contact;
        [name, email, phone, address].into_iter().flatten().collect()
    }

    fn version(&self) -> i64 {
        self.version
    }
}

/// Money given back.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreditNote {
    id: String,
    number: String,
    /// The order that it credits.
    order_id: Option<String>,
    /// Whether it credits no order.
    without_order: bool,
    customer: Customer,
    /// In lists the first ten at most.
    #[schema(value_type = Vec<CreditLine>)]
    lines: Value,
    /// How many lines it has.
    line_count: i64,
    /// Where all lines are, if they are not all here.
    #[serde(skip_serializing_if = "Option::is_none")]
    all_lines: Option<String>,
    total: Money,
    country: String,
    issued_at: DateTime<Utc>,
    version: i64,
    position: i64,
}

impl Shown for credit::Model {
    type View = CreditNote;
    type State = CreditState;

    const MODEL: ReadModel = ReadModel {
        projection: "orders",
        stream: Call::id,
        own: Some("order_id IN (SELECT id FROM @orders WHERE owner = ?) OR order_id IS NULL AND subject = ?"),
        params: &[],
        filters: &[
            CUSTOMER,
            COUNTRY,
            NUMBER,
            Filter::new("order", Kind::Id, "order_id = ?", "The order that it credits."),
            Filter::new("issued_from", Kind::Time, "issued_at >= ?", "Business time, including this moment."),
            Filter::new("issued_to", Kind::Time, "issued_at < ?", "Business time, excluding this moment."),
        ],
        together: None,
        sorts: &[Sort { name: "-issued", column: "issued_at" }, Sort { name: "issued", column: "issued_at" }],
        changing: &[],
        shortened: &[("lines", "first_lines")],
        gone: ("not-found", "there is nothing of this name"),
        cached: false,
    };

    fn view(self) -> CreditNote {
        CreditNote {
            customer: Customer::of(&self.customer_kind, self.subject),
            total: Money { amount: self.total, currency: self.currency },
            all_lines: all_lines("/credit-notes", &self.id, &self.lines, self.line_count),
            line_count: self.line_count,
            id: self.id,
            number: self.number,
            order_id: self.order_id,
            without_order: self.without_order,
            lines: self.lines,
            country: self.country,
            issued_at: clock::from_micros(self.issued_at),
            version: self.version,
            position: self.position,
        }
    }

    fn version(&self) -> i64 {
        self.version
    }
}
