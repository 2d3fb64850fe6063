//! What payments are made with: orders and payments both name it.

use serde::{Deserialize, Serialize};

/// What a payment is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::AsRefStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Tender {
    /// A provider outside, or the sandbox.
    Provider,
}
