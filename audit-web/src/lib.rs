//! The audit trail over HTTP: JSON under `/api/audit` for programs, pages under `/audit` for people. Both use the same
//! functions of `soonshop-audit`.
//!
//! One table of permissions says who may see what. Start reading at [`http::router`]. The page at `/` uses their frame
//! too: [`front`], and so do the pages of people's own accounts: [`account`].

pub mod account;
mod alarm;
mod endpoints;
mod exports;
mod fields;
mod find;
pub mod front;
mod head;
pub mod http;
mod kinds;
mod messages;
mod naming;
mod operations;
mod pages;
pub mod refusals;
mod state;
mod tail;
