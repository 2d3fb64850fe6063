//! Accounts of people at the edges of the shop: over HTTP, in the cookies of pages, and at the command line. What they are
//! is decided in the crate `identity`.

mod cache;
pub mod command_line;
mod described;
mod http;
mod people;
mod problem;

pub(crate) use described::openapi;
pub(crate) use http::router;
pub(crate) use people::Accounts;
