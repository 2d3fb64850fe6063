//! Queries out: lists, look-ups, search and sums over read models, and states as they were, folded from the log.
//!
//! One table maps a path to what answers it ([`http`]); lists and look-ups of all read models share one mechanism, and a
//! read model adds a table of its filters. Nothing here changes anything. Start reading at [`http::router`].

#[path = "../../audit/src/export.rs"]
pub mod export;
pub mod http;
