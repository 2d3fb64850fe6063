//! The trail of one aggregate, as a request asks for it: at a chosen version, with people's notes, the event as it is
//! stored, and the seal that covers it. Personal values can be revealed for a reason that is recorded first.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use soonshop_domain::{Actor, QueryError};
use soonshop_event_log::history::{self, DecryptedValues};
use soonshop_event_log::seal::Seals;
use soonshop_projections::source::LONGEST_QUERY;
use soonshop_projections::wait::{self, AtLeast};
use uuid::Uuid;

use crate::beside::beside;
use crate::events::KEPT_BYTES;
use crate::name::ids_in;
use crate::reader::Reader;
use crate::record::write_down;
use crate::redactor::{Redactor, Visibility};
use crate::trail::{Stream, TOO_LONG, Trail, too_long};
use crate::{names, notes, reasons, related};

/// The requested version, and how it is shown.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// By its number.
    pub version: Option<i64>,
    /// The version to compare with; by default the one before.
    pub compared: Option<i64>,
    /// List events below this version; by default those around the version.
    pub before: Option<i64>,
    /// The version at this time, in microseconds since 1970.
    pub as_of: Option<i64>,
    /// The first version in which a field has a value, such as `/status=shipped`.
    pub first_where: Option<String>,
    /// Show the parts of the state after this key; by default from the first.
    pub parts_after: Option<String>,
    /// The position that the log must have reached.
    pub at_least: Option<AtLeast>,
}

/// The trail, and the head of the log when it was read.
pub async fn find(
    reader: &Reader,
    (kind, name): (&str, &str),
    choice: &Choice,
    actor: &Actor,
    visibility: Visibility,
) -> Result<(i64, Trail), QueryError> {
    let nothing = || QueryError::not_found("not-found", "there is nothing of this name");
    let malformed = || QueryError::malformed("invalid-id", "the id in the path is not a UUID");
    if history::of(kind).is_none() {
        return Err(nothing());
    }
    let id = Uuid::try_parse(name).map_err(|_| malformed())?;
    let log = &reader.log;
    let head = wait::head(log, choice.at_least).await?;
    let reading = tokio::time::timeout(LONGEST_QUERY, Stream::keeping(log, kind, id, KEPT_BYTES)).await;
    let stream = reading.map_err(|_| too_long(TOO_LONG))??.ok_or_else(nothing)?;
    let chosen = choice.clone();
    // It computes for as long as the history is: beside, so that no other request waits for it.
    let (position, mut trail) = beside(move || fold(&stream, &chosen, visibility)).await?;
    let mut noted = notes::on(reader, actor, &trail.kind, &trail.id).await?;
    for step in &mut trail.events {
        step.notes = noted.remove(&step.id).unwrap_or_default();
    }
    reasons::read(log, &mut trail.events, actor, visibility).await?;
    add_names(reader, &mut trail).await?;
    trail.related = related::of(reader, (&trail.kind, &trail.id), &trail.names).await?;
    if let Some(position) = position {
        let row = log.read(position, 1).await?.into_iter().next();
        let payload = row.filter(|row| row.position == position).map(|row| row.payload);
        let payload: Option<Value> =
            payload.map(|text| serde_json::from_str(&text)).transpose().map_err(QueryError::internal)?;
        trail.stored = payload
            .map(|payload| Redactor::new(Visibility::Masked, &DecryptedValues::default()).redact(payload));
        let seals = Seals::new(log.db().beside("seals")?);
        trail.seal = seals.over(position).await?;
    }
    Ok((head, trail))
}

/// Adds names to an aggregate's history: its own, and those of the ids that it shows. They come from a read model: where
/// that cannot be read, the history is shown without.
async fn add_names(reader: &Reader, trail: &mut Trail) -> Result<(), QueryError> {
    let mut ids = BTreeSet::from([trail.id.clone()]);
    let changes = serde_json::to_string(&trail.diff).map_err(QueryError::internal)?;
    for text in [trail.state.value().to_string(), changes] {
        ids.extend(ids_in(&text).map(str::to_owned));
    }
    for event in &trail.events {
        let by = [&event.actor, &event.on_behalf_of].into_iter().flatten();
        let notes = event.notes.iter().map(|note| &note.by);
        ids.extend(by.chain(notes).flat_map(|actor| ids_in(actor)).map(str::to_owned));
    }
    let mut found = names::unless_unavailable(reader.namer().find(&ids).await)?.unwrap_or_default();
    trail.name = found.remove(&trail.id).map(|own| own.name);
    trail.names = found;
    Ok(())
}

/// The trail at the requested version, and the position of the event that made it.
fn fold(
    stream: &Stream,
    choice: &Choice,
    visibility: Visibility,
) -> Result<(Option<i64>, Trail), QueryError> {
    let last = stream.last();
    let version = chosen(choice, stream)?;
    let other = choice.compared.unwrap_or(version - 1);
    for (name, expected) in [("v", version), ("cmp", other)] {
        if expected > last {
            return Err(
                QueryError::parameter(name, "the aggregate has no such version yet").with("version", last)
            );
        }
    }
    let parts_after = Some(choice.parts_after.as_deref().unwrap_or_default());
    let trail = stream.seen(visibility, version, other, choice.before, parts_after)?;
    Ok((stream.position_of(version), trail))
}

/// The requested version: by number, by time, or by its content.
fn chosen(choice: &Choice, stream: &Stream) -> Result<i64, QueryError> {
    let given = [choice.version.is_some(), choice.as_of.is_some(), choice.first_where.is_some()];
    let mut ways = ["v", "asof", "where"].into_iter().zip(given).filter(|(_, given)| *given);
    if let Some((second, _)) = ways.nth(1) {
        return Err(QueryError::parameter(
            second,
            "choose the version by only one of `v`, `asof` and `where`",
        ));
    }
    if let Some(version) = choice.version {
        return Ok(version);
    }
    if let Some(micros) = choice.as_of {
        let nothing = || QueryError::parameter("asof", "it did not exist yet").with("version", 1);
        return stream.version_as_of(micros).ok_or_else(nothing);
    }
    let Some(expected) = choice.first_where.as_deref() else { return Ok(stream.last()) };
    // A path can contain `=` as well, as in `/lines/number=1/quantity`.
    let ways: Vec<_> =
        expected.match_indices('=').map(|(at, _)| (&expected[..at], &expected[at + 1..])).collect();
    if !expected.starts_with('/') || ways.is_empty() {
        return Err(QueryError::parameter(
            "where",
            "it is a field's path, = and a value, such as /status=shipped",
        ));
    }
    stream.first_where(&ways)?.ok_or_else(|| QueryError::parameter("where", "no version has this value"))
}

/// The trail with personal values; the access has been recorded before this is called.
pub async fn reveal(
    reader: &Reader,
    (kind, id): (&str, &str),
    choice: &Choice,
    actor: &Actor,
    reason: &str,
) -> Result<(i64, Trail), QueryError> {
    let reason = reasons::given(reason)?;
    let (head, trail) = find(reader, (kind, id), choice, actor, Visibility::Revealed).await?;
    let subject = format!("{}/{}", trail.kind, trail.id);
    // Both versions of the comparison are revealed.
    let detail = json!({ "version": trail.version, "compared": trail.diff.from });
    write_down(reader, actor, "reveal", subject, detail, Some(reason)).await?;
    Ok((head, trail))
}
