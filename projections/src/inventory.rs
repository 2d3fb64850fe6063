//! Stock per SKU and location.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use soonshop_domain::Event;
use soonshop_domain::inventory::Event as StockEvent;
use soonshop_event_log::RecordedEvent;

use crate::projector::{Failure, NameColumn, Projector, Row, TableFor, TableOf, Unit, Wants, id};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "stock")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub id: String,
    #[sea_orm(column_type = "Text")]
    pub sku: String,
    #[sea_orm(column_type = "Text")]
    pub location: String,
    pub on_hand: i64,
    pub reserved: i64,
    /// On hand minus reserved.
    pub available: i64,
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

/// The projection `stock`.
pub struct Stock;

impl Projector for Stock {
    fn name(&self) -> &'static str {
        "stock"
    }

    fn version(&self) -> i32 {
        1
    }

    fn shape(&self) -> i32 {
        1
    }

    fn follows(&self) -> &'static [&'static str] {
        &["stock"]
    }

    fn tables(&self) -> Vec<Box<dyn TableOf>> {
        vec![TableFor::<Model>::new()]
    }

    fn indexes(&self) -> &'static [&'static str] {
        &[
            "CREATE INDEX stock_by_sku ON @stock (sku, id)",
            "CREATE INDEX stock_by_available ON @stock (available, id)",
        ]
    }

    fn names(&self) -> &'static [NameColumn] {
        &[NameColumn {
            table: "stock",
            aggregate_type: "stock",
            id: "id",
            column: "sku",
            kind: "sku",
            is_text: false,
        }]
    }

    fn wants(&self, event: &RecordedEvent, wants: &mut Wants) {
        wants.want::<Model>(id(event));
    }

    fn project(&self, event: &RecordedEvent, unit: &mut Unit) -> Result<(), Failure> {
        let Event::Stock(stock) = &event.event else { return Ok(()) };
        let id = id(event);
        let (on_hand, reserved) = match stock {
            StockEvent::StockReceived { quantity, .. } => (i64::from(*quantity), 0),
            StockEvent::StockAdjusted { quantity, .. } => (*quantity, 0),
            StockEvent::StockReserved { quantity, .. } => (0, i64::from(*quantity)),
            StockEvent::StockReleased { quantity, .. } => (0, -i64::from(*quantity)),
            StockEvent::StockReservationBarred { .. } => (0, 0),
            StockEvent::StockShipped { quantity, .. } => (-i64::from(*quantity), -i64::from(*quantity)),
        };
        if unit.find::<Model>(&id, &id).is_none() {
            let place = stock.place();
            unit.put(Model {
                id: id.clone(),
                sku: place.sku.to_string(),
                location: place.location.clone(),
                on_hand: 0,
                reserved: 0,
                available: 0,
                version: 0,
                position: 0,
            });
        }
        unit.change(&id, &id, |row: &mut Model| {
            row.on_hand += on_hand;
            row.reserved += reserved;
            row.available = row.on_hand - row.reserved;
            (row.version, row.position) = (event.version, event.position);
        })
    }
}
