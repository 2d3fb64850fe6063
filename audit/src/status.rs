//! The health of read models, relay, process managers and seals, for monitoring and for people, from the same function
//! as `replay-tool status`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use soonshop_domain::QueryError;
use soonshop_projections::integrity::{Both, Integrity, SealedLog};
use soonshop_projections::processes::Status;
use soonshop_projections::status::{FollowerStatus, GenerationStatus, Head, ShopStatus, StatusReader};
use utoipa::ToSchema;

use crate::trend::{Trend, Trends};

/// One generation, and what is wrong with it.
#[derive(Clone, Serialize, ToSchema)]
pub struct GenerationHealth {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub status: GenerationStatus,
    /// Why it is not as it should be.
    pub complaint: Option<String>,
    /// Since when.
    pub unhealthy_since: Option<DateTime<Utc>>,
    /// The code of the remedy.
    #[schema(value_type = Option<String>)]
    pub remedy: Option<&'static str>,
    /// How its lag changed within the last minute, as far as this process was asked.
    pub trend: Trend,
}

/// The health of everything that follows the log.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = ReadModelHealth)]
pub struct Health {
    /// The verdict that every view shows: nothing has a complaint, and no check fails.
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
    pub items: Vec<GenerationHealth>,
    /// The findings of the checks of the seals, for the log and for the record of operations.
    pub integrity: Vec<Proof>,
}

/// The findings in a sealed log.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Proof {
    /// `log`, or `record` for the record of operations.
    #[schema(value_type = String)]
    pub of: SealedLog,
    /// False: tampering was found in a range that is neither proved again nor acknowledged.
    pub well: bool,
    /// The ranges of which something is known, in order; a position in none of them was never checked.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub known: Integrity,
}

impl Proof {
    /// The findings in both sealed logs.
    pub fn of(both: Both) -> Vec<Self> {
        let Both { log, record } = both;
        let proof = |of, known: Integrity| Self { of, well: known.is_well(), known };
        vec![proof(SealedLog::Log, log), proof(SealedLog::Record, record)]
    }
}

/// The current health, and the head of the log.
pub async fn find(reader: &StatusReader, trends: &Trends) -> Result<(i64, Health), QueryError> {
    let shop_status = reader.read(&soonshop_projections::all()).await?;
    let (healthy, parked, head) = (shop_status.healthy(), shop_status.parked(), shop_status.append.position);
    let ShopStatus { append, relay, processes, seals, record_seals, generations, integrity } = shop_status;
    let judged = |status: GenerationStatus| {
        let trend = trends.look(&status.namespace(), status.lag_events);
        let found = status.complaint.as_ref();
        let (complaint, unhealthy_since) =
            (found.map(|one| one.trouble.to_string()), found.map(|one| one.since));
        GenerationHealth { complaint, unhealthy_since, remedy: found.map(|one| one.remedy), trend, status }
    };
    let items = generations.into_iter().map(judged).collect();
    let integrity = Proof::of(integrity);
    Ok((
        head,
        Health { healthy, head, append, relay, processes, seals, record_seals, parked, items, integrity },
    ))
}
