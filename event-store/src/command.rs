//! A command on its way to the log, and what became of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use soonshop_domain::Metadata;
use tokio::time::Instant;
use uuid::Uuid;

use crate::appender::Answer;
use crate::kind::OutcomeKind;

/// How long a command waits for a database that is down, unless it says otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The context of a command.
#[derive(Debug, Clone)]
pub struct CommandContext {
    pub command_id: Uuid,
    /// From [`KeyMaker::fingerprint`](crate::KeyMaker::fingerprint).
    pub fingerprint: Vec<u8>,
    /// The fingerprints that earlier releases gave this command under its id: such a record answers it.
    pub earlier: Vec<Vec<u8>>,
    /// Stored beside every event; `command_id` is filled in.
    pub metadata: Metadata,
    /// Business time.
    pub occurred_at: DateTime<Utc>,
    /// The stream's version that the caller has seen (`If-Match`).
    pub expected: Option<i64>,
    /// Keep the outcome even if no event is appended: a command of a process manager has one outcome.
    pub record: bool,
    /// The natural key of an imported record: claimed in the scope `import`.
    pub import_key: Option<String>,
    /// The kind of outcome if the command succeeds.
    pub kind: OutcomeKind,
    /// Kept with the outcome: see [`Answer::reference`].
    pub reference: Option<String>,
    /// Kept with a success: see [`Answer::detail`].
    pub detail: Option<String>,
    /// When to give up.
    pub deadline: Instant,
}

impl CommandContext {
    /// A command with this id, now, with a deadline in ten seconds.
    pub fn new(command_id: Uuid, fingerprint: Vec<u8>, metadata: Metadata) -> Self {
        Self {
            command_id,
            fingerprint,
            earlier: Vec::new(),
            metadata,
            occurred_at: soonshop_domain::clock::now(),
            expected: None,
            record: false,
            import_key: None,
            kind: OutcomeKind::Done,
            reference: None,
            detail: None,
            deadline: Instant::now() + PATIENCE,
        }
    }

    /// Whether the record with its id and this fingerprint is of this command.
    pub(crate) fn is_recorded_as(&self, fingerprint: &[u8]) -> bool {
        self.fingerprint == fingerprint || self.earlier.iter().any(|earlier| earlier == fingerprint)
    }
}

/// A command that was executed, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    pub answer: Answer,
    /// It was executed before, and gets the same answer as then.
    pub repeated: bool,
}
