//! The guests whose orders the person claimed: those who are erased with them, and those who stay, and why.

use std::collections::BTreeSet;
use std::fmt;

use soonshop_domain::Purpose;
use soonshop_event_log::EventLog;
use soonshop_workers::claimed_guests::{ClaimedGuest, guests_of, requested};
use uuid::Uuid;

use super::report::Report;

/// A guest, of whose orders the person claimed one at least.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GuestOfPerson {
    pub guest: Uuid,
    /// How many orders the guest placed.
    pub orders: u64,
    /// The purposes whose erasure was requested of the guest.
    pub asked: Vec<Purpose>,
    /// Why the guest is not erased for all the purposes of the person.
    pub kept_because: Option<KeptBecause>,
}

/// An order that keeps a guest.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeptBecause {
    pub order: Uuid,
    /// Who claimed it and is not erased for the same purposes; `None`: nobody claimed it.
    pub claimed_by: Option<Uuid>,
}

impl fmt::Display for KeptBecause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.claimed_by {
            Some(account) => write!(f, "{account} claimed the order {} too", self.order),
            None => write!(f, "nobody claimed the order {}", self.order),
        }
    }
}

impl fmt::Display for GuestOfPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { guest, orders, asked, kept_because } = self;
        let asked = asked.iter().map(Purpose::as_ref).collect::<Vec<_>>().join(", ");
        let asked = if asked.is_empty() { "nothing" } else { &asked };
        write!(f, "{guest} with {orders} orders, erased: {asked}")?;
        match kept_because {
            Some(why) => write!(f, "; not more, because {why}"),
            None => Ok(()),
        }
    }
}

/// Adds the guests to the report, and finds those who should have been asked for.
pub(super) async fn add(log: &EventLog, report: &mut Report) -> anyhow::Result<()> {
    let wanted: BTreeSet<Purpose> = report.asked.iter().copied().collect();
    let guests = guests_of(log, report.person).await?;
    report.look("log", "guests claimed", super::report::count(guests.len()));
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
            orders: super::report::count(guest.orders.len()),
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
    for (order, claimed_by) in &guest.orders {
        let stays = match claimed_by {
            Some(account) => !purposes.is_subset(&requested(log, *account).await?),
            None => true,
        };
        if stays {
            return Ok(Some(KeptBecause { order: *order, claimed_by: *claimed_by }));
        }
    }
    Ok(None)
}
