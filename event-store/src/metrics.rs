//! The counters of the appender. The appender is one task; other tasks read these numbers without waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Upper bounds, in seconds and in requests.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];
const REQUESTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The counters of an appender since its process started.
#[derive(Debug, Clone)]
pub struct Appends {
    pub(crate) commands: Counter,
    pub(crate) events: Counter,
    pub(crate) refused: Refused,
    batch: LockFreeHistogram,
    commit: LockFreeHistogram,
    kinds: Family<[(&'static str, &'static str); 1], Counter>,
}

/// Refused requests by kind.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// The command is known, and gets the answer that it got then.
    pub(crate) repeated: Counter,
    /// Decided on an old state: it is decided again.
    pub(crate) version: Counter,
    pub(crate) claimed: Counter,
    /// It builds on a refused request.
    pub(crate) behind: Counter,
    pub(crate) claim_keys: Counter,
    pub(crate) unavailable: Counter,
    pub(crate) data: Counter,
    /// Another process owns the log.
    pub(crate) owned: Counter,
}

impl Default for Appends {
    fn default() -> Self {
        let kinds = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let of = |kind| kinds.get_or_create_owned(&[("kind", kind)]);
        let refused = Refused {
            repeated: of("repeated"),
            version: of("version"),
            claimed: of("claimed"),
            behind: of("behind"),
            claim_keys: of("claim-keys"),
            unavailable: of("unavailable"),
            data: of("data"),
            owned: of("owned"),
        };
        Self {
            commands: Counter::default(),
            events: Counter::default(),
            refused,
            batch: LockFreeHistogram::new(REQUESTS),
            commit: LockFreeHistogram::new(SECONDS),
            kinds,
        }
    }
}

impl Appends {
    /// A batch that was written, and how long that took.
    pub(crate) fn written(&self, requests: usize, took: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "a batch has a few hundred requests")]
        self.batch.observe(requests as f64);
        self.commit.observe(took.as_secs_f64());
    }

    pub fn register(&self, registry: &mut Registry) {
        registry.register("append_commands", "Commands that appended events", self.commands.clone());
        registry.register("append_events", "Events appended", self.events.clone());
        registry.register(
            "append_refused",
            "Appends that were not done, by kind; a version is decided again, a repeated one was done before",
            self.kinds.clone(),
        );
        registry.register("append_batch_requests", "Appends written in one commit", self.batch.clone());
        registry.register("append_commit_seconds", "Seconds that writing a batch took", self.commit.clone());
    }
}

/// A histogram without a lock. A read during a write may miss the newest value.
#[derive(Debug, Clone)]
struct LockFreeHistogram {
    bounds: &'static [f64],
    /// One for each bound, and one for all above.
    counts: Arc<[AtomicU64]>,
    /// In millionths.
    sum: Arc<AtomicU64>,
}

const MILLION: f64 = 1_000_000.0;

impl LockFreeHistogram {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: Arc::default() }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "neither is negative nor long"
    )]
    fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add((value * MILLION) as u64, Ordering::Relaxed);
    }
}

impl EncodeMetric for LockFreeHistogram {
    #[expect(clippy::cast_precision_loss, reason = "a sum that long has no use for its last digit")]
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> =
            bounds.zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.sum.load(Ordering::Relaxed) as f64 / MILLION;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_the_first_bucket_that_is_not_below_it() {
        let spread = LockFreeHistogram::new(REQUESTS);
        for value in [1.0, 2.0, 3.0, 512.0, 513.0] {
            spread.observe(value);
        }
        let mut registry = Registry::default();
        registry.register("batch", "Requests", spread);
        let mut text = String::new();
        prometheus_client::encoding::prometheus_text::encode(&mut text, &registry).unwrap();
        for line in ["le=\"1\"} 1", "le=\"2\"} 2", "le=\"4\"} 3", "le=\"512\"} 4", "le=\"+Inf\"} 5"] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(text.contains("batch_sum 1031") && text.contains("batch_count 5"), "{text}");
    }
}
