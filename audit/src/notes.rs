//! Notes and tags that people leave on events. They are lines of the record of operations and not part of a history:
//! nothing is decided, projected or counted by them.
//!
//! The text is a personal value of its writer, encrypted under the writer's key, and before that under a key of the
//! person whom the aggregate is about: it is erased with either of them. Tags are not personal. Only the writer sees a
//! note, unless it is shared with everybody who may see the trail.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use soonshop_domain::{Actor, Personal, Purpose, QueryError, clock, personal};
use soonshop_event_log::note::{self, Draft};
use soonshop_event_log::{Key, history};
use soonshop_projections::operations::{self, EVENT_NOTE, MOST_ON_EVENT, Operation};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::reader::Reader;
use crate::redactor::Redacted;

const MOST_TAGS: usize = 10;
const LONGEST_TAG: usize = 32;

/// A note on an event.
#[derive(Serialize, ToSchema)]
pub struct Note {
    pub at: DateTime<Utc>,
    /// The writer, as `kind:id`.
    #[schema(example = "staff:42")]
    pub by: String,
    /// True: everybody who may see the trail sees it. False: only its writer does.
    pub shared: bool,
    pub tags: Vec<String>,
    /// A text, or `{"personal": "erased"}` once its writer was erased; null where there are only tags.
    #[schema(value_type = serde_json::Value)]
    pub text: Option<Redacted>,
}

/// The answer to a new note.
#[derive(Serialize, ToSchema)]
pub struct AddedNote {
    /// The position of its event.
    pub position: i64,
    pub version: i64,
    #[serde(flatten)]
    pub note: Note,
}

/// A note as it is written.
#[derive(Debug, Clone, Default)]
pub struct NewNote {
    /// The version of the event that it is on.
    pub version: i64,
    /// May be empty where there are tags.
    pub text: String,
    /// Separated by spaces or commas.
    pub tags: String,
    /// Everybody who may see the trail sees it.
    pub shared: bool,
}

