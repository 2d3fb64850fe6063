//! One pass over all matches: the page's hits, the total, and facet counts.
//!
//! Inside a segment everything is a number: names, ids and facet values are their index in the segment's dictionary,
//! which is sorted.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::{Bound, Range};

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::{Column, StrColumn};
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader, TantivyError};

use super::schema::{CREATED_AT, FACETS, ID, NAME_KEY, PRICE};
use crate::cursor::{Cursor, Key};
use crate::{Query, Sort, indexed};

/// The parts of a query besides its text.
pub(super) struct Ranked {
    sort: Sort,
    limit: usize,
    after: Option<Cursor>,
    filters: BTreeMap<String, Vec<String>>,
    counted: BTreeSet<String>,
    prices: Option<(i64, i64)>,
}

#[derive(Debug)]
pub(super) struct SearchResult {
    pub(super) hits: Vec<RankedHit>,
    pub(super) total: u64,
    pub(super) facets: BTreeMap<String, Vec<(String, u64)>>,
}

#[derive(Debug)]
pub(super) struct RankedHit {
    pub(super) address: DocAddress,
    pub(super) score: Score,
    /// Whether there are more hits after the page.
    pub(super) more: bool,
}

impl Ranked {
    pub(super) fn new(query: &Query, after: Option<Cursor>) -> Self {
        let prices = query.price_from.is_some() || query.price_to.is_some();
        Self {
            sort: query.sort,
            limit: indexed::limit(query),
            after,
            filters: indexed::filters(query)
                .into_iter()
                .map(|(name, terms)| (name.to_owned(), terms))
                .collect(),
            counted: indexed::counted(query).into_iter().map(str::to_owned).collect(),
            prices: prices
                .then(|| (query.price_from.unwrap_or(i64::MIN), query.price_to.unwrap_or(i64::MAX))),
        }
    }
}

/// A position in the order of a segment's hits: first by sort key, then by id; lower comes first.
type SortKey = (u64, u64);

pub(super) struct RankedSegment {
    sort: Sort,
    most: usize,
    ordinal: SegmentOrdinal,
    ids: Column<u64>,
    id_texts: StrColumn,
    names: StrColumn,
    prices: Column<i64>,
    created: Column<i64>,
    after: Option<SortKey>,
    price_range: Option<(i64, i64)>,
    facets: StrColumn,
    /// The accepted ordinals of each filter, and the index in `counts` of the same facet.
    filters: Vec<(Vec<u64>, Option<usize>)>,
    counts: Vec<Counts>,
    best: BinaryHeap<(SortKey, DocId, u32)>,
    total: u64,
}

/// The counts of one facet: its values are neighbours in the dictionary.
struct Counts {
    name: String,
    ordinals: Range<u64>,
    sums: Vec<u64>,
}

pub(super) struct SegmentResult {
    hits: Vec<(Key, String, RankedHit)>,
    total: u64,
    facets: BTreeMap<String, Vec<(String, u64)>>,
}

/// Doubled ordinals, so that a text that is not in the dictionary has a place between its neighbours.
fn place_of(column: &StrColumn, text: &str) -> Result<u64, TantivyError> {
    let bounds = column.dictionary().term_bounds_to_ord(Bound::Included(text), Bound::Included(text))?;
    Ok(match bounds {
        // The text is in the dictionary.
        (Bound::Included(ordinal), Bound::Included(_)) => 2 * ordinal + 1,
        (Bound::Included(next), _) => 2 * next,
        _ => u64::MAX - 1,
    })
}

fn price_place(price: Option<i64>, sort: Sort) -> u64 {
    match price.map(ascending) {
        // Without a price: last, in both directions.
        None => u64::MAX,
        Some(place) if sort == Sort::PriceDescending => (!place).min(u64::MAX - 1),
        Some(place) => place.min(u64::MAX - 1),
    }
}

fn ascending(value: i64) -> u64 {
    value.cast_unsigned() ^ (1 << 63)
}

fn score_place(score: Score) -> u64 {
    // Scores are not negative, so their bits have the same order.
    !u64::from(score.to_bits())
}

