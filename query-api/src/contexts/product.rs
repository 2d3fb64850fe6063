//! Products over HTTP.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use soonshop_domain::clock;
use soonshop_domain::product::Product as State;
use soonshop_projections::product::Model;
use soonshop_service_kit::Problem;
use soonshop_service_kit::endpoint::Described;
use soonshop_service_kit::endpoint::params::{Kind, Sort};
use utoipa::ToSchema;

use crate::driver::entity::{look_up, reads};
use crate::driver::list::lists;
use crate::driver::search;
use crate::driver::shapes::{Money, Variant};
use crate::driver::shown::{Filter, ReadModel, Shown};
use crate::driver::state::{Action, Call, Endpoint};

/// The endpoints.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new("/products", "product.list", "List products", lists::<Model>()),
        Endpoint::new("/products/search", "product.search", "Search products", search::searches("products")),
        Endpoint::new(
            "/products/suggestions",
            "product.suggest",
            "Complete a typed text",
            search::suggests("products"),
        ),
        Endpoint::new("/products/{id}", "product.read", "A product", reads::<Model>()),
        Endpoint::new("/products/{id}/prices", "product.prices", "The prices of a product", prices()),
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
    /// The lowest price of its variants; null while none of them has one.
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
        params: &[],
        filters: &[
            Filter::new("status", Kind::OneOf(&["listed", "deleted"]), "status = ?", "`listed` by default.")
                .or("listed"),
            Filter::new(
                "category",
                Kind::Text,
                "category = ?",
                "The exact name; use the search for anything else.",
            ),
        ],
        sorts: &[
            Sort { name: "-created", column: "created_at" },
            Sort { name: "created", column: "created_at" },
        ],
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

/// The price of each variant.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described: its parts stand in the product as they are needed here")]
struct Prices {
    product_id: String,
    items: Vec<Variant>,
}

/// Only the prices, from the cached product.
fn prices() -> Action {
    Action::new(Vec::new(), Described::one::<Prices>(), |call: Call| async move {
        let (position, found) = look_up::<Model>(&call, call.id()?).await?;
        let version = found.version;
        let product: Value = serde_json::from_str(found.body.get()).map_err(Problem::internal)?;
        let prices = json!({ "product_id": product["id"], "items": product["variants"] });
        Ok(call.entity(position, version, false, prices.to_string().into()))
    })
}
