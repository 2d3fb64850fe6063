//! Read models: what queries answer from, built from the log and rebuilt from it at any time.
//!
//! A projector is a pure fold of events over rows; [`runner`] gives it the rows, keeps its checkpoint in their
//! transaction, and parks what fails. A projection has generations, each a namespace of its own ([`generation`]).
//! Rows outside SQL (search index, cache) are sinks behind the SQL rows, each with a checkpoint inside itself
//! ([`sink`]). Nothing here knows the bus: events come from a [`feed`].
//!
//! One file per context. Start reading at [`order`], then [`projector`], then [`runner`].

mod arrays;
mod copy_in;
mod event_summary;
pub mod feed;
mod follower_status;
pub mod generation;
pub mod generation_remover;
pub mod integrity;
pub mod integrity_check;
mod left_out;
pub mod operations;
pub mod parked;
pub mod processes;
pub mod projector;
pub mod record;
mod row;
pub mod runner;
pub mod runs;
pub mod sink;
pub mod source;
pub mod status;
pub mod texts;
mod timely;
mod transaction;
mod unit;
pub mod verdict;
pub mod wait;

use std::sync::Arc;

pub use feed::Feed;
pub use generation::{Generation, Registry};
pub use projector::{NameColumn, PersonalColumns, Projector, Row, Unit, Wants};

/// Declares the file of each context, and lists its projector.
macro_rules! projectors {
    ($($module:ident::$projector:ident,)+) => {
        $(pub mod $module;)+

        /// Every projection of the shop: the newest version of each.
        pub fn all() -> Vec<Arc<dyn Projector>> {
            vec![$(Arc::new($module::$projector)),+]
        }
    };
}

projectors! {
    user::Users,
    product::Products,
    inventory::Stock,
    order::Orders,
    payment::Payments,
    analytics::Sales,
    audit::Audit,
    cart::Carts,
    checkout::Checkouts,
}
