//! The plan of an import: the products to sell, the customers, the stock to receive, and the orders, counts and
//! credit notes.

use chrono::{DateTime, Utc};
use soonshop_domain::text::Sku;
use uuid::Uuid;

/// Something that is sold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlannedProduct {
    pub(super) sku: Sku,
    /// The first description with any text, or the code.
    pub(super) name: String,
    /// The price at its first sale; `None` if it was never sold.
    pub(super) pence: Option<i64>,
    pub(super) at: DateTime<Utc>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Buyer {
    pub(super) number: String,
    pub(super) country: String,
    pub(super) at: DateTime<Utc>,
}

/// Stock that must be received so that everything else can leave.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) sku: Sku,
    pub(super) quantity: u32,
    /// All that imports have received of it, with this receipt.
    pub(super) total: u64,
    /// Made of the documents that need it: with the total, it tells the receipt from every other one.
    pub(super) cause: Uuid,
    pub(super) at: DateTime<Utc>,
}

/// A line without a price.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Adjustment {
    pub(super) invoice: String,
    pub(super) sku: Sku,
    /// Which of that invoice and code it is, from 1.
    pub(super) occurrence: u32,
    pub(super) quantity: i64,
    pub(super) at: DateTime<Utc>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) sku: Sku,
    pub(super) quantity: u32,
    /// Of one unit.
    pub(super) pence: i64,
}

/// An order, or a credit note.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sale {
    /// The number in the source.
    pub(super) document: String,
    /// 1 is the document itself; those after it are supplements, with lines that were not there when it was stored.
    pub(super) piece: u32,
    /// None: a guest.
    pub(super) buyer: Option<String>,
    pub(super) country: String,
    /// The earliest of its lines.
    pub(super) at: DateTime<Utc>,
    pub(super) lines: Vec<Line>,
}

impl Sale {
    /// Its name for people: the document's number, and for a supplement `/2`, `/3`, … behind it.
    pub(super) fn number(&self) -> String {
        number(&self.document, self.piece)
    }
}

/// The number of a piece of a document.
pub(super) fn number(document: &str, piece: u32) -> String {
    if piece == 1 { document.to_owned() } else { format!("{document}/{piece}") }
}

/// The plan of all files of an import, in the order of their rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) goods: Vec<PlannedProduct>,
    pub(super) buyers: Vec<Buyer>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) adjustments: Vec<Adjustment>,
    pub(super) orders: Vec<Sale>,
    pub(super) credit_notes: Vec<Sale>,
}

impl Plan {
    /// The rows that it came from.
    pub(super) fn rows(&self) -> u64 {
        let lines = self.orders.iter().chain(&self.credit_notes).map(|sale| sale.lines.len());
        u64::try_from(self.adjustments.len() + lines.sum::<usize>()).unwrap_or(u64::MAX)
    }
}
