//! States of the past: folded from the log by the code that decides commands.

use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use soonshop_domain::decider::PARTS_SHOWN;
use soonshop_domain::{Decider, QueryError};
use soonshop_event_log::EventLog;
use soonshop_event_log::history::{self, Fold, History as _, PageSize};
use soonshop_event_log::redactor::Redacted;
use soonshop_projections::source::LONGEST_QUERY;
use soonshop_projections::wait;
use soonshop_service_kit::Problem;
use soonshop_service_kit::endpoint::params::{AsOf as Point, Kind, Param, refused};
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use super::personal::{self, ViewedObject};
use super::state::{Call, at_least};

pub(crate) const PARAM: Param = Param::new(
    "as_of",
    Kind::AsOf,
    "The past state, from the log: a moment (by recorded time), `v:<version>` or `p:<position>`.",
);

pub(crate) const PARTS_AFTER: Param = Param::new(
    "parts_after",
    Kind::Free,
    "With `as_of`: the parts of the state after this key, from `parts.next` of the answer before.",
);

/// Which of the parts of a state are in an answer: at most 100, in the order of their keys.
#[derive(Serialize, ToSchema)]
struct PastParts {
    /// How many there are in all.
    total: usize,
    /// The last key, if there are more: `parts_after` with it gives the next ones.
    next: Option<String>,
}

/// The last event that the state includes.
#[derive(Serialize, ToSchema)]
struct LastEvent {
    id: Uuid,
    #[serde(rename = "type")]
    #[schema(example = "OrderPlaced")]
    kind: String,
    /// Business time.
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
}

/// An entity at a point in the past.
#[derive(Serialize, ToSchema)]
pub(crate) struct Past {
    /// As commands see it. A personal value is the text where the caller may see it, otherwise `{"personal": "masked"}`,
    /// where an equal `value` number means an equal text; an erased one is null.
    #[schema(value_type = Object)]
    state: Redacted,
    /// Of a state that grows with its history, such as the lines of a stock, which parts are in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<PastParts>,
    /// Whether a personal value in it was erased.
    erased: bool,
    version: i64,
    /// The position of the last event that it includes.
    position: i64,
    /// The position that `as_of` was resolved to: `as_of=p:` with this number always gives the same answer.
    as_of_position: i64,
    event: LastEvent,
}

/// The log position of the requested point.
struct Limit {
    version: i64,
    position: i64,
    /// Later events may still be recorded with this moment.
    open: bool,
}

async fn limit(log: &EventLog, point: Point, head: i64) -> Result<Limit, QueryError> {
    Ok(match point {
        Point::Version(version) => Limit { version, position: i64::MAX, open: false },
        Point::Position(position) => Limit { version: i64::MAX, position, open: false },
        Point::Time(moment) => {
            // Recorded times never decrease: once a later one was recorded, no more events belong to this moment.
            let last = log.read(head, 1).await?;
            let settled = last.first().is_some_and(|last| last.recorded_at > moment);
            let position = if settled { log.position_at(moment).await? } else { head };
            Limit { version: i64::MAX, position, open: !settled }
        }
    })
}

fn not_yet() -> Problem {
    Problem::not_found("not-yet-there", "it exists, but not at the requested point")
}

/// The past state of an aggregate; `own`: it is the caller's.
pub(crate) async fn answer<A: Decider>(
    call: &Call,
    id: Uuid,
    point: Point,
    own: bool,
) -> Result<Response, Problem> {
    let after = match call.params.text(PARTS_AFTER.name) {
        Some(key) if !A::is_part(key) => {
            return Err(refused(
                PARTS_AFTER.name,
                "it is no key of a part: take `parts.next` of an answer before",
            ));
        }
        after => after.unwrap_or_default(),
    };
    let log = &call.shared.queries.log;
    let head = wait::head(log, at_least(call)).await?;
    let limit = limit(log, point, head).await?;
    if matches!(point, Point::Position(position) if position > head) {
        return Err(not_yet().with("head", head));
    }
    let (mut fold, name) = (Fold::<A>::default(), id.to_string());
    let mut version = 0;
    let mut exists = false;
    let begun = Instant::now();
    let mut size = PageSize::default();
    loop {
        if begun.elapsed() > LONGEST_QUERY {
            let detail =
                "the history up to there is too long to be folded in time: ask again, when less is going on";
            return Err(Problem::unavailable("timed-out", detail, Duration::from_secs(1)));
        }
        let rows = log.stream(A::TYPE, &name, version, size.events()).await.map_err(QueryError::from)?;
        let (last, read) = (size.is_last(&rows), rows.len());
        size.next(&rows);
        exists |= !rows.is_empty();
        let rows: Vec<_> = rows
            .into_iter()
            .take_while(|row| row.sequence <= limit.version && row.position <= limit.position)
            .collect();
        let whole = rows.len() == read;
        for event in history::decode(log, rows).await? {
            version = event.version;
            fold.apply(event)?;
        }
        if last || !whole {
            break;
        }
    }
    let Some(last) = fold.last.take() else {
        return Err(if exists {
            not_yet()
        } else {
            Problem::not_found("not-found", "there is nothing of this name")
        });
    };
    if matches!(point, Point::Version(expected) if expected > last.version) {
        return Err(not_yet().with("version", last.version));
    }
    let (state, parts) = fold.page(after, PARTS_SHOWN)?;
    let parts = parts.map(|shown| PastParts { total: shown.total, next: shown.next });
    let viewed = ViewedObject { kind: A::TYPE, id, version: Some(last.version), own };
    let shown = personal::in_state(call, &viewed, &fold.decrypted, state).await?;
    let as_of_position = if let Point::Version(_) = point { last.position } else { limit.position };
    let answer = Past {
        state: shown.state,
        parts,
        erased: shown.erased,
        version: last.version,
        position: last.position,
        as_of_position,
        event: LastEvent {
            id: last.event_id,
            kind: last.kind,
            occurred_at: last.occurred_at,
            recorded_at: last.recorded_at,
        },
    };
    let body = serde_json::to_vec(&answer).map_err(Problem::internal)?;
    let mut response = call.entity(as_of_position, answer.version, !fold.decrypted.is_empty(), body.into());
    if limit.open {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}
