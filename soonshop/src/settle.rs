//! Waiting until everything that follows the log has reached its head and nothing is left to do: what an import ends
//! with, and what tests do instead of sleeping.

use std::time::Duration;

use anyhow::bail;
use sea_orm::ConnectionTrait as _;
use soonshop_command_api::reactor::Reactor;
use soonshop_command_api::{eraser, reactor, relay, sealer};
use soonshop_domain::clock;
use soonshop_event_log::seal::Seals;
use soonshop_event_log::{Checkpoint, Error, EventLog};
use soonshop_projections::runner::ROWS;
use tokio::time::Instant;

use crate::Shop;

/// Where a follower is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Standing {
    pub name: String,
    /// `None`: it has never begun.
    pub position: Option<i64>,
    /// Something it has to do that no position tells.
    pub unfinished: i64,
    /// Why it stands still, where it said so.
    pub reason: Option<String>,
}

/// Every follower, and the head of the log.
pub async fn standings(shop: &Shop) -> anyhow::Result<(i64, Vec<Standing>)> {
    let log = shop.log()?;
    let head = log.head().await?.position;
    let process = shop.store_database.namespace("process")?;
    let too_old = Box::pin(Reactor::too_old(&log, &process)).await?.map(|stopped| stopped.to_string());
    let mut all = Vec::new();
    for name in [relay::NAME, reactor::NAME, eraser::NAME] {
        let at = Checkpoint::load(&process, &process.connection, name).await?;
        let unfinished = if name == reactor::NAME {
            let row =
                process.connection.query_one(process.statement("SELECT count(*) FROM @outbox", [])).await?;
            row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0)
        } else {
            0
        };
        let position = at.map(|(checkpoint, _)| checkpoint.position);
        let reason = too_old.clone().filter(|_| name == reactor::NAME);
        all.push(Standing { name: name.to_owned(), position, unfinished, reason });
    }
    let seals = shop.seals()?;
    all.push(Box::pin(sealing(&log, &seals)).await?);
    let registry = shop.registry()?;
    for projector in soonshop_projections::all() {
        for generation in registry.projected_by(&*projector).await? {
            let db = generation.db(registry.database())?;
            let rows = Checkpoint::load(&db, &db.connection, ROWS).await?;
            let sql = "SELECT reason FROM @status WHERE follower = $1 AND state = 'stopped'";
            let reason = db.connection.query_one(db.statement(sql, [ROWS.into()])).await?;
            all.push(Standing {
                name: generation.namespace(),
                position: rows.map(|(checkpoint, _)| checkpoint.position),
                unfinished: 0,
                reason: reason.map(|row| row.try_get_by_index(0)).transpose()?,
            });
            if projector.searchable() {
                let (position, reason) = match shop.search.checkpoint(&generation.namespace()).await {
                    Ok(text) => {
                        (text.and_then(|text| text.parse::<Checkpoint>().ok()).map(|at| at.position), None)
                    }
                    Err(error) => (None, Some(error.to_string())),
                };
                all.push(Standing {
                    name: format!("{}:index", generation.namespace()),
                    position,
                    unfinished: 0,
                    reason,
                });
            }
        }
    }
    Ok((head, all))
}

/// How long an event may wait for its seal before it is worth a word.
const UNSEALED: chrono::Duration = chrono::Duration::minutes(1);

/// Where the sealer is, and why it does not go on.
async fn sealing(log: &EventLog, seals: &Seals) -> anyhow::Result<Standing> {
    let (position, mut reason) = match sealer::standing(log, seals).await {
        Ok(checkpoint) => (checkpoint.position, None),
        Err(error @ Error::AheadOfLog { position, .. }) => (position, Some(error.to_string())),
        Err(error @ Error::Seals(_)) => (0, Some(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    if reason.is_none()
        && let Some(row) = log.read(position + 1, 1).await?.first()
        && clock::now() - row.recorded_at > UNSEALED
    {
        reason = Some(format!("unsealed since {:?}", row.recorded_at));
    }
    Ok(Standing { name: sealer::NAME.to_owned(), position: Some(position), unfinished: 0, reason })
}

/// Returns once all of them are at the head and idle, and the head stayed where it was. The sealer is not waited for:
/// nobody reads what it writes.
pub async fn settle(shop: &Shop, limit: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    let mut before = None;
    let mut pause = Duration::from_millis(5);
    loop {
        let (head, all) = standings(shop).await?;
        let behind: Vec<_> = all
            .iter()
            .filter(|one| one.name != sealer::NAME)
            .filter(|one| one.position.unwrap_or(-1) < head || one.unfinished > 0)
            .collect();
        if behind.is_empty() && before == Some(head) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("not everything reached the head, {head}, in time: {behind:?}");
        }
        before = behind.is_empty().then_some(head);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
