//! A transaction of a payment: one thing that the provider was asked to do, and how far it is.

use serde::{Deserialize, Serialize};

/// What is asked of the provider.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    Authorization,
    Charge,
    /// Gives back what was authorized and not charged.
    Release,
    /// Gives back what was charged.
    Refund,
}

/// How far a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::AsRefStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Progress {
    Requested,
    /// The buyer has to confirm it.
    ActionRequired,
    /// The buyer may try again.
    Declined,
    /// The provider is asked what became of it.
    Unknown,
    Succeeded,
    /// An authorization that succeeded, and of which the provider holds nothing any more.
    Lapsed,
    /// Nothing came of it. It may still succeed.
    Failed,
}

impl Progress {
    /// Whether it may still come to something without a surprise.
    pub fn is_pending(self) -> bool {
        match self {
            Self::Requested | Self::ActionRequired | Self::Declined | Self::Unknown => true,
            Self::Succeeded | Self::Lapsed | Self::Failed => false,
        }
    }

    /// Whether nothing comes of it unless the buyer does something: confirms it, or pays in another way.
    pub fn awaits_buyer(self) -> bool {
        match self {
            Self::ActionRequired | Self::Declined | Self::Lapsed | Self::Failed => true,
            Self::Requested | Self::Unknown | Self::Succeeded => false,
        }
    }

    /// Whether its amount was booked.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Succeeded | Self::Lapsed)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    pub kind: Kind,
    /// In the payment's currency: what was asked for, and once it succeeded what was done.
    pub amount: i64,
    pub progress: Progress,
    /// The provider's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// A stopped payment gives back by itself: it is none of its order's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_itself: bool,
    /// A report contradicted it, and was noted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub noted: bool,
}
