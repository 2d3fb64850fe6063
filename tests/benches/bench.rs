//! The figures.
fn main() {}
