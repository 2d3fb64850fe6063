//! The earlier imports, read from the events of the shop: the files of an import are compared with them.

use std::collections::{HashMap, HashSet};

use anyhow::bail;
use chrono::{DateTime, Utc};
use soonshop_domain::inventory;
use soonshop_domain::order::credit_note::{self, CreditNote};
use soonshop_domain::order::{self, Customer, Order};
use soonshop_domain::product::{self, Product};
use soonshop_domain::text::{Sku, folded};
use soonshop_domain::{Channel, Event, Money, type_of, user};
use soonshop_event_log::{EventLog, RecordedEvent, StoredEvent};
use uuid::{Uuid, Version};

use super::natural::{Kind, adjustment_key, correlation, key, sale_key, spellings};
use super::plan::number;

/// Rows of the log that are read at once.
const PAGE: i64 = 2_000;

/// Events of these count whichever way they came: a code or a number may be another's already.
const COMPARED: [fn() -> &'static str; 3] = [type_of::<Product>, type_of::<Order>, type_of::<CreditNote>];

/// A line as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredLine {
    pub(super) number: u32,
    pub(super) sku: Sku,
    pub(super) quantity: u32,
    /// Of one unit.
    pub(super) price: Money,
}

/// An order or credit note as it is stored, or a supplement to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredSale {
    pub(super) piece: u32,
    pub(super) customer: Customer,
    pub(super) country: String,
    pub(super) at: DateTime<Utc>,
    pub(super) lines: Vec<StoredLine>,
}

/// An adjustment of stock as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredAdjustment {
    pub(super) sku: Sku,
    pub(super) quantity: i64,
    pub(super) at: DateTime<Utc>,
}

/// The documents of earlier imports.
#[derive(Debug, Default)]
pub(super) struct EarlierImports {
    /// Those of the files, by the document's number, folded: the document itself, and its supplements in order.
    sales: HashMap<(Kind, String), Vec<StoredSale>>,
    /// Numbers of the files, folded, of documents that no import brought.
    taken: HashSet<(Kind, String)>,
    /// Numbers with a slash, as supplements have them, whoever brought the document.
    with_slash: HashSet<(Kind, String)>,
    /// By correlation id.
    pub(super) adjustments: HashMap<Uuid, StoredAdjustment>,
    /// Those that an earlier release imported over HTTP: nothing tells of which invoice they are.
    unnamed: Vec<StoredAdjustment>,
    /// All units that imports have received, and all that left by what they brought.
    received: HashMap<Sku, u64>,
    left: HashMap<Sku, u64>,
    /// Whether it has a price, by SKU.
    priced: HashMap<Sku, bool>,
    /// The user behind a correlation id, and all users that imports have registered.
    users: HashMap<Uuid, Uuid>,
    user_ids: HashSet<Uuid>,
}

impl EarlierImports {
    /// Reads the whole log once.
    pub(super) async fn read(log: &EventLog, expected: &HashSet<String>) -> anyhow::Result<Self> {
        let mut stored = Self::default();
        let mut pages = log.read_all(0, PAGE);
        loop {
            let rows = pages.next_stored().await?;
            if rows.is_empty() {
                return Ok(stored);
            }
            for row in rows {
                stored.row(log, row, expected)?;
            }
        }
    }

    fn row(&mut self, log: &EventLog, row: StoredEvent, expected: &HashSet<String>) -> anyhow::Result<()> {
        // Most events are of stock that is reserved, which no import does: they are not decoded.
        let may_be_imported = row.metadata.contains(Channel::Import.as_ref());
        if !may_be_imported && !COMPARED.iter().any(|of| of() == row.aggregate_type) {
            return Ok(());
        }
        let position = row.position;
        let recorded = match log.decode_row(row) {
            None => return Ok(()),
            Some(Ok(recorded)) => recorded,
            Some(Err(reason)) => bail!("the event at position {position} cannot be read: {reason}"),
        };
        let (imported, correlation) = if may_be_imported {
            let metadata = recorded.metadata()?;
            (metadata.channel == Some(Channel::Import), metadata.correlation_id)
        } else {
            (false, None)
        };
        self.event(recorded, imported, correlation, expected);
        Ok(())
    }

    fn event(
        &mut self,
        recorded: RecordedEvent,
        imported: bool,
        correlation: Option<Uuid>,
        expected: &HashSet<String>,
    ) {
        let RecordedEvent { event, stream, occurred_at: at, .. } = recorded;
        match event {
            Event::Order(order::Event::OrderPlaced { number, customer, lines, country, .. }) => {
                let sale = StoredSale { piece: 1, customer, country, at, lines: stored(lines) };
                self.sale(Kind::Order, number, sale, imported, correlation, expected);
            }
            Event::CreditNote(credit_note::Event::CreditNoteIssued {
                number,
                customer,
                lines,
                country,
                ..
            }) => {
                let sale = StoredSale { piece: 1, customer, country, at, lines: stored(lines) };
                self.sale(Kind::CreditNote, number, sale, imported, correlation, expected);
            }
            Event::Stock(inventory::Event::StockReceived { place, quantity, .. }) if imported => {
                self.received(place.sku, quantity);
            }
            Event::Stock(inventory::Event::StockAdjusted { place, quantity, .. }) if imported => {
                self.adjusted(correlation, StoredAdjustment { sku: place.sku, quantity, at });
            }
            Event::Product(product::Event::ProductCreated { variants, .. }) => {
                for variant in variants {
                    self.product(variant.sku, variant.price.is_some());
                }
            }
            Event::Product(product::Event::ProductVariantAdded { variant }) => {
                self.product(variant.sku, variant.price.is_some());
            }
            Event::Product(product::Event::ProductPriceChanged { sku, .. }) => self.product(sku, true),
            Event::User(user::Event::UserRegistered { .. }) if imported => self.user(correlation, stream),
            _ => {}
        }
    }

