//! Stock over HTTP.

use serde::Serialize;
use soonshop_domain::inventory::{MAIN, Stock as State, stream};
use soonshop_domain::text::Sku;
use soonshop_projections::inventory::Model;
use soonshop_service_kit::Problem;
use soonshop_service_kit::endpoint::params::{Kind, Param, Sort};
use soonshop_service_kit::rates::Class::Reads;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::driver::entity::reads;
use crate::driver::list::lists;
use crate::driver::shown::{Filter, ReadModel, Shown};
use crate::driver::state::{Call, Endpoint};

/// The endpoints.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new("/inventory", "inventory.list", Reads, "List stock", lists::<Model>()),
        Endpoint::new("/inventory/{sku}", "inventory.read", Reads, "The stock of a SKU", reads::<Model>()),
    ]
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Stock {
    sku: String,
    location: String,
    /// The quantity at the location.
    on_hand: i64,
    /// The quantity reserved for orders.
    reserved: i64,
    /// On hand less reserved.
    available: i64,
    version: i64,
    /// The position of the event that last changed it.
    position: i64,
}

/// The stock item: the SKU in the path, at the requested location.
fn stock(call: &Call) -> Result<Uuid, Problem> {
    let sku = Sku::try_new(&call.key);
    let sku =
        sku.map_err(|error| Problem::malformed("invalid-id", format!("this cannot be a SKU: {error}")))?;
    Ok(stream(&sku, call.params.text("location").unwrap_or(MAIN)))
}

impl Shown for Model {
    type View = Stock;
    type State = State;

    const MODEL: ReadModel = ReadModel {
        projection: "stock",
        stream: stock,
        own: None,
        params: &[Param::new("location", Kind::Location, "`main` where it is left out.")],
        filters: &[
            Filter::new("sku", Kind::Sku, "sku = ?", "At all its locations."),
            Filter::new("location", Kind::Location, "location = ?", "All stock at this location."),
            Filter::new(
                "available_below",
                Kind::Number(0, i64::MAX),
                "available < ?",
                "With less than this available.",
            ),
        ],
        together: None,
        sorts: &[
            Sort { name: "sku", column: "sku" },
            Sort { name: "-sku", column: "sku" },
            Sort { name: "available", column: "available" },
            Sort { name: "-available", column: "available" },
        ],
        changing: &["available"],
        shortened: &[],
        gone: ("not-found", "there is nothing of this name"),
        cached: false,
    };

    /// Release 0.1 stored SKUs with characters that nobody sees.
    fn stored_otherwise(call: &Call) -> Option<Uuid> {
        let sku = Sku::stored_otherwise(&call.key)?;
        Some(stream(&sku, call.params.text("location").unwrap_or(MAIN)))
    }

    fn view(self) -> Stock {
        let Self { id: _, sku, location, on_hand, reserved, available, version, position } = self;
        Stock { sku, location, on_hand, reserved, available, version, position }
    }

    fn version(&self) -> i64 {
        self.version
    }
}
