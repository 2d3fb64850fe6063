//! Queries out: lists, look-ups, search and sums over read models, and states as they were, folded from the log.
//!
//! A context adds a file to `contexts`: its rows of the table of endpoints, and tables of filters and figures. All else
//! is in `driver`. Nothing here changes anything. Start reading at [`http::router`].

mod contexts;
mod driver;
pub mod http;
