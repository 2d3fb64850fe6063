//! Facets: their names, the form in which their values are compared, and their counts.
//!
//! A facet is the category of a product, or one of its attributes. Values that people read as the same (in capitals,
//! wide letters or with other spaces) are one value, shown as the oldest of the counted products writes it.

use std::collections::{BTreeMap, BTreeSet};

use unicode_normalization::UnicodeNormalization;

use crate::{Query, text};

/// The facet of a product's category.
pub const CATEGORY: &str = "category";
/// In front of the name of an attribute: then no attribute is taken for the category.
const ATTRIBUTE: &str = "attribute.";

/// The longest name and value that are compared, in characters.
const LONGEST: usize = 200;
/// Values of a facet that are listed where a query does not say how many.
const LISTED: usize = 50;
/// The most values of a facet that are listed.
const MOST_LISTED: usize = 1_000;
/// The most values of a facet that are counted. A server refuses answers with more than 65,536 counts in all.
pub(crate) const MOST_COUNTED: usize = 3_000;

/// Between the parts of a term. No name and no value has this character.
const SEPARATOR: char = '\u{1}';

/// The form in which values are compared: two values with the same key look the same to a reader.
pub fn value_key(value: &str) -> String {
    let seen = |c: &char| !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    // By capitals first: `ß` is `SS`.
    let capitals = value.nfkc().filter(seen).flat_map(char::to_uppercase);
    let lower: String = capitals.flat_map(char::to_lowercase).collect();
    let words: Vec<&str> = lower.split_whitespace().collect();
    words.join(" ").nfc().collect()
}

/// The facet of an attribute: its name; with `attribute.` in front where the name alone would mean another facet.
pub fn attribute_facet(name: &str) -> String {
    let key = value_key(name);
    if key == CATEGORY || key.starts_with(ATTRIBUTE) { format!("{ATTRIBUTE}{name}") } else { name.to_owned() }
}

/// The facet that a request names: `attribute.NAME` is the attribute NAME, whatever it is called.
pub fn requested_facet(name: &str) -> String {
    match name.strip_prefix(ATTRIBUTE) {
        Some(attribute) if !attribute.is_empty() => attribute_facet(attribute),
        _ => name.to_owned(),
    }
}

/// A name or a value as a part of a term.
fn part(text: &str) -> String {
    text::cut(&value_key(text), LONGEST).replace(SEPARATOR, " ")
}

/// The beginning of all terms of a facet.
pub(crate) fn facet_prefix(name: &str) -> String {
    format!("{}{SEPARATOR}", part(name))
}

/// The beginning of all spellings of a value; as a term of its own, what a filter asks for.
pub(crate) fn facet(name: &str, value: &str) -> String {
    format!("{}{}{SEPARATOR}", facet_prefix(name), part(value))
}

/// The terms of a document's facets with its own spelling of each; no value twice.
pub(crate) fn spellings(facets: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, String> {
    let mut spellings = BTreeMap::new();
    for (name, values) in facets {
        for value in values {
            let term = facet(name, value);
            spellings.entry(term).or_insert_with(|| text::cut(value, LONGEST).to_owned());
        }
    }
    spellings
}

/// For each facet, by its prefix, the terms of which a document must have one. A filter without values is ignored.
pub(crate) fn filters(query: &Query) -> BTreeMap<String, BTreeSet<String>> {
    let mut filters: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, values) in query.filters.iter().filter(|(_, values)| !values.is_empty()) {
        let terms = values.iter().map(|value| facet(name, value));
        filters.entry(facet_prefix(name)).or_default().extend(terms);
    }
    filters
}

/// A facet to count.
#[derive(Debug, Clone)]
pub(crate) struct CountedFacet {
    /// As it was asked for.
    pub(crate) name: String,
    pub(crate) prefix: String,
    /// The values that the query filters by, as they were asked for, by their key.
    chosen: BTreeMap<String, String>,
    listed: usize,
}

/// A spelling of a value, with the documents that have it.
#[derive(Debug, Clone)]
pub(crate) struct Spelling {
    /// The term behind the facet's prefix.
    pub(crate) rest: String,
    pub(crate) count: u64,
    /// When the oldest of these documents was created.
    pub(crate) first: i64,
}

