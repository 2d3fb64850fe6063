//! The timeline by commands: one row holds the events of one command and the events that they caused directly.
//!
//! Each event that a search finds is in one row. It is an effect if its cause was found too and has no cause itself;
//! then it is shown below its cause. All others form rows of their own, one for each command; a command's events are
//! adjacent in the log, and so in this list. Pages are by the positions of those events; an effect always comes with
//! its cause, whatever its own position is.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use soonshop_domain::QueryError;
use soonshop_projections::source::{Source, query_failed};
use soonshop_projections::wait::AtLeast;
use utoipa::ToSchema;

use crate::entry::Entry;
use crate::reader::Reader;
use crate::search::Search;
use crate::{changes, names};

/// A page with this many events gets no further row; the first row is always complete.
const MOST_ON_PAGE: usize = 200;

/// Events read beyond those of a page, so that its last command is complete.
const BEYOND: usize = 20;

/// A command's events, and what they caused.
#[derive(Serialize, ToSchema)]
pub struct Group {
    /// The command's own events that were found, in log order.
    pub events: Vec<Entry>,
    /// The events that they caused directly, in log order.
    pub effects: Vec<Entry>,
}

/// A page of groups.
pub struct Groups {
    pub items: Vec<Group>,
    /// Where the next page begins.
    pub next: Option<i64>,
    /// When the row after the last one was recorded.
    pub beyond: Option<DateTime<Utc>>,
}

/// One page, and the position at which it was read.
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
        // The last command may continue in events that were not read.
        commands.pop();
    }
    // Only the effects of commands that fit are read: one may have thousands.
    let limit = fitting(source, search, &commands[..limit.min(commands.len())]).await?;
    let mut caused = effects(source, search, &commands[..limit]).await?;
    let mut items = Vec::with_capacity(limit);
    let mut waiting = commands.into_iter().peekable();
    for events in waiting.by_ref().take(limit) {
        let of_command = events.iter().filter_map(|event| caused.remove(&event.id)).flatten();
        let mut effects: Vec<Entry> = of_command.collect();
        effects.sort_by_key(|effect| effect.position);
        items.push(Group { events, effects });
    }
    let beyond = waiting.peek().and_then(|events| Some(events.first()?.recorded_at));
    let more = beyond.is_some() || !all;
    let next = items.last().filter(|_| more).and_then(|group: &Group| {
        let last = if search.ascends { group.events.last() } else { group.events.first() };
        Some(last?.position)
    });
    add_changes(reader, &mut items, changes::FOR_PAGE).await?;
    Ok((position, Groups { items, next, beyond }))
}

/// The rows that these events belong to, whole, in the order of the log: an event may be an effect in the row of an
/// earlier command. The search has no bounds of a page.
pub async fn rows_of(reader: &Reader, search: &Search, found: &[Entry]) -> Result<Vec<Group>, QueryError> {
    let source = &reader.source().await?;
    let mut causes: Vec<&str> = found.iter().filter_map(|entry| entry.causation_id.as_deref()).collect();
    causes.sort_unstable();
    causes.dedup();
    let mut roots: HashMap<String, i64> = HashMap::new();
    if !causes.is_empty() {
        let (sql, values) = search.roots_among(&causes);
        for row in source.plain(&sql, values).await? {
            let root = Entry::read(&row)?;
            roots.insert(root.id, root.position);
        }
    }
    let is_effect =
        |entry: &Entry| entry.causation_id.as_ref().is_some_and(|cause| roots.contains_key(cause));
    let own = found.iter().filter(|entry| !is_effect(entry)).map(|entry| entry.position);
    let mut expected: Vec<i64> = roots.values().copied().chain(own).collect();
    expected.sort_unstable();
    let mut commands = Vec::new();
    for (after, before) in around(&expected) {
        let most = usize::try_from(before - after).unwrap_or(usize::MAX);
        let (sql, values) = search.between(after, before).not_caused(most);
        let rows = source.plain(&sql, values).await?;
        commands.extend(runs(rows.iter().map(Entry::read).collect::<Result<_, _>>()?));
    }
    commands.retain(|events| events.iter().any(|event| expected.binary_search(&event.position).is_ok()));
    let mut caused = effects(source, search, &commands).await?;
    let group = |events: Vec<Entry>| {
        let of_command = events.iter().filter_map(|event| caused.remove(&event.id)).flatten();
        let mut effects: Vec<Entry> = of_command.collect();
        effects.sort_by_key(|effect| effect.position);
        Group { events, effects }
    };
    let mut rows: Vec<Group> = commands.into_iter().map(group).collect();
    add_changes(reader, &mut rows, changes::FOR_MESSAGE).await?;
    Ok(rows)
}

