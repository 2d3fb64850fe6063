//! The ways into a shop: both take the same steps, and answer alike.

use chrono::{DateTime, Utc};
use soonshop_domain::order::Refusal;
use soonshop_domain::text::Sku;
use uuid::Uuid;

use super::natural::{Kind, correlation};
use super::plan::Sale;

/// A shop to import into.
pub(super) trait Target {
    /// How many steps may be under way.
    fn width(&self) -> usize;

    /// Gives the command, again and again while the shop cannot take any.
    async fn give(&self, step: &Step<'_>) -> anyhow::Result<StepOutcome>;

    /// Whether the product exists and has no price.
    async fn lacks_price(&self, product: Uuid, sku: &Sku) -> anyhow::Result<bool>;

    /// Waits until stock is reserved about as fast as orders are placed: an order is refused that waits for too long.
    async fn room(&self) -> anyhow::Result<()>;

    /// Waits until every follower has processed the import.
    async fn finish(&self) -> anyhow::Result<()>;

    /// The last position of the log, or the last known one.
    async fn head(&self) -> anyhow::Result<i64>;

    /// The orders that were refused after this position.
    async fn refused_since(&self, position: i64) -> anyhow::Result<Vec<RefusedOrder>>;
}

/// One command.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) kind: Kind,
    /// From [`natural`](super::natural): the same for the same source record, also when its content differs.
    pub(super) key: Uuid,
    pub(super) at: DateTime<Utc>,
    pub(super) what: StepContent<'a>,
}

impl Step<'_> {
    /// Beside every event of it, whichever way it came.
    pub(super) fn correlation(&self) -> Uuid {
        correlation(self.kind, self.key)
    }

    /// The claim in the scope `import`. A price has none: it is set only where there is none.
    pub(super) fn import_key(&self) -> Option<String> {
        (self.kind != Kind::Price).then(|| format!("online-retail/{}/{}", self.kind.name(), self.key))
    }
}

#[derive(Debug)]
pub(super) enum StepContent<'a> {
    Product { sku: &'a Sku, name: &'a str, pence: Option<i64> },
    Price { product: Uuid, sku: &'a Sku, pence: i64 },
    Customer { country: &'a str },
    Receipt { sku: &'a Sku, quantity: u32 },
    Adjustment { sku: &'a Sku, quantity: i64 },
    Order { sale: &'a Sale, by: BuyerId },
    CreditNote { sale: &'a Sale, by: BuyerId },
}

/// The reason code of stock adjustments: the source's own text may hold anything.
pub(super) const REASON: &str = "import";

/// The buyer.
#[derive(Debug, Clone, Copy)]
pub(super) enum BuyerId {
    User(Uuid),
    Guest(Uuid),
}

/// The outcome of a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StepOutcome {
    /// Done, on this stream.
    New(Uuid),
    /// It was done before.
    There(Uuid),
    /// The shop refused it, for this reason.
    Refused(String),
}

/// The id in `<type>:<id>`.
pub(super) fn owner(owner: &str) -> Option<Uuid> {
    owner.split_once(':').and_then(|(_, id)| id.parse().ok())
}

/// An order that was placed, and then refused.
#[derive(Debug)]
pub(super) struct RefusedOrder {
    pub(super) id: Uuid,
    pub(super) number: String,
    pub(super) reason: String,
}

impl RefusedOrder {
    pub(super) fn new(id: &str, number: String, refusal: Option<&Refusal>) -> Self {
        let reason = refusal.map_or_else(
            || "no reason is known".to_owned(),
            |refusal| format!("{}: line {}, of {}", refusal.reason, refusal.line, refusal.sku),
        );
        Self { id: id.parse().unwrap_or_default(), number, reason }
    }
}
