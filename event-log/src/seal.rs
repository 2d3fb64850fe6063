//! Seals: signed statements of what the log held. Each covers the positions after the seal before it and contains
//! that seal's hash, so one seal proves all history before it.
//!
//! [`Seal`] is one of them, [`Seals`] the table of them; [`check()`] reads log and seals and reports whether they
//! still agree; [`export()`] writes both into a file for [`check_offline`]. Only the sealer, in another crate, writes
//! seals. `docs/seals.md` has all details that another verifier needs.

mod check;
mod encoding;
mod export;
mod fault;
mod key;
mod statement;
mod table;
#[cfg(test)]
mod tests;
mod walk;

pub use check::{Before, Finding, Report, Tail, Verdict, Wrong, check};
pub use encoding::{Bytes, Content, Hash, encode};
pub use export::{check_offline, export};
pub use fault::Fault;
pub use key::{PublicKey, SealKey, SealKeys, TrustedKey};
pub use statement::{Kind, MOST, Seal, VERSION};
pub use table::{Broken, RECORD_SEALER, RECORD_SEALS, ReadSeal, SEALER, SEALS, Seals, accept, log_id};
pub use walk::Positions;
