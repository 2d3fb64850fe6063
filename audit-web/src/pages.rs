//! The pages of the audit trail, for people: rendered on the server from the same values as the JSON endpoints, so that
//! the two cannot differ and nothing reaches a page without the redactor. They work without a script, and load nothing
//! from elsewhere; a script makes them faster to use, but every function works without it.
//!
//! One file per page; [`frame`] surrounds them all.

mod access;
mod correlation;
pub(crate) mod file;
pub(crate) mod frame;
mod integrity;
mod overview;
mod parked;
pub(crate) mod parts;
mod processes;
mod projections;
pub(crate) mod timeline;
mod trail;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Permission;

use crate::state::{Action, Endpoint};
use frame::{described, page};

const STYLE: &str = include_str!("../assets/audit.css");
const SCRIPT: &str = include_str!("../assets/audit.js");
const WORKER: &str = include_str!("../assets/tail.js");
const ICON: &str = include_str!("../assets/icon.svg");

/// The files of every frame except its script: address, media type, text.
pub(crate) const FRAME_FILES: [(&str, &str, &str); 2] =
    [("/audit/audit.css", "text/css", STYLE), ("/audit/icon.svg", "image/svg+xml", ICON)];

/// Every page.
pub(crate) fn table() -> Vec<Endpoint> {
    let mut pages = vec![
        page(
            "/audit/audit.css",
            "audit.style",
            Action::new(Vec::new(), described(), |_| sent("text/css", STYLE)),
        ),
        page(
            "/audit/audit.js",
            "audit.script",
            Action::new(Vec::new(), described(), |_| sent("text/javascript", SCRIPT)),
        ),
        page(
            "/audit/tail.js",
            "audit.worker",
            Action::new(Vec::new(), described(), |_| sent("text/javascript", WORKER)),
        ),
        page(
            "/audit/icon.svg",
            "audit.icon",
            Action::new(Vec::new(), described(), |_| sent("image/svg+xml", ICON)),
        ),
    ];
    pages.extend(access::table());
    let mut audited = overview::table();
    audited.extend(timeline::table());
    audited.extend(trail::table());
    audited.extend(correlation::table());
    audited.extend(projections::table());
    audited.extend(parked::table());
    audited.extend(processes::table());
    audited.extend(integrity::table());
    for mut one in audited {
        if one.action.needed() == Permission::Read {
            one.action = one.action.needs(Permission::Audit);
        }
        pages.push(one);
    }
    pages
}

/// The paths of the pages that can be opened with GET.
pub(crate) fn paths() -> Vec<&'static str> {
    table().iter().filter(|page| page.action.form().is_none()).map(|page| page.path).collect()
}

pub(crate) fn sent(kind: &'static str, text: &'static str) -> std::future::Ready<Result<Response, Problem>> {
    let headers = [(CONTENT_TYPE, format!("{kind}; charset=utf-8")), (CACHE_CONTROL, "no-cache".to_owned())];
    std::future::ready(Ok((headers, text).into_response()))
}

#[cfg(test)]
mod tests {
    use super::access::is_shown;
    use super::paths;

    #[test]
    fn sign_in_never_redirects_to_a_form_target() {
        for good in
            ["/audit", "/audit?lang=en", "/audit/a/order/7?v=1", "/audit/integrity", "/audit/views/mugs"]
        {
            assert!(is_shown(&paths(), good), "{good}");
        }
        for bad in [
            "/audit/parked/retries",
            "/audit/look-up",
            "/audit/views",
            "/audit/sign-out?lang=en",
            "/audit/x/y/z",
        ] {
            assert!(!is_shown(&paths(), bad), "{bad}");
        }
    }
}
