//! The bodies of requests, and reading answers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cursor::{Cursor, Key};
use crate::facets::{self, Spelling};
use crate::indexed::{self, Indexed};
use crate::parsed_query::Condition;
use crate::{Change, Query, Sort};

/// Settings and fields. Terms come already analysed, so every field stores them unchanged.
pub(super) fn index(alias: &str) -> Value {
    let terms = json!({"type": "keyword", "doc_values": false});
    let sorted = json!({"type": "keyword"});
    json!({
        "aliases": {alias: {}},
        "settings": {"index": {"number_of_shards": 1, "auto_expand_replicas": "0-1"}},
        "mappings": {
            "dynamic": "strict",
            "_source": {"includes": ["document", "checkpoint"]},
            "properties": {
                "id": sorted,
                // Tombstones and the checkpoint are marked deleted from the start: no query finds them.
                "deleted": {"type": "boolean"},
                "checkpoint": {"type": "keyword", "index": false, "doc_values": false},
                "name_words": terms, "name_stems": terms, "name_exact": terms, "name_spellings": terms,
                "body_words": terms, "body_stems": terms, "body_exact": terms, "body_spellings": terms,
                "skus": terms, "sku_parts": terms,
                "starts": terms,
                "name_key": sorted,
                // The value that a filter compares; and the same in the document's own spelling, which is counted.
                "facets": sorted,
                "spellings": sorted,
                // Documents of their own inside, so that amount and currency of one price stay together.
                "prices": {"type": "nested", "properties": {"amount": {"type": "long"}, "currency": sorted}},
                "created_at": {"type": "long"},
                "document": {"type": "object", "enabled": false},
            },
        },
    })
}

/// Two lines of a bulk request. Writing the same version again changes nothing.
pub(super) fn write(change: &Change, body: &mut String) {
    let (id, version) = (change.id(), change.version());
    let action = json!({"index": {"_id": id, "version": version, "version_type": "external_gte"}});
    let source = match change {
        Change::Delete { id, .. } => json!({"id": id, "deleted": true}),
        Change::Put(document) => {
            let Indexed { name, body, skus, sku_parts, name_key, starts, facets } = Indexed::of(document);
            json!({
                "id": id,
                "deleted": false,
                "name_words": name.words, "name_stems": name.stems, "name_exact": name.exact,
                "name_spellings": name.spellings,
                "body_words": body.words, "body_stems": body.stems, "body_exact": body.exact,
                "body_spellings": body.spellings,
                "skus": skus, "sku_parts": sku_parts,
                "starts": starts,
                "name_key": name_key,
                "facets": facets.keys().collect::<Vec<_>>(),
                "spellings": facets.iter().map(|(term, shown)| format!("{term}{shown}")).collect::<Vec<_>>(),
                "prices": document.prices,
                "created_at": document.created_at,
                "document": document,
            })
        }
    };
    for line in [action, source] {
        body.push_str(&line.to_string());
        body.push('\n');
    }
}

fn condition(expected: &Condition) -> Value {
    let constant =
        |filter: Value, score: u8| json!({"constant_score": {"filter": filter, "boost": f32::from(score)}});
    match expected {
        Condition::Term { field, text, score } => constant(json!({"term": {field.name(): text}}), *score),
        Condition::Prefix { field, text, score } => constant(json!({"prefix": {field.name(): text}}), *score),
        Condition::Fuzzy { field, text, typos, score } => {
            // With this rewrite all matching terms count, not only the first fifty.
            let fuzzy = json!({"value": text, "fuzziness": typos, "rewrite": "constant_score"});
            constant(json!({"fuzzy": {field.name(): fuzzy}}), *score)
        }
        Condition::Any(any) => json!({"dis_max": {"queries": any.iter().map(condition).collect::<Vec<_>>()}}),
        Condition::All(all) => json!({"bool": {"must": all.iter().map(condition).collect::<Vec<_>>()}}),
    }
}

pub(super) fn search(query: &Query, expected: Option<Condition>, after: Option<&Cursor>) -> Value {
    let mut filter = vec![json!({"term": {"deleted": false}})];
    if let Some(expected) = prices(query) {
        filter.push(json!({"nested": {"path": "prices", "query": expected}}));
    }
    // Filters are applied after counting: each facet is counted with all filters but its own.
    let filters = facets::filters(query);
    let under = |but: Option<&str>| -> Value {
        let others = filters.iter().filter(|(prefix, _)| Some(prefix.as_str()) != but);
        json!({"bool": {"filter": others.map(|(_, terms)| json!({"terms": {"facets": terms}})).collect::<Vec<_>>()}})
    };
    let mut counts = serde_json::Map::new();
    for (n, facet) in facets::counted(query).iter().enumerate() {
        let spellings = json!({
            "terms": {
                "field": "spellings",
                // In brackets, since OpenSearch 2.19 fails on a plain `x.*` without a match.
                "include": pattern(&facet.prefix) + "(.*)",
                "size": facets::MOST_COUNTED,
                "order": [{"_count": "desc"}, {"_key": "asc"}],
            },
            "aggs": {"first": {"min": {"field": "created_at"}}},
        });
        let chosen: Vec<String> = facet.chosen_terms().collect();
        let mut values = json!({"spellings": spellings});
        if !chosen.is_empty() {
            let size = chosen.len();
            values["chosen"] = json!({"terms": {"field": "facets", "include": chosen, "size": size}});
        }
        counts.insert(format!("f{n}"), json!({"filter": under(Some(&facet.prefix)), "aggs": values}));
    }
    let mut body = json!({
        "query": {"bool": {"must": expected.iter().map(condition).collect::<Vec<_>>(), "filter": filter}},
        "post_filter": under(None),
        "sort": sort(query),
        // One more hit than wanted shows whether there is another page.
        "size": indexed::limit(query) + 1,
        "track_total_hits": true,
        "_source": ["document"],
    });
    if !counts.is_empty() {
        body["aggs"] = Value::Object(counts);
    }
    if let Some(Cursor { key, id, .. }) = after {
        body["search_after"] = json!([place(key, query.sort), id]);
    }
    body
}

