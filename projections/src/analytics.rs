//! Sales, credits, receipts and counts by business time: facts that are summed on request.
//!
//! An order counts from the moment it is placed, at its business time, and is taken out of the same month when it is
//! refused or cancelled. A credit note names its order: it counts as long as the order does, since a cancellation takes
//! back all that was charged, and with that what was credited.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use soonshop_domain::order::{Event as OrderEvent, credit_note};
use soonshop_domain::text::folded;
use soonshop_domain::{Event, inventory, product, user};
use soonshop_event_log::RecordedEvent;

use crate::order::kind;
use crate::projector::{Failure, Projector, Row, TableFor, TableOf, Unit, Wants, id};

/// One order.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "sales")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub id: String,
    /// False once the order was refused or cancelled.
    pub counted: bool,
    /// Microseconds since 1970, business time.
    pub at: i64,
    /// Its day in UTC, such as `2011-06-30`: months and years are its beginnings.
    #[sea_orm(column_type = "Text")]
    pub day: String,
    #[sea_orm(column_type = "Text")]
    pub country: String,
    /// The country as it is grouped by, whatever its capitals.
    #[sea_orm(column_type = "Text")]
    pub country_key: String,
    #[sea_orm(column_type = "Text")]
    pub currency: String,
    #[sea_orm(column_type = "Text")]
    pub customer_kind: String,
    pub lines: i64,
    pub units: i64,
    pub revenue: i64,
    pub version: i64,
    pub position: i64,
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

/// One line of an order.
pub mod line {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
    #[sea_orm(table_name = "sale_lines")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub order_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub line: i64,
        pub counted: bool,
        pub at: i64,
        #[sea_orm(column_type = "Text")]
        pub day: String,
        #[sea_orm(column_type = "Text")]
        pub country: String,
        #[sea_orm(column_type = "Text")]
        pub currency: String,
        #[sea_orm(column_type = "Text")]
        pub sku: String,
        #[sea_orm(column_type = "Text")]
        pub product_id: String,
        pub units: i64,
        pub revenue: i64,
        pub version: i64,
        pub position: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl crate::Row for Model {
        const GROUP: &'static str = "order_id";

        fn group(&self) -> String {
            self.order_id.clone()
        }

        fn key(&self) -> String {
            self.line.to_string()
        }
    }
}

/// Anything else that is counted: credit notes, receipts and adjustments of stock, users and products.
pub mod fact {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
    #[sea_orm(table_name = "facts")]
    pub struct Model {
        /// The event's id: each is counted once.
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub id: String,
        /// `credit`, `receipt`, `adjustment`, `user` or `product`.
        #[sea_orm(column_type = "Text")]
        pub kind: String,
        pub at: i64,
        #[sea_orm(column_type = "Text")]
        pub day: String,
        #[sea_orm(column_type = "Text", nullable)]
        pub country: Option<String>,
        /// The country as it is grouped by, whatever its capitals.
        #[sea_orm(column_type = "Text", nullable)]
        pub country_key: Option<String>,
        #[sea_orm(column_type = "Text", nullable)]
        pub currency: Option<String>,
        #[sea_orm(column_type = "Text", nullable)]
        pub sku: Option<String>,
        /// The order that a credit note is for.
        #[sea_orm(column_type = "Text", nullable)]
        pub order_id: Option<String>,
        /// Lines of a credit note; else 1.
        pub lines: i64,
        pub units: i64,
        pub amount: i64,
        pub version: i64,
        pub position: i64,
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

/// The projection `analytics`.
pub struct Sales;

impl Sales {
    fn fact(event: &RecordedEvent, kind: &str) -> fact::Model {
        fact::Model {
            id: event.event_id.to_string(),
            kind: kind.to_owned(),
            at: event.occurred_at.timestamp_micros(),
            day: day(event),
            country: None,
            country_key: None,
            currency: None,
            sku: None,
            order_id: None,
            lines: 1,
            units: 0,
            amount: 0,
            version: event.version,
            position: event.position,
        }
    }
}

fn day(event: &RecordedEvent) -> String {
    event.occurred_at.format("%Y-%m-%d").to_string()
}

impl Projector for Sales {
    fn name(&self) -> &'static str {
        "analytics"
    }

    fn version(&self) -> i32 {
        3
    }

    fn shape(&self) -> i32 {
        3
    }

