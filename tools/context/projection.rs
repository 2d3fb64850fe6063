//! The read model `__name__`: a row for each one, with its label and whether it is open.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use soonshop_domain::Event;
use soonshop_domain::__name__::Event as Happened;
use soonshop_event_log::RecordedEvent;

use crate::projector::{Failure, Projector, Row, TableFor, TableOf, Unit, Wants, id};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "__name__")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub id: String,
    #[sea_orm(column_type = "Text")]
    pub label: String,
    /// `open` or `closed`.
    #[sea_orm(column_type = "Text")]
    pub status: String,
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

/// The projection `__name__`.
pub struct Projection;

impl Projector for Projection {
    fn name(&self) -> &'static str {
        "__name__"
    }

    fn version(&self) -> i32 {
        1
    }

    fn shape(&self) -> i32 {
        1
    }

    fn follows(&self) -> &'static [&'static str] {
        &["__name__"]
    }

    fn tables(&self) -> Vec<Box<dyn TableOf>> {
        vec![TableFor::<Model>::new()]
    }

    fn indexes(&self) -> &'static [&'static str] {
        &["CREATE INDEX __name___by_label ON @__name__ (label, id)"]
    }

    fn wants(&self, event: &RecordedEvent, wants: &mut Wants) {
        wants.want::<Model>(id(event));
    }

    fn project(&self, event: &RecordedEvent, unit: &mut Unit) -> Result<(), Failure> {
        let Event::__Name__(happened) = &event.event else { return Ok(()) };
        let id = id(event);
        match happened {
            Happened::__Name__Opened { label } => {
                unit.put(Model {
                    id,
                    label: label.clone(),
                    status: "open".to_owned(),
                    version: event.version,
                    position: event.position,
                });
                Ok(())
            }
            Happened::__Name__Closed { .. } => unit.change(&id, &id, |row: &mut Model| {
                "closed".clone_into(&mut row.status);
                (row.version, row.position) = (event.version, event.position);
            }),
        }
    }
}
