//! The natural keys of what is imported: the same record of the source always has the same one.

use soonshop_domain::ids;
use soonshop_domain::text::{Sku, folded};
use uuid::Uuid;

/// The kind of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Product,
    Price,
    Customer,
    Receipt,
    Adjustment,
    Order,
    CreditNote,
}

impl Kind {
    /// Part of every natural key: never changed.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Price => "price",
            Self::Customer => "customer",
            Self::Receipt => "receipt",
            Self::Adjustment => "adjustment",
            Self::Order => "order",
            Self::CreditNote => "credit-note",
        }
    }

    /// As it is stored beside events.
    pub(super) fn command(self) -> &'static str {
        match self {
            Self::Product => "product.create",
            Self::Price => "product.set-price",
            Self::Customer => "user.register",
            Self::Receipt => "stock.receive",
            Self::Adjustment => "stock.adjust",
            Self::Order => "order.place",
            Self::CreditNote => "credit_note.issue",
        }
    }
}

/// The id of a source record, from its natural key.
pub(super) fn natural(kind: &str, parts: &[&str]) -> Uuid {
    ids::derived(ids::IMPORTS, &[&["online-retail", kind], parts].concat())
}

/// The correlation id of the step with this natural key. Over HTTP, only those of imports by this release have it.
pub(super) fn correlation(kind: Kind, key: Uuid) -> Uuid {
    natural("command", &[kind.name(), &key.to_string()])
}

/// The key of an order or credit note, or of a supplement to it.
pub(super) fn sale_key(kind: Kind, document: &str, piece: u32) -> Uuid {
    match piece {
        1 => natural(kind.name(), &[document]),
        _ => natural(kind.name(), &[document, "supplement", &piece.to_string()]),
    }
}

/// The key of a line without a price: which of its invoice and code it is, from 1.
pub(super) fn adjustment_key(invoice: &str, sku: &Sku, occurrence: u32) -> Uuid {
    natural(Kind::Adjustment.name(), &[invoice, sku.as_str(), &occurrence.to_string()])
}

/// The key of a receipt: all that imports have received of it, with this receipt, and what it is received for.
pub(super) fn receipt_key(sku: &Sku, total: u64, cause: Uuid) -> Uuid {
    natural(Kind::Receipt.name(), &[sku.as_str(), "total", &total.to_string(), &cause.to_string()])
}

/// The cause of a receipt: the one before, and one more document that takes of it.
pub(super) fn cause(before: Uuid, document: &str, piece: u32) -> Uuid {
    ids::derived(before, &[document, &piece.to_string()])
}

/// The key of what comes once for each: a product for a code, a customer for a number.
pub(super) fn key(kind: Kind, name: &str) -> Uuid {
    natural(kind.name(), &[name])
}

/// The id of the guest who bought without a customer's number.
pub(super) fn guest(document: &str) -> Uuid {
    natural("guest", &[document])
}

/// The spellings in which earlier imports may have brought a name: as it is written, in capitals, and in small letters.
/// Their natural keys differ.
pub(super) fn spellings(name: &str) -> impl Iterator<Item = String> {
    let small = folded(name);
    let capitals = small.to_uppercase();
    let written = name.to_owned();
    let others = [capitals, small].into_iter().filter({
        let written = written.clone();
        move |other| *other != written
    });
    [written].into_iter().chain(others)
}
