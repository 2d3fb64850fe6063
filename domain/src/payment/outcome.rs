//! What a provider says about a transaction.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::transaction::Kind;
use crate::Money;

/// What the provider says became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    ActionRequired {
        reference: Option<String>,
    },
    /// The buyer may try again.
    Declined {
        code: String,
    },
    Succeeded {
        amount: Money,
        reference: Option<String>,
        until: Option<DateTime<Utc>>,
    },
    /// Nothing comes of it any more.
    Failed {
        code: String,
    },
    /// Nobody can say yet.
    Unknown,
    /// The provider holds so much no longer.
    Lapsed {
        amount: Money,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub transaction: Uuid,
    pub kind: Kind,
    pub outcome: Outcome,
    /// It was done in the provider's own pages: the transaction may be new.
    pub unasked: bool,
}
