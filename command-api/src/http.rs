//! Runs the table of commands, for any list of contexts.
//!
//! A request goes through `driver`: it reads a `call` as the `row` describes it, lets the row's `action` run it, and
//! `answer` renders the outcome.

pub(crate) mod action;
pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod driver;
pub(crate) mod endpoint;
pub(crate) mod headers;
pub(crate) mod openapi;
mod ownership;
pub(crate) mod path;
pub(crate) mod privileged;
pub mod problems;
pub(crate) mod represented;
pub(crate) mod row;
pub(crate) mod schema;
pub(crate) mod state;
#[cfg(test)]
mod tests;
