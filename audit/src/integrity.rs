//! The findings of the checks of the seals, and their acknowledgements: who did it, and why, is recorded and shown.

use chrono::{DateTime, Utc};
use serde::Serialize;
use soonshop_domain::{Actor, Personal, PersonalValue, QueryError, Sensitive, clock};
use soonshop_projections::integrity::{self, ACKNOWLEDGE, RecordProof, SealedLog};
use soonshop_projections::operations::{self, Recorded};
use utoipa::ToSchema;

use crate::reader::Reader;
use crate::reasons::given;
use crate::redactor::Redacted;
use crate::status::Proof;

/// The most ranges whose entries are looked up.
const MOST: usize = 50;

/// The findings in both sealed logs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SealedLogs {
    /// False: tampering was found that is neither proved again nor acknowledged.
    pub well: bool,
    /// The event log, and the record of operations.
    pub items: Vec<Proof>,
}

/// The check or the acknowledgement that a range has its state from.
pub struct Cause {
    /// Its position in the record of operations.
    pub entry: i64,
    pub at: DateTime<Utc>,
    /// The actor, as `kind:id`.
    pub by: String,
    /// Why it is no alarm, of an acknowledgement: a text for its writer, masked for everybody else.
    pub reason: Option<Redacted>,
}

/// The findings in both sealed logs.
pub async fn find(reader: &Reader) -> Result<SealedLogs, QueryError> {
    let both = integrity::read(&RecordProof::new(&reader.log, &reader.registry)?).await?;
    Ok(SealedLogs { well: both.is_well(), items: Proof::of(both) })
}

/// Acknowledges what was found at these positions: it is no alarm any more, and not proved.
pub async fn acknowledge(
    reader: &Reader,
    actor: &Actor,
    of: SealedLog,
    (from, to): (i64, i64),
    reason: &str,
) -> Result<SealedLogs, QueryError> {
    let reason = given(reason)?;
    if to < from {
        return Err(QueryError::parameter("upto", "it is before `from`").because("backwards"));
    }
    let note = operations::note(reader.log.keys(), reason).await?;
    let proof = RecordProof::new(&reader.log, &reader.registry)?;
    let done = integrity::acknowledge(&proof, &actor.to_string(), of, (from, to), note).await?;
    if done.is_none() {
        let detail = "nothing was found at these positions, or it is proved or acknowledged already";
        return Err(QueryError::conflict("nothing-to-acknowledge", detail));
    }
    find(reader).await
}

/// An entry with its reason, if that can be decrypted.
struct Entry {
    line: Recorded,
    reason: Option<Personal<String>>,
}

impl Sensitive for Entry {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        self.reason.iter_mut().map(|text| text as &mut dyn PersonalValue).collect()
    }
}

/// Where the ranges have their state from, those of alarms first, as this actor may see it.
pub async fn causes(reader: &Reader, known: &SealedLogs, actor: &Actor) -> Result<Vec<Cause>, QueryError> {
    let mut ranges: Vec<_> = known.items.iter().flat_map(|one| &one.known.ranges).collect();
    ranges.sort_by_key(|range| (range.state == integrity::State::Proved, -range.entry));
    let mut expected: Vec<_> = ranges.iter().map(|range| range.entry).collect();
    expected.dedup();
    expected.truncate(MOST);
    let mut entries = Vec::with_capacity(expected.len());
    for line in operations::at(reader.registry.operations(), &expected).await? {
        let sealed = line.note.clone().filter(|_| line.action == ACKNOWLEDGE).map(serde_json::Value::String);
        let reason = sealed.map(serde_json::from_value).transpose().map_err(QueryError::internal)?;
        entries.push(Entry { line, reason });
    }
    let damaged = reader.log.keys().decrypt(&mut entries.iter_mut().collect::<Vec<_>>()).await?;
    for (index, reason) in damaged {
        tracing::warn!(entry = entries[index].line.position, reason, "a reason cannot be decrypted");
    }
    let caller = actor.to_string();
    let cause = |Entry { line, reason }: Entry| Cause {
        entry: line.position,
        at: clock::from_micros(line.at.saturating_mul(1_000)),
        reason: reason.map(|reason| {
            let readable = reason.is_erased() || line.actor == caller;
            if readable { Redacted::note(&reason) } else { Redacted::masked() }
        }),
        by: line.actor,
    };
    Ok(entries.into_iter().map(cause).collect())
}
