//! The audit trail over HTTP: JSON under `/api/audit` for programs, pages under `/audit` for people. Both use the same
//! functions of `soonshop-audit`.
//!
//! One table of permissions says who may see what. Start reading at [`http::router`].

mod endpoints;
mod exports;
mod fields;
mod find;
mod head;
pub mod http;
mod messages;
mod pages;
mod state;
mod tail;
