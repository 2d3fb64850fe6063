//! The lines of a document in the files beside those that are stored.

use std::fmt;

use soonshop_domain::text::Sku;
use soonshop_domain::{Currency, Money};

use crate::import::book::{Book, Entry};
use crate::import::stored::StoredSale;

pub(super) fn pounds(pence: i64) -> Money {
    Money::new(pence, Currency::GBP)
}

/// As the files write it.
fn amount(money: Money) -> String {
    let pence = money.amount.unsigned_abs();
    let sign = if money.amount < 0 { "-" } else { "" };
    let amount = format!("{sign}{}.{:02}", pence / 100, pence % 100);
    if money.currency == Currency::GBP { amount } else { format!("{amount} {}", money.currency) }
}

pub(super) fn message(quantity: impl fmt::Display, sku: &Sku, price: Money) -> String {
    format!("{quantity} of {sku} at {}", amount(price))
}

/// A stored line, and its place.
#[derive(Debug, Clone)]
pub(super) struct StoredAt {
    pub(super) sku: Sku,
    quantity: u32,
    price: Money,
    line: u32,
}

impl fmt::Display for StoredAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} as stored is {}", self.line, message(self.quantity, &self.sku, self.price))
    }
}

/// The lines of a document in the files, beside those that are stored.
pub(super) struct Compared<'e> {
    /// In the files alone.
    pub(super) missing: Vec<&'e Entry>,
    /// Stored alone.
    pub(super) surplus: Vec<StoredAt>,
    /// The files have exactly the lines of this piece.
    pub(super) piece: Option<usize>,
}

impl<'e> Compared<'e> {
    pub(super) fn of(book: &Book, lines: &[&'e Entry], pieces: &[StoredSale]) -> Self {
        let whole = Self::with(book, lines, pieces);
        if whole.surplus.is_empty() {
            return whole;
        }
        let mut each = pieces.iter().enumerate();
        let same = each.find_map(|(index, piece)| {
            let compared = Self::with(book, lines, std::slice::from_ref(piece));
            let same = compared.missing.is_empty() && compared.surplus.is_empty();
            same.then_some(Self { piece: Some(index), ..compared })
        });
        same.unwrap_or(whole)
    }

    fn with(book: &Book, lines: &[&'e Entry], pieces: &[StoredSale]) -> Self {
        let stored = pieces.iter().flat_map(|piece| &piece.lines);
        let mut stored: Vec<_> = stored.map(Some).collect();
        let mut missing = Vec::new();
        for entry in lines {
            let (sku, price) = (book.sku(entry), pounds(entry.pence));
            let quantity = entry.quantity.unsigned_abs();
            let same = stored.iter_mut().find(|line| {
                line.is_some_and(|line| {
                    u64::from(line.quantity) == quantity && line.price == price && line.sku == *sku
                })
            });
            match same {
                Some(line) => *line = None,
                None => missing.push(*entry),
            }
        }
        let surplus = stored.into_iter().flatten().map(|line| StoredAt {
            sku: line.sku.clone(),
            quantity: line.quantity,
            price: line.price,
            line: line.number,
        });
        Self { missing, surplus: surplus.collect(), piece: None }
    }
}
