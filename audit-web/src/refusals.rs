//! The pages of refusals outside of the pages: of an endpoint for programs that a person opens in a browser, of a path
//! that is not there, and of a request that no handler is asked about.

use std::fmt;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use futures::future::BoxFuture;
use maud::{Markup, html};
use soonshop_audit::file::File;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Visitor;
use soonshop_service_kit::endpoint::Visit;
use soonshop_service_kit::health::Health;
use soonshop_service_kit::refusal_pages::RefusalPages;

use crate::front::alarm;
use crate::pages::access::is_export;
use crate::pages::frame::{View, answered, factor_instead, refusal};

/// Refusals for which no database is asked about an alarm: there is too much to do, or the request is not whole.
const UNASKED: [StatusCode; 6] = [
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::URI_TOO_LONG,
    StatusCode::MISDIRECTED_REQUEST,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// The pages of a process.
pub struct PagesOfRefusals {
    /// It serves the audit trail.
    trail: bool,
    /// The export that it shows.
    file: Option<Arc<File>>,
    /// The checks of the process, which know of an alarm.
    health: Health,
}

impl PagesOfRefusals {
    /// Those of a shop; `trail`: the process serves the audit trail.
    pub fn new(trail: bool, health: Health) -> Self {
        Self { trail, file: None, health }
    }

    /// Those of an export.
    pub fn of_file(file: Arc<File>) -> Self {
        Self { trail: true, file: Some(file), health: Health::new() }
    }
}

impl RefusalPages for PagesOfRefusals {
    fn page<'r>(
        &'r self,
        request: &'r Parts,
        visitor: Option<Visitor>,
        problem: &'r Problem,
    ) -> BoxFuture<'r, Response> {
        Box::pin(async move {
            let visit = Visit::of(request, visitor.as_ref());
            let alarm = if UNASKED.contains(&problem.status()) { None } else { alarm(&self.health).await };
            let view = View::of_refusal(&visit, self.trail, self.file.as_deref(), alarm);
            if self.trail
                && is_export(&visit.path)
                && let Some(page) = factor_instead(&view, problem)
            {
                return page;
            }
            answered(&view, problem.status(), "refused", None, &body(&view, problem))
        })
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
