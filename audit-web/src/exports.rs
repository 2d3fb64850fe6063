//! The timeline as a download: the same events in the same order as on the screen, equally masked. Each export is
//! recorded.

use std::io;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde_json::json;
use soonshop_audit::export::{Format, Separator, Written};
use soonshop_audit::listing::{self, ListingRequest, SEPARATOR, WITHOUT_CHANGES};
use soonshop_audit::record::write_down;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Permission;
use soonshop_service_kit::endpoint::Described;
use soonshop_service_kit::endpoint::params::{Kind as ParamKind, Param};
use soonshop_service_kit::problem::Kind;
use soonshop_service_kit::serve::take_longer;
use soonshop_service_kit::work::{Price, Turn};
use url::form_urlencoded;

use crate::fields;
use crate::state::{Action, Call};

/// The manifest's header, for programs that do not read the whole file.
const MANIFEST: HeaderName = HeaderName::from_static("export-manifest");

/// The parameter for the separator of the cells of CSV.
pub(crate) fn separator() -> Param {
    Param::new(
        SEPARATOR,
        ParamKind::OneOf(&Separator::NAMES),
        "Between the cells; `comma` by default. Spreadsheets with a decimal comma expect `semicolon`.",
    )
}

/// The export as CSV, the manifest last.
pub(crate) fn csv() -> Action {
    let params = fields::listing().into_iter().chain([separator()]).collect();
    let about =
        "A row with the names of the columns, then one for each event, and the manifest in the last row.";
    file(params, Format::Csv, Described::file("text/csv", about))
}

/// The export as JSON lines, the manifest first.
pub(crate) fn ndjson() -> Action {
    let about = "A line of JSON with the manifest, then one for each event, as the timeline has it.";
    file(fields::listing(), Format::Ndjson, Described::file("application/x-ndjson", about))
}

fn file(params: Vec<Param>, format: Format, described: Described) -> Action {
    Action::new(params, described, move |call| write(call, format))
        .refuses([Kind::TooMany])
        .costs(|_| Price::Export)
}

/// How long an export may take: reading millions of events takes longer than any other request.
pub(crate) const LONGEST: Duration = Duration::from_mins(10);

async fn write(mut call: Call, format: Format) -> Result<Response, Problem> {
    take_longer(LONGEST);
    // It ends with the last byte: until then the export is on the disk.
    let turn = call.turn.take();
    let pairs = form_urlencoded::parse(call.visit.query.as_bytes()).into_owned();
    let with_changes = call.params.text(WITHOUT_CHANGES).is_none();
    let mut request = ListingRequest::new(&fields::filter(&call.params), pairs, with_changes)?;
    request.separator = Separator::named(call.params.text(SEPARATOR));
    if let Some(file) = &call.shared.file {
        request = file.narrow(request);
    }
    let role = call.caller().role_with(Permission::Export);
    let (reader, stop) = (&call.shared.reader, &call.shared.stop);
    let written = listing::export(&reader.registry, &reader.log, &request, format, role.as_ref(), |_| {
        if stop.is_cancelled() {
            let again = Duration::from_secs(1);
            return Err(Problem::unavailable("timed-out", "the service is stopping: ask again", again));
        }
        Ok(())
    });
    let written = written.await?;
    let detail = json!({ "count": written.manifest.count(), "format": format, "search": request.recorded() });
    write_down(reader, &call.caller().actor, "export", "timeline".to_owned(), detail, None).await?;
    let file = match format {
        Format::Csv => "attachment; filename=\"timeline.csv\"",
        Format::Ndjson => "attachment; filename=\"timeline.ndjson\"",
    };
    download(written, format, file, turn)
}

/// The answer with a file of this name; the turn is held until its last byte.
pub(crate) fn download(
    written: Written,
    format: Format,
    file: &'static str,
    turn: Option<Turn>,
) -> Result<Response, Problem> {
    let manifest = written.manifest.in_ascii().map_err(Problem::internal)?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(format.content_type())),
        (CONTENT_DISPOSITION, HeaderValue::from_static(file)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (MANIFEST, HeaderValue::try_from(manifest).map_err(Problem::internal)?),
    ];
    let until = Instant::now() + LONGEST;
    let chunks = written.chunks().map(move |chunk| {
        let _held = &turn;
        if Instant::now() > until { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { chunk }
    });
    Ok((headers, Body::from_stream(stream::iter(chunks))).into_response())
}
