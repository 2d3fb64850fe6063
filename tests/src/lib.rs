//! Tests of the whole shop, end to end, and its benchmarks: see `integration/` and `benches/`.
