//! The end of a page: the sort key and id of its last hit, and a fingerprint of the query.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::parsed_query::Matching;
use crate::{Document, Error, Query, Sort, indexed};

/// The sort key of hits, before their id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Key {
    Score(f32),
    Name(String),
    Price(Option<i64>),
    Created(i64),
}

impl Key {
    pub(crate) fn of(document: &Document, query: &Query, score: f32) -> Self {
        match query.sort {
            Sort::Relevance => Self::Score(score),
            Sort::NameAscending | Sort::NameDescending => Self::Name(indexed::name_key(&document.name)),
            Sort::PriceAscending | Sort::PriceDescending => {
                Self::Price(query.lowest_price(document).map(|price| price.amount))
            }
            Sort::NewestFirst => Self::Created(document.created_at),
        }
    }

    fn fits(&self, sort: Sort) -> bool {
        match self {
            Self::Score(score) => sort == Sort::Relevance && score.is_finite() && *score >= 0.0,
            Self::Name(_) => matches!(sort, Sort::NameAscending | Sort::NameDescending),
            Self::Price(_) => matches!(sort, Sort::PriceAscending | Sort::PriceDescending),
            Self::Created(_) => sort == Sort::NewestFirst,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The fingerprint of its query: with another query it would skip hits.
    query: u64,
    pub(crate) key: Key,
    pub(crate) id: String,
    /// The first page was found with typos: so are the next.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) fuzzy: bool,
}

impl Cursor {
    pub(crate) fn encode(query: &Query, key: Key, id: &str, matching: Matching) -> String {
        let fuzzy = matching == Matching::WithTypos;
        let cursor = Self { query: fingerprint(query), key, id: id.to_owned(), fuzzy };
        // Numbers, texts and lists can always be serialized.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
    }

    pub(crate) fn matching(&self) -> Matching {
        if self.fuzzy { Matching::WithTypos } else { Matching::AsTyped }
    }

    /// The cursor from which the query continues.
    pub(crate) fn of(query: &Query) -> Result<Option<Self>, Error> {
        let Some(text) = &query.after else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::Cursor)?;
        let cursor: Self = serde_json::from_slice(&bytes).map_err(|_| Error::Cursor)?;
        if cursor.query == fingerprint(query) && cursor.key.fits(query.sort) {
            Ok(Some(cursor))
        } else {
            Err(Error::Cursor)
        }
    }
}

/// The fingerprint of everything that selects and orders hits (FNV-1a: the same in every process and release).
pub(crate) fn fingerprint(query: &Query) -> u64 {
    let Query { text, filters, price_from, price_to, currency, sort, .. } = query;
    let message = format!("{text:?}{filters:?}{price_from:?}{price_to:?}{currency:?}{sort:?}");
    message
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_another_query_is_refused() {
        let mut query = Query { text: "red".into(), sort: Sort::PriceAscending, ..Query::default() };
        query.after = Some(Cursor::encode(&query, Key::Price(None), "p1", Matching::AsTyped));
        assert_eq!(Cursor::of(&query).unwrap().map(|cursor| cursor.key), Some(Key::Price(None)));
        for other in [
            Query { text: "blue".into(), ..query.clone() },
            Query { sort: Sort::PriceDescending, ..query.clone() },
            Query { after: Some("nonsense".into()), ..query.clone() },
            Query { after: Some(String::new()), ..query.clone() },
        ] {
            assert!(matches!(Cursor::of(&other), Err(Error::Cursor)));
        }
    }
}
