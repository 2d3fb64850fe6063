//! The timeline of the audit trail: what happened, by anybody, to anything, as far as a search narrows it.

use axum::response::Response;
use chrono::{DateTime, Utc};
use sea_orm::{FromQueryResult as _, QueryResult};
use serde::{Deserialize, Serialize};
use soonshop_domain::context_of;
use soonshop_projections::audit::{self, Model};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;

use super::changes::{self, Changed};
use super::groups::{self, Group, Groups};
use super::search::{OUTSIDE, Search};
use super::trail::Change;
use crate::http::Action;
use crate::http::call::Call;
use crate::http::openapi::{Described, moment};
use crate::http::params::{Kind, Param, Params};
use crate::http::read::query_failed;

const DEFAULT_LIMIT: usize = 50;

/// One event of the trail.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Entry {
    pub(super) position: i64,
    pub(super) id: String,
    /// The stream, and its version after this event.
    pub(super) aggregate_type: String,
    pub(super) aggregate_id: String,
    pub(super) version: i64,
    pub(super) context: String,
    #[serde(rename = "type")]
    #[schema(example = "OrderPlaced")]
    pub(super) kind: String,
    /// The version that its shape was stored in.
    pub(super) event_version: i64,
    pub(super) recorded_at: DateTime<Utc>,
    /// Business time.
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) actor: Option<Who>,
    /// Whoever caused what a process did, as `kind:id`.
    pub(super) on_behalf_of: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) command_id: Option<String>,
    #[schema(example = "order.place")]
    pub(super) command_type: Option<String>,
    pub(super) correlation_id: Option<String>,
    /// The event that caused it; null where a person's command began it.
    pub(super) causation_id: Option<String>,
    pub(super) reason_code: Option<String>,
    /// A note was left, which is not shown.
    pub(super) has_note: bool,
    /// The data subject, by id.
    pub(super) subject: Option<String>,
    /// The fields by path: of a list of objects their number, and `{"personal": true}` where a personal value stands.
    #[schema(value_type = Object)]
    pub(super) summary: serde_json::Value,
    /// The fields of the aggregate's state that it changed, with before and after; null for a first version, which has
    /// nothing before it, and where that would take too long or cannot be read.
    #[serde(default, skip_serializing_if = "Changed::is_left_out")]
    #[schema(value_type = Option<Vec<Change>>)]
    pub(super) changes: Changed,
}

/// Who did it: what sort of actor, and its id.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct Who {
    #[schema(example = "staff")]
    pub(super) kind: String,
    pub(super) id: Option<String>,
}

impl Entry {
    /// Its place in the log.
    pub fn position(&self) -> i64 {
        self.position
    }

    pub(super) fn read(row: &QueryResult) -> Result<Self, Problem> {
        Self::of(Model::from_query_result(row, "").map_err(query_failed)?)
    }

    pub(super) fn of(row: Model) -> Result<Self, Problem> {
        Ok(Self {
            position: row.position,
            id: row.id,
            context: context_of(&row.aggregate_type).unwrap_or_default().to_owned(),
            aggregate_type: row.aggregate_type,
            aggregate_id: row.aggregate_id,
            version: row.version,
            kind: row.event_type,
            event_version: row.event_version,
            recorded_at: moment(row.recorded_at),
            occurred_at: moment(row.occurred_at),
            actor: row.actor_kind.map(|kind| Who { kind, id: row.actor_id }),
            on_behalf_of: row.on_behalf_of,
            channel: row.channel,
            command_id: row.command_id,
            command_type: row.command_type,
            correlation_id: row.correlation_id,
            causation_id: row.causation_id,
            reason_code: row.reason_code,
            has_note: row.has_note,
            subject: row.subject,
            summary: serde_json::from_str(&row.summary).map_err(Problem::internal)?,
            changes: Changed::LeftOut,
        })
    }

    /// The row that it was read from, as far as that can be told: a text is only looked for in what it shows.
    pub(super) fn into_row(self) -> Model {
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

/// A row of the timeline.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Item {
    Event(Box<Entry>),
    /// With `group=1`.
    Command(Group),
}

/// A page of the timeline.
#[derive(Serialize, ToSchema)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    /// What was understood of `q`, in its normal form.
    pub(super) understood: Vec<String>,
    /// Where the page that follows begins: what to send as `before`, or as `after` in the order `asc`.
    pub(super) next: Option<i64>,
    /// When the row after the last was recorded.
    #[serde(skip)]
    pub(super) beyond: Option<DateTime<Utc>>,
}

/// The timeline.
pub(super) fn lists() -> Action {
    Action::new(params(), Described::one::<Page>(), list)
}

