//! The audit trail: who changed what, when, why, before and after. For programs under `/api/audit`, for people as pages
//! under `/audit`, both out of the same functions.
//!
//! Nothing gets to an encoder but through the [`redactor`]; who may see what is the one table of permissions.

#[path = "../../audit/src/amounts.rs"]
mod amounts;
#[path = "../../audit/src/changes.rs"]
mod changes;
#[path = "../../audit/src/correlation.rs"]
mod correlation;
#[path = "exports.rs"]
mod exports;
#[path = "../../audit/src/file.rs"]
pub(super) mod file;
#[path = "../../audit/src/groups.rs"]
mod groups;
#[path = "../../audit/src/listing.rs"]
mod listing;
#[path = "../../audit/src/look_up.rs"]
mod look_up;
#[path = "../../audit/src/notes.rs"]
mod notes;
#[path = "pages.rs"]
pub(super) mod pages;
#[path = "../../audit/src/parked.rs"]
mod parked;
#[path = "../../audit/src/pending.rs"]
mod pending;
#[path = "../../audit/src/redactor.rs"]
mod redactor;
#[path = "../../audit/src/record.rs"]
mod reveal;
#[path = "../../audit/src/search.rs"]
mod search;
#[path = "../../audit/src/standing.rs"]
mod standing;
#[path = "tail.rs"]
mod tail;
#[path = "../../audit/src/timeline.rs"]
mod timeline;
#[path = "../../audit/src/trail.rs"]
mod trail;
#[path = "../../audit/src/trend.rs"]
mod trend;
#[path = "../../audit/src/views.rs"]
mod views;
#[path = "words.rs"]
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
