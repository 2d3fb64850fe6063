//! Unique values: who holds what.

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
}

/// The scopes there are. Their names are stored.
pub mod scope {
    pub const EMAIL: &str = "user-email";
    pub const SKU: &str = "sku";
    pub const ORDER_NUMBER: &str = "order-number";
    pub const CREDIT_NOTE_NUMBER: &str = "credit-note-number";
    /// Natural keys of imported records.
    pub const IMPORT: &str = "import";
}
