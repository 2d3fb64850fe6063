//! The audit trail: one row per event, of every type, with all that filtering, correlation and text search need, so
//! that the log itself needs no index for its viewer.
//!
//! It holds nothing personal. The personal values of an event are encrypted in the log; here a marker only says that
//! there are some. A person is found by the opaque id of the data subject.

use sea_orm::entity::prelude::*;
use serde::{Deserialize as _, Serialize};
use serde_json::{Map, Value};
use soonshop_domain::{Money, TYPES, catalog};
use soonshop_event_log::RecordedEvent;

use crate::event_summary::EventSummary;
use crate::projector::{Failure, Projector, Row, TableFor, TableOf, Unit, Wants, id, written};
use crate::texts::{Searched, Texts, TextsOf};

/// One event.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "audit")]
pub struct Model {
    /// The event's position in the log: a number that only grows is the cheapest key. (The event's id has an index.)
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i64,
    /// The event's id.
    #[sea_orm(column_type = "Text")]
    pub id: String,
    /// The stream: its type and id, and its version after this event.
    #[sea_orm(column_type = "Text")]
    pub aggregate_type: String,
    #[sea_orm(column_type = "Text")]
    pub aggregate_id: String,
    pub version: i64,
    #[sea_orm(column_type = "Text")]
    pub event_type: String,
    /// The version that its shape was stored in.
    pub event_version: i64,
    /// Microseconds since 1970: as the log recorded it, and business time.
    pub recorded_at: i64,
    pub occurred_at: i64,
    #[sea_orm(column_type = "Text", nullable)]
    pub actor_kind: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub actor_id: Option<String>,
    /// `<kind>:<id>` of the actor that caused a process manager to act.
    #[sea_orm(column_type = "Text", nullable)]
    pub on_behalf_of: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub channel: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub command_id: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub command_type: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub correlation_id: Option<String>,
    /// The event that caused this one.
    #[sea_orm(column_type = "Text", nullable)]
    pub causation_id: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub reason_code: Option<String>,
    /// The event has a note in a person's own words: it stays encrypted in the log.
    pub has_note: bool,
    /// The data subject, by id.
    #[sea_orm(column_type = "Text", nullable)]
    pub subject: Option<String>,
    /// The amount that the event is about, in minor units, and its currency: see [`amount`].
    pub amount: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub currency: Option<String>,
    /// The event's fields for its sentence, as a JSON object of path and value: a list of objects is shown as its
    /// length, long texts are cut, and a personal value is `{"personal":true}`.
    #[sea_orm(column_type = "Text")]
    pub summary: String,
    /// Every value of the event that is not personal, in lower case, one per line.
    #[sea_orm(column_type = "Text")]
    pub text: String,
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
        self.position.to_string()
    }
}

impl Searched for Model {
    fn position(&self) -> i64 {
        self.position
    }

    fn texts(&self) -> Vec<&str> {
        let of_command = [&self.reason_code, &self.command_type].into_iter().flatten();
        of_command.map(String::as_str).chain([&*self.text]).collect()
    }
}

/// The projection `audit`.
pub struct Audit;

/// The text to search in where only the summary is left.
pub fn searched(summary: &Value) -> String {
    EventSummary::words_of(summary).map(EventSummary::text).unwrap_or_default()
}

/// The amount that an event is about, by its type and its summary.
pub fn amount(event_type: &str, summary: &Map<String, Value>) -> Option<Money> {
    let path = catalog::event_type(event_type)?.amount_path?;
    Money::deserialize(summary.get(path)?).ok()
}

impl Projector for Audit {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn version(&self) -> i32 {
        3
    }

    fn shape(&self) -> i32 {
        3
    }

    fn follows(&self) -> &'static [&'static str] {
        TYPES
    }

    fn tables(&self) -> Vec<Box<dyn TableOf>> {
        vec![TableFor::<Model>::new()]
    }

    fn indexes(&self) -> &'static [&'static str] {
        &[
            "CREATE INDEX audit_by_id ON @audit (id)",
            "CREATE INDEX audit_by_time ON @audit (recorded_at, position)",
            "CREATE INDEX audit_by_business_time ON @audit (occurred_at, position)",
            "CREATE INDEX audit_by_type ON @audit (event_type, position)",
            "CREATE INDEX audit_by_stream ON @audit (aggregate_id, position)",
            "CREATE INDEX audit_by_actor ON @audit (actor_id, position) WHERE actor_id IS NOT NULL",
            "CREATE INDEX audit_by_correlation ON @audit (correlation_id, position) WHERE correlation_id IS NOT NULL",
            "CREATE INDEX audit_by_command ON @audit (command_id, position) WHERE command_id IS NOT NULL",
            "CREATE INDEX audit_by_causation ON @audit (causation_id, position) WHERE causation_id IS NOT NULL",
            "CREATE INDEX audit_by_subject ON @audit (subject, position) WHERE subject IS NOT NULL",
            "CREATE INDEX audit_by_amount ON @audit (amount, position) WHERE amount IS NOT NULL",
        ]
    }

    fn only_adds(&self) -> bool {
        true
    }

    fn texts(&self) -> Option<Box<dyn Texts>> {
        Some(TextsOf::<Model>::new())
    }

    fn wants(&self, _: &RecordedEvent, _: &mut Wants) {}

    fn project(&self, event: &RecordedEvent, unit: &mut Unit) -> Result<(), Failure> {
        let metadata = event.metadata().map_err(|error| Failure(error.to_string()))?;
        let failed =
            |error: serde_json::Error| Failure(format!("the event cannot be written as JSON: {error}"));
        // Encoded again, not as stored: fields that the type does not declare must not be shown.
        let json = event.event.encode().map_err(failed)?;
        let summary = EventSummary::of_event(&event.event, &json).map_err(failed)?;
        let amount = event.event.amount();
        unit.add(Model {
            position: event.position,
            id: written(event.event_id),
            aggregate_type: event.event.aggregate_type().to_owned(),
            aggregate_id: id(event),
            version: event.version,
            event_type: event.event.event_type().to_owned(),
            event_version: event.event_version.into(),
            recorded_at: event.recorded_at.timestamp_micros(),
            occurred_at: event.occurred_at.timestamp_micros(),
            actor_kind: metadata.actor_kind.map(|kind| kind.as_ref().to_owned()),
            actor_id: metadata.actor_id,
            on_behalf_of: metadata.on_behalf_of,
            channel: metadata.channel.map(|channel| channel.as_ref().to_owned()),
            command_id: metadata.command_id.map(written),
            command_type: metadata.command_type,
            correlation_id: metadata.correlation_id.map(written),
            causation_id: metadata.causation_id.map(written),
            reason_code: metadata.reason_code,
            has_note: metadata.reason_note.is_some(),
            subject: event.event.subject(event.stream).map(written),
            amount: amount.map(|amount| amount.amount),
            currency: amount.map(|amount| amount.currency.as_str().to_owned()),
            summary: summary.summary(),
            text: summary.text(),
        });
        Ok(())
    }
}
