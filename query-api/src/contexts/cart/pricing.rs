//! Looks up what the lines of a cart are sold as, and how many units there are.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{FromQueryResult as _, Value};
use soonshop_domain::cart::{Line, Offer, Priced, price};
use soonshop_domain::ids::ProductId;
use soonshop_domain::inventory::{MAIN, stream};
use soonshop_domain::text::Sku;
use soonshop_domain::{Currency, Money};
use soonshop_event_log::places;
use soonshop_projections::product;
use soonshop_projections::source::query_failed;
use soonshop_service_kit::Problem;

use crate::driver::state::{Call, at_least};

/// What some lines are sold as now.
pub(super) struct Prices {
    offers: HashMap<(ProductId, Sku), Offer>,
    available: HashMap<Sku, i64>,
}

impl Prices {
    pub(super) async fn of(call: &Call, lines: &[Line]) -> Result<Self, Problem> {
        if lines.is_empty() {
            return Ok(Self { offers: HashMap::new(), available: HashMap::new() });
        }
        Ok(Self { offers: offers(call, lines).await?, available: available(call, lines).await? })
    }

    pub(super) fn price<'l>(&'l self, currency: Currency, lines: &'l [Line]) -> (Vec<Priced<'l>>, Money) {
        let offer = |line: &Line| self.offers.get(&(line.product_id, line.sku.clone()));
        price(currency, lines, offer, |sku| self.available.get(sku).copied().unwrap_or(0))
    }
}

/// The variants of listed products. A SKU that another product has by now is not what is in the cart.
async fn offers(call: &Call, lines: &[Line]) -> Result<HashMap<(ProductId, Sku), Offer>, Problem> {
    let ids: BTreeSet<String> = lines.iter().map(|line| line.product_id.to_string()).collect();
    let source = call.shared.source("products", None).await?;
    let sql = format!("SELECT * FROM @products WHERE status = 'listed' AND id IN ({})", places(1, ids.len()));
    let values: Vec<Value> = ids.into_iter().map(Value::from).collect();
    let (_, rows) = source.rows(at_least(call), None, &sql, &values, "id").await?;
    let mut offers = HashMap::new();
    for row in rows {
        let row = product::Model::from_query_result(&row, "").map_err(query_failed)?;
        let id = ProductId(row.id.parse().map_err(Problem::internal)?);
        for variant in row.variants() {
            let offer = Offer { name: row.name.clone(), price: variant.price };
            offers.insert((id, variant.sku), offer);
        }
    }
    Ok(offers)
}

async fn available(call: &Call, lines: &[Line]) -> Result<HashMap<Sku, i64>, Problem> {
    let skus: HashMap<String, Sku> =
        lines.iter().map(|line| (stream(&line.sku, MAIN).to_string(), line.sku.clone())).collect();
    let source = call.shared.source("stock", None).await?;
    let sql = format!("SELECT id, available FROM @stock WHERE id IN ({})", places(1, skus.len()));
    let values: Vec<Value> = skus.keys().map(|id| Value::from(id.as_str())).collect();
    let (_, rows) = source.rows(at_least(call), None, &sql, &values, "id").await?;
    let mut available = HashMap::new();
    for row in rows {
        let id: String = row.try_get("", "id").map_err(query_failed)?;
        if let Some(sku) = skus.get(&id) {
            available.insert(sku.clone(), row.try_get("", "available").map_err(query_failed)?);
        }
    }
    Ok(available)
}
