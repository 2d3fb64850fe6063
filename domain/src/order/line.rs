//! The line of an order or of a credit note.

use serde::{Deserialize, Serialize};

use crate::Money;
use crate::ids::ProductId;
use crate::text::Sku;

/// One line, with name and price as they were when it was sold. Several lines may have the same SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// From 1.
    pub number: u32,
    pub sku: Sku,
    pub product_id: ProductId,
    pub name: String,
    pub quantity: u32,
    /// Of one unit.
    pub price: Money,
}
