//! Products over HTTP.

use chrono::{DateTime, Utc};
use sea_orm::{IdenStatic as _, Iterable as _};
use serde::Serialize;
use serde_json::{Value, json};
use soonshop_domain::product::Product as State;
use soonshop_domain::{clock, text};
use soonshop_projections::product::{Column, Model};
use soonshop_search::value_key;
use soonshop_service_kit::Problem;
use soonshop_service_kit::endpoint::Described;
use soonshop_service_kit::endpoint::params::{Kind, Param, Params, Sort};
use soonshop_service_kit::problem::Kind as ProblemKind;
use soonshop_service_kit::rates::Class::{Reads, Searches};
use soonshop_service_kit::work::Price as Cost;
use utoipa::ToSchema;

use crate::driver::entity::{look_up, reads};
use crate::driver::list::lists;
use crate::driver::search;
use crate::driver::shapes::{Money, Variant};
use crate::driver::shown::{Filter, ReadModel, Shown, Together};
use crate::driver::state::{Action, Call, Endpoint};

/// The endpoints.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new("/products", "product.list", Reads, "List products", lists::<Model>()),
        Endpoint::new(
            "/products/search",
            "product.search",
            Searches,
            "Search products",
            search::searches("products"),
        ),
        Endpoint::new(
            "/products/suggestions",
            "product.suggest",
            Searches,
            "Complete a typed text",
            search::suggests("products"),
        ),
        Endpoint::new("/products/{id}", "product.read", Reads, "A product", reads::<Model>()),
        Endpoint::new("/products/{id}/prices", "product.prices", Reads, "The prices of a product", prices()),
    ]
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Product {
    id: String,
    status: String,
    name: String,
    description: String,
    category: Option<String>,
    /// Such as `colour` → `red`.
    #[schema(value_type = Object)]
    attributes: Value,
    #[schema(value_type = Vec<Variant>)]
    variants: Value,
    /// The lowest price of its variants, of those that were asked for by price or currency; null while none of them
    /// has one.
    price: Option<Money>,
    created_at: DateTime<Utc>,
    version: i64,
    /// The position of the event that last changed it.
    position: i64,
}

impl Shown for Model {
    type View = Product;
    type State = State;

    const MODEL: ReadModel = ReadModel {
        projection: "products",
        stream: Call::id,
        own: None,
        params: &[],
        filters: &[
            Filter::new("status", Kind::OneOf(&["listed", "deleted"]), "status = ?", "`listed` by default.")
                .or("listed"),
            Filter::new(
                "category",
                Kind::Checked(category_key, "it is a text of one line, of at most 200 characters"),
                "category_key = ?",
                "The whole name; capitals and the width of letters do not matter.",
            ),
        ],
        together: Some(Together {
            params: &[
                Param::new("price_from", PRICE, "Only with a price of at least this, in minor units."),
                Param::new("price_to", PRICE, "Only with a price of at most this, in minor units."),
                Param::new(
                    "currency",
                    Kind::Currency,
                    "Only with a price in it. A range of prices is of this currency; without it, of any.",
                ),
            ],
            rows: priced,
        }),
        sorts: &[
            Sort { name: "-created", column: "created_at" },
            Sort { name: "created", column: "created_at" },
            Sort { name: "price", column: "price" },
            Sort { name: "-price", column: "price" },
        ],
        changing: &["price"],
        shortened: &[],
        gone: ("product-deleted", "the product was deleted"),
        cached: true,
    };

    fn view(self) -> Product {
        Product {
            id: self.id,
            status: self.status,
            name: self.name,
            description: self.description,
            category: self.category,
            attributes: self.attributes,
            variants: self.variants,
            price: Money::of(self.price, self.currency),
            created_at: clock::from_micros(self.created_at),
            version: self.version,
            position: self.position,
        }
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn is_gone(&self) -> bool {
        self.status != "listed"
    }
}

const PRICE: Kind = Kind::Number(0, i64::MAX);

/// The form in which categories are compared, in the list as in the search.
fn category_key(raw: &str) -> Option<String> {
    Some(value_key(&text::line(raw, 200).ok()?))
}

/// Products with a price in the requested range and currency, each with the lowest of them as its price. A product is
/// found by any of its variants.
fn priced(params: &Params, sort: &Sort, values: &mut Vec<sea_orm::Value>) -> Option<String> {
    let mut wheres = Vec::new();
    if let Some(currency) = params.text("currency") {
        values.push(currency.into());
        wheres.push(format!("currency = ${}", values.len()));
    }
    for (name, compare) in [("price_from", ">="), ("price_to", "<=")] {
        if let Some(amount) = params.number(name) {
            values.push(amount.into());
            wheres.push(format!("amount {compare} ${}", values.len()));
        }
    }
    if wheres.is_empty() && sort.column != "price" {
        return None;
    }
    let expected = if wheres.is_empty() { "TRUE".to_owned() } else { wheres.join(" AND ") };
    let column = |column: Column| match column {
        Column::Price => "lowest.amount AS price".to_owned(),
        // Of equal amounts the first currency, as the search says it.
        Column::Currency => format!(
            "(SELECT min(currency) FROM @product_prices \
             WHERE product_id = p.id AND amount = lowest.amount AND {expected}) AS currency"
        ),
        other => format!("p.{}", other.as_str()),
    };
    let columns: Vec<String> = Column::iter().map(column).collect();
    Some(format!(
        "(SELECT {} FROM @products p JOIN (SELECT product_id, min(amount) AS amount FROM @product_prices \
         WHERE {expected} GROUP BY product_id) lowest ON lowest.product_id = p.id) priced",
        columns.join(", ")
    ))
}

/// The price of each variant.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described: its parts stand in the product as they are needed here")]
struct Prices {
    product_id: String,
    items: Vec<Variant>,
}

/// Only the prices, from the cached product.
fn prices() -> Action {
    let described = Described::one::<Prices>().with_version();
    let action = Action::new(Vec::new(), described, |call: Call| async move {
        let (position, found) = look_up::<Model>(&call, call.id()?).await?;
        let version = found.version;
        let product: Value = serde_json::from_str(found.body.get()).map_err(Problem::internal)?;
        let prices = json!({ "product_id": product["id"], "items": product["variants"] });
        Ok(call.entity(position, version, false, prices.to_string().into()))
    });
    action.refuses([ProblemKind::Gone]).costs(|_| Cost::Low)
}
