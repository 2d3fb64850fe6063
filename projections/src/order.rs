//! Orders and credit notes, as a shop's staff and its customers look them up.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use soonshop_domain::order::{Customer, Event as OrderEvent, Line, credit_note};
use soonshop_domain::{Event, Personal, Purpose};
use soonshop_event_log::RecordedEvent;

use crate::projector::{
    Failure, NameColumn, PersonalColumns, Projector, Row, TableFor, TableOf, Unit, Wants, id,
};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "orders")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub id: String,
    #[sea_orm(column_type = "Text")]
    pub number: String,
    /// `placed`, `confirmed`, `refused`, `cancelled` or `shipped`.
    #[sea_orm(column_type = "Text")]
    pub status: String,
    /// `user` or `guest`.
    #[sea_orm(column_type = "Text")]
    pub customer_kind: String,
    /// The data subject: the user's or guest's id.
    #[sea_orm(column_type = "Text")]
    pub subject: String,
    /// Whose it is: the account that claimed it, or else the customer.
    #[sea_orm(column_type = "Text")]
    pub owner: String,
    /// The first of its lines, for lists.
    pub first_lines: Json,
    pub line_count: i64,
    pub total: i64,
    /// The sum of its credits, over all credit notes in its currency.
    pub credited: i64,
    /// What its payments charged, less what was paid back.
    pub paid: i64,
    #[sea_orm(column_type = "Text")]
    pub currency: String,
    #[sea_orm(column_type = "Text")]
    pub country: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub contact_name: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub contact_email: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub contact_phone: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub contact_address: Option<String>,
    /// `{"line": …, "sku": …, "reason": …}` of a refused order.
    pub refusal: Option<Json>,
    #[sea_orm(column_type = "Text", nullable)]
    pub cancelled_because: Option<String>,
    /// Microseconds since 1970.
    pub placed_at: i64,
    pub version: i64,
    pub position: i64,
    /// All of its lines. The last column: SQLite reads a row up to the last column that is asked for.
    pub lines: Json,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Row for Model {
    const GROUP: &'static str = "id";

    fn group(&self) -> String {
        self.id.clone()
    }

    fn key(&self) -> String {
        self.id.clone()
    }
}

/// Money given back.
pub mod credit {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
    #[sea_orm(table_name = "credit_notes")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub id: String,
        #[sea_orm(column_type = "Text")]
        pub number: String,
        #[sea_orm(column_type = "Text", nullable)]
        pub order_id: Option<String>,
        /// It credits no order.
        pub without_order: bool,
        #[sea_orm(column_type = "Text")]
        pub customer_kind: String,
        #[sea_orm(column_type = "Text")]
        pub subject: String,
        /// The first of its lines, for lists.
        pub first_lines: Json,
        pub line_count: i64,
        pub total: i64,
        #[sea_orm(column_type = "Text")]
        pub currency: String,
        #[sea_orm(column_type = "Text")]
        pub country: String,
        /// Microseconds since 1970.
        pub issued_at: i64,
        pub version: i64,
        pub position: i64,
        /// All of its lines, in the last column, too.
        pub lines: Json,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl crate::Row for Model {
        const GROUP: &'static str = "id";

        fn group(&self) -> String {
            self.id.clone()
        }

        fn key(&self) -> String {
            self.id.clone()
        }
    }
}

/// The projection `orders`.
pub struct Orders;

fn text(value: Option<&Personal<String>>) -> Option<String> {
    value.and_then(Personal::get).cloned()
}

/// `user` or `guest`, as rows hold it.
pub(crate) fn kind(customer: &Customer) -> String {
    match customer {
        Customer::User(_) => "user".to_owned(),
        Customer::Guest(_) => "guest".to_owned(),
    }
}

/// How many lines of an order a list shows.
pub const LISTED_LINES: usize = 10;

/// The first of these lines.
pub(crate) fn first(lines: &Json) -> Json {
    let lines = lines.as_array().map_or(&[][..], Vec::as_slice);
    Json::Array(lines[..lines.len().min(LISTED_LINES)].to_vec())
}

pub(crate) fn count(lines: &[Line]) -> i64 {
    i64::try_from(lines.len()).unwrap_or(i64::MAX)
}

pub(crate) fn json(value: &impl serde::Serialize) -> Result<Json, Failure> {
    serde_json::to_value(value).map_err(|error| Failure(error.to_string()))
}

/// The lines of a credit note, with the number of the order's line where one is known.
fn credit_lines(lines: &[Line], order_lines: &[u32]) -> Result<Json, Failure> {
    let mut shown = json(&lines)?;
    for (line, number) in shown.as_array_mut().into_iter().flatten().zip(order_lines) {
        line["order_line"] = (*number).into();
    }
    Ok(shown)
}

/// A credit note counts for its order whatever release issued it. An order that is not there changes nothing.
fn credited(event: &RecordedEvent, note: &credit_note::Event, unit: &mut Unit) -> Result<(), Failure> {
    let credit_note::Event::CreditNoteIssued {
        number,
        order_id,
        without_order: _,
        customer,
        lines,
        order_lines,
        total,
        country,
    } = note;
    let order_id = order_id.map(|id| id.to_string());
    let (amount, currency) = (total.amount, total.currency.to_string());
    let all = credit_lines(lines, order_lines)?;
    unit.put(credit::Model {
        id: id(event),
        number: number.clone(),
        without_order: order_id.is_none(),
        order_id: order_id.clone(),
        customer_kind: kind(customer),
        subject: customer.subject().to_string(),
        first_lines: first(&all),
        line_count: count(lines),
        lines: all,
        total: amount,
        currency: currency.clone(),
        country: country.clone(),
        issued_at: event.occurred_at.timestamp_micros(),
        version: event.version,
        position: event.position,
    });
    let Some(order) = order_id else { return Ok(()) };
    match unit.find::<Model>(&order, &order) {
        Some(row) if row.currency == currency => {
            unit.change(&order, &order, |row: &mut Model| row.credited = row.credited.saturating_add(amount))
        }
        _ => Ok(()),
    }
}

