//! The reasons for which a position or a seal does not match.

use serde::{Serialize, Serializer};
use uuid::Uuid;

/// Why a position or a seal does not match. `Display` is its text in English; as data it is its code with the values of
/// that text, for texts in other languages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::EnumIter, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Fault {
    #[error("the row cannot be read: {reason}")]
    RowUnreadable { reason: String },
    #[error("the event {event} comes after position {position}")]
    RowOutOfOrder { event: String, position: i64 },
    #[error("the log continues at position {position}")]
    RowsMissing { position: i64 },
    #[error("it was recorded before the event before it")]
    RecordedEarlier,
    #[error("the events up to position {to} were there before, and are missing")]
    EventsCutOff { to: i64 },
    #[error("the positions up to {to} were under a seal before, and are not any more")]
    SealsCutOff { to: i64 },
    #[error("the event that was read here before is another one")]
    OtherThanRead,

    #[error("the event that was sealed here is gone")]
    EventGone,
    #[error("the event that was sealed here is now at position {position}")]
    EventMoved { position: i64 },
    #[error("the event here was sealed at position {position}")]
    SealedElsewhere { position: i64 },
    #[error("the event that was sealed here is gone; the one here was sealed at position {position}")]
    EventReplaced { position: i64 },
    #[error("the event here was never sealed; the one that was is now at position {position}")]
    NeverSealed { position: i64 },
    #[error("the event here is not the one that was sealed")]
    EventChanged,

    #[error("seal {seal}: {reason}")]
    SealUnreadable { seal: i64, reason: String },
    #[error("seal {seal}: it is of the log {log} {id}")]
    SealOfOtherLog { seal: i64, log: String, id: Uuid },
    #[error("seal {seal}: its count is {count}, and its positions are {first} to {last}")]
    SealCount { seal: i64, count: i64, first: i64, last: i64 },
    #[error("seal {seal}: its leaves are not those of its root")]
    SealLeaves { seal: i64 },
    #[error("seal {seal}: it was not signed by the key {key} that it names")]
    SealSignature { seal: i64, key: String },
    #[error("seal {seal}: it is the first but does not begin at position 1")]
    SealNotFirst { seal: i64 },
    #[error("seal {seal}: the seal before it is missing")]
    SealBeforeMissing { seal: i64 },
    #[error("seal {seal}: the seal before it is missing: the last one was {last}")]
    SealsMissing { seal: i64, last: i64 },
    #[error("seal {seal}: it does not follow the seal before it")]
    SealNotNext { seal: i64 },
    #[error("seal {seal}: the key {key} was not named by the one before it")]
    KeyNotNamed { seal: i64, key: String },
    #[error("seal {seal}: it does not name the other key as it should")]
    OtherKeyNotNamed { seal: i64 },
    #[error("the seals were signed by other keys than the one you gave, {key}")]
    SignedByOthers { key: String },

    #[error("the file was changed: it does not match its last line")]
    FileChanged,
    #[error("the file was cut off: its last line is missing")]
    FileCutOff,
}

/// Serializes the text in English.
pub(super) fn as_text<S: Serializer>(fault: &Fault, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(fault)
}
