//! The fields of an index, writing them, and queries on them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use tantivy::query::{
    AllQuery, AutomatonWeight, BooleanQuery, ConstScoreQuery, DfaWrapper, DisjunctionMaxQuery, EnableScoring,
    FuzzyTermQuery, InvertedIndexRangeQuery, Occur, Query as TantivyQuery, TermQuery, Weight,
};
use tantivy::schema::document::Value;
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{DocAddress, DocSet, Searcher, TERMINATED, TantivyDocument, TantivyError, Term};

use crate::indexed::{self, Indexed};
use crate::parsed_query::{self, Condition, Field as F};
use crate::{Change, Document, Query};

pub(super) const ID: &str = "id";
pub(super) const NAME_KEY: &str = "name_key";
pub(super) const FACETS: &str = "facets";
/// The amounts of the prices, and the currency of each in the same order.
pub(super) const AMOUNTS: &str = "amounts";
pub(super) const CURRENCIES: &str = "currencies";
pub(super) const CREATED_AT: &str = "created_at";
const VERSION: &str = "version";

#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    id: Field,
    version: Field,
    /// False for tombstones.
    live: Field,
    texts: [(parsed_query::Field, Field); 10],
    starts: Field,
    name_key: Field,
    facets: Field,
    amounts: Field,
    currencies: Field,
    /// The same as terms.
    currency: Field,
    created_at: Field,
    /// The document as JSON.
    source: Field,
}

pub(super) fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    // Terms come already analysed, and neither frequency nor length matters.
    let terms = TextOptions::default().set_indexing_options(
        TextFieldIndexing::default()
            .set_tokenizer("raw")
            .set_index_option(IndexRecordOption::Basic)
            .set_fieldnorms(false),
    );
    let column = TextOptions::default().set_fast("raw");
    let texts = [
        F::NameWords,
        F::NameStems,
        F::NameExact,
        F::NameSpellings,
        F::BodyWords,
        F::BodyStems,
        F::BodyExact,
        F::BodySpellings,
        F::Skus,
        F::SkuParts,
    ];
    let fields = Fields {
        id: schema.add_text_field(ID, STRING | FAST),
        version: schema.add_i64_field(VERSION, FAST),
        live: schema.add_bool_field("live", INDEXED),
        texts: texts.map(|field| (field, schema.add_text_field(field.name(), terms.clone()))),
        starts: schema.add_text_field("starts", terms.clone()),
        name_key: schema.add_text_field(NAME_KEY, column.clone()),
        facets: schema.add_text_field(FACETS, column),
        amounts: schema.add_i64_field(AMOUNTS, FAST),
        currencies: schema.add_u64_field(CURRENCIES, FAST),
        currency: schema.add_text_field("currency", terms),
        created_at: schema.add_i64_field(CREATED_AT, FAST),
        source: schema.add_text_field("source", STORED),
    };
    (schema.build(), fields)
}

/// A currency as a number: its code has three letters.
pub(super) fn currency_number(code: &str) -> u64 {
    code.bytes().fold(0, |number, byte| number << 8 | u64::from(byte))
}

/// The stored version of a document, also of a tombstone.
pub(super) fn version(searcher: &Searcher, fields: &Fields, id: &str) -> Result<Option<i64>, TantivyError> {
    let term = fields.id_term(id);
    for segment in searcher.segment_readers() {
        let Some(mut found) =
            segment.inverted_index(fields.id)?.read_postings(&term, IndexRecordOption::Basic)?
        else {
            continue;
        };
        while found.doc() != TERMINATED {
            if !segment.is_deleted(found.doc()) {
                return Ok(segment.fast_fields().i64(VERSION)?.first(found.doc()));
            }
            found.advance();
        }
    }
    Ok(None)
}

impl Fields {
    pub(super) fn id_term(&self, id: &str) -> Term {
        Term::from_field_text(self.id, id)
    }

    fn field(&self, expected: parsed_query::Field) -> Field {
        // Every field of `parsed_query` is in the table; the id field would find nothing.
        self.texts.iter().find(|(field, _)| *field == expected).map_or(self.id, |(_, field)| *field)
    }

    pub(super) fn document(&self, change: &Change) -> Result<TantivyDocument, TantivyError> {
        let mut row = TantivyDocument::default();
        row.add_text(self.id, change.id());
        row.add_i64(self.version, change.version());
        let Change::Put(document) = change else {
            row.add_bool(self.live, false);
            return Ok(row);
        };
        row.add_bool(self.live, true);
        let Indexed { name, body, skus, sku_parts, name_key, starts, facets } = Indexed::of(document);
        let mut add = |field: Field, terms: BTreeSet<String>| {
            for term in terms {
                row.add_text(field, term);
            }
        };
        add(self.field(F::NameWords), name.words);
        add(self.field(F::NameStems), name.stems);
        add(self.field(F::NameExact), name.exact);
        add(self.field(F::NameSpellings), name.spellings);
        add(self.field(F::BodyWords), body.words);
        add(self.field(F::BodyStems), body.stems);
        add(self.field(F::BodyExact), body.exact);
        add(self.field(F::BodySpellings), body.spellings);
        add(self.field(F::Skus), skus);
        add(self.field(F::SkuParts), sku_parts);
        add(self.starts, starts);
        add(self.facets, facets.into_iter().map(|(term, shown)| term + &shown).collect());
        add(self.currency, document.prices.iter().map(|price| price.currency.clone()).collect());
        row.add_text(self.name_key, name_key);
        for price in &document.prices {
            row.add_i64(self.amounts, price.amount);
            row.add_u64(self.currencies, currency_number(&price.currency));
        }
        row.add_i64(self.created_at, document.created_at);
        let source = serde_json::to_string(document)
            .map_err(|error| TantivyError::InternalError(error.to_string()))?;
        row.add_text(self.source, source);
        Ok(row)
    }

