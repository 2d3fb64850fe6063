//! Tests of the whole shop, end to end, and its benchmarks: see `it/` and `benches/`.
