//! Products over HTTP.
#![expect(clippy::unnecessary_wraps, reason = "what the table calls has one shape")]

use std::collections::BTreeMap;

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use soonshop_domain::Money;
use soonshop_domain::product::{self, Command, Product, Variant};
use soonshop_domain::text::Sku;
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use super::action::Input;
use super::call::Call;
use super::openapi::schema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProduct)]
pub(super) struct New {
    #[schema(max_length = 200)]
    name: String,
    #[serde(default)]
    #[schema(max_length = 10_000)]
    description: String,
    #[schema(max_length = 64)]
    category: Option<String>,
    /// Such as `colour` → `red`: what a search can be narrowed by.
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// What is sold, each under a SKU that no other product has.
    #[schema(value_type = Vec<schema::Variant>, min_items = 1, max_items = 200)]
    variants: Vec<Variant>,
    /// Only with the operator's token.
    occurred_at: Option<DateTime<Utc>>,
}

impl Input for New {
    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }
}

/// All of them: what is left out is empty from then on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProductDetails)]
pub(super) struct Details {
    #[schema(max_length = 200)]
    name: String,
    #[serde(default)]
    #[schema(max_length = 10_000)]
    description: String,
    #[schema(max_length = 64)]
    category: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl Input for Details {}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewVariant {
    #[schema(value_type = String, max_length = 64)]
    sku: Sku,
    /// Of one unit. A variant without a price cannot be ordered.
    #[schema(value_type = Option<schema::Money>)]
    price: Option<Money>,
}

impl Input for NewVariant {}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPrice {
    #[schema(value_type = String, max_length = 64)]
    sku: Sku,
    #[schema(value_type = schema::Money)]
    price: Money,
    /// Only with the operator's token.
    occurred_at: Option<DateTime<Utc>>,
}

impl Input for NewPrice {
    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }
}

fn details(raw: product::Details) -> Result<product::Details, Problem> {
    product::Details::try_new(raw)
        .map_err(|(pointer, error)| Problem::invalid("invalid-body", error.to_string()).with_pointer(pointer))
}

pub(super) fn create(_: Uuid, body: New) -> Result<Command, Problem> {
    let New { name, description, category, attributes, variants, occurred_at: _ } = body;
    let details = details(product::Details { name, description, category, attributes })?;
    Ok(Command::Create { details, variants })
}

pub(super) fn change(_: Uuid, body: Details) -> Result<Command, Problem> {
    let Details { name, description, category, attributes } = body;
    Ok(Command::Change { details: details(product::Details { name, description, category, attributes })? })
}

pub(super) fn add_variant(_: Uuid, NewVariant { sku, price }: NewVariant) -> Result<Command, Problem> {
    Ok(Command::AddVariant { variant: Variant { sku, price } })
}

pub(super) fn set_price(
    _: Uuid,
    NewPrice { sku, price, occurred_at: _ }: NewPrice,
) -> Result<Command, Problem> {
    Ok(Command::SetPrice { sku, price })
}

pub(super) async fn delete(call: Call, id: Uuid) -> Result<Response, Problem> {
    call.execute::<Product>(id, Command::Delete).await
}
