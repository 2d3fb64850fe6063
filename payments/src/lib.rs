//! Providers of payments: who authorizes, charges and gives back money outside of the shop.
//!
//! A port and one adapter: `sandbox:`, which moves no money. A provider is asked by the worker of payments alone, after
//! the request was appended, and with the transaction's id as the key under which it does everything once. This crate
//! appends nothing, and decides nothing about orders.
//!
//! Start reading at [`Provider`].

mod address;
mod port;
mod sandbox;
mod script;

pub use address::{BadAddress, SANDBOX, check_address};
pub use port::{Order, Provider, Unanswered};
pub use sandbox::Sandbox;
