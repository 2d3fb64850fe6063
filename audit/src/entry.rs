//! One event of the audit trail, as it is shown, and the row that it is read from.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{FromQueryResult as _, QueryResult};
use serde::{Deserialize, Deserializer, Serialize};
use soonshop_domain::{QueryError, clock, context_of};
use soonshop_projections::audit::{self, Model};
use soonshop_projections::source::query_failed;
use utoipa::ToSchema;

use crate::diff::Change;
use crate::name::{Name, Names};

/// The changes of an event, where they are known.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Changed {
    /// It is a first version, its history is too long for a page, or its history cannot be read.
    Unknown,
    These(Vec<Change>),
    /// The request did not ask for it.
    #[default]
    #[serde(skip)]
    LeftOut,
}

impl Changed {
    pub fn is_left_out(&self) -> bool {
        *self == Self::LeftOut
    }

    /// The fields that differ; empty where that is not known.
    pub fn fields(&self) -> &[Change] {
        match self {
            Self::These(fields) => fields,
            Self::Unknown | Self::LeftOut => &[],
        }
    }
}

/// One event of the trail.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Entry {
    pub position: i64,
    pub id: String,
    /// The stream, and its version after this event.
    pub aggregate_type: String,
    pub aggregate_id: String,
    /// The name of the aggregate, such as an order's number; left out where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "558638")]
    pub name: Option<String>,
    pub version: i64,
    pub context: String,
    #[serde(rename = "type")]
    #[schema(example = "OrderPlaced")]
    pub kind: String,
    /// The version of the schema it was stored with.
    pub event_version: i64,
    pub recorded_at: DateTime<Utc>,
    /// Business time.
    pub occurred_at: DateTime<Utc>,
    pub actor: Option<Who>,
    /// The actor who caused the work of a process, as `kind:id`.
    pub on_behalf_of: Option<String>,
    pub channel: Option<String>,
    pub command_id: Option<String>,
    #[schema(example = "order.place")]
    pub command_type: Option<String>,
    pub correlation_id: Option<String>,
    /// The event that caused it; null where a person's command caused it.
    pub causation_id: Option<String>,
    pub reason_code: Option<String>,
    /// The command had a note, which is not shown.
    pub has_note: bool,
    /// The data subject, by id.
    pub subject: Option<String>,
    /// The fields by path: for a list of objects their number, and `{"personal": true}` in place of a personal value.
    #[schema(value_type = Object)]
    pub summary: serde_json::Value,
    /// The fields of the aggregate's state that it changed, with before and after; null for a first version, and where
    /// the history is too long or cannot be read.
    #[serde(default, skip_serializing_if = "Changed::is_left_out")]
    #[schema(value_type = Option<Vec<Change>>)]
    pub changes: Changed,
    /// Names by id: of each thing whose id is in its fields or changes; left out if there are none.
    #[serde(default, deserialize_with = "or_none", skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, Name>,
}

/// Names, or none: in CSV that is an empty cell, which is read as null.
fn or_none<'de, D: Deserializer<'de>>(names: D) -> Result<Names, D::Error> {
    Ok(Option::deserialize(names)?.unwrap_or_default())
}

/// An actor: the kind, and the id.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Who {
    #[schema(example = "staff")]
    pub kind: String,
    pub id: Option<String>,
    /// The name of the API key with this id; left out where there is no such key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "help desk")]
    pub name: Option<String>,
}

impl Entry {
    /// Its position in the log.
    pub fn position(&self) -> i64 {
        self.position
    }

    pub fn read(row: &QueryResult) -> Result<Self, QueryError> {
        Self::of(Model::from_query_result(row, "").map_err(query_failed)?)
    }

    pub fn of(row: Model) -> Result<Self, QueryError> {
        Ok(Self {
            position: row.position,
            id: row.id,
            context: context_of(&row.aggregate_type).unwrap_or_default().to_owned(),
            aggregate_type: row.aggregate_type,
            aggregate_id: row.aggregate_id,
            name: None,
            version: row.version,
            kind: row.event_type,
            event_version: row.event_version,
            recorded_at: clock::from_micros(row.recorded_at),
            occurred_at: clock::from_micros(row.occurred_at),
            actor: row.actor_kind.map(|kind| Who { kind, id: row.actor_id, name: None }),
            on_behalf_of: row.on_behalf_of,
            channel: row.channel,
            command_id: row.command_id,
            command_type: row.command_type,
            correlation_id: row.correlation_id,
            causation_id: row.causation_id,
            reason_code: row.reason_code,
            has_note: row.has_note,
            subject: row.subject,
            summary: serde_json::from_str(&row.summary).map_err(QueryError::internal)?,
            changes: Changed::LeftOut,
            names: BTreeMap::new(),
        })
    }

    /// The row that it was read from, as far as it can be restored: a text search only covers what the row shows.
    pub fn into_row(self) -> Model {
        let (actor_kind, actor_id) = self.actor.map_or((None, None), |who| (Some(who.kind), who.id));
        let amount = self.summary.as_object().and_then(|summary| audit::amount(&self.kind, summary));
        Model {
            position: self.position,
            id: self.id,
            aggregate_type: self.aggregate_type,
            aggregate_id: self.aggregate_id,
            version: self.version,
            event_type: self.kind,
            event_version: self.event_version,
            recorded_at: self.recorded_at.timestamp_micros(),
            occurred_at: self.occurred_at.timestamp_micros(),
            actor_kind,
            actor_id,
            on_behalf_of: self.on_behalf_of,
            channel: self.channel,
            command_id: self.command_id,
            command_type: self.command_type,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            reason_code: self.reason_code,
            has_note: self.has_note,
            subject: self.subject,
            amount: amount.map(|amount| amount.amount),
            currency: amount.map(|amount| amount.currency.to_string()),
            text: audit::searched(&self.summary),
            summary: self.summary.to_string(),
        }
    }
}
