//! The search of the timeline, as conditions on the rows of the audit trail.
//!
//! A search consists of terms; the other parts of a filter are terms with a parameter of their own. If a term cannot be
//! read, the search is refused with its number, so that it never shows more than was requested.

use std::sync::LazyLock;

use sea_orm::{DbErr, IdenStatic as _, Iterable as _, QueryResult, Value};
use soonshop_domain::{QueryError, catalog};
use soonshop_projections::source::{Source, query_failed};
use soonshop_projections::{Registry, audit, parked, texts};

use crate::condition::{Condition, numbered};
use crate::filter::Filter;
use crate::reader::Reader;
use crate::sorting::{self, Sorting};
use crate::terms::{TERMS, search};

/// The most parked events that the filter for failures includes; where there are more, use the page of parked events.
const MOST_PARKED: i64 = 1_000;

fn conditions(filter: &Filter) -> Result<(Vec<Condition>, Vec<String>), QueryError> {
    let (mut conditions, understood) = search(&filter.q, filter.zone())?;
    for term in TERMS {
        // A form sends an empty value where nothing was chosen.
        if let Some(value) = filter.terms.get(term.name).filter(|value| !value.is_empty()) {
            let refuse = || QueryError::parameter(term.name, &format!("it is {}", term.about));
            conditions.push((term.read)(value, filter.zone()).ok_or_else(refuse)?);
        }
    }
    let moments = [
        (filter.from, "recorded_at >= ?"),
        (filter.to, "recorded_at < ?"),
        (filter.occurred_from, "occurred_at >= ?"),
        (filter.occurred_to, "occurred_at < ?"),
    ];
    let moment = |(micros, sql): (Option<i64>, &str)| Some(Condition::new(sql, micros?));
    conditions.extend(moments.into_iter().filter_map(moment));
    Ok((conditions, understood))
}

/// The columns of a listing: all but the search text, which is most of a row.
static SHOWN: LazyLock<String> = LazyLock::new(|| {
    let of = |column: audit::Column| match column {
        audit::Column::Text => "'' AS text".to_owned(),
        shown => shown.as_str().to_owned(),
    };
    audit::Column::iter().map(of).collect::<Vec<_>>().join(", ")
});

const ASCENDING: &str = "position ASC";

/// A search as conditions on the rows, and their order.
#[derive(Debug, Clone)]
pub struct Search {
    conditions: Vec<Condition>,
    /// The bounds of the page: only positions above `after` and below `before`.
    after: Option<i64>,
    before: Option<i64>,
    /// The page begins after this event, in the order of the rows: its position, and its business time once it is known.
    past: Option<(i64, Option<i64>)>,
    /// The ranges of positions (end exclusive) that can hold a match, in order, once they are known.
    ranges: Option<Vec<(i64, i64)>>,
    /// Only failures: refusals, and the parked events once they are known.
    failures: Option<Vec<i64>>,
    /// The terms of `q`, in their normal form.
    pub understood: Vec<String>,
    /// Oldest first.
    pub ascends: bool,
    /// The time that the rows are sorted by.
    pub sorting: Sorting,
}

impl Search {
    /// The search of a filter; refuses a term that cannot be read.
    pub fn of(filter: &Filter) -> Result<Self, QueryError> {
        let (conditions, understood) = conditions(filter)?;
        let search = Self {
            conditions,
            after: filter.after,
            before: filter.before,
            past: None,
            ranges: None,
            failures: filter.failures.then(Vec::new),
            understood,
            ascends: filter.ascends,
            sorting: filter.sorting,
        };
        Ok(match (filter.sorting, filter.past) {
            (Sorting::Recorded, past) => search.beyond(past),
            (Sorting::Occurred, past) => Self { past: past.map(|position| (position, None)), ..search },
        })
    }

    /// Looks up when the event happened after which the page begins, if the search needs it.
    pub async fn load_past(&mut self, reader: &Reader) -> Result<(), QueryError> {
        if let Some((position, occurred @ None)) = &mut self.past {
            *occurred = Some(sorting::occurred_at(reader, &reader.source().await?, *position).await?);
        }
        Ok(())
    }

    /// Looks up the parked events, if the search needs them.
    pub async fn load_parked(&mut self, registry: &Registry) -> Result<(), QueryError> {
        if let Some(failures) = &mut self.failures {
            *failures = parked::positions(registry, MOST_PARKED).await?;
        }
        Ok(())
    }

