//! The contexts with queries, one file each: their endpoints, and the shapes of their answers.

pub(crate) mod analytics;
pub(crate) mod inventory;
pub(crate) mod order;
pub(crate) mod product;
pub(crate) mod user;
