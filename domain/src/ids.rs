//! How every id is made: `UUIDv7` for new things; v5, in the namespaces below, where the same input must give the same
//! id. No id is derived from a personal value.

use serde::{Deserialize, Serialize};
use uuid::{Uuid, uuid};

/// Commands of people: caller, method, route and idempotency key.
pub const COMMANDS: Uuid = uuid!("0b6f2c66-9e1d-4b55-8f0e-6a1c3c6f5a01");
/// Commands of processes: process, instance, input, purpose and target.
pub const PROCESSES: Uuid = uuid!("4f6b0d3e-7a2c-4c8e-9d55-1f0a7be39b02");
/// New streams: the id of the command that begins them.
pub const STREAMS: Uuid = uuid!("a3d1f7c2-55b8-4e0e-8c3f-2d9e60b41c03");
/// Stock: SKU and location.
pub const STOCK: Uuid = uuid!("c9e25a10-3f4d-4a77-b1c8-90d3a7f2e604");
/// Imported things, by their natural key in the source.
pub const IMPORTS: Uuid = uuid!("e17c84b9-6d02-4f3b-a5e6-7b8c9d0e1f05");
/// Days of the gate that sign-ins go through, by their date.
pub const GATES: Uuid = uuid!("5d8a2f17-c04b-4e69-a7d3-18e6b95f2c06");
/// Share links of carts, by their secrets.
pub const SHARES: Uuid = uuid!("b7249e13-60fa-4d8c-92c5-3ae81f07d409");
/// Roles of staff, by their names.
pub const ROLES: Uuid = uuid!("8c1e60d4-2b7f-4a95-9e38-f04d7b61a208");

/// The data subject of the operator's notes, who has a token or the command line and no key: its key encrypts them.
pub const OPERATOR: Uuid = uuid!("6a1b7d52-08cf-5b0e-9a53-3f62c8b14e07");

/// The name of the only log, as it is sent with positions.
pub const LOG: &str = "main";

/// `UUIDv7`: new, and roughly in order of time.
#[expect(clippy::disallowed_methods, reason = "this makes all ids; all other code calls it")]
pub fn new() -> Uuid {
    Uuid::now_v7()
}

/// A v5 id of the parts, separated by a byte that no part holds.
pub fn derived(namespace: Uuid, parts: &[&str]) -> Uuid {
    Uuid::new_v5(&namespace, parts.join("\u{0}").as_bytes())
}

/// The id of the stream that the command begins: a repeated command gets the same one.
pub fn stream_of(command: Uuid) -> Uuid {
    Uuid::new_v5(&STREAMS, command.as_bytes())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

ids! {
    /// A registered person; also their data subject.
    UserId,
    /// A buyer without an account; also their data subject.
    GuestId,
    ProductId,
    OrderId,
    CreditNoteId,
    CartId,
}