    fn follows(&self) -> &'static [&'static str] {
        &["order", "credit_note", "stock", "user", "product"]
    }

    fn tables(&self) -> Vec<Box<dyn TableOf>> {
        vec![TableFor::<Model>::new(), TableFor::<line::Model>::new(), TableFor::<fact::Model>::new()]
    }

    fn indexes(&self) -> &'static [&'static str] {
        &[
            "CREATE INDEX sales_by_time ON @sales (at)",
            "CREATE INDEX sale_lines_by_time ON @sale_lines (at)",
            "CREATE INDEX facts_by_time ON @facts (kind, at)",
        ]
    }

    fn wants(&self, event: &RecordedEvent, wants: &mut Wants) {
        if let Event::Order(
            OrderEvent::OrderPlaced { .. }
            | OrderEvent::OrderRefused { .. }
            | OrderEvent::OrderCancelled { .. },
        ) = &event.event
        {
            wants.want::<Model>(id(event));
            wants.want::<line::Model>(id(event));
        }
    }

    fn project(&self, event: &RecordedEvent, unit: &mut Unit) -> Result<(), Failure> {
        let (version, position) = (event.version, event.position);
        match &event.event {
            Event::Order(OrderEvent::OrderPlaced { customer, lines, total, country, .. }) => {
                let (id, at, day) = (id(event), event.occurred_at.timestamp_micros(), day(event));
                let mut units = 0;
                for line in lines {
                    let revenue = line
                        .price
                        .times(line.quantity)
                        .ok_or_else(|| Failure("a line's sum overflows".into()))?;
                    units += i64::from(line.quantity);
                    unit.put(line::Model {
                        order_id: id.clone(),
                        line: i64::from(line.number),
                        counted: true,
                        at,
                        day: day.clone(),
                        country: country.clone(),
                        currency: revenue.currency.to_string(),
                        sku: line.sku.to_string(),
                        product_id: line.product_id.to_string(),
                        units: i64::from(line.quantity),
                        revenue: revenue.amount,
                        version,
                        position,
                    });
                }
                unit.put(Model {
                    id,
                    counted: true,
                    at,
                    day,
                    country_key: folded(country),
                    country: country.clone(),
                    currency: total.currency.to_string(),
                    customer_kind: kind(customer),
                    lines: i64::try_from(lines.len()).unwrap_or(i64::MAX),
                    units,
                    revenue: total.amount,
                    version,
                    position,
                });
            }
            Event::Order(OrderEvent::OrderRefused { .. } | OrderEvent::OrderCancelled { .. }) => {
                let id = id(event);
                unit.change(&id, &id, |row: &mut Model| {
                    row.counted = false;
                    (row.version, row.position) = (version, position);
                })?;
                unit.change_all(&id, |row: &mut line::Model| {
                    row.counted = false;
                    (row.version, row.position) = (version, position);
                });
            }
            Event::CreditNote(credit_note::Event::CreditNoteIssued {
                order_id,
                lines,
                total,
                country,
                ..
            }) => {
                unit.add(fact::Model {
                    order_id: order_id.map(|id| id.to_string()),
                    country_key: Some(folded(country)),
                    country: Some(country.clone()),
                    currency: Some(total.currency.to_string()),
                    lines: i64::try_from(lines.len()).unwrap_or(i64::MAX),
                    units: lines.iter().map(|line| i64::from(line.quantity)).sum(),
                    amount: total.amount,
                    ..Self::fact(event, "credit")
                });
            }
            Event::Stock(stock) => {
                let (kind, units) = match stock {
                    inventory::Event::StockReceived { quantity, .. } => ("receipt", i64::from(*quantity)),
                    inventory::Event::StockAdjusted { quantity, .. } => ("adjustment", *quantity),
                    _ => return Ok(()),
                };
                let sku = Some(stock.place().sku.to_string());
                unit.add(fact::Model { sku, units, ..Self::fact(event, kind) });
            }
            Event::User(user::Event::UserRegistered { details }) => {
                let country = details.country.clone();
                let country_key = country.as_deref().map(folded);
                unit.add(fact::Model { country, country_key, ..Self::fact(event, "user") });
            }
            Event::Product(product::Event::ProductCreated { .. }) => unit.add(Self::fact(event, "product")),
            _ => {}
        }
        Ok(())
    }
}
