//! Schemas of the domain's types: the domain does not know OpenAPI.
#![expect(dead_code, reason = "these are only described, never made")]

use std::borrow::Cow;

use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// The price of one unit of a product. Its `maximum` is the domain's `MOST_AMOUNT`.
#[derive(serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    /// In minor units: pence, cents.
    #[schema(example = 1299, minimum = 0, maximum = 100_000_000_000_i64)]
    amount: i64,
    /// ISO 4217.
    #[schema(example = "GBP", min_length = 3, max_length = 3)]
    currency: String,
}

/// An amount of a payment: its order and the payment say how much is left. Its `maximum` is `MOST_TOTAL`.
#[derive(ToSchema)]
pub(crate) struct PaymentMoney {
    /// In minor units: pence, cents.
    #[schema(example = 1299, minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    amount: i64,
    /// ISO 4217: that of the order.
    #[schema(example = "GBP", min_length = 3, max_length = 3)]
    currency: String,
}

/// What is to be paid in all. Its `maximum` is `MOST_TOTAL`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the field")]
pub(crate) struct Total {
    /// In minor units: pence, cents.
    #[schema(example = 2598, minimum = 0, maximum = 1_000_000_000_000_000_i64)]
    amount: i64,
    /// ISO 4217.
    #[schema(example = "GBP", min_length = 3, max_length = 3)]
    currency: String,
}

/// Names and values of at most 64 and 200 characters.
pub(crate) struct Attributes;

fn line(most: usize) -> Schema {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(most)).build().into()
}

impl PartialSchema for Attributes {
    fn schema() -> RefOr<Schema> {
        let values = AdditionalProperties::RefOr(RefOr::T(line(200)));
        let about = "Such as `colour` → `red`: a search can filter by them.";
        let attributes =
            ObjectBuilder::new().property_names(Some(line(64))).additional_properties(Some(values));
        RefOr::T(attributes.description(Some(about)).build().into())
    }
}

impl ToSchema for Attributes {
    fn name() -> Cow<'static, str> {
        "Attributes".into()
    }
}

/// A variant of a new product.
#[derive(serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProductVariant)]
pub(crate) struct Variant {
    #[schema(min_length = 1, max_length = 64)]
    sku: String,
    /// Of one unit. A variant without a price cannot be ordered.
    price: Option<Price>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Purpose {
    /// The account: name, e-mail, phone.
    Account,
    /// How to reach the buyer, on every order.
    Invoice,
}

/// The buyer: a user or a guest.
#[derive(ToSchema)]
#[schema(as = Buyer, rename_all = "lowercase")]
pub(crate) enum Customer {
    /// A user's id.
    User(Uuid),
    /// An id that the caller gives a buyer without an account.
    Guest(Uuid),
}
