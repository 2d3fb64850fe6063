//! Confirming that the clock is right, after it was ahead once: see `checks/clock.rs`.

use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::TransactionTrait as _;
use serde_json::json;
use soonshop_projections::operations::{self, Operation};
use soonshop_service_kit::access::Caller;

use crate::Shop;
use crate::outcome::Outcome;

/// The commands on the clock.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Verb {
    /// Confirm that this machine's clock is right, although events were recorded at a later time
    ///
    /// For an embedded shop whose clock was ahead once and was set right. Compare it with another clock first. Until the
    /// time of the last event is reached, all events get that time; nothing else is different. Who confirmed it, and
    /// why, is recorded.
    Confirm {
        /// The reason, in free text; it is kept encrypted in the record of operations
        #[arg(long)]
        reason: Option<String>,
    },
}

/// The action in the record of operations.
pub(crate) const CONFIRM: &str = "clock-confirm";

/// A clock that somebody found to be right: events that were recorded until then say nothing against it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Confirmed {
    until: DateTime<Utc>,
}

impl Confirmed {
    /// The last confirmation.
    pub(crate) async fn last(shop: &Shop) -> anyhow::Result<Option<Self>> {
        let db = shop.read_database.namespace("operations")?;
        let last = operations::last_of(&db, CONFIRM, 1).await?.into_iter().next();
        let until = last.and_then(|line| line.detail["until"].as_str()?.parse().ok());
        Ok(until.map(|until| Self { until }))
    }

    /// Whether the clock was confirmed after an event of that time.
    pub(crate) fn covers(self, recorded_at: DateTime<Utc>) -> bool {
        recorded_at <= self.until
    }
}

/// The position of the last event, and when it was recorded.
pub(crate) async fn newest(shop: &Shop) -> anyhow::Result<Option<(i64, DateTime<Utc>)>> {
    let log = shop.log()?;
    let head = log.head().await?.position;
    let last = log.read(head.max(1), 1).await?;
    Ok(last.last().map(|event| (event.position, event.recorded_at)))
}

/// Does it, on a shop that is up to date.
pub async fn run(shop: &Shop, verb: &Verb) -> anyhow::Result<Outcome> {
    let Verb::Confirm { reason } = verb;
    let newest = newest(shop).await?;
    let now = soonshop_domain::clock::now();
    let Some((position, until)) = newest.filter(|(_, until)| *until > now) else {
        let text = "the clock is not before the last event: there is nothing to confirm".to_owned();
        return Ok(Outcome::done(text));
    };
    let note = match reason {
        Some(reason) => Some(operations::note(&shop.key_store()?, reason).await?),
        None => None,
    };
    let until = until.to_rfc3339_opts(SecondsFormat::Micros, true);
    let done = Operation {
        actor: Caller::operator().actor.to_string(),
        action: CONFIRM,
        subject: "log".to_owned(),
        detail: json!({"position": position, "until": until}),
        note,
    };
    let db = shop.read_database.namespace("operations")?;
    let tx = db.connection.begin().await?;
    operations::record(&db, &tx, &done).await?;
    tx.commit().await?;
    let text = format!(
        "the clock is confirmed: it was ahead when the event at position {position} was recorded. Until {until} all events \
         get that time"
    );
    Ok(Outcome::done(text))
}