    /// Takes an order or credit note into account.
    pub(super) fn sale(
        &mut self,
        kind: Kind,
        of: String,
        mut sale: StoredSale,
        imported: bool,
        correlated: Option<Uuid>,
        expected: &HashSet<String>,
    ) {
        if of.contains('/') {
            self.with_slash.insert((kind, folded(&of)));
        }
        if !imported {
            let of = folded(&of);
            if expected.contains(&of) {
                self.taken.insert((kind, of));
            }
            return;
        }
        if kind == Kind::Order {
            for line in &sale.lines {
                *self.left.entry(line.sku.clone()).or_default() += u64::from(line.quantity);
            }
        }
        // A supplement is known by its key: others may have such numbers too.
        let supplement = of.rsplit_once('/').and_then(|(document, piece)| {
            let piece: u32 = piece.parse().ok()?;
            let ours = number(document, piece) == of
                && correlated == Some(correlation(kind, sale_key(kind, document, piece)));
            ours.then(|| (document.to_owned(), piece))
        });
        let (document, piece) = supplement.unwrap_or((of, 1));
        let document = folded(&document);
        if expected.contains(&document) {
            sale.piece = piece;
            let pieces = self.sales.entry((kind, document)).or_default();
            pieces.push(sale);
            pieces.sort_by_key(|sale| sale.piece);
        }
    }

    /// Takes a receipt into account.
    pub(super) fn received(&mut self, sku: Sku, quantity: u32) {
        *self.received.entry(sku).or_default() += u64::from(quantity);
    }

    /// Takes an adjustment of stock into account.
    pub(super) fn adjusted(&mut self, correlation: Option<Uuid>, adjustment: StoredAdjustment) {
        if adjustment.quantity < 0 {
            *self.left.entry(adjustment.sku.clone()).or_default() += adjustment.quantity.unsigned_abs();
        }
        match correlation.filter(is_derived) {
            Some(correlation) => drop(self.adjustments.insert(correlation, adjustment)),
            None => self.unnamed.push(adjustment),
        }
    }

    /// Takes a product's code into account.
    pub(super) fn product(&mut self, sku: Sku, priced: bool) {
        *self.priced.entry(sku).or_default() |= priced;
    }

    /// Takes a customer into account.
    pub(super) fn user(&mut self, correlation: Option<Uuid>, id: Uuid) {
        self.user_ids.insert(id);
        if let Some(correlation) = correlation {
            self.users.insert(correlation, id);
        }
    }

    /// The stored adjustment that is the first, second, … of its invoice and code, and its correlation id.
    pub(super) fn adjustment(
        &self,
        invoice: &str,
        sku: &Sku,
        occurrence: u32,
    ) -> Option<(Uuid, &StoredAdjustment)> {
        spellings(invoice).find_map(|invoice| {
            let id = correlation(Kind::Adjustment, adjustment_key(&invoice, sku, occurrence));
            self.adjustments.get(&id).map(|stored| (id, stored))
        })
    }

    /// The adjustments whose invoice nothing tells.
    pub(super) fn unnamed(&self) -> Vec<StoredAdjustment> {
        self.unnamed.clone()
    }

    /// A document and its supplements.
    pub(super) fn pieces(&self, kind: Kind, document: &str) -> &[StoredSale] {
        self.sales.get(&(kind, folded(document))).map_or(&[], Vec::as_slice)
    }

    /// Whether the number belongs to a document that no import brought.
    pub(super) fn is_taken(&self, kind: Kind, number: &str) -> bool {
        self.taken.contains(&(kind, folded(number)))
    }

    /// Whether a stored document has this number, which has a slash.
    pub(super) fn has_number(&self, kind: Kind, number: &str) -> bool {
        self.with_slash.contains(&(kind, folded(number)))
    }

    /// Whether the user is known to be registered for another customer's number.
    pub(super) fn is_numbered(&self, user: Uuid) -> bool {
        is_derived(&user) || self.users.iter().any(|(correlation, id)| *id == user && is_derived(correlation))
    }

    /// The units of it that imports have received.
    pub(super) fn received_of(&self, sku: &Sku) -> u64 {
        self.received.get(sku).copied().unwrap_or_default()
    }

    /// The units of it that left by what imports brought.
    pub(super) fn left_of(&self, sku: &Sku) -> u64 {
        self.left.get(sku).copied().unwrap_or_default()
    }

    /// Whether the product of this code has a price; `None`: there is no such product.
    pub(super) fn has_price(&self, sku: &Sku) -> Option<bool> {
        self.priced.get(sku).copied()
    }

    /// The user that was registered for this customer's number.
    pub(super) fn user_of(&self, number: &str) -> Option<Uuid> {
        spellings(number).find_map(|number| {
            let id = key(Kind::Customer, &number);
            let correlated = self.users.get(&correlation(Kind::Customer, id)).copied();
            correlated.or_else(|| self.user_ids.contains(&id).then_some(id))
        })
    }
}

/// Made from a natural key; those that a server makes are of another kind.
fn is_derived(id: &Uuid) -> bool {
    id.get_version() == Some(Version::Sha1)
}

fn stored(lines: Vec<order::Line>) -> Vec<StoredLine> {
    lines
        .into_iter()
        .map(|order::Line { number, sku, quantity, price, .. }| StoredLine { number, sku, quantity, price })
        .collect()
}