/// The facets of a query, each once.
pub(crate) fn counted(query: &Query) -> Vec<CountedFacet> {
    let names: BTreeSet<&String> = query.facets.iter().collect();
    let listed = query.facet_limit.unwrap_or(LISTED).min(MOST_LISTED);
    let facet = |name: &String| {
        let prefix = facet_prefix(name);
        let filters = query.filters.iter().filter(|(filtered, _)| facet_prefix(filtered) == prefix);
        let chosen = filters.flat_map(|(_, values)| values).map(|value| (part(value), value.clone()));
        CountedFacet { name: name.clone(), chosen: chosen.collect(), prefix, listed }
    };
    names.into_iter().map(facet).collect()
}

impl CountedFacet {
    /// The terms of the chosen values.
    #[cfg(feature = "elasticsearch")]
    pub(crate) fn chosen_terms(&self) -> impl Iterator<Item = String> {
        self.chosen.keys().map(|key| format!("{}{key}{SEPARATOR}", self.prefix))
    }

    /// The chosen value of a term, as the query spells it.
    #[cfg(feature = "elasticsearch")]
    pub(crate) fn chosen(&self, term: &str) -> Option<Spelling> {
        let key = term.strip_prefix(&self.prefix)?.strip_suffix(SEPARATOR)?;
        let asked = self.chosen.get(key)?;
        Some(Spelling { rest: format!("{key}{SEPARATOR}{asked}"), count: 0, first: i64::MAX })
    }

    /// The counts in the order that every backend must use: by number, then by value; and how many values are left
    /// out. The values that the query chose are always listed.
    pub(crate) fn rank(&self, spellings: impl IntoIterator<Item = Spelling>) -> (Vec<(String, u64)>, u64) {
        let mut values: BTreeMap<String, (u64, (i64, String))> = BTreeMap::new();
        for Spelling { rest, count, first } in spellings {
            let Some((key, shown)) = rest.split_once(SEPARATOR) else { continue };
            let spelling = (first, shown.to_owned());
            let value = values.entry(key.to_owned()).or_insert_with(|| (0, spelling.clone()));
            value.0 += count;
            if spelling < value.1 {
                value.1 = spelling;
            }
        }
        for (key, asked) in &self.chosen {
            values.entry(key.clone()).or_insert_with(|| (0, (i64::MAX, asked.clone())));
        }
        let chosen = |key: &String| self.chosen.contains_key(key);
        let mut ranked: Vec<_> =
            values.into_iter().filter(|(key, (count, _))| *count > 0 || chosen(key)).collect();
        ranked.sort_by(|(key, (count, (_, shown))), (other, (others, (_, as_shown)))| {
            others.cmp(count).then_with(|| shown.cmp(as_shown)).then_with(|| key.cmp(other))
        });
        let (mut listed, mut left_out) = (Vec::new(), 0);
        for (at, (key, (count, (_, shown)))) in ranked.into_iter().enumerate() {
            if at < self.listed || chosen(&key) {
                listed.push((shown, count));
            } else if at < MOST_COUNTED {
                left_out += 1;
            }
        }
        (listed, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_look_the_same_have_one_key() {
        for same in ["Red  Wine", "red wine", "ＲＥＤ wine", "Red\u{a0}Wine", " red\u{200b} wine"] {
            assert_eq!(value_key(same), "red wine", "{same:?}");
        }
        assert_eq!(value_key("CAFE\u{301}"), value_key("café"));
        assert_eq!(value_key("ΟΔΟΣ"), value_key("οδος"));
        for (one, other) in [("café", "cafe"), ("か", "が"), ("a-b", "ab"), ("1.5", "15")] {
            assert_ne!(value_key(one), value_key(other), "{one} {other}");
        }
    }

    #[test]
    fn no_attribute_is_taken_for_the_category_or_for_another_attribute() {
        for name in
            ["colour", "category", "Category", "attribute.x", "attribute.category", "a=b", "a,b", "\u{1}"]
        {
            let facet = attribute_facet(name);
            assert_ne!(value_key(&facet), CATEGORY, "{name}");
            assert_eq!(requested_facet(&format!("attribute.{name}")), facet, "{name}");
            assert_eq!(requested_facet(&facet), facet, "what an answer says can be asked for: {name}");
        }
        assert_eq!(requested_facet("category"), CATEGORY);
        assert_ne!(facet("a=b", "c"), facet("a_b", "c"));
        assert_ne!(facet("a", "b=c"), facet("a=b", "c"));
    }
}
