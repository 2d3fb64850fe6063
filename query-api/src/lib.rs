//! Queries: lists, look-ups, search and reports over read models, and past states folded from the log.
//!
//! A context adds a file to `contexts`, with its endpoints and its tables of filters and figures. The shared code is in
//! `driver`. Nothing here writes. Start reading at [`http::router`].

mod contexts;
mod driver;
pub mod http;
