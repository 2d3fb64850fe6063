//! The files that pages load: style sheet, icon and scripts.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use soonshop_service_kit::Problem;
use soonshop_service_kit::static_file::StaticFile;

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

/// How the live list takes events in, keeps them and shows them: used by the page's script and by the shared worker.
pub(crate) const FOLLOWING: Asset = Asset {
    path: "/audit/follow.js",
    name: "audit.following",
    media_type: "text/javascript",
    text: include_str!("../../assets/follow.js"),
};

/// Gives passkeys, on the pages that ask for one.
pub(crate) const PASSKEYS: Asset = Asset {
    path: "/audit/passkeys.js",
    name: "audit.passkeys",
    media_type: "text/javascript",
    text: include_str!("../../assets/passkeys.js"),
};

pub(crate) const ICON: Asset = Asset {
    path: "/audit/icon.svg",
    name: "audit.icon",
    media_type: "image/svg+xml",
    text: include_str!("../../assets/icon.svg"),
};

/// All of them.
pub(crate) const ASSETS: [Asset; 6] = [STYLE, SCRIPT, FOLLOWING, WORKER, PASSKEYS, ICON];

/// Whether this is the address of one of them.
pub(crate) fn is_asset(path: &str) -> bool {
    ASSETS.iter().any(|asset| asset.path == path)
}

/// Those of pages outside of the trail.
pub(crate) const OUTSIDE: [Asset; 3] = [STYLE, PASSKEYS, ICON];

/// The files by their address, compressed at most once.
static FILES: LazyLock<HashMap<&'static str, StaticFile>> = LazyLock::new(|| {
    let file = |asset: Asset| {
        let media_type = format!("{}; charset=utf-8", asset.media_type);
        (asset.path, StaticFile::new(&media_type, asset.text))
    };
    ASSETS.into_iter().map(file).collect()
});

impl Asset {
    /// The answer to a request for it.
    pub(crate) async fn answer(self, headers: &HeaderMap) -> Response {
        match FILES.get(self.path) {
            Some(file) => file.answer(headers).await,
            None => Problem::not_found("no-such-path", "there is no such file").into_response(),
        }
    }
}