impl Projector for Orders {
    fn name(&self) -> &'static str {
        "orders"
    }

    fn version(&self) -> i32 {
        6
    }

    fn shape(&self) -> i32 {
        5
    }

    fn follows(&self) -> &'static [&'static str] {
        &["order", "credit_note", "person"]
    }

    fn tables(&self) -> Vec<Box<dyn TableOf>> {
        vec![TableFor::<Model>::new(), TableFor::<credit::Model>::new()]
    }

    fn indexes(&self) -> &'static [&'static str] {
        &[
            "CREATE INDEX orders_by_time ON @orders (placed_at, id)",
            "CREATE INDEX orders_by_subject ON @orders (subject, placed_at, id)",
            "CREATE INDEX orders_by_owner ON @orders (owner, placed_at, id)",
            "CREATE INDEX orders_by_email ON @orders (lower(contact_email))",
            "CREATE INDEX orders_by_number ON @orders (number)",
            "CREATE INDEX orders_by_status ON @orders (status, placed_at, id)",
            "CREATE INDEX credit_notes_by_time ON @credit_notes (issued_at, id)",
            "CREATE INDEX credit_notes_by_subject ON @credit_notes (subject, issued_at, id)",
            "CREATE INDEX credit_notes_by_number ON @credit_notes (number)",
            "CREATE INDEX credit_notes_by_order ON @credit_notes (order_id)",
        ]
    }

    fn wants(&self, event: &RecordedEvent, wants: &mut Wants) {
        match &event.event {
            Event::Order(_) => wants.want::<Model>(id(event)),
            Event::CreditNote(credit_note::Event::CreditNoteIssued { order_id, .. }) => {
                wants.want::<credit::Model>(id(event));
                if let Some(order_id) = order_id {
                    wants.want::<Model>(order_id.to_string());
                }
            }
            _ => {}
        }
    }

    fn project(&self, event: &RecordedEvent, unit: &mut Unit) -> Result<(), Failure> {
        let id = id(event);
        let (version, position) = (event.version, event.position);
        let order = match &event.event {
            Event::Order(order) => order,
            Event::CreditNote(note) => return credited(event, note, unit),
            _ => return Ok(()),
        };
        if let OrderEvent::OrderPlaced { number, customer, lines, total, country, contact } = order {
            let all = json(lines)?;
            unit.put(Model {
                id,
                number: number.clone(),
                status: "placed".to_owned(),
                customer_kind: kind(customer),
                subject: customer.subject().to_string(),
                owner: customer.subject().to_string(),
                first_lines: first(&all),
                line_count: count(lines),
                lines: all,
                total: total.amount,
                credited: 0,
                paid: 0,
                currency: total.currency.to_string(),
                country: country.clone(),
                contact_name: text(contact.name.as_ref()),
                contact_email: text(contact.email.as_ref()),
                contact_phone: text(contact.phone.as_ref()),
                contact_address: text(contact.address.as_ref()),
                refusal: None,
                cancelled_because: None,
                placed_at: event.occurred_at.timestamp_micros(),
                version,
                position,
            });
            return Ok(());
        }
        let refused = match order {
            OrderEvent::OrderRefused { refusal } => Some(json(refusal)?),
            _ => None,
        };
        unit.change(&id, &id, |row: &mut Model| {
            (row.version, row.position) = (version, position);
            let status = match order {
                OrderEvent::OrderPlaced { .. } => "placed",
                OrderEvent::OrderConfirmed {} => "confirmed",
                OrderEvent::OrderRefused { .. } => "refused",
                OrderEvent::OrderCancelled { reason } => {
                    row.cancelled_because = Some(reason.clone());
                    "cancelled"
                }
                OrderEvent::OrderShipped {} => "shipped",
                OrderEvent::OrderClaimed { account, .. } => {
                    row.owner = account.to_string();
                    return;
                }
                // Its credit note is in the same append, and has the amount.
                OrderEvent::OrderCredited { .. }
                | OrderEvent::OrderPaymentAdded { .. }
                | OrderEvent::OrderPaymentStopped { .. }
                | OrderEvent::OrderChargeBegun { .. }
                | OrderEvent::OrderRepaymentBegun { .. } => return,
                OrderEvent::OrderChargeEnded { amount, .. } => {
                    row.paid = row.paid.saturating_add(amount.amount);
                    return;
                }
                OrderEvent::OrderRepaymentEnded { amount, .. } => {
                    row.paid = row.paid.saturating_sub(amount.amount);
                    return;
                }
            };
            status.clone_into(&mut row.status);
            row.refusal = refused.or(row.refusal.take());
        })
    }

    fn names(&self) -> &'static [NameColumn] {
        &[
            NameColumn {
                table: "orders",
                aggregate_type: "order",
                id: "id",
                column: "number",
                kind: "number",
                is_text: false,
            },
            NameColumn {
                table: "credit_notes",
                aggregate_type: "credit_note",
                id: "id",
                column: "number",
                kind: "number",
                is_text: false,
            },
        ]
    }

    fn personal(&self) -> &'static [PersonalColumns] {
        &[PersonalColumns {
            table: "orders",
            subject: "subject",
            purpose: Purpose::Invoice,
            columns: &["contact_name", "contact_email", "contact_phone", "contact_address"],
            found_by: &["contact_email", "contact_phone", "contact_name"],
        }]
    }
}
