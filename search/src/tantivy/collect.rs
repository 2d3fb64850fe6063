//! One pass over all matches: the page's hits, the total, and facet counts.
//!
//! Inside a segment everything is a number: names, ids and facet values are their index in the segment's dictionary,
//! which is sorted.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::{Bound, Range};

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::{Column, StrColumn};
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader, TantivyError};

use super::schema::{AMOUNTS, CREATED_AT, CURRENCIES, FACETS, ID, NAME_KEY, currency_number};
use crate::cursor::{Cursor, Key};
use crate::facets::{self, CountedFacet, Spelling};
use crate::{Query, Sort, indexed};

/// The parts of a query besides its text.
pub(super) struct Ranked {
    sort: Sort,
    limit: usize,
    after: Option<Cursor>,
    /// For each facet, by its prefix, the accepted terms.
    filters: Vec<(String, Vec<String>)>,
    counted: Vec<CountedFacet>,
    prices: WantedPrices,
}

/// The prices that count for a query.
#[derive(Debug, Clone, Copy)]
struct WantedPrices {
    from: i64,
    to: i64,
    /// Of all currencies where there is none.
    currency: Option<u64>,
    /// A document must have one.
    required: bool,
}

#[derive(Debug)]
pub(super) struct SearchResult {
    pub(super) hits: Vec<RankedHit>,
    pub(super) total: u64,
    pub(super) facets: BTreeMap<String, Vec<(String, u64)>>,
    pub(super) more_values: BTreeMap<String, u64>,
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
        let Query { price_from, price_to, currency, .. } = query;
        let filters = facets::filters(query).into_iter();
        Self {
            sort: query.sort,
            limit: indexed::limit(query),
            after,
            filters: filters.map(|(prefix, terms)| (prefix, terms.into_iter().collect())).collect(),
            counted: facets::counted(query),
            prices: WantedPrices {
                from: price_from.unwrap_or(i64::MIN),
                to: price_to.unwrap_or(i64::MAX),
                currency: currency.as_deref().map(currency_number),
                required: price_from.is_some() || price_to.is_some(),
            },
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
    amounts: Column<i64>,
    currencies: Column<u64>,
    created: Column<i64>,
    after: Option<SortKey>,
    prices: WantedPrices,
    facets: StrColumn,
    /// The ordinals that each filter accepts, and the indexes in `counts` of the same facet.
    filters: Vec<(Vec<Range<u64>>, Vec<usize>)>,
    counts: Vec<Counts>,
    best: BinaryHeap<(SortKey, DocId, u32)>,
    total: u64,
}

/// The counts of one facet: its values are neighbours in the dictionary.
struct Counts {
    prefix: String,
    ordinals: Range<u64>,
    /// For each value the documents that have it, and when the oldest of them was created.
    sums: Vec<(u64, i64)>,
}

pub(super) struct SegmentResult {
    hits: Vec<(Key, String, RankedHit)>,
    total: u64,
    /// The spellings of each counted facet.
    facets: Vec<Vec<Spelling>>,
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
        for CountedFacet { prefix, .. } in &self.counted {
            let ordinals = ordinals(&facets, prefix)?;
            let many = usize::try_from(ordinals.end - ordinals.start).unwrap_or_default();
            counts.push(Counts { prefix: prefix.clone(), ordinals, sums: vec![(0, i64::MAX); many] });
        }
        let mut filters = Vec::new();
        for (prefix, terms) in &self.filters {
            let accepted = terms.iter().map(|term| ordinals(&facets, term)).collect::<Result<_, _>>()?;
            let of_facet = counts.iter().enumerate().filter(|(_, counts)| counts.prefix == *prefix);
            filters.push((accepted, of_facet.map(|(at, _)| at).collect()));
        }
        Ok(RankedSegment {
            sort: self.sort,
            most: self.limit + 1,
            ordinal,
            ids: ids.ords().clone(),
            id_texts: ids,
            names,
            amounts: fast.i64(AMOUNTS)?,
            currencies: fast.u64(CURRENCIES)?,
            created: fast.i64(CREATED_AT)?,
            after,
            prices: self.prices,
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
        let mut spellings = vec![Vec::new(); self.counted.len()];
        for segment in segments {
            let segment = segment?;
            hits.extend(segment.hits);
            total += segment.total;
            for (all, of_segment) in spellings.iter_mut().zip(segment.facets) {
                all.extend(of_segment);
            }
        }
        hits.sort_by(|a, b| compare(&a.0, &b.0, self.sort).then_with(|| a.1.cmp(&b.1)));
        let more = hits.len() > self.limit;
        let hits = hits.into_iter().take(self.limit).map(|(_, _, hit)| RankedHit { more, ..hit }).collect();
        let (mut facets, mut more_values) = (BTreeMap::new(), BTreeMap::new());
        for (facet, spellings) in self.counted.iter().zip(spellings) {
            let (values, more) = facet.rank(spellings);
            facets.insert(facet.name.clone(), values);
            more_values.insert(facet.name.clone(), more);
        }
        Ok(SearchResult { hits, total, facets, more_values })
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
    /// The lowest of the prices that count.
    fn price(&self, document: DocId) -> Option<i64> {
        let WantedPrices { from, to, currency, .. } = self.prices;
        let prices = self.amounts.values_for_doc(document).zip(self.currencies.values_for_doc(document));
        let expected = prices.filter(|(amount, of)| {
            (from..=to).contains(amount) && currency.is_none_or(|currency| currency == *of)
        });
        expected.map(|(amount, _)| amount).min()
    }

    fn key(&self, document: DocId, score: Score) -> u64 {
        match self.sort {
            Sort::Relevance => score_place(score),
            Sort::NameAscending => self.names.ords().first(document).map_or(0, |ordinal| 2 * ordinal + 1),
            Sort::NameDescending => !self.names.ords().first(document).map_or(0, |ordinal| 2 * ordinal + 1),
            Sort::PriceAscending | Sort::PriceDescending => price_place(self.price(document), self.sort),
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
            Sort::PriceAscending | Sort::PriceDescending => Key::Price(self.price(document)),
            Sort::NewestFirst => Key::Created(self.created.first(document).unwrap_or_default()),
        };
        let address = DocAddress::new(self.ordinal, document);
        Ok((key, text(&self.id_texts)?, RankedHit { address, score, more: false }))
    }

    fn found(mut self) -> tantivy::Result<SegmentResult> {
        let best = std::mem::take(&mut self.best);
        let hits = best.into_iter().map(|(_, document, score)| self.hit(document, Score::from_bits(score)));
        let hits = hits.collect::<tantivy::Result<Vec<_>>>()?;
        let mut facets = Vec::with_capacity(self.counts.len());
        for counts in &self.counts {
            let skip = counts.prefix.len();
            let counted = counts.ordinals.clone().zip(counts.sums.iter().copied());
            let (ordinals, sums): (Vec<u64>, Vec<(u64, i64)>) =
                counted.filter(|(_, (sum, _))| *sum > 0).unzip();
            let mut spellings = Vec::with_capacity(sums.len());
            let mut sums = sums.into_iter();
            // All in one call: one by one, each lookup would start at the beginning of its block.
            self.facets.dictionary().sorted_ords_to_term_cb(&ordinals, |term| {
                let rest = String::from_utf8_lossy(&term[skip..]).into_owned();
                let (count, first) = sums.next().unwrap_or((0, i64::MAX));
                spellings.push(Spelling { rest, count, first });
            })?;
            facets.push(spellings);
        }
        Ok(SegmentResult { hits, total: self.total, facets })
    }
}

impl Counts {
    fn add(&mut self, ordinal: u64, created: i64) {
        if self.ordinals.contains(&ordinal)
            && let Ok(at) = usize::try_from(ordinal - self.ordinals.start)
        {
            let (sum, first) = &mut self.sums[at];
            *sum += 1;
            *first = created.min(*first);
        }
    }
}

impl SegmentCollector for RankedSegment {
    type Fruit = tantivy::Result<SegmentResult>;

    fn collect(&mut self, document: DocId, score: Score) {
        if self.prices.required && self.price(document).is_none() {
            return;
        }
        // Which filters refuse the document: none, one, or several.
        let mut refusing = None;
        for filter in &self.filters {
            let accepted = |ordinal| filter.0.iter().any(|range| range.contains(&ordinal));
            if !self.facets.term_ords(document).any(accepted) {
                if refusing.is_some() {
                    return;
                }
                refusing = Some(filter);
            }
        }
        let created = self.created.first(document).unwrap_or_default();
        match refusing {
            // It counts only for the facet of that filter, which is counted without it.
            Some((_, of_facet)) => {
                for at in of_facet {
                    let counts = &mut self.counts[*at];
                    self.facets.term_ords(document).for_each(|ordinal| counts.add(ordinal, created));
                }
                return;
            }
            None if !self.counts.is_empty() => {
                for ordinal in self.facets.term_ords(document) {
                    self.counts.iter_mut().for_each(|counts| counts.add(ordinal, created));
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
