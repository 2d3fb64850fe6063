//! A line of a cart, and what its owner saw of it.

use serde::{Deserialize, Serialize};

use crate::ids::ProductId;
use crate::text::Sku;
use crate::{Money, Personal};

/// What the owner of a cart last saw of a line. It decides nothing but what is shown as changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The product's.
    pub name: String,
    /// Of one unit.
    pub price: Money,
}

/// A line of a cart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its number; a number is given once.
    pub line: u32,
    pub sku: Sku,
    pub product_id: ProductId,
    pub quantity: u32,
    /// What its owner wrote about it, encrypted under their `account` key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Personal<String>>,
    pub seen: Seen,
    /// Kept for later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub saved: bool,
}

impl Line {
    /// Whether units of this product and SKU can be added to it. (A SKU that was released may be another product's now.)
    pub(super) fn takes(&self, (product_id, sku): (ProductId, &Sku), saved: bool) -> bool {
        self.product_id == product_id && self.sku == *sku && self.note.is_none() && self.saved == saved
    }
}

/// The contents of a new line.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLine {
    pub sku: Sku,
    pub product_id: ProductId,
    pub quantity: u32,
    pub note: Option<Personal<String>>,
    pub seen: Seen,
}

impl NewLine {
    pub(super) fn numbered(self, line: u32) -> Line {
        let Self { sku, product_id, quantity, note, seen } = self;
        Line { line, sku, product_id, quantity, note, seen, saved: false }
    }
}

/// What a change does to the note of a line.
#[derive(Debug, Clone, PartialEq)]
pub enum NewNote {
    /// It stays as it is.
    Same,
    Removed,
    Is(Personal<String>),
}

/// The note of a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    pub line: u32,
    pub note: Personal<String>,
}
