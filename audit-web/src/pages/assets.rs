//! The files that pages load: style sheet, icon and scripts.

use std::future::{Ready, ready};

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use soonshop_service_kit::endpoint::Answer;

/// A file that is compiled into the binary.
#[derive(Clone, Copy)]
pub(crate) struct Asset {
    /// Its address.
    pub(crate) path: &'static str,
    /// Its name in the table of endpoints.
    pub(crate) name: &'static str,
    media_type: &'static str,
    text: &'static str,
}

pub(crate) const STYLE: Asset = Asset {
    path: "/audit/audit.css",
    name: "audit.style",
    media_type: "text/css",
    text: include_str!("../../assets/audit.css"),
};

pub(crate) const SCRIPT: Asset = Asset {
    path: "/audit/audit.js",
    name: "audit.script",
    media_type: "text/javascript",
    text: include_str!("../../assets/audit.js"),
};

const WORKER: Asset = Asset {
    path: "/audit/tail.js",
    name: "audit.worker",
    media_type: "text/javascript",
    text: include_str!("../../assets/tail.js"),
};

pub(crate) const ICON: Asset = Asset {
    path: "/audit/icon.svg",
    name: "audit.icon",
    media_type: "image/svg+xml",
    text: include_str!("../../assets/icon.svg"),
};

/// All of them.
pub(crate) const ASSETS: [Asset; 4] = [STYLE, SCRIPT, WORKER, ICON];

/// Those of a page without a script.
pub(crate) const WITHOUT_SCRIPT: [Asset; 2] = [STYLE, ICON];

impl Asset {
    /// The answer to a request for it.
    pub(crate) fn answer(&self) -> Ready<Answer> {
        ready(Ok(self.response()))
    }

    /// The same where nothing can be refused.
    pub(crate) fn response(&self) -> Response {
        let kind = format!("{}; charset=utf-8", self.media_type);
        let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache".to_owned())];
        (headers, self.text).into_response()
    }
}
