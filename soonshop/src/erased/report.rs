//! The report of the search: the places that were searched, and the findings.

use std::fmt;

use chrono::{DateTime, Utc};
use soonshop_domain::Purpose;
use uuid::Uuid;

/// A place that was searched.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SearchedPlace {
    /// A namespace, `search`, `cache` or `files`.
    pub store: String,
    /// A table of it, an index, a space, a folder.
    pub what: String,
    /// How many rows, documents, entries or files.
    pub items: u64,
}

/// Something that should not be there. It names the place, never the value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Leftover {
    pub store: String,
    pub place: String,
    pub why: String,
}

/// Until when a backup can bring a key back.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Backups {
    pub until: DateTime<Utc>,
    pub days: u32,
    /// The event that confirms that the last key was deleted before it.
    pub position: i64,
    pub event_id: Uuid,
    pub recorded_at: DateTime<Utc>,
}

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

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    pub person: Uuid,
    /// The purposes whose erasure was requested.
    pub asked: Vec<Purpose>,
    /// The purposes whose data is still kept: their erasure was never requested.
    pub kept: Vec<Purpose>,
    /// How many encrypted values of theirs the log has, and will always have.
    pub sealed: u64,
    pub looked_at: Vec<SearchedPlace>,
    /// The places that could not be searched, and why.
    pub not_looked_at: Vec<String>,
    pub found: Vec<Leftover>,
    /// The guests whose orders they claimed.
    #[serde(default)]
    pub guests: Vec<GuestOfPerson>,
    /// Absent until the erasure is confirmed.
    pub backups: Option<Backups>,
}

impl Report {
    pub(super) fn of(person: Uuid) -> Self {
        Self {
            person,
            asked: Vec::new(),
            kept: Vec::new(),
            sealed: 0,
            looked_at: Vec::new(),
            not_looked_at: Vec::new(),
            found: Vec::new(),
            guests: Vec::new(),
            backups: None,
        }
    }

    /// Adds what was found of a guest who is erased with the person. A backup can bring the key back that was deleted last.
    pub(super) fn add_guest(&mut self, guest: Self) {
        for Leftover { store, place, why } in guest.found {
            self.find(&store, format!("{place} of the guest {}", guest.person), why);
        }
        self.backups = match (self.backups.take(), guest.backups) {
            (Some(own), Some(theirs)) if theirs.until > own.until => Some(theirs),
            (Some(own), Some(_)) => Some(own),
            _ => None,
        };
    }

    /// 0: nothing was found; 3: something was.
    pub fn exit_code(&self) -> u8 {
        if self.found.is_empty() { 0 } else { 3 }
    }

    pub(super) fn look(&mut self, store: &str, what: &str, items: u64) {
        self.looked_at.push(SearchedPlace { store: store.to_owned(), what: what.to_owned(), items });
    }

    pub(super) fn find(&mut self, store: &str, place: impl Into<String>, why: impl Into<String>) {
        self.found.push(Leftover { store: store.to_owned(), place: place.into(), why: why.into() });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            |purposes: &[Purpose]| purposes.iter().map(Purpose::as_ref).collect::<Vec<_>>().join(", ");
        let or_nothing = |text: String| if text.is_empty() { "nothing".to_owned() } else { text };
        writeln!(f, "person   {}", self.person)?;
        writeln!(f, "erased   {}", or_nothing(names(&self.asked)))?;
        writeln!(f, "kept     {}", or_nothing(names(&self.kept)))?;
        writeln!(
            f,
            "in log   {} encrypted values, which no key can decrypt once it is deleted",
            self.sealed
        )?;
        if !self.guests.is_empty() {
            writeln!(f, "guests   {}, of whose orders they claimed one or more", self.guests.len())?;
        }
        for guest in &self.guests {
            writeln!(f, "guest    {guest}")?;
        }
        for SearchedPlace { store, what, items } in &self.looked_at {
            writeln!(f, "looked   {store:<16} {what:<24} {items}")?;
        }
        for what in &self.not_looked_at {
            writeln!(f, "not      {what}")?;
        }
        for Leftover { store, place, why } in &self.found {
            writeln!(f, "FOUND    {store:<16} {place}: {why}")?;
        }
        match &self.backups {
            Some(backups) => writeln!(
                f,
                "backups  until {} one can bring a key back: {} days after the event at position {} ({}), \
                 recorded at {}",
                backups.until.to_rfc3339(),
                backups.days,
                backups.position,
                backups.event_id,
                backups.recorded_at.to_rfc3339()
            )?,
            None => writeln!(
                f,
                "backups  no erasure is confirmed: for how long one can bring a key back is open"
            )?,
        }
        let verdict = if self.found.is_empty() { "clean: nothing was found" } else { "NOT clean" };
        write!(f, "{verdict}")
    }
}

pub(super) fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}
