//! Who calls, and what they may do. One table, [`Permission::holders`], says it for every endpoint and every field.
//!
//! A caller shows an API key, the operator's token, or nothing. Where keys are stored is not known here: whoever starts a
//! process brings a [`Keys`]. What it finds is remembered for [`REMEMBERED`], so a key that was revoked opens nothing any
//! more a moment later, in every process.

pub mod caller;
pub mod key;
pub mod keys;
pub mod role;
pub mod session;

pub use caller::{Access, Caller, REMEMBERED};
pub use key::ApiKey;
pub use keys::{Begun, Keys, Known, Secret, Unavailable};
pub use role::{Permission, Role};
pub use session::Visitor;