    pub(super) fn stored(&self, searcher: &Searcher, address: DocAddress) -> Result<Document, TantivyError> {
        let row: TantivyDocument = searcher.doc(address)?;
        let source = row.get_first(self.source).and_then(|value| value.as_str()).unwrap_or_default();
        serde_json::from_str(source)
            .map_err(|error| TantivyError::InternalError(format!("a stored document: {error}")))
    }

    /// The query for text, currency and being live; facets and prices are checked while collecting.
    pub(super) fn query(
        &self,
        query: &Query,
        condition: Option<Condition>,
    ) -> Result<Box<dyn TantivyQuery>, TantivyError> {
        let mut all = vec![filter(Term::from_field_bool(self.live, true))];
        if let Some(currency) = &query.currency {
            all.push(filter(Term::from_field_text(self.currency, currency)));
        }
        if let Some(condition) = condition {
            all.push((Occur::Must, self.condition(condition, &mut Automata::default())?));
        }
        Ok(Box::new(BooleanQuery::new(all)))
    }

    pub(super) fn starts_with(&self, prefix: &str) -> Box<dyn TantivyQuery> {
        let live = filter(Term::from_field_bool(self.live, true));
        let spellings = [prefix.to_owned(), indexed::without_spaces(prefix)];
        let any = spellings.iter().map(|prefix| (Occur::Should, begins(self.starts, prefix))).collect();
        Box::new(BooleanQuery::new(vec![live, (Occur::Must, Box::new(BooleanQuery::new(any)))]))
    }

    fn condition(
        &self,
        condition: Condition,
        automata: &mut Automata,
    ) -> Result<Box<dyn TantivyQuery>, TantivyError> {
        let constant = |query: Box<dyn TantivyQuery>, score: u8| -> Box<dyn TantivyQuery> {
            Box::new(ConstScoreQuery::new(query, f32::from(score)))
        };
        Ok(match condition {
            Condition::Term { field, text, score } => constant(term(self.field(field), &text), score),
            Condition::Fuzzy { field, text, typos, score } => {
                let field = self.field(field);
                constant(Box::new(Fuzzy { field, automaton: automata.of(field, text, typos)? }), score)
            }
            Condition::Prefix { field, text, score } => constant(begins(self.field(field), &text), score),
            Condition::Any(any) => {
                let any = any.into_iter().map(|one| self.condition(one, automata));
                Box::new(DisjunctionMaxQuery::new(any.collect::<Result<_, _>>()?))
            }
            Condition::All(all) if all.is_empty() => Box::new(AllQuery),
            Condition::All(all) => {
                let all = all.into_iter().map(|one| Ok((Occur::Must, self.condition(one, automata)?)));
                Box::new(BooleanQuery::new(all.collect::<Result<_, TantivyError>>()?))
            }
        })
    }
}

/// The automata that accept a word with its typos. Making one takes longer than searching a field with it, and
/// several fields need the same one.
#[derive(Default)]
struct Automata(HashMap<(String, u8), Arc<DfaWrapper>>);

impl Automata {
    fn of(&mut self, field: Field, text: String, typos: u8) -> Result<Arc<DfaWrapper>, TantivyError> {
        Ok(match self.0.entry((text, typos)) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => {
                let term = Term::from_field_text(field, &entry.key().0);
                let automaton = FuzzyTermQuery::new(term, typos, true).automaton()?;
                entry.insert(Arc::new(automaton)).clone()
            }
        })
    }
}

#[derive(Clone)]
struct Fuzzy {
    field: Field,
    automaton: Arc<DfaWrapper>,
}

impl std::fmt::Debug for Fuzzy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fuzzy").field("field", &self.field).finish_non_exhaustive()
    }
}

impl TantivyQuery for Fuzzy {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(AutomatonWeight::<DfaWrapper>::new(self.field, self.automaton.clone())))
    }
}

fn term(field: Field, text: &str) -> Box<dyn TantivyQuery> {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::Basic))
}

/// Must match, without a score.
fn filter(term: Term) -> (Occur, Box<dyn TantivyQuery>) {
    let query = Box::new(TermQuery::new(term, IndexRecordOption::Basic));
    (Occur::Must, Box::new(ConstScoreQuery::new(query, 0.0)))
}

fn begins(field: Field, prefix: &str) -> Box<dyn TantivyQuery> {
    // No text contains the last of all code points, so this is the end of the texts with the prefix.
    let end = Term::from_field_text(field, &format!("{prefix}\u{10ffff}"));
    let begin = Term::from_field_text(field, prefix);
    Box::new(InvertedIndexRangeQuery::new(Bound::Included(begin), Bound::Excluded(end)))
}
