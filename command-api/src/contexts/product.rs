//! Products over HTTP.
#![expect(clippy::unnecessary_wraps, reason = "all functions of the table have one signature")]

use std::collections::BTreeMap;

use axum::response::Response;
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use soonshop_domain::Money;
use soonshop_domain::inventory::{self, At, MAIN, Stock, StockPlace, stream};
use soonshop_domain::product::{self, Command, Product, Variant};
use soonshop_domain::text::Sku;
use soonshop_event_store::{EventStore, ExecuteError};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::action::{begins, executes, prepares, removes};
use crate::http::answer::{answer, refused, unreadable};
use crate::http::body::Input;
use crate::http::call::Call;
use crate::http::endpoint::{Endpoint, endpoints};
use crate::http::path::encoded;
use crate::http::privileged::{OCCURRED_AT, Privileged};
use crate::http::row::Success::{Created, Done, Removed};
use crate::http::schema;

#[rustfmt::skip]
pub(super) fn endpoints() -> Vec<Endpoint> {
    endpoints! {
        POST   "/products"               "product.create":      Trade, New,      Optional, Created("/products/{id}"), "List a product"              => begins::<Product, _>(create);
        PUT    "/products/{id}"          "product.change":      Trade, TheShop, Optional, Done,                      "Replace a product's details" => executes::<Product, _>(change);
        DELETE "/products/{id}"          "product.delete":      Trade, TheShop, Optional, Removed,                   "Delete a product"            => removes(delete);
        POST   "/products/{id}/variants" "product.add-variant": Trade, TheShop, Optional, Done,                      "Add a variant"               => executes::<Product, _>(add_variant);
        POST   "/products/{id}/prices"   "product.set-price":   Trade, TheShop, Optional, Done,                      "Set the price of a variant"  => executes::<Product, _>(set_price);
        POST   "/products/{id}/sku-releases" "product.release-sku": Override, TheShop, Optional, Done,                   "Give a SKU of a deleted product back" => prepares(release_sku);
    }
}

/// Attributes, none of them twice: names that differed in invisible characters only are one by now.
fn each_name_once<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct Names;
    impl<'de> Visitor<'de> for Names {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("an object of texts")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut from: M) -> Result<Self::Value, M::Error> {
            let mut names = BTreeMap::new();
            while let Some((name, value)) = from.next_entry::<String, String>()? {
                if names.insert(name, value).is_some() {
                    return Err(serde::de::Error::custom("two attributes have the same name"));
                }
            }
            Ok(names)
        }
    }
    from.deserialize_map(Names)
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProduct)]
struct New {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[serde(default)]
    #[schema(max_length = 10_000)]
    description: String,
    #[schema(min_length = 1, max_length = 64)]
    category: Option<String>,
    #[serde(default, deserialize_with = "each_name_once")]
    #[schema(value_type = schema::Attributes)]
    attributes: BTreeMap<String, String>,
    /// The variants that are sold, each with a SKU that no other product has.
    #[schema(value_type = Vec<schema::Variant>, min_items = 1, max_items = 200)]
    variants: Vec<Variant>,
    /// Needs the permission `override`.
    occurred_at: Option<DateTime<Utc>>,
}

impl Input for New {
    const PRIVILEGED: &'static [Privileged] = &[OCCURRED_AT];
}

/// All details: a field that is left out becomes empty.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProductDetails)]
struct Details {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[serde(default)]
    #[schema(max_length = 10_000)]
    description: String,
    #[schema(min_length = 1, max_length = 64)]
    category: Option<String>,
    #[serde(default, deserialize_with = "each_name_once")]
    #[schema(value_type = schema::Attributes)]
    attributes: BTreeMap<String, String>,
}