    /// The order of the rows, in SQL.
    pub fn order(&self) -> &'static str {
        self.sorting.order(self.ascends)
    }

    /// A search with one condition, oldest first.
    pub fn only(sql: &str, value: impl Into<Value>) -> Self {
        Self {
            conditions: vec![Condition::new(sql, value)],
            after: None,
            before: None,
            past: None,
            ranges: None,
            failures: None,
            understood: Vec::new(),
            ascends: true,
            sorting: Sorting::Recorded,
        }
    }

    /// The same search in the order of the log, oldest first.
    #[must_use]
    pub fn ascending(self) -> Self {
        Self { ascends: true, sorting: Sorting::Recorded, past: None, ..self }
    }

    /// The same search, for positions beyond a position.
    #[must_use]
    pub fn beyond(&self, reached: Option<i64>) -> Self {
        let (after, before) = (self.after.max(reached), lesser(self.before, reached));
        let (after, before) = if self.ascends { (after, self.before) } else { (self.after, before) };
        Self { after, before, ..self.clone() }
    }

    /// Finds the blocks of positions that can contain the texts of the search; rows of other blocks need not be read.
    pub async fn locate(&mut self, source: &Source) -> Result<(), QueryError> {
        let expected: Vec<_> =
            self.conditions.iter().filter_map(|condition| condition.text.clone()).collect();
        if expected.is_empty() || self.ranges.is_some() {
            return Ok(());
        }
        let sql = source.blocks_with(expected.len());
        let blocks = source.plain(&sql, expected.into_iter().map(Into::into).collect()).await?;
        let read = |row: &QueryResult| Ok((row.try_get_by_index(0)?, row.try_get_by_index::<i32>(1)? == 1));
        let blocks = blocks.iter().map(read).collect::<Result<Vec<(i64, bool)>, DbErr>>();
        let ranges = ranges(&blocks.map_err(query_failed)?);
        self.ranges = Some(match self.sorting {
            Sorting::Recorded => ranges,
            Sorting::Occurred => joined(ranges, MOST_RANGES),
        });
        Ok(())
    }

    /// Searches all positions, for a search that is run for each new event.
    pub fn everywhere(&mut self) {
        self.ranges = Some(vec![(0, i64::MAX)]);
    }

    /// The same search in pieces, to be run in order until enough is found.
    pub fn pieces(&self) -> Vec<Self> {
        let Some(ranges) = self.ranges.as_ref().filter(|_| self.sorting == Sorting::Recorded) else {
            // Business time goes across positions: all of them are searched at once.
            return vec![self.clone()];
        };
        let piece = |(from, to): &(i64, i64)| Self {
            after: self.after.max(Some(from - 1)),
            before: lesser(self.before, Some(*to)),
            ..self.clone()
        };
        let is_somewhere =
            |piece: &Self| piece.after.unwrap_or(-1).saturating_add(1) < piece.before.unwrap_or(i64::MAX);
        let mut pieces: Vec<Self> = ranges.iter().map(piece).filter(is_somewhere).collect();
        if !self.ascends {
            pieces.reverse();
        }
        if pieces.is_empty() {
            // No block matches; an empty piece still reads the position of the trail.
            pieces.push(Self { after: Some(0), before: Some(1), ..self.clone() });
        }
        pieces
    }

    /// The first matching rows, found by one statement per piece, which gets the number of rows still wanted; and the
    /// position at which they were read.
    pub async fn gather<F: Future<Output = Result<(i64, Vec<QueryResult>), QueryError>>>(
        &self,
        source: &Source,
        limit: usize,
        read: impl Fn(Self, usize) -> F,
    ) -> Result<(i64, Vec<QueryResult>), QueryError> {
        let mut located = self.clone();
        located.locate(source).await?;
        let (mut at, mut found) = (None, Vec::new());
        for piece in located.pieces() {
            let (position, rows) = read(piece, limit - found.len()).await?;
            at.get_or_insert(position);
            found.extend(rows);
            if found.len() >= limit {
                break;
            }
        }
        Ok((at.unwrap_or(0), found))
    }

    /// SQL and its values for the first matching rows.
    pub fn sql(&self, limit: usize) -> (String, Vec<Value>) {
        let (filter, values) = self.filter();
        (format!("SELECT {} FROM @audit {filter} ORDER BY {} LIMIT {limit}", *SHOWN, self.order()), values)
    }

    /// The matching rows within the page's bounds that are not effects of other matches. For each row whose cause has
    /// no cause itself, it is checked whether that cause matches.
    pub fn not_caused(&self, limit: usize) -> (String, Vec<Value>) {
        let mut values = Vec::new();
        let found = numbered(&self.narrows(), &mut values);
        let bounds = numbered(&self.bounds(), &mut values);
        let cause = numbered(&self.narrows(), &mut values);
        let sql = format!(
            "SELECT {} FROM @audit e WHERE {found} AND {bounds} AND NOT coalesce((SELECT TRUE FROM @audit c \
             WHERE c.id = e.causation_id AND c.causation_id IS NULL AND {cause} LIMIT 1), FALSE) \
             ORDER BY {} LIMIT {limit}",
            *SHOWN,
            self.order()
        );
        (sql, values)
    }

    /// The matching rows that were caused by these events.
    pub fn caused_by(&self, causes: &[&str]) -> (String, Vec<Value>) {
        let (found, values) = self.of_causes(causes);
        (format!("SELECT {} FROM @audit WHERE {found} ORDER BY {ASCENDING}", *SHOWN), values)
    }

    /// How many those are, by their cause.
    pub fn count_caused_by(&self, causes: &[&str]) -> (String, Vec<Value>) {
        let (found, values) = self.of_causes(causes);
        (format!("SELECT causation_id, count(*) FROM @audit WHERE {found} GROUP BY causation_id"), values)
    }

    /// Those of these events, by their ids, that match and have no cause.
    pub fn roots_among(&self, ids: &[&str]) -> (String, Vec<Value>) {
        let placeholders = vec!["?"; ids.len()].join(", ");
        let of_these = Condition::of(
            format!("causation_id IS NULL AND id IN ({placeholders})"),
            ids.iter().map(|id| (*id).into()).collect(),
        );
        let mut values = Vec::new();
        let found = numbered(&[vec![of_these], self.narrows()].concat(), &mut values);
        (format!("SELECT {} FROM @audit WHERE {found} ORDER BY {ASCENDING}", *SHOWN), values)
    }

    /// The same search, for these positions (both exclusive), oldest first.
    #[must_use]
    pub fn between(&self, after: i64, before: i64) -> Self {
        Self { after: Some(after), before: Some(before), ascends: true, ..self.clone() }
    }

    fn of_causes(&self, causes: &[&str]) -> (String, Vec<Value>) {
        let placeholders = vec!["?"; causes.len()].join(", ");
        let of_these = Condition::of(
            format!("causation_id IN ({placeholders})"),
            causes.iter().map(|id| (*id).into()).collect(),
        );
        let mut values = Vec::new();
        let found = numbered(&[vec![of_these], self.narrows()].concat(), &mut values);
        (found, values)
    }

    /// The conditions of the search, without the bounds of a page.
    fn narrows(&self) -> Vec<Condition> {
        let mut all = self.conditions.clone();
        if let Some(parked) = &self.failures {
            let list = |count| vec!["?"; count].join(", ");
            let refusals: Vec<_> = catalog::event_types().iter().filter(|event| event.is_refusal).collect();
            let (types, positions) = (list(refusals.len()), list(parked.len()));
            let or = if parked.is_empty() { String::new() } else { format!(" OR position IN ({positions})") };
            let refusals = refusals.into_iter().map(|event| Value::from(event.name));
            all.push(Condition::of(
                format!("(event_type IN ({types}){or})"),
                refusals.chain(parked.iter().map(|position| (*position).into())).collect(),
            ));
        }
        all
    }

    fn bounds(&self) -> Vec<Condition> {
        let bounds = [("position > ?", self.after), ("position < ?", self.before)];
        let bound = |(sql, position): (&str, Option<i64>)| Some(Condition::new(sql, position?));
        let mut all: Vec<_> = bounds.into_iter().filter_map(bound).collect();
        if self.sorting == Sorting::Occurred {
            if let Some((position, Some(occurred))) = self.past {
                let than = if self.ascends { '>' } else { '<' };
                let sql = format!("(occurred_at, position) {than} (?, ?)");
                all.push(Condition::of(sql, vec![occurred.into(), position.into()]));
            }
            all.extend(self.ranges.as_deref().map(within));
        }
        all
    }

    /// `WHERE …` with numbered placeholders, and their values.
    pub fn filter(&self) -> (String, Vec<Value>) {
        let mut values = Vec::new();
        let all = [self.narrows(), self.bounds()].concat();
        (format!("WHERE {}", numbered(&all, &mut values)), values)
    }
}

