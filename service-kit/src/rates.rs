//! Rates: how often a caller may do something.
//!
//! Every endpoint is of one [`Class`], which its row of the table names. A request is counted once its caller is
//! known ([`count`]), and refused with `429` when the caller has none left. Every answer says what is left, in the
//! headers `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10.
//!
//! Guests are counted by their address, callers with a key by their key. Programs (the role `service`) may do
//! [`PROGRAMS`] times as much; the operator is not counted. If the server that counts for all processes does not answer,
//! each process counts for itself: nobody is locked out, and nobody is let through without a count.
//!
//! Start reading at [`Class`], then [`Limits`].

pub mod address;
pub mod class;
pub mod described;
pub mod limits;
pub mod scheme;

#[cfg(test)]
pub(crate) use address::X_FORWARDED_FOR;
pub use address::{CallersAddress, Network, Proxies};
pub(crate) use address::{counted_name, is_passed_on, network};
pub use class::{Class, DEFAULTS, Setting};
pub(crate) use limits::callers_address;
pub use limits::{Limits, PROGRAMS, Who, count, counted, counted_as};
pub(crate) use scheme::X_FORWARDED_PROTO;
