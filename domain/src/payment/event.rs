//! The events of a payment, as they are stored. Each begins with its order, so that a process finds its instance in the
//! event alone. None holds a personal value or a secret.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::OrderId;
use crate::order::Customer;
use crate::tender::Tender;
use crate::{EventInfo, Expectation, Money, PersonalValue, Sensitive};

/// How long a provider may take, in seconds, before people are shown that an answer is missing.
pub const PATIENCE_SECONDS: i64 = 15 * 60;

/// When what was authorized is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::AsRefStr, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Capture {
    AtOnce,
    /// When staff ask for it.
    Later,
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
    PaymentOpened {
        order_id: OrderId,
        /// Of the order.
        revision: u32,
        customer: Customer,
        amount: Money,
        tender: Tender,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<String>,
        capture: Capture,
        /// No money moves: the provider is one for tests.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        test: bool,
    },
    /// Valid at every position; before the opening it bars it.
    PaymentStopRequested {
        order_id: OrderId,
    },
    AuthorizationRequested {
        order_id: OrderId,
        transaction: Uuid,
        amount: Money,
    },
    /// The buyer has to confirm it on a page of the provider's.
    AuthorizationActionRequired {
        order_id: OrderId,
        transaction: Uuid,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
    },
    /// No end: the buyer may try again.
    AuthorizationDeclined {
        order_id: OrderId,
        transaction: Uuid,
        code: String,
    },
    AuthorizationSucceeded {
        order_id: OrderId,
        transaction: Uuid,
        reference: String,
        amount: Money,
        /// When it lapses.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<DateTime<Utc>>,
    },
    /// The provider confirmed that nothing comes any more.
    AuthorizationFailed {
        order_id: OrderId,
        transaction: Uuid,
        code: String,
    },
    AuthorizationUnknown {
        order_id: OrderId,
        transaction: Uuid,
    },
    AuthorizationLapsed {
        order_id: OrderId,
        transaction: Uuid,
        amount: Money,
    },
    ChargeRequested {
        order_id: OrderId,
        transaction: Uuid,
        amount: Money,
    },
    ChargeSucceeded {
        order_id: OrderId,
        transaction: Uuid,
        amount: Money,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        /// It was done in the provider's own pages.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unasked: bool,
    },
    ChargeFailed {
        order_id: OrderId,
        transaction: Uuid,
        code: String,
    },
    ChargeUnknown {
        order_id: OrderId,
        transaction: Uuid,
    },
    ReleaseRequested {
        order_id: OrderId,
        transaction: Uuid,
        amount: Money,
        /// The payment was stopped, and gives back by itself.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_itself: bool,
    },
    ReleaseSucceeded {
        order_id: OrderId,
        transaction: Uuid,
        amount: Money,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unasked: bool,
    },
    ReleaseFailed {
        order_id: OrderId,
        transaction: Uuid,
        code: String,
    },
    ReleaseUnknown {
        order_id: OrderId,
        transaction: Uuid,
    },
    RefundRequested {
        order_id: OrderId,
        transaction: Uuid,
        amount: Money,
        /// As of a release.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_itself: bool,
    },
    RefundSucceeded {
        order_id: OrderId,
        transaction: Uuid,
        amount: Money,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unasked: bool,
    },
    RefundFailed {
        order_id: OrderId,
        transaction: Uuid,
        code: String,
    },
    RefundUnknown {
        order_id: OrderId,
        transaction: Uuid,
    },
    /// A report that moved no money, and contradicts what is known.
    PaymentNoted {
        order_id: OrderId,
        code: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transaction: Option<Uuid>,
    },
    PaymentClosed {
        order_id: OrderId,
    },
}

impl Event {
    /// The order that is paid for.
    pub fn order_id(&self) -> OrderId {
        match self {
            Self::PaymentOpened { order_id, .. }
            | Self::PaymentStopRequested { order_id }
            | Self::AuthorizationRequested { order_id, .. }
            | Self::AuthorizationActionRequired { order_id, .. }
            | Self::AuthorizationDeclined { order_id, .. }
            | Self::AuthorizationSucceeded { order_id, .. }
            | Self::AuthorizationFailed { order_id, .. }
            | Self::AuthorizationUnknown { order_id, .. }
            | Self::AuthorizationLapsed { order_id, .. }
            | Self::ChargeRequested { order_id, .. }
            | Self::ChargeSucceeded { order_id, .. }
            | Self::ChargeFailed { order_id, .. }
            | Self::ChargeUnknown { order_id, .. }
            | Self::ReleaseRequested { order_id, .. }
            | Self::ReleaseSucceeded { order_id, .. }
            | Self::ReleaseFailed { order_id, .. }
            | Self::ReleaseUnknown { order_id, .. }
            | Self::RefundRequested { order_id, .. }
            | Self::RefundSucceeded { order_id, .. }
            | Self::RefundFailed { order_id, .. }
            | Self::RefundUnknown { order_id, .. }
            | Self::PaymentNoted { order_id, .. }
            | Self::PaymentClosed { order_id } => *order_id,
        }
    }
}

