//! Shapes that several answers share.

use serde::Serialize;
use utoipa::ToSchema;

/// An amount in minor units: pence, cents.
#[derive(Serialize, ToSchema)]
pub(crate) struct Money {
    #[schema(example = 1299)]
    pub(crate) amount: i64,
    /// ISO 4217.
    #[schema(example = "GBP", min_length = 3, max_length = 3)]
    pub(crate) currency: String,
}

impl Money {
    pub(crate) fn of(amount: Option<i64>, currency: Option<String>) -> Option<Self> {
        amount.zip(currency).map(|(amount, currency)| Self { amount, currency })
    }
}

/// The customer: `{"user": id}` or `{"guest": id}`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Customer {
    User(String),
    Guest(String),
}

impl Customer {
    pub(crate) fn of(kind: &str, subject: String) -> Self {
        if kind == "user" { Self::User(subject) } else { Self::Guest(subject) }
    }
}

/// JSON columns of rows, for the API description.
#[expect(dead_code, reason = "these are only described, never made")]
mod described {
    use utoipa::ToSchema;
    use uuid::Uuid;

    use super::Money;

    #[derive(ToSchema)]
    pub(crate) struct Variant {
        sku: String,
        /// Of one unit; absent while it cannot be ordered.
        price: Option<Money>,
    }

    /// With name and price as they were when it was sold.
    #[derive(ToSchema)]
    pub(crate) struct Line {
        /// From 1.
        number: u32,
        sku: String,
        product_id: Uuid,
        name: String,
        quantity: u32,
        /// Of one unit.
        price: Money,
    }

    /// A line of a credit note.
    #[derive(ToSchema)]
    pub(crate) struct CreditLine {
        /// From 1.
        number: u32,
        /// The number of the order's line. Absent without an order, and where an earlier release issued it.
        order_line: Option<u32>,
        sku: String,
        product_id: Uuid,
        name: String,
        quantity: u32,
        /// The credit for one unit.
        price: Money,
    }

    /// The line that could not be supplied, and why.
    #[derive(ToSchema)]
    pub(crate) struct Refusal {
        line: u32,
        sku: String,
        /// Such as `insufficient-stock`.
        reason: String,
    }
}

pub(crate) use described::{CreditLine, Line, Refusal, Variant};
