//! The port: what can be found, what is asked, and what a search can do.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// One thing that can be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    pub id: String,
    /// The position of the event that last changed it: an older document never replaces a newer one.
    pub version: i64,
    pub name: String,
    pub skus: Vec<String>,
    pub description: String,
    /// Facet name to its values, such as `category` or `colour`.
    pub facets: BTreeMap<String, Vec<String>>,
    /// Lowest price, in minor units of `currency`; none while nothing of it can be bought.
    pub price: Option<i64>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// Microseconds since 1970, UTC.
    pub created_at: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Put(Document),
    /// Stays as a tombstone at that version while the index lives, so that an older `Put` does not bring it back.
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
    /// Documents without a price come last, either way.
    PriceAscending,
    PriceDescending,
    NewestFirst,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// What a person typed; empty finds everything. All words must be found, each with typo tolerance
    /// (one typo from 4 letters on, two from 8; never in SKUs or digits).
    pub text: String,
    /// Facet name to accepted values: one of the values of each name.
    pub filters: BTreeMap<String, Vec<String>>,
    pub price_from: Option<i64>,
    pub price_to: Option<i64>,
    pub currency: Option<String>,
    /// Facets to count, over all that was found (not only this page). A facet that is filtered on is counted as if
    /// its own filter were not there, so that a person sees what else there is.
    pub facets: Vec<String>,
    pub sort: Sort,
    /// Opaque, from [`Page::next`] of the same query.
    pub after: Option<String>,
    /// 1 to 100; outside of that, the nearest.
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub document: Document,
    /// Field (`name`, `description`) to HTML-escaped text in which `<mark>` surrounds what was found.
    pub highlights: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    pub hits: Vec<Hit>,
    /// Exact.
    pub total: u64,
    /// Facet to (value, count), by count descending, then value; at most 50 values each.
    pub facets: BTreeMap<String, Vec<(String, u64)>>,
    pub next: Option<String>,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("{backend} cannot be reached: {reason}")]
    Unreachable { backend: &'static str, reason: String },
    /// The server answered, and not what was hoped for; `reason` names the item.
    #[error("{backend} refused: {reason}")]
    Refused { backend: &'static str, reason: String },
    #[error("there is no index {0:?}")]
    NoIndex(String),
    #[error("the cursor cannot be read: take it from the answer before")]
    Cursor,
    #[error("the search address {url:?} cannot be used: {reason}")]
    Address { url: String, reason: String },
}

/// The port. An `index` is `[a-z0-9_]+`, one per generation (`rm_products_3`).
#[async_trait]
pub trait Search: Send + Sync + 'static {
    /// `tantivy` or `elasticsearch`.
    fn backend(&self) -> &'static str;
    async fn ping(&self) -> Result<(), Error>;
    /// Makes the index where it is missing.
    async fn create(&self, index: &str) -> Result<(), Error>;
    /// Removes it, if it is there.
    async fn remove(&self, index: &str) -> Result<(), Error>;
    /// The checkpoint that the last [`apply`](Self::apply) wrote; `None` where there is no index or it was lost.
    async fn checkpoint(&self, index: &str) -> Result<Option<String>, Error>;
    /// Writes the changes, then the checkpoint. Every item of a bulk answer is checked: an error means that the
    /// checkpoint did not move. A change older than what is there is passed over, which is no error.
    async fn apply(&self, index: &str, changes: &[Change], checkpoint: &str) -> Result<(), Error>;
    /// Makes what was applied visible to [`search`](Self::search). Readers that wait for a position call it.
    async fn refresh(&self, index: &str) -> Result<(), Error>;
    /// Gives up what only one process can hold of it (its writer), until the next change: another one takes over.
    async fn let_go(&self, _index: &str) -> Result<(), Error> {
        Ok(())
    }
    async fn search(&self, index: &str, query: &Query) -> Result<Page, Error>;
    /// Names that begin with, or have a word that begins with, what was typed: at most `most`, no repeats.
    async fn suggest(&self, index: &str, prefix: &str, most: usize) -> Result<Vec<String>, Error>;
}
