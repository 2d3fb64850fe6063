//! The timeline to take along: the same events in the same order as on the screen, masked alike, and written down that
//! somebody took them.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde_json::json;
use soonshop_service_kit::Problem;
use soonshop_service_kit::serve::take_longer;

use super::listing::{self, Asked};
use super::reveal::write_down;
use super::timeline;
use crate::export::Format;
use crate::http::Action;
use crate::http::call::Call;
use crate::http::openapi::Described;

/// What the file is: of CSV nothing but rows can be told inside.
const MANIFEST: HeaderName = HeaderName::from_static("export-manifest");

/// As CSV, with its manifest in a header.
pub(super) fn csv() -> Action {
    Action::new(listing::params(), Described::one::<timeline::Page>(), |call| write(call, Format::Csv))
}

/// As JSON lines, the manifest first.
pub(super) fn ndjson() -> Action {
    Action::new(listing::params(), Described::one::<timeline::Page>(), |call| write(call, Format::Ndjson))
}

/// Exports that one process gathers at the same time: each reads much, and lies on the disk until it was fetched.
pub(in crate::http) const EXPORTS: usize = 4;

/// How long gathering one may take: millions of events take longer than anything else that is asked.
const LONGEST: Duration = Duration::from_mins(10);

/// When to ask again.
const AGAIN: Duration = Duration::from_secs(10);

async fn write(call: Call, format: Format) -> Result<Response, Problem> {
    let busy = |_| {
        let detail =
            format!("{EXPORTS} exports are being gathered just now, which is as many as there may be: wait");
        Problem::too_many("too-many-exports", detail).with_retry_after(AGAIN)
    };
    take_longer(LONGEST);
    let _permit = call.shared.exporting.try_acquire().map_err(busy)?;
    let mut asked = Asked::read(&call.asked.query)?;
    if let Some(file) = &call.asked.file {
        asked = asked.within(file);
    }
    let role = call.caller().role;
    let queries = &call.shared.queries;
    let written = listing::export(&queries.registry, &queries.log, &asked, format, role.as_ref(), |_| {
        if queries.stop.is_cancelled() {
            let again = Duration::from_secs(1);
            return Err(Problem::unavailable("timed-out", "the service is stopping: ask again", again));
        }
        Ok(())
    });
    let written = written.await?;
    let manifest = written.manifest.in_ascii().map_err(Problem::internal)?;
    let detail = json!({ "count": written.manifest.count(), "format": format, "search": asked.told() });
    write_down(&call, "export", "timeline".to_owned(), detail, None).await?;
    let file = match format {
        Format::Csv => "attachment; filename=\"timeline.csv\"",
        Format::Ndjson => "attachment; filename=\"timeline.ndjson\"",
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(format.content_type())),
        (CONTENT_DISPOSITION, HeaderValue::from_static(file)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (MANIFEST, HeaderValue::try_from(manifest).map_err(Problem::internal)?),
    ];
    Ok((headers, Body::from_stream(stream::iter(written.chunks()))).into_response())
}
