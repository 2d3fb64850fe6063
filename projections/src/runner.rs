//! Keeps the rows of one generation up to date: one holder of its lease at a time, each batch in one transaction that
//! begins with the checkpoint.
//!
//! A [`Follower`] holds what is needed to follow the log for a generation; a [`Fold`] is the state of its rows in one
//! process. Start reading at `fold.rs`, then `keep_rows.rs`, which runs it live.

mod behind;
mod damage;
mod erasure;
mod failure;
mod fold;
mod follower;
mod indexes;
mod keep_rows;
mod mode;
mod parking;
mod retry;
mod texts;

pub use self::fold::Fold;
pub use self::follower::Follower;
pub use self::keep_rows::Readers;
pub use self::mode::Poison;
pub use crate::generation::ROWS;
