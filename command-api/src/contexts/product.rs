//! Products over HTTP.
#![expect(clippy::unnecessary_wraps, reason = "all functions of the table have one signature")]

use std::collections::BTreeMap;

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use soonshop_domain::Money;
use soonshop_domain::product::{self, Command, Product, Variant};
use soonshop_domain::text::Sku;
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::action::{begins, executes, removes};
use crate::http::body::Input;
use crate::http::call::Call;
use crate::http::endpoint::{Endpoint, endpoints};
use crate::http::row::Success::{Created, Done, Removed};
use crate::http::schema;

#[rustfmt::skip]
pub(super) fn endpoints() -> Vec<Endpoint> {
    endpoints! {
        POST   "/products"               "product.create":      Trade, Optional, Created("/products/{id}"), "List a product"              => begins::<Product, _>(create);
        PUT    "/products/{id}"          "product.change":      Trade, Optional, Done,                      "Replace a product's details" => executes::<Product, _>(change);
        DELETE "/products/{id}"          "product.delete":      Trade, Optional, Removed,                   "Delete a product"            => removes(delete);
        POST   "/products/{id}/variants" "product.add-variant": Trade, Optional, Done,                      "Add a variant"               => executes::<Product, _>(add_variant);
        POST   "/products/{id}/prices"   "product.set-price":   Trade, Optional, Done,                      "Set the price of a variant"  => executes::<Product, _>(set_price);
    }
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProduct)]
struct New {
    #[schema(max_length = 200)]
    name: String,
    #[serde(default)]
    #[schema(max_length = 10_000)]
    description: String,
    #[schema(max_length = 64)]
    category: Option<String>,
    /// Such as `colour` → `red`: a search can filter by them.
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// The variants that are sold, each with a SKU that no other product has.
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

/// All details: a field that is left out becomes empty.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProductDetails)]
struct Details {
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

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewVariant {
    #[schema(value_type = String, max_length = 64)]
    sku: Sku,
    /// Of one unit. A variant without a price cannot be ordered.
    #[schema(value_type = Option<schema::Money>)]
    price: Option<Money>,
}

impl Input for NewVariant {}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPrice {
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

fn create(_: Uuid, body: New) -> Result<Command, Problem> {
    let New { name, description, category, attributes, variants, occurred_at: _ } = body;
    let details = details(product::Details { name, description, category, attributes })?;
    Ok(Command::Create { details, variants })
}

fn change(_: Uuid, body: Details) -> Result<Command, Problem> {
    let Details { name, description, category, attributes } = body;
    Ok(Command::Change { details: details(product::Details { name, description, category, attributes })? })
}

fn add_variant(_: Uuid, NewVariant { sku, price }: NewVariant) -> Result<Command, Problem> {
    Ok(Command::AddVariant { variant: Variant { sku, price } })
}

fn set_price(_: Uuid, NewPrice { sku, price, occurred_at: _ }: NewPrice) -> Result<Command, Problem> {
    Ok(Command::SetPrice { sku, price })
}

async fn delete(call: Call, id: Uuid) -> Result<Response, Problem> {
    call.execute::<Product>(id, Command::Delete).await
}
