//! The earlier imports, asked over HTTP: the audit trail names the streams that imports began, and the lists have the
//! contents of orders, credit notes and products.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use soonshop_domain::order::Customer;
use soonshop_domain::order::credit_note::EventKind as OfCreditNote;
use soonshop_domain::text::Sku;
use soonshop_domain::{Money, inventory, order, user};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Answer, PATIENCE, Remote};
use crate::import::natural::Kind;
use crate::import::stored::{EarlierImports, StoredAdjustment, StoredLine, StoredSale};

/// How long the shop may gather what imports have brought.
const GATHERING: Duration = Duration::from_mins(11);

/// The streams that imports began, oldest first. (It is recorded that they were asked for.)
const IMPORTED: &str = "/api/audit/export.ndjson?chan=import&order=asc&changes=0";

/// An event that an import brought.
#[derive(Deserialize)]
struct Imported {
    #[serde(rename = "type")]
    kind: String,
    aggregate_id: Uuid,
    occurred_at: DateTime<Utc>,
    correlation_id: Option<Uuid>,
    summary: Value,
}

#[derive(Deserialize)]
struct Listed {
    id: Uuid,
    number: String,
    customer: Customer,
    country: String,
    #[serde(alias = "placed_at", alias = "issued_at")]
    at: DateTime<Utc>,
    lines: Vec<ListedLine>,
    /// Where all lines are, if a list has not all of them.
    all_lines: Option<String>,
}

#[derive(Deserialize)]
struct ListedLine {
    number: u32,
    sku: Sku,
    quantity: u32,
    price: Money,
}

#[derive(Deserialize)]
struct ListedProduct {
    variants: Vec<ListedVariant>,
}

#[derive(Deserialize)]
struct ListedVariant {
    sku: Sku,
    price: Option<Money>,
}

/// A field of a summary.
fn field<T: DeserializeOwned>(summary: &Value, name: &str) -> anyhow::Result<T> {
    serde_json::from_value(summary[name].clone()).with_context(|| format!("the audit trail tells no {name}"))
}

impl Remote {
    /// The documents of earlier imports, as far as they are wanted.
    pub(in crate::import) async fn stored(
        &self,
        expected: &HashSet<String>,
    ) -> anyhow::Result<EarlierImports> {
        let head = self.end_of_log().await?;
        let mut stored = EarlierImports::default();
        self.wait("/api/audit/timeline?limit=1", head, "the audit trail is behind", |_| true).await?;
        let mut sales: HashMap<Uuid, Option<Uuid>> = HashMap::new();
        for line in self.imported().await?.lines().skip(1) {
            let event: Imported =
                serde_json::from_str(line).with_context(|| format!("{} answered {IMPORTED}", self.base))?;
            let Imported { kind, aggregate_id, occurred_at: at, correlation_id, summary } = event;
            let is = |name: &'static str| kind == name;
            if is(order::EventKind::OrderPlaced.into()) || is(OfCreditNote::CreditNoteIssued.into()) {
                sales.insert(aggregate_id, correlation_id);
            } else if is(inventory::EventKind::StockReceived.into()) {
                stored.received(field(&summary, "sku")?, field(&summary, "quantity")?);
            } else if is(inventory::EventKind::StockAdjusted.into()) {
                let (sku, quantity) = (field(&summary, "sku")?, field(&summary, "quantity")?);
                stored.adjusted(correlation_id, StoredAdjustment { sku, quantity, at });
            } else if is(user::EventKind::UserRegistered.into()) {
                stored.user(correlation_id, aggregate_id);
            }
        }
        let lists = [
            (Kind::Order, "/orders?sort=placed&limit=200"),
            (Kind::CreditNote, "/credit-notes?sort=issued&limit=200"),
        ];
        for (kind, path) in lists {
            let mut all = Vec::new();
            self.pages(path, head, |listed: Listed| all.push(listed)).await?;
            for listed in all {
                let whole = listed.all_lines.clone().filter(|_| sales.contains_key(&listed.id));
                let listed = match whole {
                    Some(path) => self.whole(&path, head).await?,
                    None => listed,
                };
                let Listed { id, number, customer, country, at, lines, all_lines: _ } = listed;
                let lines = lines.into_iter().map(|ListedLine { number, sku, quantity, price }| StoredLine {
                    number,
                    sku,
                    quantity,
                    price,
                });
                let sale = StoredSale { piece: 1, customer, country, at, lines: lines.collect() };
                let (imported, correlation) =
                    sales.get(&id).map_or((false, None), |correlation| (true, *correlation));
                stored.sale(kind, number, sale, imported, correlation, expected);
            }
        }
        self.pages("/products?limit=200", head, |product: ListedProduct| {
            for variant in product.variants {
                stored.product(variant.sku, variant.price.is_some());
            }
        })
        .await?;
        Ok(stored)
    }

    /// The last position of the log, whether or not all is well with what follows it.
    async fn end_of_log(&self) -> anyhow::Result<i64> {
        let path = "/health/audit";
        let (status, text) = self.text(path, |status| status.as_u16() == 429).await?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(head) = body["head"].as_i64() {
            return Ok(head);
        }
        let answer = self.sane(path, Answer { status, position: None, body })?;
        bail!("{} does not say where its log ends: {}", self.base, answer.summary())
    }

    /// The export of what came by imports, as it is answered.
    async fn imported(&self) -> anyhow::Result<String> {
        let (status, text) = self.text(IMPORTED, |status| matches!(status.as_u16(), 429 | 503)).await?;
        if status.is_success() {
            return Ok(text);
        }
        let body = serde_json::from_str(&text).unwrap_or_default();
        let answer = self.sane(IMPORTED, Answer { status, position: None, body })?;
        bail!("{} did not answer {IMPORTED}: {}", self.base, answer.summary())
    }

    /// The answer, however long it takes; asked again, for a minute, while nobody answers or `later` holds.
    async fn text(
        &self,
        path: &str,
        later: impl Fn(StatusCode) -> bool,
    ) -> anyhow::Result<(StatusCode, String)> {
        let (began, mut pause) = (Instant::now(), Duration::from_millis(200));
        loop {
            let request = self.client.get(format!("{}{path}", self.base)).timeout(GATHERING);
            let answered = async {
                let response = request.send().await?;
                Ok((response.status(), response.text().await?))
            };
            let gives_up = began.elapsed() > PATIENCE;
            match answered.await {
                Ok((status, text)) if gives_up || !later(status) => return Ok((status, text)),
                Err(error) if gives_up => return Err(reqwest::Error::without_url(error).into()),
                Ok(_) | Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// An order or a credit note with all of its lines.
    async fn whole(&self, path: &str, position: i64) -> anyhow::Result<Listed> {
        let answer = self.wait(path, position, "a read model is behind", |_| true).await?;
        Listed::deserialize(&answer.body).with_context(|| format!("{} answered {path}", self.base))
    }

    /// Every item of a list.
    async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        position: i64,
        mut take: impl FnMut(T),
    ) -> anyhow::Result<()> {
        let mut next = path.to_owned();
        loop {
            let page = self.wait(&next, position, "a read model is behind", |_| true).await?;
            for item in page.items() {
                let item = T::deserialize(item).with_context(|| format!("{} answered {path}", self.base))?;
                take(item);
            }
            let Some(after) = page.body["next"].as_str() else { return Ok(()) };
            next = format!("{path}&after={after}");
        }
    }
}
