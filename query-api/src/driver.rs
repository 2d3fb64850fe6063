//! The shared code of all contexts: lists, look-ups, states of the past, search and reports, each written once and
//! driven by the tables of a context.

pub(crate) mod as_of;
mod cached;
pub(crate) mod entity;
pub(crate) mod list;
mod looks;
mod periods;
pub(crate) mod personal;
pub(crate) mod report;
pub(crate) mod search;
pub(crate) mod shapes;
pub(crate) mod shown;
pub(crate) mod state;
