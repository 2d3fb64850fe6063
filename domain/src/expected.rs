//! What has to follow on what, and within how long. Nothing is decided by it: it tells whoever watches the shop of a step
//! that is missing, which no event does.

use crate::fulfilment;

/// How long an erasure may take before somebody ought to look, in seconds. It takes seconds where anybody is at it.
const ERASURE_SECONDS: i64 = 15 * 60;

/// After an event, one of some others is expected, later in the same stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Expectation {
    pub after: &'static str,
    pub one_of: &'static [&'static str],
    pub within_seconds: i64,
}

/// The table.
pub const EXPECTATIONS: &[Expectation] = &[
    Expectation {
        after: "OrderPlaced",
        one_of: &["OrderConfirmed", "OrderRefused", "OrderCancelled"],
        within_seconds: fulfilment::PATIENCE_SECONDS,
    },
    Expectation { after: "ErasureRequested", one_of: &["PersonErased"], within_seconds: ERASURE_SECONDS },
];

/// What is expected after an event of that type.
pub fn after(event_type: &str) -> Option<&'static Expectation> {
    EXPECTATIONS.iter().find(|expectation| expectation.after == event_type)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strum::VariantNames as _;

    use super::*;
    use crate::{order, user};

    #[test]
    fn what_is_expected_is_expected_once_and_comes_in_the_same_stream() {
        let befores: BTreeSet<_> = EXPECTATIONS.iter().map(|one| one.after).collect();
        assert_eq!(befores.len(), EXPECTATIONS.len());
        for Expectation { after, one_of, within_seconds } in EXPECTATIONS {
            let streams = [order::Event::VARIANTS, user::person::Event::VARIANTS];
            let stream = streams.into_iter().find(|events| events.contains(after)).unwrap_or_default();
            assert!(!one_of.is_empty() && one_of.iter().all(|event| stream.contains(event)), "{after}");
            assert!(*within_seconds > 0, "{after}");
        }
    }

    #[test]
    fn an_order_is_expected_to_be_settled_by_when_the_process_loses_patience() {
        assert_eq!(after("OrderPlaced").unwrap().within_seconds, fulfilment::PATIENCE_SECONDS);
        assert_eq!(after("OrderShipped"), None);
    }
}