/// Ranges of positions (both ends exclusive) in which the commands of events at these positions are complete. They do
/// not overlap, so that no command is in two of them.
fn around(positions: &[i64]) -> Vec<(i64, i64)> {
    let reach = i64::try_from(BEYOND).unwrap_or(i64::MAX) + 1;
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for position in positions {
        let (after, before) = ((position - reach).max(0), position.saturating_add(reach));
        match ranges.last_mut().filter(|(_, end)| after < *end) {
            Some((_, end)) => *end = before,
            None => ranges.push((after, before)),
        }
    }
    ranges
}

/// Listed events grouped by command, each group in log order.
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

/// The events of these commands that have effects: those without a cause of their own.
fn causes(commands: &[Vec<Entry>]) -> Vec<&str> {
    let causes = commands.iter().flatten().filter(|event| event.causation_id.is_none());
    causes.map(|event| event.id.as_str()).collect()
}

/// How many of these commands fit on a page with their effects; the first always does.
async fn fitting(source: &Source, search: &Search, commands: &[Vec<Entry>]) -> Result<usize, QueryError> {
    let causes = causes(commands);
    let mut counts: HashMap<String, usize> = HashMap::new();
    if !causes.is_empty() {
        let (sql, values) = search.count_caused_by(&causes);
        for row in source.plain(&sql, values).await? {
            let read = || Ok((row.try_get_by_index::<String>(0)?, row.try_get_by_index::<i64>(1)?));
            let (cause, count) = read().map_err(query_failed)?;
            counts.insert(cause, usize::try_from(count).unwrap_or(usize::MAX));
        }
    }
    let mut sum = 0_usize;
    let beyond = commands.iter().position(|events| {
        let first = sum == 0;
        let effects = events.iter().filter_map(|event| counts.get(&event.id));
        sum = effects.fold(sum.saturating_add(events.len()), |sum, count| sum.saturating_add(*count));
        sum > MOST_ON_PAGE && !first
    });
    Ok(beyond.unwrap_or(commands.len()))
}

/// The effects of these commands, by cause.
async fn effects(
    source: &Source,
    search: &Search,
    commands: &[Vec<Entry>],
) -> Result<HashMap<String, Vec<Entry>>, QueryError> {
    let mut caused: HashMap<String, Vec<Entry>> = HashMap::new();
    let causes = causes(commands);
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

/// Adds the changes and names of all events at once.
async fn add_changes(reader: &Reader, items: &mut [Group], most: i64) -> Result<(), QueryError> {
    let (mut all, mut lengths) = (Vec::new(), Vec::new());
    for list in items.iter_mut().flat_map(|group| [&mut group.events, &mut group.effects]) {
        lengths.push(list.len());
        all.append(list);
    }
    changes::add_to(reader, &mut all, most).await?;
    names::add_to(reader, &mut all).await?;
    let (mut changed, mut lengths) = (all.into_iter(), lengths.into_iter());
    for list in items.iter_mut().flat_map(|group| [&mut group.events, &mut group.effects]) {
        list.extend(changed.by_ref().take(lengths.next().unwrap_or(0)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::around;

    #[test]
    fn commands_near_each_other_are_read_together_and_none_twice() {
        assert_eq!(around(&[]), []);
        assert_eq!(around(&[1, 5, 100]), [(0, 26), (79, 121)]);
        assert_eq!(around(&[30, 70, 72]), [(9, 93)]);
        assert_eq!(around(&[30, 72]), [(9, 51), (51, 93)]);
    }
}
