//! Unique values: who holds what.

use crate::text::folded;

/// After an append its stream holds exactly these values in the scope; its earlier values are free again.
/// Two streams never hold the same value of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Which kind of value, such as [`scope::SKU`].
    pub scope: &'static str,
    /// In their normal form.
    pub values: Vec<String>,
}

impl Hold {
    pub fn one(scope: &'static str, value: impl Into<String>) -> Self {
        Self { scope, values: vec![value.into()] }
    }

    /// The number of a document, which nobody tells from the same number in other letters: itself, and in capitals.
    /// (Earlier releases held it as it was given.)
    pub fn number(scope: &'static str, number: &str) -> Self {
        let capitals = folded(number).to_uppercase();
        let other = (capitals != number).then_some(capitals);
        Self { scope, values: [number.to_owned()].into_iter().chain(other).collect() }
    }
}

/// The scopes there are. Their names are stored.
pub mod scope {
    pub const EMAIL: &str = "user-email";
    pub const SKU: &str = "sku";
    pub const ORDER_NUMBER: &str = "order-number";
    pub const CREDIT_NOTE_NUMBER: &str = "credit-note-number";
    /// Whose open cart it is, and of which channel.
    pub const OPEN_CART: &str = "open-cart";
    /// Natural keys of imported records.
    pub const IMPORT: &str = "import";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_held_in_capitals_too() {
        let held = |number| Hold::number(scope::ORDER_NUMBER, number).values;
        assert_eq!(held("S-1"), ["S-1"]);
        assert_eq!(held("s-1"), ["s-1", "S-1"]);
        assert_eq!(held("stra\u{df}e 1"), ["stra\u{df}e 1", "STRASSE 1"]);
        assert_eq!(held("2011/7"), ["2011/7"]);
    }
}
