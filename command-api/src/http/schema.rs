//! Schemas of the domain's types: the domain does not know OpenAPI.
#![expect(dead_code, reason = "these are only described, never made")]

use utoipa::ToSchema;
use uuid::Uuid;

#[derive(ToSchema)]
pub(crate) struct Money {
    /// In minor units: pence, cents.
    #[schema(example = 1299)]
    amount: i64,
    /// ISO 4217.
    #[schema(example = "GBP", min_length = 3, max_length = 3)]
    currency: String,
}

#[derive(ToSchema)]
pub(crate) struct Variant {
    #[schema(max_length = 64)]
    sku: String,
    /// Of one unit. A variant without a price cannot be ordered.
    price: Option<Money>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Purpose {
    /// The account: name, e-mail, phone.
    Account,
    /// How to reach the buyer, on every order.
    Invoice,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Customer {
    /// A user's id.
    User(Uuid),
    /// An id that the caller gives a buyer without an account.
    Guest(Uuid),
}
