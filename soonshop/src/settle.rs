//! Waits until every follower has reached the head of the log and has no work left: an import ends with it, and tests
//! use it instead of sleeping.

use std::fmt;
use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, Utc};
use soonshop_event_log::Checkpoint;
use soonshop_event_log::checkpoint::of_process;
use soonshop_projections::processes::Status;
use soonshop_projections::runner::ROWS;
use soonshop_projections::sink::CACHE;
use soonshop_projections::status;
use soonshop_workers::reactor::too_old;
use soonshop_workers::{eraser, payments, relay, sealer};
use tokio::time::Instant;

use crate::Shop;

/// Where a follower is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FollowerStatus {
    pub name: String,
    /// `None`: it has never begun.
    pub position: Option<i64>,
    /// The end of the log that it follows: the event log, or the record of operations.
    pub head: i64,
    /// Unfinished work that its position does not show.
    pub unfinished: i64,
    /// Why it stopped, if it said so.
    pub reason: Option<String>,
    /// The verdict on it that all views share: what is wrong.
    pub complaint: Option<String>,
    /// Since when.
    pub unhealthy_since: Option<DateTime<Utc>>,
    /// The code of the remedy.
    pub remedy: Option<&'static str>,
}

impl FollowerStatus {
    fn at(name: String, position: Option<i64>, head: i64) -> Self {
        Self {
            name,
            position,
            head,
            unfinished: 0,
            reason: None,
            complaint: None,
            unhealthy_since: None,
            remedy: None,
        }
    }

    /// With the verdict on it.
    fn judged(self, one: &status::FollowerStatus) -> Self {
        let (complaint, unhealthy_since, remedy) = (one.complaint.clone(), one.unhealthy_since, one.remedy);
        Self { complaint, unhealthy_since, remedy, ..self }
    }
}

/// Every follower that this release has, and the head of the log.
pub async fn follower_statuses(shop: &Shop) -> anyhow::Result<(i64, Vec<FollowerStatus>)> {
    let (head, all, _) = with_others(shop).await?;
    Ok((head, all))
}

/// The head of the log, every follower that this release has, and those of other releases with which something is wrong:
/// the verdict on the shop counts them, too.
pub async fn with_others(shop: &Shop) -> anyhow::Result<(i64, Vec<FollowerStatus>, Vec<FollowerStatus>)> {
    let (log, projectors) = (shop.log()?, soonshop_projections::all());
    // The head is read first: a follower that has reached it afterwards has seen all that was there before.
    let whole = Box::pin(shop.status_reader()?.read(&projectors)).await?;
    let process = shop.store_database.namespace("process")?;
    let head = whole.append.position;
    let mut all = vec![following(relay::NAME, &whole.relay, head)];
    let processes = shop.processes();
    let is_on = |name: &str| processes.iter().any(|one| one.is_on() && one.name() == name);
    let others = whole.processes.iter().filter(|one| one.progress.complaint.is_some() && !is_on(&one.name));
    let mut others: Vec<_> = others.map(|one| following(&one.follower(), &one.progress, head)).collect();
    // One that is switched off is nothing to wait for.
    for one in processes.iter().filter(|one| one.is_on()) {
        let too_old = Box::pin(too_old(&log, &process, one.name())).await?;
        let found = whole.processes.iter().find(|status| status.name == one.name());
        let stopped = found.filter(|status| status.state == "stopped");
        let reason = too_old.map(|stopped| stopped.to_string());
        let reason = reason.or_else(|| stopped.and_then(|status| status.progress.complaint.clone()));
        let position = found.and_then(|status| status.progress.position);
        let status = FollowerStatus {
            unfinished: found.map_or(0, |status: &Status| status.unsent),
            complaint: reason.clone(),
            reason,
            ..FollowerStatus::at(of_process(one.name()), position, head)
        };
        all.push(match found.filter(|found| found.progress.complaint.is_some()) {
            Some(found) => status.judged(&found.progress),
            None => status,
        });
    }
    for name in [eraser::NAME, payments::NAME] {
        let at = Checkpoint::load(&process, &process.connection, name).await?;
        let position = at.map(|(checkpoint, _)| checkpoint.position);
        all.push(FollowerStatus::at(name.to_owned(), position, head));
    }
    all.push(following(sealer::NAME, &whole.seals, head));
    let record = &whole.record_seals;
    let end = record.position.unwrap_or(0) + record.lag_events;
    all.push(following(sealer::OF_RECORD, record, end));
    for one in &whole.generations {
        // Of another version, somebody else keeps it alive.
        if projectors.iter().any(|projector| one.is_made_by(&**projector)) {
            // The cache is not waited for: it never answers for an event that it has not seen.
            let sinks = one.sinks.iter().filter(|sink| sink.name != CACHE);
            all.extend(sinks.map(|sink| sunk(one, sink, head)));
        } else if one.complaint.is_some() {
            let rows = one.sinks.iter().filter(|sink| sink.name == ROWS);
            others.extend(rows.map(|sink| sunk(one, sink, head)));
        }
    }
    Ok((head, all, others))
}

