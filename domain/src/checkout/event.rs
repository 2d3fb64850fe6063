//! The events of a checkout, as they are stored.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::CartId;
use crate::order::{Contact, Customer, Line};
use crate::payment::Capture;
use crate::tender::Tender;
use crate::text::Sku;
use crate::{EventInfo, Expectation, Money, PersonalValue, Sensitive};

/// How long the stock of a checkout is held for it to be paid, in seconds.
pub const HOLD_SECONDS: i64 = 15 * 60;

/// Why a checkout came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// A slug: `insufficient-stock`, `not-paid-in-time`, `given-up`, `ended-by-shop`.
    pub reason: String,
    /// The line of the checkout that could not be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What that line is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
}

/// A checkout as it was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    pub cart: CartId,
    pub channel: String,
    pub customer: Customer,
    /// The name of the order for people.
    pub number: String,
    pub country: String,
    /// How to reach the buyer, and where the parcel goes. Encrypted under the `account` key of the customer; the order has
    /// it anew under `invoice`.
    #[serde(default, skip_serializing_if = "Contact::is_empty")]
    pub contact: Contact,
    /// With prices as they were shown; taxes are not split.
    pub lines: Vec<Line>,
    pub total: Money,
    pub capture: Capture,
    /// No money moves: the provider is one for tests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
    /// Until then its stock is held for it.
    pub hold_until: DateTime<Utc>,
    /// The payments that are opened once its stock is held: one of the whole total, or none, and the buyer opens them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pay: Vec<PayWith>,
}

/// With what a checkout is paid from its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayWith {
    pub provider: String,
}

#[derive(
    Debug,
    Clone,
    PartialEq,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::VariantNames,
    strum::EnumDiscriminants,
)]
#[strum_discriminants(name(EventKind), derive(strum::IntoStaticStr, strum::VariantArray))]
pub enum Event {
    CheckoutStarted(Box<Started>),
    /// The stock of all lines is held.
    CheckoutHeld {},
    CheckoutPaymentAdded {
        payment: Uuid,
        tender: Tender,
        amount: Money,
    },
    CheckoutPaymentStopped {
        payment: Uuid,
    },
    CheckoutPaymentSettled {
        payment: Uuid,
        transaction: Uuid,
        amount: Money,
    },
    /// What was authorized lapsed.
    CheckoutPaymentUnsettled {
        payment: Uuid,
        transaction: Uuid,
    },
    /// Nothing more is paid for it.
    CheckoutGivenUp {
        reason: String,
    },
    /// The order of its id is placed in the same append.
    CheckoutCompleted {},
    CheckoutRefused {
        refusal: Refusal,
    },
}

impl Sensitive for Event {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        match self {
            Self::CheckoutStarted(started) => started.contact.values(),
            Self::CheckoutHeld {}
            | Self::CheckoutPaymentAdded { .. }
            | Self::CheckoutPaymentStopped { .. }
            | Self::CheckoutPaymentSettled { .. }
            | Self::CheckoutPaymentUnsettled { .. }
            | Self::CheckoutGivenUp { .. }
            | Self::CheckoutCompleted {}
            | Self::CheckoutRefused { .. } => Vec::new(),
        }
    }
}

impl EventInfo for Event {
    fn subject(&self, _stream: Uuid) -> Option<Uuid> {
        match self {
            Self::CheckoutStarted(started) => Some(started.customer.subject()),
            Self::CheckoutHeld {}
            | Self::CheckoutPaymentAdded { .. }
            | Self::CheckoutPaymentStopped { .. }
            | Self::CheckoutPaymentSettled { .. }
            | Self::CheckoutPaymentUnsettled { .. }
            | Self::CheckoutGivenUp { .. }
            | Self::CheckoutCompleted {}
            | Self::CheckoutRefused { .. } => None,
        }
    }

    fn amount(&self) -> Option<Money> {
        match self {
            Self::CheckoutStarted(started) => Some(started.total),
            Self::CheckoutPaymentAdded { amount, .. } | Self::CheckoutPaymentSettled { amount, .. } => {
                Some(*amount)
            }
            Self::CheckoutHeld {}
            | Self::CheckoutPaymentStopped { .. }
            | Self::CheckoutPaymentUnsettled { .. }
            | Self::CheckoutGivenUp { .. }
            | Self::CheckoutCompleted {}
            | Self::CheckoutRefused { .. } => None,
        }
    }

    fn amount_path(kind: EventKind) -> Option<&'static str> {
        match kind {
            EventKind::CheckoutStarted => Some("total"),
            EventKind::CheckoutPaymentAdded | EventKind::CheckoutPaymentSettled => Some("amount"),
            EventKind::CheckoutHeld
            | EventKind::CheckoutPaymentStopped
            | EventKind::CheckoutPaymentUnsettled
            | EventKind::CheckoutGivenUp
            | EventKind::CheckoutCompleted
            | EventKind::CheckoutRefused => None,
        }
    }

    fn name_paths(kind: EventKind) -> &'static [&'static str] {
        match kind {
            EventKind::CheckoutStarted => &["number"],
            EventKind::CheckoutHeld
            | EventKind::CheckoutPaymentAdded
            | EventKind::CheckoutPaymentStopped
            | EventKind::CheckoutPaymentSettled
            | EventKind::CheckoutPaymentUnsettled
            | EventKind::CheckoutGivenUp
            | EventKind::CheckoutCompleted
            | EventKind::CheckoutRefused => &[],
        }
    }

    fn is_refusal(kind: EventKind) -> bool {
        kind == EventKind::CheckoutRefused
    }

    /// A buyer may take as long as the stock is held; the rest is the shop's.
    fn expects(kind: EventKind) -> Option<Expectation<EventKind>> {
        (kind == EventKind::CheckoutStarted).then(|| Expectation {
            one_of: vec![EventKind::CheckoutCompleted, EventKind::CheckoutRefused],
            within_seconds: 2 * HOLD_SECONDS,
        })
    }
}