impl Input for Details {
    const PRIVILEGED: &'static [Privileged] = &[];
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewVariant {
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    sku: Sku,
    /// Of one unit. A variant without a price cannot be ordered.
    #[schema(value_type = Option<schema::Price>)]
    price: Option<Money>,
}

impl Input for NewVariant {
    const PRIVILEGED: &'static [Privileged] = &[];
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPrice {
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    sku: Sku,
    #[schema(value_type = schema::Price)]
    price: Money,
    /// Needs the permission `override`.
    occurred_at: Option<DateTime<Utc>>,
}

impl Input for NewPrice {
    const PRIVILEGED: &'static [Privileged] = &[OCCURRED_AT];
}

/// A SKU that another product may have from now on.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SkuRelease)]
struct Release {
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    sku: Sku,
}

impl Input for Release {
    const PRIVILEGED: &'static [Privileged] = &[];
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

/// Deletes the product, and says what is left of it.
async fn delete(mut call: Call, id: Uuid) -> Result<Response, Problem> {
    let (product, _) = call.store.load::<Product>(id).await.map_err(refused)?;
    let skus: Vec<Sku> = product.skus().into_iter().cloned().collect();
    let units = skus.into_iter().map(|sku| units_of(call.store.clone(), sku));
    let units: Vec<_> = futures::stream::iter(units).buffered(LOOK_UPS).try_collect().await?;
    call.say(left(&units));
    call.execute::<Product>(id, Command::Delete).await
}

/// Another product may have the SKU, unless it would inherit stock, wherever that lies. The stock at the main location has
/// a say in the append itself: what comes in or is reserved at the same moment is either seen, or refused. At the others
/// nothing comes in once the product was deleted, so one that is empty stays so.
async fn release_sku(call: Call, id: Uuid, Release { sku }: Release) -> Result<Response, Problem> {
    let (product, _) = call.store.load::<Product>(id).await.map_err(refused)?;
    let release = Command::ReleaseSku { sku: sku.clone() };
    if !matches!(&product, Product::Deleted { skus, .. } if skus.contains(&sku)) {
        return call.execute::<Product>(id, release).await;
    }
    let elsewhere = stocks_of(&call.store, &sku).await?;
    if let Some(stock) = elsewhere.iter().find(|stock| !at_main(stock) && stock.on_hand != 0) {
        let location = stock.location.as_deref().unwrap_or_default();
        return Err(stock_left(location, stock.on_hand, stock.reserved));
    }
    let place = StockPlace { sku: sku.clone(), location: MAIN.to_owned() };
    let empty = (stream(&sku, MAIN), At { place, command: inventory::Command::BeEmpty });
    let done = call.attempt_joined::<Product, Stock>((id, release.clone()), empty, left_behind).await;
    if let Err(ExecuteError::Rejected(product::Error::StockLeft { on_hand, reserved })) = done {
        return Err(stock_left(MAIN, on_hand, reserved));
    }
    answer::<Product>(id, release, done)
}

fn stock_left(location: &str, on_hand: i64, reserved: i64) -> Problem {
    let detail = "there is stock of this SKU, which another product would inherit: ship what is reserved, and adjust the \
                  rest to zero";
    let problem = Problem::conflict("stock-left", detail).with("location", location);
    problem.with("on_hand", on_hand).with("reserved", reserved)
}

fn at_main(stock: &Stock) -> bool {
    stock.location.as_deref() == Some(MAIN)
}

/// A refusal of the stock as one of the product.
fn left_behind(error: inventory::Error) -> product::Error {
    match error {
        inventory::Error::StockLeft { on_hand, reserved } => product::Error::StockLeft { on_hand, reserved },
        // No other is given to a command that moves nothing.
        _ => product::Error::ProductListed,
    }
}

/// The stocks of how many SKUs are looked up at once.
const LOOK_UPS: usize = 8;

/// The most SKUs that a header names.
const MOST_NAMED: usize = 20;

/// The stocks of a SKU at all locations, without their lines.
async fn stocks_of(store: &EventStore, sku: &Sku) -> Result<Vec<Stock>, Problem> {
    let [aggregate_type, field] = inventory::BY_SKU;
    let first =
        store.log().first_with_field(aggregate_type, field, sku.as_str()).await.map_err(unreadable)?;
    let mut stocks = Vec::with_capacity(first.len());
    for row in first {
        let id = row.aggregate_id.parse().map_err(Problem::internal)?;
        stocks.push(store.load_without_parts::<Stock>(id).await.map_err(refused)?.0);
    }
    Ok(stocks)
}

/// How many units of a SKU there are, at all locations.
async fn units_of(store: EventStore, sku: Sku) -> Result<(Sku, i64), Problem> {
    let stocks = stocks_of(&store, &sku).await?;
    Ok((sku, stocks.iter().map(|stock| stock.on_hand).fold(0, i64::saturating_add)))
}

/// The SKUs with stock, as a list of RFC 8941: `"MUG-01";units=7`. A SKU is percent-encoded as in a path.
fn left(units: &[(Sku, i64)]) -> Option<String> {
    let left: Vec<_> = units.iter().filter(|(_, units)| *units != 0).collect();
    let named = left.iter().take(MOST_NAMED);
    let named = named.map(|(sku, units)| format!("\"{}\";units={units}", encoded(sku.as_str())));
    let more = left.len().saturating_sub(MOST_NAMED);
    let more = (more > 0).then(|| format!("\"\";more={more}"));
    let list: Vec<_> = named.chain(more).collect();
    (!list.is_empty()).then(|| list.join(", "))
}
