//! The audit trail: who changed what, when, why, before and after. For programs under `/api/audit`, for people as pages
//! under `/audit`, both out of the same functions.
//!
//! Nothing gets to an encoder but through the [`redactor`]; who may see what is the one table of permissions.

mod amounts;
mod changes;
mod correlation;
mod exports;
pub(super) mod file;
mod groups;
mod listing;
mod look_up;
mod notes;
pub(super) mod pages;
mod parked;
mod pending;
mod redactor;
mod reveal;
mod search;
mod standing;
mod tail;
mod timeline;
mod trail;
mod trend;
mod views;
mod words;

use soonshop_service_kit::access::Permission;

use super::Endpoint;

pub(super) use exports::EXPORTS;
pub use file::File;
pub use listing::{Asked, Listing, Reached, columns, export};
pub(super) use tail::Tail;
pub use timeline::Entry;
pub use trail::{Change, Stream, Trail};
pub(super) use trend::Trends;

/// What the addresses of pages begin with.
pub(super) const PAGES: &str = "/audit";

/// What programs ask.
#[rustfmt::skip]
pub(super) fn table() -> Vec<Endpoint> {
    use Permission::{Audit, Reveal};
    endpoints! {
        "/health/audit"              "audit.health"              "How all that follows the log stands" standing::watches();
        "/api/audit/timeline"        "audit.timeline"            "What happened"                   timeline::lists().needs(Audit);
        "/api/audit/a/{type}/{id}"   "audit.trail"               "What became of one aggregate, and by which event" trail::follows().needs(Audit);
        "/api/audit/a/{type}/{id}/reveals" "audit.reveal"        "The same, with what is personal; it is written down" reveal::reveals().needs(Reveal);
        "/api/audit/a/{type}/{id}/notes" "audit.note"            "A note on one of its events; it is written down" notes::leaves().needs(Audit);
        "/api/audit/c/{id}"          "audit.correlation"         "All that followed from one request" correlation::gathers().needs(Audit);
        "/api/audit/export.csv"      "audit.export-csv"          "What happened, to take along"    exports::csv().needs(Audit);
        "/api/audit/export.ndjson"   "audit.export-ndjson"       "What happened, to take along"    exports::ndjson().needs(Audit);
        "/api/audit/stream"          "audit.stream"              "What happens, as it happens"     tail::follows().needs(Audit);
        "/api/audit/look-ups"        "audit.look-up"             "Whose a value is that is known; it is written down" look_up::looks_up().needs(Audit);
    }
}
