//! The pages of refusals outside of the pages: of an endpoint for programs that a person opens in a browser, of a path
//! that is not there, and of a request that no handler is asked about.

use std::fmt;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::response::Response;
use maud::{Markup, html};
use soonshop_audit::file::File;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Visitor;
use soonshop_service_kit::endpoint::Visit;
use soonshop_service_kit::refusal_pages::RefusalPages;

use crate::pages::frame::{View, answered, refusal};

/// The pages of a process.
pub struct PagesOfRefusals {
    /// It serves the audit trail.
    trail: bool,
    /// The export that it shows.
    file: Option<Arc<File>>,
}

impl PagesOfRefusals {
    /// Those of a shop; `trail`: the process serves the audit trail.
    pub fn new(trail: bool) -> Self {
        Self { trail, file: None }
    }

    /// Those of an export.
    pub fn of_file(file: Arc<File>) -> Self {
        Self { trail: true, file: Some(file) }
    }
}

impl RefusalPages for PagesOfRefusals {
    fn page(&self, request: &Parts, visitor: Option<&Visitor>, problem: &Problem) -> Response {
        let visit = Visit::of(request, visitor);
        let view = View::of_refusal(&visit, self.trail, self.file.as_deref());
        answered(&view, problem.status(), "refused", None, &body(&view, problem))
    }
}

impl fmt::Debug for PagesOfRefusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PagesOfRefusals").field("trail", &self.trail).finish_non_exhaustive()
    }
}

/// The refusal in a sentence, and all of it as programs get it.
fn body(view: &View<'_>, problem: &Problem) -> Markup {
    html! {
        (refusal(view, problem))
        details {
            summary { (view.word("in-full")) }
            pre translate="no" lang="en" tabindex="0" { (serde_json::to_string_pretty(&problem.body()).unwrap_or_default()) }
        }
    }
}
