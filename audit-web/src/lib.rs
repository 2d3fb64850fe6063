//! The audit trail over HTTP: for programs under `/api/audit`, for people as pages under `/audit`, both out of the same
//! functions of `soonshop-audit`.
//!
//! Who may see what is the one table of permissions. Start reading at [`http::router`].

mod endpoints;
mod exports;
mod fields;
mod find;
mod head;
pub mod http;
mod pages;
mod state;
mod tail;
mod words;