fn key_place(key: &Key, sort: Sort, names: &StrColumn) -> Result<u64, TantivyError> {
    Ok(match key {
        Key::Score(score) => score_place(*score),
        Key::Name(name) if sort == Sort::NameDescending => !place_of(names, name)?,
        Key::Name(name) => place_of(names, name)?,
        Key::Price(price) => price_place(*price, sort),
        Key::Created(at) => !ascending(*at),
    })
}

fn texts(segment: &SegmentReader, field: &str) -> Result<StrColumn, TantivyError> {
    let none = || StrColumn::wrap(tantivy::columnar::BytesColumn::empty(segment.max_doc()));
    Ok(segment.fast_fields().str(field)?.unwrap_or_else(none))
}

impl Collector for Ranked {
    type Fruit = SearchResult;
    type Child = RankedSegment;

    fn for_segment(
        &self,
        ordinal: SegmentOrdinal,
        segment: &SegmentReader,
    ) -> tantivy::Result<RankedSegment> {
        let fast = segment.fast_fields();
        let (ids, names, facets) = (texts(segment, ID)?, texts(segment, NAME_KEY)?, texts(segment, FACETS)?);
        let after = match &self.after {
            Some(cursor) => Some((key_place(&cursor.key, self.sort, &names)?, place_of(&ids, &cursor.id)?)),
            None => None,
        };
        let mut counts = Vec::new();
        for name in &self.counted {
            let ordinals = ordinals(&facets, &indexed::facet_prefix(name))?;
            let many = usize::try_from(ordinals.end - ordinals.start).unwrap_or_default();
            counts.push(Counts { name: name.clone(), ordinals, sums: vec![0; many] });
        }
        let mut filters = Vec::new();
        for (name, terms) in &self.filters {
            let mut accepted = Vec::new();
            for term in terms {
                accepted.extend(facets.dictionary().term_ord(term)?);
            }
            filters.push((accepted, counts.iter().position(|counts| counts.name == *name)));
        }
        Ok(RankedSegment {
            sort: self.sort,
            most: self.limit + 1,
            ordinal,
            ids: ids.ords().clone(),
            id_texts: ids,
            names,
            prices: fast.i64(PRICE)?,
            created: fast.i64(CREATED_AT)?,
            after,
            price_range: self.prices,
            facets,
            filters,
            counts,
            best: BinaryHeap::new(),
            total: 0,
        })
    }

    fn requires_scoring(&self) -> bool {
        self.sort == Sort::Relevance
    }

    fn merge_fruits(&self, segments: Vec<tantivy::Result<SegmentResult>>) -> tantivy::Result<SearchResult> {
        let (mut hits, mut total) = (Vec::new(), 0);
        let mut facets: BTreeMap<String, BTreeMap<String, u64>> =
            self.counted.iter().map(|name| (name.clone(), BTreeMap::new())).collect();
        for segment in segments {
            let segment = segment?;
            hits.extend(segment.hits);
            total += segment.total;
            for (name, counts) in segment.facets {
                let sums = facets.entry(name).or_default();
                for (value, count) in counts {
                    *sums.entry(value).or_default() += count;
                }
            }
        }
        hits.sort_by(|a, b| compare(&a.0, &b.0, self.sort).then_with(|| a.1.cmp(&b.1)));
        let more = hits.len() > self.limit;
        let hits = hits.into_iter().take(self.limit).map(|(_, _, hit)| RankedHit { more, ..hit }).collect();
        let facets = facets.into_iter().map(|(name, sums)| (name, indexed::ranked(sums))).collect();
        Ok(SearchResult { hits, total, facets })
    }
}

/// The order of sort keys across segments.
fn compare(a: &Key, b: &Key, sort: Sort) -> Ordering {
    match (a, b) {
        (Key::Score(a), Key::Score(b)) => b.total_cmp(a),
        (Key::Name(a), Key::Name(b)) if sort == Sort::NameDescending => b.cmp(a),
        (Key::Name(a), Key::Name(b)) => a.cmp(b),
        (Key::Price(a), Key::Price(b)) => price_place(*a, sort).cmp(&price_place(*b, sort)),
        (Key::Created(a), Key::Created(b)) => b.cmp(a),
        // All sort keys of a search are of the same kind.
        _ => Ordering::Equal,
    }
}

