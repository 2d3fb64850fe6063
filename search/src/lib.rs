//! Search: finding the shop's products.
//!
//! A port and two adapters: Tantivy (embedded) and Elasticsearch (`OpenSearch` speaks the same protocol). Both pass
//! the same contract suite with the same answers; scores may differ. An index belongs to one generation of a read
//! model and stores that generation's checkpoint, written after the documents that it covers.
//!
//! Analysing texts and queries, highlights and cursors are the same for all backends (`text`, `terms`, `spelling`,
//! `markup`, `parsed_query`, `highlight`, `cursor`, `indexed`, `facets`); a backend finds, counts and sorts.
//!
//! Start reading at [`connect`], then [`Search`].

mod cursor;
#[cfg(feature = "elasticsearch")]
mod elasticsearch;
mod facets;
mod highlight;
mod indexed;
mod markup;
mod parsed_query;
mod port;
mod spelling;
mod tantivy;
mod terms;
mod text;

use std::sync::Arc;

pub use facets::{CATEGORY, attribute_facet, requested_facet, value_key};
pub use port::{Change, Document, Error, Hit, Page, Price, Query, Search, Sort, TooLarge};

/// The search behind a URL (`tantivy://FOLDER`, `http(s)://…`; with `?prefix=` index names get a prefix; with
/// TLS `?ca=FILE` names an authority that is trusted, and `?cert=FILE&key=FILE` the client's certificate).
/// Checks the address; connects later.
pub fn connect(url: &str) -> Result<Arc<dyn Search>, Error> {
    match url.split_once("://") {
        Some(("tantivy", folder)) => crate::tantivy::connect(folder),
        #[cfg(feature = "elasticsearch")]
        Some(("http" | "https", _)) => crate::elasticsearch::connect(url),
        #[cfg(not(feature = "elasticsearch"))]
        Some(("http" | "https", _)) => {
            let reason = "this build has no Elasticsearch adapter: build with --features elasticsearch, \
                          or without --no-default-features";
            Err(Error::Address { reason: reason.to_owned() })
        }
        _ => {
            let reason = "it begins with neither tantivy:// nor http:// nor https://".to_owned();
            Err(Error::Address { reason })
        }
    }
}
