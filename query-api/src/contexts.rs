//! The contexts that have queries, one file each: their rows of the table of endpoints, and what their answers look like.

pub(crate) mod analytics;
pub(crate) mod inventory;
pub(crate) mod order;
pub(crate) mod product;
pub(crate) mod user;
