//! Notes and tags that people leave on events. They are lines of the record of operations, and no part of any history:
//! nothing is decided, projected or counted by them.
//!
//! The text is its writer's personal value, sealed under the writer's own key; tags are not personal. A note is seen by
//! its writer alone, unless it is shared with everybody who may see the trail.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use soonshop_domain::{Personal, PersonalValue, Purpose, Sensitive, personal};
use soonshop_event_log::Key;
use soonshop_projections::operations::{self, Done, EVENT_NOTE, Recorded};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use super::redactor::Redacted;
use super::reveal::{add, within_the_rate};
use crate::http::Action;
use crate::http::call::Call;
use crate::http::fold;
use crate::http::openapi::{Described, moment};
use crate::http::params::{Kind, Param, Params, refused};
use crate::http::read::failed;

/// How many notes one caller may leave a minute.
const MOST_A_MINUTE: u32 = 20;

const MOST_TAGS: usize = 10;
const LONGEST_TAG: usize = 32;

/// A note on an event.
#[derive(Serialize, ToSchema)]
pub(super) struct Note {
    pub(super) at: DateTime<Utc>,
    /// Who left it, as `kind:id`.
    #[schema(example = "staff:42")]
    pub(super) by: String,
    /// Everybody who may see the trail sees it; otherwise its writer alone.
    pub(super) shared: bool,
    pub(super) tags: Vec<String>,
    /// A text, or `{"personal": "erased"}` once its writer was forgotten; null where there are only tags.
    #[schema(value_type = Object)]
    pub(super) text: Option<Redacted>,
}

/// A note that was left just now.
#[derive(Serialize, ToSchema)]
pub(super) struct Left {
    /// The event that it is on.
    pub(super) position: i64,
    pub(super) version: i64,
    #[serde(flatten)]
    pub(super) note: Note,
}

/// Leaves a note on an event of one aggregate.
pub(super) fn leaves() -> Action {
    Action::new(Vec::new(), Described::one::<Left>(), |call| async move {
        let left = leave(&call).await?;
        call.page(left.position, &left, None)
    })
    .takes(fields())
}

/// What is to be said.
pub(super) fn fields() -> Vec<Param> {
    let shared = "1: everybody who may see the trail sees it; left out, the writer alone.";
    vec![
        Param::new("version", Kind::Number(1, i64::MAX), "The version that the event made.").required(),
        Param::new("text", Kind::Free, "The note; it is kept, sealed."),
        Param::new(
            "tags",
            Kind::Free,
            "At most ten, with spaces between them: small letters, digits and dashes, at most 32.",
        ),
        Param::new("shared", Kind::OneOf(&["1"]), shared),
    ]
}

/// What was said: a text, tags, or both.
fn said(form: &Params) -> Result<(Option<String>, Vec<String>), Problem> {
    let text = form.text("text").unwrap_or_default().replace("\r\n", "\n");
    let text = text.trim();
    if text.chars().any(|sign| sign.is_control() && sign != '\n') {
        return Err(refused("text", "it is text, without control characters"));
    }
    let mut tags = Vec::<String>::new();
    for tag in form.text("tags").unwrap_or_default().split([' ', ',']).filter(|tag| !tag.is_empty()) {
        let plain = |sign: u8| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == b'-';
        if tag.len() > LONGEST_TAG || !tag.bytes().all(plain) {
            return Err(refused("tags", "each is 1 to 32 small letters, digits and dashes"));
        }
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    if tags.len() > MOST_TAGS {
        return Err(refused("tags", "these are more than ten"));
    }
    if text.is_empty() && tags.is_empty() {
        return Err(refused("text", "a note has a text, or a tag"));
    }
    Ok(((!text.is_empty()).then(|| text.to_owned()), tags))
}

/// Leaves the note; it is on disk when this comes back.
pub(super) async fn leave(call: &Call) -> Result<Left, Problem> {
    let (text, tags) = said(&call.form)?;
    let shared = call.form.text("shared").is_some();
    let version = call.form.number("version").unwrap_or_default();
    let (event_id, position, stream) = event(call, version).await?;
    let _alone = call.shared.noting.lock().await;
    if !within_the_rate(call, EVENT_NOTE, MOST_A_MINUTE).await? {
        let detail = format!("these were {MOST_A_MINUTE} notes within a minute: wait");
        return Err(Problem::too_many("too-many-notes", detail).with_retry_after(Duration::from_mins(1)));
    }
    let note = match &text {
        Some(text) => Some(sealed(call, text).await?),
        None => None,
    };
    let by = call.caller().actor.to_string();
    let shown = note.as_ref().map(Redacted::note);
    let detail = json!({
        "event": event_id, "position": position, "version": version, "shared": shared, "tags": tags,
    });
    add(call, &Done { actor: by.clone(), action: EVENT_NOTE, subject: stream, detail, note }).await?;
    let note = Note { at: soonshop_domain::clock::now(), by, shared, tags, text: shown };
    Ok(Left { position, version, note })
}

/// The event that made that version: its id, its place in the log, and its stream.
async fn event(call: &Call, version: i64) -> Result<(Uuid, i64, String), Problem> {
    let name = call.more_keys.first().map(String::as_str).unwrap_or_default();
    let id = Uuid::try_parse(name)
        .map_err(|_| Problem::malformed("invalid-id", "the id in the path is not a UUID"))?;
    let nothing = || Problem::not_found("not-found", "there is no event of this name and version");
    fold::of(&call.key).ok_or_else(nothing)?;
    let log = &call.shared.queries.log;
    let rows = log.stream(&call.key, &id.to_string(), version - 1, 1).await.map_err(failed)?;
    let row = rows.into_iter().next().ok_or_else(nothing)?;
    Ok((row.event_id, row.position, format!("{}/{id}", call.key)))
}

/// Sealed as the writer's own. Of whoever was forgotten nothing new is kept.
async fn sealed(call: &Call, text: &str) -> Result<Personal<String>, Problem> {
    let Some(writer) = call.caller().writer else {
        return Err(Problem::forbidden("not-permitted", "a note has a writer, and a guest is nobody"));
    };
    let (keys, kid) = (call.shared.queries.log.keys(), personal::kid(writer, Purpose::Account));
    let found = keys.keys(&HashSet::from([kid.clone()])).await.map_err(failed)?;
    if found.get(&kid) == Some(&Key::Tombstone) {
        return Err(Problem::gone(
            "person-erased",
            "whoever has this key was forgotten: nothing new is kept",
        ));
    }
    operations::note_of(keys, writer, text).await.map_err(failed)
}

/// A line of the record, with its text as far as it can be opened.
struct Kept {
    line: Recorded,
    text: Option<Personal<String>>,
}

impl Sensitive for Kept {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        self.text.iter_mut().map(|text| text as &mut dyn PersonalValue).collect()
    }
}