fn lesser(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}

/// The most ranges of positions in one statement.
const MOST_RANGES: usize = 100;

/// No more than so many ranges, in order: the closest ones are joined, with the rows between them.
fn joined(mut ranges: Vec<(i64, i64)>, most: usize) -> Vec<(i64, i64)> {
    let mut gaps: Vec<i64> = ranges.windows(2).map(|pair| pair[1].0 - pair[0].1).collect();
    let Some(too_many) = ranges.len().checked_sub(most).filter(|more| *more > 0) else { return ranges };
    gaps.sort_unstable();
    let (closest, mut left) = (gaps[too_many - 1], too_many);
    ranges.dedup_by(|next, range| {
        let joins = left > 0 && next.0 - range.1 <= closest;
        if joins {
            range.1 = next.1;
            left -= 1;
        }
        joins
    });
    ranges
}

/// A position in one of these ranges.
fn within(ranges: &[(i64, i64)]) -> Condition {
    if ranges.is_empty() {
        return Condition::of("1 = 0".to_owned(), Vec::new());
    }
    let sql = vec!["position >= ? AND position < ?"; ranges.len()].join(" OR ");
    Condition::of(
        format!("({sql})"),
        ranges.iter().flat_map(|(from, to)| [(*from).into(), (*to).into()]).collect(),
    )
}

