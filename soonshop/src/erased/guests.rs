//! The guests whose orders the person claimed: those who are erased with them, and those who stay, and why.

use std::collections::BTreeSet;

use soonshop_domain::Purpose;
use soonshop_event_log::EventLog;
use soonshop_workers::claimed_guests::{ClaimedGuest, guests_of, requested};

use super::report::{GuestOfPerson, KeptBecause, Report, count};

/// Adds the guests to the report, and finds those who should have been asked for.
pub(super) async fn add(log: &EventLog, report: &mut Report) -> anyhow::Result<()> {
    let wanted: BTreeSet<Purpose> = report.asked.iter().copied().collect();
    let guests = guests_of(log, report.person).await?;
    report.look("log", "guests claimed", count(guests.len()));
    for guest in guests {
        let asked = requested(log, guest.id).await?;
        let due = guest.purposes(log).await?;
        for purpose in due.difference(&asked) {
            let why = format!(
                "the erasure of {purpose} was not requested, though all their orders are of people erased"
            );
            report.find("log", format!("the guest {}", guest.id), why);
        }
        let open: BTreeSet<Purpose> = wanted.difference(&asked).copied().collect();
        let kept_because = kept(log, &guest, &open.difference(&due).copied().collect()).await?;
        report.guests.push(GuestOfPerson {
            guest: guest.id,
            orders: count(guest.orders.len()),
            asked: asked.into_iter().collect(),
            kept_because,
        });
    }
    Ok(())
}

/// The first order that keeps the guest for one of these purposes.
async fn kept(
    log: &EventLog,
    guest: &ClaimedGuest,
    purposes: &BTreeSet<Purpose>,
) -> anyhow::Result<Option<KeptBecause>> {
    if purposes.is_empty() {
        return Ok(None);
    }
    for (thing, claimed_by) in guest.things() {
        let stays = match claimed_by {
            Some(account) => !purposes.is_subset(&requested(log, account).await?),
            None => true,
        };
        if stays {
            return Ok(Some(KeptBecause { order: thing, claimed_by }));
        }
    }
    Ok(None)
}