/// The notes on the events of one aggregate that the caller may see, the oldest first, by event.
pub(super) async fn on(call: &Call, kind: &str, id: &str) -> Result<HashMap<Uuid, Vec<Note>>, Problem> {
    let queries = &call.shared.queries;
    let lines = operations::notes_on(queries.registry.operations(), &format!("{kind}/{id}")).await;
    let caller = call.caller().actor.to_string();
    let mut kept = Vec::new();
    for line in lines.map_err(failed)?.into_iter().rev() {
        if line.detail["shared"] == true || line.actor == caller {
            let sealed = line.note.clone().map(serde_json::Value::String);
            let text = sealed.map(serde_json::from_value).transpose().map_err(Problem::internal)?;
            kept.push(Kept { line, text });
        }
    }
    let damaged = queries.log.keys().open(&mut kept.iter_mut().collect::<Vec<_>>()).await.map_err(failed)?;
    for (index, reason) in damaged {
        tracing::warn!(entry = kept[index].line.position, reason, "a note cannot be opened");
    }
    let mut notes = HashMap::<Uuid, Vec<Note>>::new();
    for Kept { line, text } in kept {
        let event = line.detail["event"].as_str().and_then(|id| Uuid::try_parse(id).ok());
        let tags = line.detail["tags"].as_array().into_iter().flatten();
        let note = Note {
            at: moment(line.at.saturating_mul(1_000)),
            shared: line.detail["shared"] == true,
            tags: tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect(),
            text: text.as_ref().map(Redacted::note),
            by: line.actor,
        };
        notes.entry(event.unwrap_or_default()).or_default().push(note);
    }
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(form: &str) -> Result<(Option<String>, Vec<String>), Problem> {
        said(&Params::read(form, &fields())?)
    }

    #[test]
    fn a_note_has_a_text_or_tags_and_no_sign_that_does_something() {
        let both = parsed("version=1&text=+a%0D%0Ab+&tags=late,call-back++late").unwrap();
        assert_eq!(both, (Some("a\nb".to_owned()), vec!["late".to_owned(), "call-back".to_owned()]));
        assert_eq!(parsed("version=1&text=&tags=x1").unwrap(), (None, vec!["x1".to_owned()]));
        let long = format!("version=1&tags={}", "x".repeat(33));
        let many = "version=1&tags=a+b+c+d+e+f+g+h+i+j+k".to_owned();
        for bad in
            ["version=1", "version=1&text=+%0A", "version=1&text=a%1Bb", "version=1&tags=Late", &long, &many]
        {
            assert_eq!(parsed(bad).unwrap_err().slug(), "invalid-query", "{bad}");
        }
        for bad in ["text=a", "version=0&text=a", "version=1&text=a&shared=yes", "version=1&text=a&to=x"] {
            assert_eq!(parsed(bad).unwrap_err().slug(), "invalid-query", "{bad}");
        }
    }
}