/// The ranges that can hold a match, given for each block whether it can; positions without a block always can.
fn ranges(blocks: &[(i64, bool)]) -> Vec<(i64, i64)> {
    let (mut ranges, mut from): (Vec<(i64, i64)>, _) = (Vec::new(), 0);
    for (block, _) in blocks.iter().filter(|(_, there)| !there) {
        let begins = block * texts::BLOCK;
        if from < begins {
            ranges.push((from, begins));
        }
        from = begins + texts::BLOCK;
    }
    ranges.push((from, i64::MAX));
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failures_filter_matches_the_refusals_of_the_catalog_and_no_other_event() {
        let search = Search::of(&Filter { failures: true, ..Filter::default() }).unwrap();
        let (_, values) = search.filter();
        for event in catalog::event_types() {
            assert_eq!(values.contains(&Value::from(event.name)), event.is_refusal, "{}", event.name);
        }
        assert_eq!(values.len(), catalog::event_types().iter().filter(|event| event.is_refusal).count());
    }

    #[test]
    fn ranges_cover_matching_blocks_and_positions_without_a_block() {
        let block = texts::BLOCK;
        assert_eq!(ranges(&[]), [(0, i64::MAX)]);
        assert_eq!(ranges(&[(0, false), (1, false)]), [(2 * block, i64::MAX)]);
        assert_eq!(
            ranges(&[(0, true), (1, false), (3, false)]),
            [(0, block), (2 * block, 3 * block), (4 * block, i64::MAX)]
        );
    }

    #[test]
    fn the_closest_ranges_are_joined_where_there_are_too_many() {
        let all = vec![(0, 10), (11, 20), (30, 40), (41, 50), (90, 99)];
        assert_eq!(joined(all.clone(), 5), all);
        assert_eq!(joined(all.clone(), 4), [(0, 20), (30, 40), (41, 50), (90, 99)]);
        assert_eq!(joined(all.clone(), 3), [(0, 20), (30, 50), (90, 99)]);
        assert_eq!(joined(all, 1), [(0, 99)]);
        assert_eq!(joined(Vec::new(), 1), Vec::<(i64, i64)>::new());
    }

    #[test]
    fn a_search_by_business_time_is_one_statement_with_all_its_ranges() {
        let filter = Filter { sorting: Sorting::Occurred, before: Some(50), ..Filter::from("mug") };
        let mut search = Search::of(&filter).unwrap();
        search.ranges = Some(vec![(0, 10), (20, 30)]);
        assert_eq!(search.pieces().len(), 1);
        let (sql, values) = search.filter();
        assert!(
            sql.contains("position >= $5 AND position < $6 OR position >= $7 AND position < $8"),
            "{sql}"
        );
        assert_eq!((values.len(), search.order()), (8, "occurred_at DESC, position DESC"));
        // The order of the log needs neither.
        let search = search.ascending();
        assert_eq!((search.pieces().len(), search.order()), (2, "position ASC"));
    }

    #[test]
    fn a_search_reads_its_ranges_in_order_and_within_the_page() {
        let of = |ascends, after, before| {
            let filter = Filter { after, before, ascends, ..Filter::from("mug") };
            let mut search = Search::of(&filter).unwrap();
            search.ranges = Some(vec![(0, 10), (20, 30), (40, i64::MAX)]);
            search.pieces().iter().map(|piece| (piece.after, piece.before)).collect::<Vec<_>>()
        };
        let some = |after, before| (Some(after), Some(before));
        assert_eq!(of(false, None, None), [some(39, i64::MAX), some(19, 30), some(-1, 10)]);
        assert_eq!(of(true, Some(24), None), [some(24, 30), some(39, i64::MAX)]);
        assert_eq!(of(false, None, Some(41)), [some(39, 41), some(19, 30), some(-1, 10)]);
        assert_eq!(of(false, Some(9), Some(20)), [some(0, 1)], "nothing, and where that is so");
    }
}