fn ordinals(column: &StrColumn, prefix: &str) -> Result<Range<u64>, TantivyError> {
    let end = format!("{prefix}\u{10ffff}");
    let many = column.num_terms() as u64;
    let bounds =
        column.dictionary().term_bounds_to_ord(Bound::Included(prefix), Bound::Excluded(end.as_str()))?;
    let start = match bounds.0 {
        Bound::Included(start) => start,
        Bound::Excluded(before) => before + 1,
        Bound::Unbounded => 0,
    };
    let end = match bounds.1 {
        Bound::Included(last) => last + 1,
        Bound::Excluded(end) => end,
        Bound::Unbounded => many,
    };
    let end = end.min(many);
    Ok(start.min(end)..end)
}

impl RankedSegment {
    fn key(&self, document: DocId, score: Score) -> u64 {
        match self.sort {
            Sort::Relevance => score_place(score),
            Sort::NameAscending => self.names.ords().first(document).map_or(0, |ordinal| 2 * ordinal + 1),
            Sort::NameDescending => !self.names.ords().first(document).map_or(0, |ordinal| 2 * ordinal + 1),
            Sort::PriceAscending | Sort::PriceDescending => {
                price_place(self.prices.first(document), self.sort)
            }
            Sort::NewestFirst => !ascending(self.created.first(document).unwrap_or_default()),
        }
    }

    fn hit(&self, document: DocId, score: Score) -> tantivy::Result<(Key, String, RankedHit)> {
        let text = |column: &StrColumn| {
            let mut text = String::new();
            if let Some(ordinal) = column.ords().first(document) {
                column.ord_to_str(ordinal, &mut text)?;
            }
            Ok::<_, TantivyError>(text)
        };
        let key = match self.sort {
            Sort::Relevance => Key::Score(score),
            Sort::NameAscending | Sort::NameDescending => Key::Name(text(&self.names)?),
            Sort::PriceAscending | Sort::PriceDescending => Key::Price(self.prices.first(document)),
            Sort::NewestFirst => Key::Created(self.created.first(document).unwrap_or_default()),
        };
        let address = DocAddress::new(self.ordinal, document);
        Ok((key, text(&self.id_texts)?, RankedHit { address, score, more: false }))
    }

    fn found(mut self) -> tantivy::Result<SegmentResult> {
        let best = std::mem::take(&mut self.best);
        let hits = best.into_iter().map(|(_, document, score)| self.hit(document, Score::from_bits(score)));
        let hits = hits.collect::<tantivy::Result<Vec<_>>>()?;
        let mut facets = BTreeMap::new();
        for counts in &self.counts {
            let skip = indexed::facet_prefix(&counts.name).len();
            let counted = counts.ordinals.clone().zip(counts.sums.iter().copied());
            let (ordinals, sums): (Vec<u64>, Vec<u64>) = counted.filter(|(_, sum)| *sum > 0).unzip();
            let mut values = Vec::with_capacity(sums.len());
            let mut sums = sums.into_iter();
            // All in one call: one by one, each lookup would start at the beginning of its block.
            self.facets.dictionary().sorted_ords_to_term_cb(&ordinals, |term| {
                let value = String::from_utf8_lossy(&term[skip..]).into_owned();
                values.push((value, sums.next().unwrap_or_default()));
            })?;
            facets.insert(counts.name.clone(), values);
        }
        Ok(SegmentResult { hits, total: self.total, facets })
    }
}

impl Counts {
    fn add(&mut self, ordinal: u64) {
        if self.ordinals.contains(&ordinal)
            && let Ok(at) = usize::try_from(ordinal - self.ordinals.start)
        {
            self.sums[at] += 1;
        }
    }
}

impl SegmentCollector for RankedSegment {
    type Fruit = tantivy::Result<SegmentResult>;

