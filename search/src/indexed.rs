//! The indexed forms of a document, and checks, shared by both backends.

use std::collections::{BTreeMap, BTreeSet};

use crate::markup::{visible, visible_name};
use crate::parsed_query::sku;
use crate::spelling::{self, Reach};
use crate::terms::Terms;
use crate::text;
use crate::{Change, Document, Query, facets};

/// The longest name used for sorting and suggestions, in characters.
const LONGEST_KEY: usize = 200;
const LONGEST_PREFIX: usize = 60;
/// How many words of a name can be found by their beginning.
const MOST_STARTS: usize = 32;

/// The searchable forms of a document.
#[derive(Debug)]
pub(crate) struct Indexed {
    pub(crate) name: Terms,
    pub(crate) body: Terms,
    /// In normal form, and without signs.
    pub(crate) skus: BTreeSet<String>,
    /// The inner parts of the SKUs.
    pub(crate) sku_parts: BTreeSet<String>,
    pub(crate) name_key: String,
    /// The rest of the name from each of its words on.
    pub(crate) starts: BTreeSet<String>,
    /// The term of each value, and how the document spells it.
    pub(crate) facets: BTreeMap<String, String>,
}

impl Indexed {
    pub(crate) fn of(document: &Document) -> Self {
        let skus: BTreeSet<String> = document.skus.iter().map(|text| sku(text)).collect();
        Self {
            name: Terms::of(&visible_name(&document.name), Reach::NAME),
            body: Terms::of(&visible(&document.description), Reach::BODY),
            sku_parts: skus.iter().flat_map(|sku| spelling::inner_parts(sku)).collect(),
            skus: skus
                .iter()
                .flat_map(|sku| [sku.clone(), text::compact(sku)])
                .filter(|sku| !sku.is_empty())
                .collect(),
            name_key: name_key(&document.name),
            starts: spellings(starts(&visible_name(&document.name))),
            facets: facets::spellings(&document.facets),
        }
    }
}

/// The sort key of a name: folded, without punctuation, unless there is nothing else.
pub(crate) fn name_key(name: &str) -> String {
    let plain = text::plain(&visible_name(name));
    let key = if plain.is_empty() { text::fold(name.trim()) } else { plain };
    text::cut(&key, LONGEST_KEY).to_owned()
}

fn starts(name: &str) -> BTreeSet<String> {
    let plain = text::plain(name);
    let mut starts = BTreeSet::new();
    for piece in text::pieces(&plain) {
        // A Chinese word may begin at any character.
        let many = if piece.kind == text::Kind::Cjk { usize::MAX } else { 1 };
        for (at, _) in piece.text.char_indices().take(many) {
            if starts.len() == MOST_STARTS {
                return starts;
            }
            starts.insert(text::cut(&plain[piece.range.start + at..], LONGEST_PREFIX).to_owned());
        }
    }
    starts
}

/// These beginnings, each also without its spaces.
fn spellings(starts: BTreeSet<String>) -> BTreeSet<String> {
    starts.into_iter().flat_map(|start| [without_spaces(&start), start]).collect()
}

/// The typed text in the form of suggestions; empty if it cannot have any.
pub(crate) fn prefix(typed: &str) -> String {
    text::cut(&text::plain(text::cut(typed, LONGEST_KEY)), LONGEST_PREFIX).to_owned()
}

/// A beginning of a name as it is when its words are written as one.
pub(crate) fn without_spaces(prefix: &str) -> String {
    prefix.replace(' ', "")
}

/// Hits per page: the requested number, between 1 and 100.
pub(crate) fn limit(query: &Query) -> usize {
    query.limit.clamp(1, 100)
}

impl Change {
    pub fn id(&self) -> &str {
        match self {
            Self::Put(document) => &document.id,
            Self::Delete { id, .. } => id,
        }
    }

    pub fn version(&self) -> i64 {
        match self {
            Self::Put(document) => document.version,
            Self::Delete { version, .. } => *version,
        }
    }
}

/// The last change of each id, by version, then by place in the batch; in order of id.
pub(crate) fn latest(changes: &[Change]) -> Vec<&Change> {
    let mut latest: BTreeMap<&str, &Change> = BTreeMap::new();
    for change in changes {
        let kept = latest.entry(change.id()).or_insert(change);
        if kept.version() <= change.version() {
            *kept = change;
        }
    }
    latest.into_values().collect()
}

/// `[a-z0-9_]+`: neither a path nor a pattern.
pub(crate) fn is_index_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_suggested_by_the_beginning_of_each_word() {
        let starts: Vec<_> = starts("The T-Shirt 红裙").into_iter().collect();
        assert_eq!(starts, ["shirt 红裙", "t shirt 红裙", "the t shirt 红裙", "红裙", "裙"]);
        assert_eq!(prefix("  T-sh"), "t sh");
        assert_eq!(name_key("🙂"), "🙂");
    }

    #[test]
    fn the_last_change_in_a_batch_counts() {
        let delete = |version| Change::Delete { id: "a".into(), version };
        assert_eq!(latest(&[delete(2), delete(1)]), [&delete(2)]);
        assert_eq!(latest(&[delete(1), delete(2)]), [&delete(2)]);
    }
}
