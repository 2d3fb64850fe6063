//! The codes of reasons. A code is kept in clear for as long as the log, which nobody can change: so it is one of a
//! list, and never what somebody wrote, which could be a name. Words of one's own are a note, which is encrypted.

/// Every code, by what it is about: the data of people, orders, stock, and anything.
pub const CODES: &[&str] = &[
    "account-closed",
    "address-corrected",
    "call-back",
    "complaint",
    "data-corrected",
    "data-request",
    "erasure-requested",
    "fraud-check",
    "identity-check",
    "legal-request",
    "name-corrected",
    "number-corrected",
    "parcel-label",
    // Orders, and money given back.
    "arrived-late",
    "changed-mind",
    "changed-my-mind",
    "duplicate",
    "goods-damaged",
    "goods-missing",
    "goodwill",
    "not-delivered",
    "not-shipped-in-time",
    "out-of-stock",
    "payment-failed",
    "price-corrected",
    "returned",
    "wrong-address",
    "wrong-goods",
    // Stock.
    "broken",
    "count",
    "counted",
    "delivery",
    "early-delivery",
    "expired",
    "found",
    "import",
    "lost",
    "moved",
    "returned-to-supplier",
    "sample",
    "sku-without-product",
    "sold-off",
    "stolen",
    "used-here",
    // Anything.
    "correction",
    "maintenance",
    "mistake",
    "other",
    "test",
];

/// A reason is none of [`CODES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a reason is one of the codes that the description of the API lists, such as changed-mind, counted, complaint or \
     other; words of your own go into X-Reason-Note, which is encrypted"
)]
pub struct UnknownReason;

/// The code that was sent.
pub fn code(sent: &str) -> Result<&'static str, UnknownReason> {
    CODES.iter().find(|code| **code == sent).copied().ok_or(UnknownReason)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{release_unshipped, text};

    #[test]
    fn a_reason_is_a_code_of_the_list_and_nothing_that_somebody_wrote() {
        for known in CODES {
            assert_eq!(code(known), Ok(*known));
        }
        for other in
            ["", "ana-lopez", "4915112345678", "ana@example.org", "12-high-street", "Counted", " counted"]
        {
            assert_eq!(code(other), Err(UnknownReason), "{other}");
        }
        assert_eq!(code(release_unshipped::REASON), Ok(release_unshipped::REASON));
    }

    #[test]
    fn the_codes_are_codes_and_each_is_there_once() {
        assert!(CODES.iter().all(|one| text::code(one).as_deref() == Ok(*one)));
        assert_eq!(CODES.iter().collect::<BTreeSet<_>>().len(), CODES.len());
    }
}
