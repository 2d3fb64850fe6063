//! The timeline by commands: one row is the events of one command, with those that they caused, one step of causes.
//!
//! Each event that a search finds is in one row. It is an effect where its cause is found as well and was caused by
//! nothing: then it stands below it. All others make rows of their own, those of one command one row; a command's events
//! stand next to each other in the log, and so in this list. Pages are by the positions of those events, and whatever an
//! effect's position is, it comes with its cause.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use soonshop_domain::QueryError;
use soonshop_projections::source::Source;
use soonshop_projections::wait::AtLeast;
use utoipa::ToSchema;

use crate::changes;
use crate::entry::Entry;
use crate::reader::Reader;
use crate::search::Search;

/// No further row is put on a page that has so many events; the first is there whole.
const MOST_ON_PAGE: usize = 200;

/// Events that are read beyond those of a page, so that its last command is there whole.
const BEYOND: usize = 20;

/// A command, and what it caused.
#[derive(Serialize, ToSchema)]
pub struct Group {
    /// Its own events that were found, in the order of the log.
    pub events: Vec<Entry>,
    /// Those that they caused directly, in the order of the log.
    pub effects: Vec<Entry>,
}

/// A page of groups.
pub struct Groups {
    pub items: Vec<Group>,
    /// Where the page that follows begins.
    pub next: Option<i64>,
    /// When the row after the last was recorded.
    pub beyond: Option<DateTime<Utc>>,
}

/// One page, and the position that it was read at.
pub async fn find(
    reader: &Reader,
    at_least: Option<AtLeast>,
    search: &Search,
    limit: usize,
) -> Result<(i64, Groups), QueryError> {
    let source = &reader.source().await?;
    let most = limit + BEYOND;
    let read = |piece: Search, limit| async move {
        let (sql, values) = piece.not_caused(limit);
        source.rows(at_least, None, &sql, &values, piece.order()).await
    };
    let (position, rows) = search.gather(source, most, read).await?;
    let all = rows.len() < most;
    let mut commands = runs(rows.iter().map(Entry::read).collect::<Result<_, _>>()?);
    if !all && commands.len() > 1 {
        // It may go on in what was not read.
        commands.pop();
    }
    let mut caused = effects(source, search, &commands[..limit.min(commands.len())]).await?;
    let (mut items, mut sum) = (Vec::new(), 0);
    let mut waiting = commands.into_iter().peekable();
    while let Some(events) = waiting.peek().filter(|_| items.len() < limit) {
        let of_command = events.iter().filter_map(|event| caused.remove(&event.id)).flatten();
        let mut effects: Vec<Entry> = of_command.collect();
        sum += events.len() + effects.len();
        if sum > MOST_ON_PAGE && !items.is_empty() {
            break;
        }
        effects.sort_by_key(|effect| effect.position);
        items.extend(waiting.next().map(|events| Group { events, effects }));
    }
    let beyond = waiting.peek().and_then(|events| Some(events.first()?.recorded_at));
    let more = beyond.is_some() || !all;
    let next = items.last().filter(|_| more).and_then(|group: &Group| {
        let last = if search.ascends { group.events.last() } else { group.events.first() };
        Some(last?.position)
    });
    tell(reader, &mut items).await?;
    Ok((position, Groups { items, next, beyond }))
}

/// Events as they are listed, by their commands: each in the order of the log.
fn runs(listed: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut runs: Vec<Vec<Entry>> = Vec::new();
    for entry in listed {
        let of_the_last = |run: &&mut Vec<Entry>| {
            entry.command_id.is_some() && run.last().is_some_and(|last| last.command_id == entry.command_id)
        };
        match runs.last_mut().filter(of_the_last) {
            Some(run) => run.push(entry),
            None => runs.push(vec![entry]),
        }
    }
    for run in &mut runs {
        run.sort_by_key(|entry| entry.position);
    }
    runs
}

/// What these commands caused, by the cause.
async fn effects(
    source: &Source,
    search: &Search,
    commands: &[Vec<Entry>],
) -> Result<HashMap<String, Vec<Entry>>, QueryError> {
    let mut caused: HashMap<String, Vec<Entry>> = HashMap::new();
    let causes = commands.iter().flatten().filter(|event| event.causation_id.is_none());
    let causes: Vec<&str> = causes.map(|event| event.id.as_str()).collect();
    if causes.is_empty() {
        return Ok(caused);
    }
    let (sql, values) = search.caused_by(&causes);
    for row in source.plain(&sql, values).await? {
        let effect = Entry::read(&row)?;
        caused.entry(effect.causation_id.clone().unwrap_or_default()).or_default().push(effect);
    }
    Ok(caused)
}

/// Tells what all of the events changed, in one go.
async fn tell(reader: &Reader, items: &mut [Group]) -> Result<(), QueryError> {
    let (mut all, mut lengths) = (Vec::new(), Vec::new());
    for list in items.iter_mut().flat_map(|group| [&mut group.events, &mut group.effects]) {
        lengths.push(list.len());
        all.append(list);
    }
    changes::tell(reader, &mut all, changes::FOR_PAGE).await?;
    let (mut told, mut lengths) = (all.into_iter(), lengths.into_iter());
    for list in items.iter_mut().flat_map(|group| [&mut group.events, &mut group.effects]) {
        list.extend(told.by_ref().take(lengths.next().unwrap_or(0)));
    }
    Ok(())
}