fn following(name: &str, one: &status::FollowerStatus, head: i64) -> FollowerStatus {
    let status = FollowerStatus::at(name.to_owned(), one.position, head).judged(one);
    FollowerStatus { reason: one.complaint.clone(), ..status }
}

/// A sink; the verdict on its generation is that of the rows.
fn sunk(of: &status::GenerationStatus, sink: &status::Sink, head: i64) -> FollowerStatus {
    let namespace = of.namespace();
    let rows = sink.name == ROWS;
    let name = if rows { namespace } else { format!("{namespace}:{}", sink.name) };
    let reason = sink.stopped.clone().or_else(|| sink.unknown.clone());
    let status =
        FollowerStatus { complaint: reason.clone(), reason, ..FollowerStatus::at(name, sink.position, head) };
    match &of.complaint {
        Some(found) if rows => FollowerStatus {
            complaint: Some(found.trouble.to_string()),
            unhealthy_since: Some(found.since),
            remedy: Some(found.remedy),
            ..status
        },
        _ => status,
    }
}

/// Returns once all followers are at the head and idle, and the head stayed the same meanwhile. It waits for as long as
/// something moves; `limit`: for how long nothing may. The sealers are not waited for: no read model depends on them.
pub async fn settle(shop: &Shop, limit: Duration) -> anyhow::Result<()> {
    let mut before = None;
    let mut standstill = Standstill::begun(Instant::now());
    let mut pause = Duration::from_millis(5);
    loop {
        let (head, all) = follower_statuses(shop).await?;
        let behind: Vec<_> = all
            .iter()
            .filter(|one| ![sealer::NAME, sealer::OF_RECORD].contains(&&*one.name))
            .filter(|one| one.position.unwrap_or(0) < head || one.unfinished > 0)
            .collect();
        if behind.is_empty() && before == Some(head) {
            return Ok(());
        }
        let waits_for = || behind.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let places = all.iter().map(|one| (one.position, one.unfinished)).collect();
        let lasts = standstill.look(Instant::now(), (head, places));
        if lasts > limit && !behind.is_empty() {
            let seconds = limit.as_secs();
            bail!(
                "the log ends at position {head}, and for {seconds} seconds nothing has moved: {}",
                waits_for()
            );
        }
        if standstill.is_to_be_said(lasts) {
            tracing::info!(head, "waiting for {}", waits_for());
        }
        before = behind.is_empty().then_some(head);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

impl fmt::Display for FollowerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, position, head, unfinished, .. } = self;
        write!(f, "{name} is at position {} of {head}", position.unwrap_or(0))?;
        if *unfinished > 0 {
            write!(f, ", with {unfinished} commands to send")?;
        }
        match self.complaint.as_ref().or(self.reason.as_ref()) {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

/// How often it is said what is waited for.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// The most that one look counts: more means that this process was suspended, and the others with it.
const LOOK: Duration = Duration::from_secs(1);

/// The head of the log, and where every follower is.
type Places = (i64, Vec<(Option<i64>, i64)>);

/// For how long nothing has moved.
struct Standstill {
    looked: Instant,
    seen: Option<Places>,
    lasts: Duration,
    said: Duration,
}

impl Standstill {
    fn begun(now: Instant) -> Self {
        Self { looked: now, seen: None, lasts: Duration::ZERO, said: Duration::ZERO }
    }

    /// How long it lasts, now that these places are seen.
    fn look(&mut self, now: Instant, places: Places) -> Duration {
        let passed = now.saturating_duration_since(self.looked).min(LOOK);
        self.looked = now;
        if self.seen.as_ref() == Some(&places) {
            self.lasts += passed;
        } else {
            (self.lasts, self.said, self.seen) = (Duration::ZERO, Duration::ZERO, Some(places));
        }
        self.lasts
    }

    fn is_to_be_said(&mut self, lasts: Duration) -> bool {
        let due = lasts >= self.said + SAID_EVERY;
        if due {
            self.said = lasts;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_standstill_counts_and_no_time_in_which_the_process_was_suspended() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let places = |position| (9, vec![(Some(position), 0)]);
        let mut standstill = Standstill::begun(start);
        assert_eq!(standstill.look(at(1), places(1)), Duration::ZERO);
        assert_eq!(standstill.look(at(2), places(1)), Duration::from_secs(1));
        // Suspended for a minute.
        assert_eq!(standstill.look(at(62), places(1)), Duration::from_secs(2));
        assert_eq!(standstill.look(at(63), places(2)), Duration::ZERO, "it moved");
        for second in 64..=75 {
            let lasts = standstill.look(at(second), places(2));
            assert_eq!(lasts, Duration::from_secs(second - 63));
            assert_eq!(standstill.is_to_be_said(lasts), second == 73);
        }
    }

    #[test]
    fn what_is_waited_for_is_said_with_its_reason() {
        let relay = FollowerStatus::at("relay".to_owned(), Some(4), 9);
        assert_eq!(relay.to_string(), "relay is at position 4 of 9");
        let reason = Some("no broker".to_owned());
        let reactor =
            FollowerStatus { reason, unfinished: 2, ..FollowerStatus::at("reactor".to_owned(), None, 9) };
        assert_eq!(reactor.to_string(), "reactor is at position 0 of 9, with 2 commands to send (no broker)");
    }
}
