//! The port: documents, queries and the operations of a search.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// A price of a document. The lowest is the least.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Price {
    /// In minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}

/// A document that can be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    pub id: String,
    /// The position of the event that last changed it: an older document never replaces a newer one.
    pub version: i64,
    pub name: String,
    pub skus: Vec<String>,
    pub description: String,
    /// Facet name to its values, such as `category` or `colour`; see [`attribute_facet`](crate::attribute_facet).
    pub facets: BTreeMap<String, Vec<String>>,
    /// The prices of its variants, each once; none while no variant can be bought.
    pub prices: BTreeSet<Price>,
    /// Microseconds since 1970, UTC.
    pub created_at: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Put(Document),
    /// Remains as a tombstone of this version while the index exists, so that an older `Put` does not bring it back.
    Delete {
        id: String,
        version: i64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    #[default]
    Relevance,
    NameAscending,
    NameDescending,
    /// By [`Query::lowest_price`]. Documents without one come last, in both directions.
    PriceAscending,
    PriceDescending,
    NewestFirst,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// The typed text; empty finds everything. All words must match, in any spelling: with or without spaces and
    /// signs. Where nothing in the index does, each word may have typos (one from 4 letters on, two from 8; never in
    /// SKUs or digits), and [`Page::fuzzy`] says so.
    pub text: String,
    /// For each facet name the accepted values, of which one must match; compared by
    /// [`value_key`](crate::value_key).
    pub filters: BTreeMap<String, Vec<String>>,
    /// One price of the document must be in this range and in this currency.
    pub price_from: Option<i64>,
    pub price_to: Option<i64>,
    pub currency: Option<String>,
    /// Facets to count, over all hits (not only this page). A facet with a filter is counted as if it had none, so
    /// that a person sees the other values.
    pub facets: Vec<String>,
    /// The most values to list of each facet: 50 where it is left out, at most 1,000.
    pub facet_limit: Option<usize>,
    pub sort: Sort,
    /// Opaque, from [`Page::next`] of the same query.
    pub after: Option<String>,
    /// 1 to 100; other values are moved to the nearest.
    pub limit: usize,
}

impl Query {
    /// Whether a price is in the requested range and currency.
    pub(crate) fn wants(&self, price: &Price) -> bool {
        self.currency.as_ref().is_none_or(|currency| *currency == price.currency)
            && self.price_from.is_none_or(|from| from <= price.amount)
            && self.price_to.is_none_or(|to| price.amount <= to)
    }

    /// The lowest of a document's prices in the requested range and currency: what it is sorted by.
    pub fn lowest_price<'d>(&self, document: &'d Document) -> Option<&'d Price> {
        document.prices.iter().find(|price| self.wants(price))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub document: Document,
    /// For a field (`name`, `description`) its HTML-escaped text with `<mark>` around matches.
    pub highlights: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    pub hits: Vec<Hit>,
    /// The exact number of hits.
    pub total: u64,
    /// Nothing matches as it was typed: hits, total and facets are of what matches with typos.
    pub fuzzy: bool,
    /// Facet to (value, count), by count descending, then value. Values with the same key are one; those of a filter
    /// are always listed.
    pub facets: BTreeMap<String, Vec<(String, u64)>>,
    /// How many values of each facet are not listed (of the 3,000 most frequent).
    pub more_values: BTreeMap<String, u64>,
    pub next: Option<String>,
}

/// A document that the server does not take, since it is too large for a request of its own. No version of it is in
/// the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLarge {
    pub id: String,
    pub version: i64,
    /// A sentence with the backend, the size and the remedy.
    pub reason: String,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("{backend} cannot be reached: {reason}")]
    Unreachable { backend: &'static str, reason: String },
    /// The server answered with a refusal; `reason` names the item.
    #[error("{backend} refused: {reason}")]
    Refused { backend: &'static str, reason: String },
    #[error("there is no index {0:?}")]
    NoIndex(String),
    #[error("the cursor cannot be read: take it from the answer before")]
    Cursor,
    /// Without the address, which may hold a password: the caller says which one it was.
    #[error("the search address cannot be used: {reason}")]
    Address { reason: String },
}

/// The port. An `index` is `[a-z0-9_]+`, one per generation (`rm_products_3`).
#[async_trait]
pub trait Search: Send + Sync + 'static {
    /// `tantivy` or `elasticsearch`.
    fn backend(&self) -> &'static str;
    async fn ping(&self) -> Result<(), Error>;
    /// Checks that the index is there, whole, can be searched, and can be written.
    async fn examine(&self, index: &str) -> Result<(), Error> {
        self.refresh(index).await
    }
    /// Creates the index if it is missing.
    async fn create(&self, index: &str) -> Result<(), Error>;
    /// Removes the index, if it exists.
    async fn remove(&self, index: &str) -> Result<(), Error>;
    /// The checkpoint that the last [`apply`](Self::apply) wrote; `None` if there is no index or it was lost.
    async fn checkpoint(&self, index: &str) -> Result<Option<String>, Error>;
    /// Writes the changes, then the checkpoint. Every item of a bulk answer is checked: an error means that the
    /// checkpoint did not move. A change older than the stored document is skipped without an error.
    ///
    /// Returns the documents that are too large to be written. If there are any, the checkpoint did not move either:
    /// note them, then apply no changes with the same checkpoint.
    async fn apply(&self, index: &str, changes: &[Change], checkpoint: &str) -> Result<Vec<TooLarge>, Error>;
    /// Makes applied changes visible to [`search`](Self::search). Readers that wait for a position call it.
    async fn refresh(&self, index: &str) -> Result<(), Error>;
    /// Releases what only one process can hold (the index's writer) until the next change: another process can take
    /// over.
    async fn let_go(&self, _index: &str) -> Result<(), Error> {
        Ok(())
    }
    async fn search(&self, index: &str, query: &Query) -> Result<Page, Error>;
    /// Names that begin with the typed text, or have a word that does: at most `most`, without repeats.
    async fn suggest(&self, index: &str, prefix: &str, most: usize) -> Result<Vec<String>, Error>;
}