/// Checks the text and the tags; at least one of them is needed.
fn checked(new: &NewNote) -> Result<(Option<String>, Vec<String>), QueryError> {
    let text = new.text.replace("\r\n", "\n");
    let text = text.trim();
    if text.chars().any(|sign| sign.is_control() && sign != '\n') {
        return Err(QueryError::parameter("text", "it is text, without control characters")
            .because("control-characters"));
    }
    let mut tags = Vec::<String>::new();
    for tag in new.tags.split([' ', ',']).filter(|tag| !tag.is_empty()) {
        let plain = |sign: u8| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == b'-';
        if tag.len() > LONGEST_TAG || !tag.bytes().all(plain) {
            return Err(QueryError::parameter(
                "tags",
                "each tag has 1 to 32 lower-case letters, digits and dashes",
            )
            .because("tag"));
        }
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    if tags.len() > MOST_TAGS {
        return Err(QueryError::parameter("tags", "there are more than ten").because("tags"));
    }
    if text.is_empty() && tags.is_empty() {
        return Err(QueryError::parameter("text", "a note needs a text or a tag").because("empty-note"));
    }
    Ok(((!text.is_empty()).then(|| text.to_owned()), tags))
}

/// Stores the note; it is on disk when this returns.
pub async fn leave(
    reader: &Reader,
    (kind, id): (&str, &str),
    (actor, writer): (&Actor, Option<Uuid>),
    new: &NewNote,
) -> Result<AddedNote, QueryError> {
    let (text, tags) = checked(new)?;
    let NewNote { version, shared, .. } = *new;
    let (event_id, position, stream) = event(reader, kind, id, version).await?;
    let by = actor.to_string();
    let mut detail = json!({
        "event": event_id, "position": position, "version": version, "shared": shared, "tags": tags,
    });
    let (mut note, mut shown) = (None, None);
    if let Some(text) = text {
        let person = person(reader, kind, stream.rsplit('/').next().unwrap_or_default()).await?;
        let draft = encrypted(reader, writer, text.clone(), person).await?;
        let own = Personal::new(text, writer.unwrap_or_default(), Purpose::Account);
        shown = Some(Redacted::note(&own));
        note = Some(draft.note);
        if let Some(kid) = draft.about {
            detail["about"] = kid.into();
        }
    }
    let done = Operation { actor: by.clone(), action: EVENT_NOTE, subject: stream, detail, note };
    if let Some(most) = operations::add_note(reader.registry.operations(), &done).await? {
        let what = if most == MOST_ON_EVENT { "on this event" } else { "on the events of this thing" };
        let detail = format!("there are {most} notes {what} already, with those that only their writers see");
        return Err(QueryError::conflict("notes-full", detail).with("most", most));
    }
    let note = Note { at: clock::now(), by, shared, tags, text: shown };
    Ok(AddedNote { position, version, note })
}

/// The event that made this version: its id, its position, and its stream.
async fn event(
    reader: &Reader,
    kind: &str,
    name: &str,
    version: i64,
) -> Result<(Uuid, i64, String), QueryError> {
    let id = Uuid::try_parse(name)
        .map_err(|_| QueryError::malformed("invalid-id", "the id in the path is not a UUID"))?;
    let nothing = || QueryError::not_found("not-found", "there is no such event");
    history::of(kind).ok_or_else(nothing)?;
    let rows = reader.log.stream(kind, &id.to_string(), version - 1, 1).await?;
    let row = rows.into_iter().next().ok_or_else(nothing)?;
    Ok((row.event_id, row.position, format!("{kind}/{id}")))
}

/// The person whom an aggregate is about: its first event names them.
async fn person(reader: &Reader, kind: &str, name: &str) -> Result<Option<Uuid>, QueryError> {
    let rows = reader.log.stream(kind, name, 0, 1).await?;
    let first = history::decode(&reader.log, rows).await?.into_iter().next();
    Ok(first.and_then(|first| first.event.subject(first.stream)))
}

/// Encrypts the text under a key of the person that it is about, and under the writer's. Nothing new is stored for a
/// writer who was erased.
async fn encrypted(
    reader: &Reader,
    writer: Option<Uuid>,
    text: String,
    person: Option<Uuid>,
) -> Result<Draft, QueryError> {
    let Some(writer) = writer else {
        return Err(QueryError::forbidden(
            "not-permitted",
            "a note needs a writer, so guests cannot leave one",
        ));
    };
    let (keys, kid) = (reader.log.keys(), personal::kid(writer, Purpose::Account));
    let found = keys.keys(&HashSet::from([kid.clone()])).await?;
    if found.get(&kid) == Some(&Key::Tombstone) {
        return Err(QueryError::gone(
            "person-erased",
            "the data of this key's owner was erased: no notes are stored for them",
        ));
    }
    let mut draft = note::about(keys, text, writer, person).await?;
    keys.encrypt(&mut draft.note).await?;
    Ok(draft)
}

/// The notes on the events of one aggregate that the caller may see, oldest first, by event.
pub async fn on(
    reader: &Reader,
    actor: &Actor,
    kind: &str,
    id: &str,
) -> Result<HashMap<Uuid, Vec<Note>>, QueryError> {
    let lines = operations::notes_on(reader.registry.operations(), &format!("{kind}/{id}")).await;
    let caller = actor.to_string();
    let (mut kept, mut texts) = (Vec::new(), Vec::new());
    for line in lines?.into_iter().rev() {
        if line.detail["shared"] == true || line.actor == caller {
            let mut of = None;
            if let Some(jwe) = &line.note {
                let text = serde_json::from_value(jwe.as_str().into()).map_err(QueryError::internal)?;
                of = Some(texts.len());
                texts.push(note::Note { text, about: line.detail["about"].as_str().map(str::to_owned) });
            }
            kept.push((line, of));
        }
    }
    for (at, reason) in note::read(reader.log.keys(), &mut texts).await? {
        let line = kept.iter().find(|(_, of)| *of == Some(at));
        tracing::warn!(entry = line.map(|(line, _)| line.position), reason, "a note cannot be decrypted");
    }
    let mut notes = HashMap::<Uuid, Vec<Note>>::new();
    for (line, of) in kept {
        let event = line.detail["event"].as_str().and_then(|id| Uuid::try_parse(id).ok());
        let tags = line.detail["tags"].as_array().into_iter().flatten();
        let note = Note {
            at: clock::from_micros(line.at.saturating_mul(1_000)),
            shared: line.detail["shared"] == true,
            tags: tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect(),
            text: of.map(|at| Redacted::note(&texts[at].text)),
            by: line.actor,
        };
        notes.entry(event.unwrap_or_default()).or_default().push(note);
    }
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, tags: &str) -> Result<(Option<String>, Vec<String>), QueryError> {
        checked(&NewNote { version: 1, text: text.to_owned(), tags: tags.to_owned(), shared: false })
    }

    #[test]
    fn a_note_needs_a_text_or_tags_and_has_no_control_characters() {
        let both = parsed(" a\r\nb ", "late,call-back  late").unwrap();
        assert_eq!(both, (Some("a\nb".to_owned()), vec!["late".to_owned(), "call-back".to_owned()]));
        assert_eq!(parsed("", "x1").unwrap(), (None, vec!["x1".to_owned()]));
        let long = "x".repeat(33);
        for (text, tags) in [
            ("", ""),
            (" \n", ""),
            ("a\u{1b}b", ""),
            ("", "Late"),
            ("", &long),
            ("", "a b c d e f g h i j k"),
        ] {
            assert_eq!(parsed(text, tags).unwrap_err().slug(), "invalid-query", "{text} {tags}");
        }
    }
}
