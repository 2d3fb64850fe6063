//! The timeline as a download: the same events in the same order as on the screen, equally masked. Each export is
//! recorded.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde_json::json;
use soonshop_audit::export::{Format, Separator};
use soonshop_audit::listing::{self, ListingRequest, SEPARATOR, WITHOUT_CHANGES};
use soonshop_audit::record::write_down;
use soonshop_audit::timeline;
use soonshop_service_kit::Problem;
use soonshop_service_kit::endpoint::Described;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::serve::take_longer;
use url::form_urlencoded;

use crate::fields;
use crate::state::{Action, Call, EXPORTS};

/// The manifest's header: a CSV file has no place for it.
const MANIFEST: HeaderName = HeaderName::from_static("export-manifest");

/// The export as CSV, with its manifest in a header.
pub(crate) fn csv() -> Action {
    let separator = Param::new(
        SEPARATOR,
        Kind::OneOf(&Separator::NAMES),
        "Between the cells; `comma` by default. Spreadsheets with a decimal comma expect `semicolon`.",
    );
    let params = fields::listing().into_iter().chain([separator]).collect();
    Action::new(params, Described::one::<timeline::Page>(), |call| write(call, Format::Csv))
}

/// The export as JSON lines, the manifest first.
pub(crate) fn ndjson() -> Action {
    Action::new(fields::listing(), Described::one::<timeline::Page>(), |call| write(call, Format::Ndjson))
}

/// How long an export may take: reading millions of events takes longer than any other request.
const LONGEST: Duration = Duration::from_mins(10);

/// How long a client should wait before it tries again.
const AGAIN: Duration = Duration::from_secs(10);

async fn write(call: Call, format: Format) -> Result<Response, Problem> {
    let busy = |_| {
        let detail =
            format!("{EXPORTS} exports are being gathered just now, which is as many as there may be: wait");
        Problem::too_many("too-many-exports", detail).with_retry_after(AGAIN)
    };
    take_longer(LONGEST);
    let _permit = call.shared.exporting.try_acquire().map_err(busy)?;
    let pairs = form_urlencoded::parse(call.visit.query.as_bytes()).into_owned();
    let with_changes = call.params.text(WITHOUT_CHANGES).is_none();
    let mut request = ListingRequest::new(&fields::filter(&call.params), pairs, with_changes)?;
    request.separator = Separator::named(call.params.text(SEPARATOR));
    if let Some(file) = &call.shared.file {
        request = file.narrow(request);
    }
    let role = call.caller().role;
    let (reader, stop) = (&call.shared.reader, &call.shared.stop);
    let written = listing::export(&reader.registry, &reader.log, &request, format, role.as_ref(), |_| {
        if stop.is_cancelled() {
            let again = Duration::from_secs(1);
            return Err(Problem::unavailable("timed-out", "the service is stopping: ask again", again));
        }
        Ok(())
    });
    let written = written.await?;
    let manifest = written.manifest.in_ascii().map_err(Problem::internal)?;
    let detail = json!({ "count": written.manifest.count(), "format": format, "search": request.recorded() });
    write_down(reader, &call.caller().actor, "export", "timeline".to_owned(), detail, None).await?;
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
