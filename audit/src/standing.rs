//! How read models, the relay and the seals stand, for whoever watches the shop and for people: by the same function as `replay-tool status`.

use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use soonshop_projections::standing::{Following, Head, Standing, Whole};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;

use super::trend::Trend;
use crate::http::Action;
use crate::http::call::Call;
use crate::http::openapi::Described;
use crate::http::read::failed;

/// One generation, and what is wrong with it.
#[derive(Serialize, ToSchema)]
pub(super) struct Judged {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub(super) standing: Standing,
    /// Why it is not as it should be.
    pub(super) complaint: Option<String>,
    /// How its lag moved within the last minute, as far as this process was asked.
    pub(super) trend: Trend,
}

/// How everything that follows the log stands.
#[derive(Serialize, ToSchema)]
#[schema(as = ReadModelHealth)]
pub(super) struct Health {
    pub(super) healthy: bool,
    /// The last position of the log.
    pub(super) head: i64,
    #[schema(value_type = Object)]
    pub(super) append: Head,
    #[schema(value_type = Object)]
    pub(super) relay: Following,
    #[schema(value_type = Object)]
    pub(super) seals: Following,
    /// Of the record of operations.
    #[schema(value_type = Object)]
    pub(super) record_seals: Following,
    /// Events that could not be projected, of all generations.
    pub(super) parked: i64,
    /// Every generation that is kept.
    pub(super) items: Vec<Judged>,
}

pub(super) fn watches() -> Action {
    Action::new(Vec::new(), Described::one::<Health>(), |call| async move {
        let (_, health) = find(&call).await?;
        let status = if health.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        Ok::<Response, Problem>((status, [(CACHE_CONTROL, "no-store")], axum::Json(health)).into_response())
    })
}

/// How they stand now, and the head of the log.
pub(super) async fn find(call: &Call) -> Result<(i64, Health), Problem> {
    let looked = call.shared.queries.looked();
    let whole = looked.whole(&soonshop_projections::all()).await.map_err(failed)?;
    let (healthy, parked, head) = (whole.healthy(), whole.parked(), whole.append.position);
    let Whole { append, relay, seals, record_seals, generations } = whole;
    let judged = |standing: Standing| {
        let trend = call.shared.trends.look(&standing.namespace(), standing.lag_events);
        Judged { complaint: standing.complaint(), trend, standing }
    };
    let items = generations.into_iter().map(judged).collect();
    Ok((head, Health { healthy, head, append, relay, seals, record_seals, parked, items }))
}
