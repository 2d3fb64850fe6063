//! Certificates and keys in files, as PEM: that of a process that speaks TLS itself ([`Pair`]), and those that the
//! address of a server names ([`ServerTls`]); and addresses without TLS. They are read, checked, and refused with a sentence that says what to do.

mod files;
mod invalid;
mod pair;
mod plain;
mod server;
mod validity;

pub use invalid::{Invalid, date};
pub use pair::Pair;
pub use plain::{PlainText, plain_text};
pub use server::{Pem, ServerTls};
pub use validity::{Validity, ValidityState};
