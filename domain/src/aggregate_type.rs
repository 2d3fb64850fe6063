//! The facts of an aggregate type, for code that knows it by its name only.

/// A row of the catalog.
#[derive(Debug, PartialEq, Eq)]
pub struct AggregateType {
    /// Its name in the log.
    pub name: &'static str,
    /// The context that owns it.
    pub context: &'static str,
    /// The shape that pages show beside its name.
    pub icon: &'static str,
    /// The names of its event types.
    pub events: &'static [&'static str],
}