    fn collect(&mut self, document: DocId, score: Score) {
        if let Some((from, to)) = self.price_range
            && !self.prices.first(document).is_some_and(|price| from <= price && price <= to)
        {
            return;
        }
        // Which filters refuse the document: none, one, or several.
        let mut refusing = None;
        for filter in &self.filters {
            if !self.facets.term_ords(document).any(|ordinal| filter.0.contains(&ordinal)) {
                if refusing.is_some() {
                    return;
                }
                refusing = Some(filter);
            }
        }
        match refusing {
            // It counts only for the facet of that filter, which is counted without it.
            Some((_, counts)) => {
                if let Some(counts) = counts.and_then(|at| self.counts.get_mut(at)) {
                    self.facets.term_ords(document).for_each(|ordinal| counts.add(ordinal));
                }
                return;
            }
            None if !self.counts.is_empty() => {
                for ordinal in self.facets.term_ords(document) {
                    self.counts.iter_mut().for_each(|counts| counts.add(ordinal));
                }
            }
            None => {}
        }
        self.total += 1;
        let key = self.key(document, score);
        let place = (key, 2 * self.ids.first(document).unwrap_or_default() + 1);
        let full = self.best.len() == self.most;
        if full && self.best.peek().is_some_and(|worst| place > worst.0)
            || self.after.is_some_and(|after| place <= after)
        {
            return;
        }
        self.best.push((place, document, score.to_bits()));
        if self.best.len() > self.most {
            self.best.pop();
        }
    }

    fn harvest(self) -> Self::Fruit {
        self.found()
    }
}

/// Names for suggestions: names that begin with the prefix come first, then by name, without repeats.
pub(super) struct Names {
    pub(super) prefix: String,
    pub(super) most: usize,
}

pub(super) struct NamesSegment {
    ordinal: SegmentOrdinal,
    most: usize,
    names: StrColumn,
    ids: StrColumn,
    /// The names that begin with the prefix.
    first: Range<u64>,
    /// Sorted by whether it lacks the prefix, then by name; of equal names the document with the lowest id.
    found: BTreeMap<(bool, u64), (u64, DocId)>,
}

type RankedName = ((bool, String), (String, DocAddress));

impl Collector for Names {
    type Fruit = Vec<DocAddress>;
    type Child = NamesSegment;

    fn for_segment(&self, ordinal: SegmentOrdinal, segment: &SegmentReader) -> tantivy::Result<NamesSegment> {
        let (names, ids) = (texts(segment, NAME_KEY)?, texts(segment, ID)?);
        let first = ordinals(&names, &self.prefix)?;
        Ok(NamesSegment { ordinal, most: self.most, names, ids, first, found: BTreeMap::new() })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(
        &self,
        segments: Vec<tantivy::Result<Vec<RankedName>>>,
    ) -> tantivy::Result<Vec<DocAddress>> {
        let mut all: BTreeMap<(bool, String), (String, DocAddress)> = BTreeMap::new();
        for segment in segments {
            for (name, document) in segment? {
                let kept = all.entry(name).or_insert_with(|| document.clone());
                if document.0 < kept.0 {
                    *kept = document;
                }
            }
        }
        Ok(all.into_values().take(self.most).map(|(_, address)| address).collect())
    }
}

impl SegmentCollector for NamesSegment {
    type Fruit = tantivy::Result<Vec<RankedName>>;

    fn collect(&mut self, document: DocId, _: Score) {
        let name = self.names.ords().first(document).unwrap_or_default();
        let id = self.ids.ords().first(document).unwrap_or_default();
        let kept = self.found.entry((!self.first.contains(&name), name)).or_insert((id, document));
        *kept = (*kept).min((id, document));
        if self.found.len() > self.most {
            self.found.pop_last();
        }
    }

    fn harvest(self) -> Self::Fruit {
        let text = |column: &StrColumn, ordinal| {
            let mut text = String::new();
            column.ord_to_str(ordinal, &mut text)?;
            Ok::<_, TantivyError>(text)
        };
        let mut found = Vec::with_capacity(self.found.len());
        for ((later, name), (id, document)) in &self.found {
            let address = DocAddress::new(self.ordinal, *document);
            found.push(((*later, text(&self.names, *name)?), (text(&self.ids, *id)?, address)));
        }
        Ok(found)
    }
}