/// Whether any live document meets the condition.
pub(super) fn any(expected: Option<&Condition>) -> Value {
    json!({
        "query": {"bool": {
            "must": expected.map(condition).into_iter().collect::<Vec<_>>(),
            "filter": [{"term": {"deleted": false}}],
        }},
        "size": 0,
        "track_total_hits": 1,
    })
}

/// The condition for a price in the requested range and currency, if one is requested.
fn prices(query: &Query) -> Option<Value> {
    let Query { currency, price_from, price_to, .. } = query;
    let mut all = Vec::new();
    if let Some(currency) = currency {
        all.push(json!({"term": {"prices.currency": currency}}));
    }
    if price_from.is_some() || price_to.is_some() {
        let (from, to) = (price_from.unwrap_or(i64::MIN), price_to.unwrap_or(i64::MAX));
        all.push(json!({"range": {"prices.amount": {"gte": from, "lte": to}}}));
    }
    (!all.is_empty()).then(|| json!({"bool": {"filter": all}}))
}

fn sort(query: &Query) -> Value {
    let by_price = |order| {
        let mut nested = json!({"path": "prices"});
        if let Some(expected) = prices(query) {
            nested["filter"] = expected;
        }
        json!({"prices.amount": {"order": order, "mode": "min", "missing": "_last", "nested": nested}})
    };
    let first = match query.sort {
        Sort::Relevance => json!({"_score": "desc"}),
        Sort::NameAscending => json!({"name_key": "asc"}),
        Sort::NameDescending => json!({"name_key": "desc"}),
        Sort::PriceAscending => by_price("asc"),
        Sort::PriceDescending => by_price("desc"),
        Sort::NewestFirst => json!({"created_at": "desc"}),
    };
    json!([first, {"id": "asc"}])
}

fn place(key: &Key, sort: Sort) -> Value {
    match key {
        Key::Score(score) => json!(score),
        Key::Name(name) => json!(name),
        // The value that means "last" in the server's sort values.
        Key::Price(None) if sort == Sort::PriceDescending => json!(i64::MIN),
        Key::Price(None) => json!(i64::MAX),
        Key::Price(Some(price)) => json!(price),
        Key::Created(at) => json!(at),
    }
}

/// The text as a pattern of the server that matches only itself.
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// The listed values of each facet with their counts, and how many are left out.
type Counts = (BTreeMap<String, Vec<(String, u64)>>, BTreeMap<String, u64>);

pub(super) fn counts(query: &Query, answer: &Value) -> Counts {
    let (mut listed, mut left_out) = (BTreeMap::new(), BTreeMap::new());
    for (n, facet) in facets::counted(query).into_iter().enumerate() {
        let buckets = |name: &str| answer[format!("f{n}")][name]["buckets"].as_array().into_iter().flatten();
        let counted = |bucket: &Value| {
            #[expect(clippy::cast_possible_truncation, reason = "a server gives whole numbers as floats")]
            let first = bucket["first"]["value"].as_f64().map_or(i64::MAX, |first| first as i64);
            let rest = bucket["key"].as_str()?.strip_prefix(&facet.prefix)?.to_owned();
            Some(Spelling { rest, count: bucket["doc_count"].as_u64()?, first })
        };
        let mut spellings: Vec<Spelling> = buckets("spellings").filter_map(counted).collect();
        for bucket in buckets("chosen") {
            // A chosen value is counted by itself: it may be too rare to be among the others.
            let chosen = bucket["key"].as_str().and_then(|term| Some((term, facet.chosen(term)?)));
            let Some((term, chosen)) = chosen else { continue };
            let key = &term[facet.prefix.len()..];
            if !spellings.iter().any(|spelling| spelling.rest.starts_with(key)) {
                let count = bucket["doc_count"].as_u64().unwrap_or_default();
                spellings.push(Spelling { count, ..chosen });
            }
        }
        let (values, more) = facet.rank(spellings);
        listed.insert(facet.name.clone(), values);
        left_out.insert(facet.name, more);
    }
    (listed, left_out)
}

pub(super) fn suggest(prefix: &str, most: usize) -> Value {
    let spellings = [prefix.to_owned(), indexed::without_spaces(prefix)];
    let any: Vec<_> = spellings.iter().map(|prefix| json!({"prefix": {"starts": prefix}})).collect();
    json!({
        "query": {"bool": {
            "filter": [{"term": {"deleted": false}}, {"bool": {"should": any, "minimum_should_match": 1}}],
            "should": [{"constant_score": {"filter": {"prefix": {"name_key": prefix}}, "boost": 1}}],
        }},
        "sort": [{"_score": "desc"}, {"name_key": "asc"}, {"id": "asc"}],
        "collapse": {"field": "name_key"},
        "size": most,
        "_source": ["document.name"],
    })
}
