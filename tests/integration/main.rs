//! End to end: the whole shop over HTTP, on the embedded set and on real servers; and the shape of the house.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod architecture;
#[cfg(target_os = "linux")]
mod attacks;
mod database_md;
mod erasure;
mod faults;
mod files;
mod full_disk;
mod health;
mod import;
mod keeping;
mod mails;
mod metrics;
mod naming;
mod personal_access;
mod privacy;
mod processes;
mod providers;
mod rates;
mod replay;
mod replica;
mod runs;

mod signing;
mod staff;
mod story;
#[expect(dead_code, reason = "the benchmarks use what the tests do not")]
mod support;
mod swapping;
mod telling;
mod thousands;
mod trail;
mod view;
