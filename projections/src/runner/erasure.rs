//! Erasing people from rows.

use sea_orm::ConnectionTrait as _;
use soonshop_domain::user::person;
use soonshop_domain::{Event, Purpose};
use soonshop_event_log::{Content, Db, Entry, RecordedEvent, Stopped};

use super::failure::Broken;
use crate::projector::Projector;
use crate::transaction::Transaction;

/// The erasure that an event asks for or confirms.
pub(super) fn erasure(entry: &Entry) -> Option<(&RecordedEvent, &[Purpose])> {
    let (Content::Event(event) | Content::Damaged(event, _)) = &entry.content else { return None };
    match &event.event {
        Event::Person(
            person::Event::ErasureRequested { purposes } | person::Event::PersonErased { purposes },
        ) => Some((event, purposes)),
        _ => None,
    }
}

/// Removes a person's values from the rows, and records it. Rows without personal values need no cleaning.
pub(super) async fn erase(
    projector: &dyn Projector,
    db: &Db,
    tx: &Transaction,
    event: &RecordedEvent,
    purposes: &[Purpose],
) -> Result<(), Broken> {
    let subject = event.stream.to_string();
    let personal = projector.personal().iter();
    for columns in personal.filter(|columns| purposes.contains(&columns.purpose)) {
        tx.execute(db.statement(&columns.clean(), [subject.as_str().into()])).await?;
    }
    let sql = "INSERT INTO @erased (subject, position) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    tx.execute(db.statement(sql, [subject.into(), event.position.into()])).await?;
    Ok(())
}

/// Whether a person's values were overwritten, or may have been, so that the write-ahead log may still hold them.
pub(super) struct Overwritten(bool);

impl Overwritten {
    /// The last process may have left some.
    pub(super) fn unknown() -> Self {
        Self(true)
    }

    pub(super) fn note(&mut self, erased: bool) {
        self.0 |= erased;
    }

    /// Removes overwritten values from the write-ahead log of a SQLite file. A reader may block this for now.
    pub(super) async fn write_back(&mut self, db: &Db) -> Result<(), Stopped> {
        if self.0 {
            self.0 = !db.write_back().await?;
        }
        Ok(())
    }
}
