//! The audit trail over HTTP: JSON under `/api/audit` for programs, pages under `/audit` for people. Both use the same
//! functions of `soonshop-audit`.
//!
//! One table of permissions says who may see what. Start reading at [`http::router`]. The page at `/` uses their frame
//! too: [`front`].

mod endpoints;
mod exports;
mod fields;
mod find;
pub mod front;
mod head;
pub mod http;
mod messages;
mod naming;
mod pages;
mod state;
mod tail;
