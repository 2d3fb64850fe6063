//! Whether an entry of the record of operations is as it was sealed: what an entry says of the seals counts only then.

use sea_orm::ConnectionTrait;
use soonshop_event_log::seal::{Content, Hash, RECORD_SEALS, Seal, Seals, log_id};
use soonshop_event_log::{Db, Error, EventLog};

use crate::Registry;

/// The record of operations and its seals.
#[derive(Clone)]
pub struct RecordProof {
    record: EventLog,
    seals: Seals,
}

/// What the seals say of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sealed {
    /// It is as it was sealed, or not sealed yet.
    Holds,
    /// It was changed after it was sealed.
    Changed,
    /// It is younger than the seal of its position: the entries that were there before are gone.
    Replaced,
}

impl RecordProof {
    /// `log`: the event log, beside which the seals are.
    pub fn new(log: &EventLog, registry: &Registry) -> Result<Self, Error> {
        let record = EventLog::of_record(registry.operations().clone(), log.keys().clone());
        Ok(Self { record, seals: Seals::new(log.db().beside(RECORD_SEALS)?) })
    }

    /// The namespace `operations`.
    pub(super) fn db(&self) -> &Db {
        self.record.db()
    }

    /// What the seals say of the entry at this position, which was made at that moment (milliseconds since 1970).
    pub(super) async fn of(&self, position: i64, at: i64) -> Result<Sealed, Error> {
        let Some(number) = self.seals.over(position).await? else { return Ok(Sealed::Holds) };
        let Some(Ok(seal)) = self.seals.read(number, 1).await?.pop() else { return Ok(Sealed::Changed) };
        if !self.is_of_this_record(&seal).await? {
            return Ok(Sealed::Holds);
        }
        let row = self.record.read(position, 1).await?.into_iter().find(|row| row.position == position);
        let leaf = row.map(|row| Content::of(&row).at(position));
        let seal_holds = seal.signature_holds() && seal.root == Hash::of(&seal.leaves.0);
        if seal_holds && leaf.is_some() && leaf == seal.leaf(position) {
            return Ok(Sealed::Holds);
        }
        Ok(if at.saturating_mul(1_000) > seal.sealed_at { Sealed::Replaced } else { Sealed::Changed })
    }

    /// The positions that were sealed and have no entry any more: the end of the record was cut off.
    pub(super) async fn cut_off(&self, on: &impl ConnectionTrait) -> Result<Option<(i64, i64)>, Error> {
        // The seals are read first: an entry that is sealed meanwhile is there.
        let Some(Ok(seal)) = self.seals.last().await? else { return Ok(None) };
        if !self.is_of_this_record(&seal).await? {
            return Ok(None);
        }
        let sql = "SELECT coalesce(max(position), 0) FROM @entries";
        let row = on.query_one(self.db().statement(sql, [])).await?;
        let end: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0);
        Ok((end < seal.last).then_some((end + 1, seal.last)))
    }

    /// A record that was begun anew has another id, and the seals of the one before say nothing about it.
    async fn is_of_this_record(&self, seal: &Seal) -> Result<bool, Error> {
        Ok(seal.log_id == log_id(&self.record).await?)
    }
}
