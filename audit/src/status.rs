//! The health of read models, relay, process managers and seals, for monitoring and for people, from the same function
//! as `replay-tool status`.

use serde::Serialize;
use soonshop_domain::QueryError;
use soonshop_projections::processes::Status;
use soonshop_projections::status::{FollowerStatus, GenerationStatus, Head, ShopStatus, StatusReader};
use utoipa::ToSchema;

use crate::trend::{Trend, Trends};

/// One generation, and what is wrong with it.
#[derive(Clone, Serialize, ToSchema)]
pub struct Judged {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub status: GenerationStatus,
    /// Why it is not as it should be.
    pub complaint: Option<String>,
    /// How its lag changed within the last minute, as far as this process was asked.
    pub trend: Trend,
}

/// The health of everything that follows the log.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = ReadModelHealth)]
pub struct Health {
    pub healthy: bool,
    /// The last position of the log.
    pub head: i64,
    #[schema(value_type = Object)]
    pub append: Head,
    #[schema(value_type = Object)]
    pub relay: FollowerStatus,
    /// Every process manager that has begun.
    #[schema(value_type = Vec<Object>)]
    pub processes: Vec<Status>,
    #[schema(value_type = Object)]
    pub seals: FollowerStatus,
    /// Of the record of operations.
    #[schema(value_type = Object)]
    pub record_seals: FollowerStatus,
    /// Events that could not be projected, of all generations.
    pub parked: i64,
    /// Every generation that is kept up to date.
    pub items: Vec<Judged>,
}

/// The current health, and the head of the log.
pub async fn find(reader: &StatusReader, trends: &Trends) -> Result<(i64, Health), QueryError> {
    let shop_status = reader.read(&soonshop_projections::all()).await?;
    let (healthy, parked, head) = (shop_status.healthy(), shop_status.parked(), shop_status.append.position);
    let ShopStatus { append, relay, processes, seals, record_seals, generations } = shop_status;
    let judged = |status: GenerationStatus| {
        let trend = trends.look(&status.namespace(), status.lag_events);
        Judged { complaint: status.complaint(), trend, status }
    };
    let items = generations.into_iter().map(judged).collect();
    Ok((head, Health { healthy, head, append, relay, processes, seals, record_seals, parked, items }))
}