/// What narrows it.
pub(super) fn params() -> Vec<Param> {
    let positions = Kind::Number(0, i64::MAX);
    vec![
        Param::new(
            "q",
            Kind::Free,
            "Terms such as `actor:staff:42 type:Stock* -agg:order amount:>100GBP created:2026-11-01..2026-11-22 \"a text\"`.",
        ),
        Param::new("type", Kind::Free, "An event's type; `*` at its end stands for anything."),
        Param::new("agg", Kind::Free, "An aggregate's type."),
        Param::new("id", Kind::Id, "An aggregate's id."),
        Param::new("actor", Kind::Free, "A kind of actor, or `kind:id`."),
        Param::new("chan", Kind::Free, "A channel."),
        Param::new("correlation", Kind::Id, "All that followed from one request."),
        Param::new("from", Kind::Time, "Recorded then or later."),
        Param::new("to", Kind::Time, "Recorded before then."),
        Param::new(
            "order",
            Kind::OneOf(&["desc", "asc"]),
            "By position; the newest first where it is left out.",
        ),
        Param::new("before", positions, "Positions below this one."),
        Param::new("after", positions, "Positions above this one."),
        Param::new(
            "failures",
            Kind::OneOf(&["1"]),
            "Only events that say no, such as OrderRefused, and those that are parked.",
        ),
        Param::new("limit", Kind::Number(1, 200), "Items on a page, 50 where it is left out."),
        Param::new("group", Kind::OneOf(&["1"]), "A row for each command, with what it caused directly."),
    ]
}

async fn list(call: Call) -> Result<Response, Problem> {
    let (position, page) = find(&call).await?;
    let link = page.next.map(|next| next.to_string());
    let parameter = if ascends(&call) { "after" } else { "before" };
    call.page_before(position, &page, link.as_deref().map(|next| (parameter, next)))
}

pub(super) fn ascends(call: &Call) -> bool {
    call.params.text("order") == Some("asc")
}

/// One page, and the position that it was read at.
pub(super) async fn find(call: &Call) -> Result<(i64, Page), Problem> {
    let search = searched(call, &call.params).await?;
    let limit = call.params.limit(DEFAULT_LIMIT);
    if call.params.text("group").is_some() {
        let (position, Groups { items, next, beyond }) = groups::find(call, &search, limit).await?;
        let items = items.into_iter().map(Item::Command).collect();
        return Ok((position, Page { items, understood: search.understood, next, beyond }));
    }
    let (position, mut items) = read(call, &search, None, limit + 1).await?;
    let beyond = items.get(limit).map(|entry| entry.recorded_at);
    items.truncate(limit);
    let next = items.last().filter(|_| beyond.is_some()).map(|entry| entry.position);
    changes::tell(call, &mut items, changes::FOR_PAGE).await?;
    let items = items.into_iter().map(|entry| Item::Event(Box::new(entry))).collect();
    Ok((position, Page { items, understood: search.understood, next, beyond }))
}

/// What these parameters look for, with all that has to be looked up for it.
pub(super) async fn searched(call: &Call, params: &Params) -> Result<Search, Problem> {
    let mut search = Search::of(params)?;
    search.know_parked(&call.shared.queries.registry).await?;
    Ok(search)
}

/// The first that are found, or the first beyond a position; and the position that they were read at.
pub(super) async fn read(
    call: &Call,
    search: &Search,
    beyond: Option<i64>,
    limit: usize,
) -> Result<(i64, Vec<Entry>), Problem> {
    let source = &call.shared.source("audit", None).await?;
    let read = |piece: Search, limit| async move {
        let (sql, values) = piece.sql(limit);
        source.rows(call, None, &sql, &values, piece.order()).await
    };
    let (position, rows) = search.beyond(beyond).gather(source, limit, read).await?;
    Ok((position, rows.iter().map(Entry::read).collect::<Result<_, _>>()?))
}

/// At most so many are counted: beyond it a number is of no use, and counting would take long.
const MOST_COUNTED: i64 = 10_000;

/// How many there are in all; `None`: more than [`MOST_COUNTED`].
pub(super) async fn count(call: &Call) -> Result<Option<i64>, Problem> {
    let known = [&OUTSIDE[..], &["q", "from", "to", "failures"]].concat();
    let mut search = searched(call, &call.params.only(&known)).await?;
    let source = call.shared.source("audit", None).await?;
    search.locate(&source).await?;
    let mut count = 0;
    for piece in search.pieces() {
        let (filter, values) = piece.filter();
        let most = MOST_COUNTED + 1 - count;
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM @audit {filter} LIMIT {most}) counted");
        for row in source.plain(&sql, values).await? {
            count += row.try_get_by_index::<i64>(0).map_err(query_failed)?;
        }
        if count > MOST_COUNTED {
            return Ok(None);
        }
    }
    Ok(Some(count))
}