impl Sensitive for Event {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        // The compiler asks here again when an event is added.
        let _ = self.order_id();
        Vec::new()
    }
}

impl EventInfo for Event {
    fn subject(&self, _stream: Uuid) -> Option<Uuid> {
        if let Self::PaymentOpened { customer, .. } = self { Some(customer.subject()) } else { None }
    }

    fn amount(&self) -> Option<Money> {
        match self {
            Self::PaymentOpened { amount, .. }
            | Self::AuthorizationRequested { amount, .. }
            | Self::AuthorizationSucceeded { amount, .. }
            | Self::AuthorizationLapsed { amount, .. }
            | Self::ChargeRequested { amount, .. }
            | Self::ChargeSucceeded { amount, .. }
            | Self::ReleaseRequested { amount, .. }
            | Self::ReleaseSucceeded { amount, .. }
            | Self::RefundRequested { amount, .. }
            | Self::RefundSucceeded { amount, .. } => Some(*amount),
            Self::PaymentStopRequested { .. }
            | Self::AuthorizationActionRequired { .. }
            | Self::AuthorizationDeclined { .. }
            | Self::AuthorizationFailed { .. }
            | Self::AuthorizationUnknown { .. }
            | Self::ChargeFailed { .. }
            | Self::ChargeUnknown { .. }
            | Self::ReleaseFailed { .. }
            | Self::ReleaseUnknown { .. }
            | Self::RefundFailed { .. }
            | Self::RefundUnknown { .. }
            | Self::PaymentNoted { .. }
            | Self::PaymentClosed { .. } => None,
        }
    }

    fn amount_path(kind: EventKind) -> Option<&'static str> {
        match kind {
            EventKind::PaymentOpened
            | EventKind::AuthorizationRequested
            | EventKind::AuthorizationSucceeded
            | EventKind::AuthorizationLapsed
            | EventKind::ChargeRequested
            | EventKind::ChargeSucceeded
            | EventKind::ReleaseRequested
            | EventKind::ReleaseSucceeded
            | EventKind::RefundRequested
            | EventKind::RefundSucceeded => Some("amount"),
            EventKind::PaymentStopRequested
            | EventKind::AuthorizationActionRequired
            | EventKind::AuthorizationDeclined
            | EventKind::AuthorizationFailed
            | EventKind::AuthorizationUnknown
            | EventKind::ChargeFailed
            | EventKind::ChargeUnknown
            | EventKind::ReleaseFailed
            | EventKind::ReleaseUnknown
            | EventKind::RefundFailed
            | EventKind::RefundUnknown
            | EventKind::PaymentNoted
            | EventKind::PaymentClosed => None,
        }
    }

    /// A payment has no name: it is its order's.
    fn name_paths(_: EventKind) -> &'static [&'static str] {
        &[]
    }

    /// What a provider declines was asked for, and is no refusal of ours.
    fn is_refusal(_: EventKind) -> bool {
        false
    }

    fn expects(kind: EventKind) -> Option<Expectation<EventKind>> {
        let one_of = match kind {
            EventKind::AuthorizationRequested => vec![
                EventKind::AuthorizationActionRequired,
                EventKind::AuthorizationDeclined,
                EventKind::AuthorizationSucceeded,
                EventKind::AuthorizationFailed,
            ],
            EventKind::ChargeRequested => vec![EventKind::ChargeSucceeded, EventKind::ChargeFailed],
            EventKind::ReleaseRequested => vec![EventKind::ReleaseSucceeded, EventKind::ReleaseFailed],
            EventKind::RefundRequested => vec![EventKind::RefundSucceeded, EventKind::RefundFailed],
            EventKind::PaymentOpened
            | EventKind::PaymentStopRequested
            | EventKind::AuthorizationActionRequired
            | EventKind::AuthorizationDeclined
            | EventKind::AuthorizationSucceeded
            | EventKind::AuthorizationFailed
            | EventKind::AuthorizationUnknown
            | EventKind::AuthorizationLapsed
            | EventKind::ChargeSucceeded
            | EventKind::ChargeFailed
            | EventKind::ChargeUnknown
            | EventKind::ReleaseSucceeded
            | EventKind::ReleaseFailed
            | EventKind::ReleaseUnknown
            | EventKind::RefundSucceeded
            | EventKind::RefundFailed
            | EventKind::RefundUnknown
            | EventKind::PaymentNoted
            | EventKind::PaymentClosed => return None,
        };
        Some(Expectation { one_of, within_seconds: PATIENCE_SECONDS })
    }
}
