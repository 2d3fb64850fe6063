//! The record of operations over HTTP: its list, one entry, the reveal of a reason, and exports.

use std::collections::BTreeMap;
use std::time::Duration;

use soonshop_audit::export::{Format, Separator};
use soonshop_audit::listing::SEPARATOR;
use soonshop_audit::operations::{self, OPERATIONS, OperationDetail, OperationsExport, OperationsPage};
use soonshop_audit::record::write_down;
use soonshop_audit::record_names;
use soonshop_domain::QueryError;
use soonshop_projections::record::RecordQuery;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Owner, Permission};
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::endpoint::{Answer, Described};
use soonshop_service_kit::problem::Kind as ProblemKind;
use soonshop_service_kit::rates::Class;
use soonshop_service_kit::serve::take_longer;
use soonshop_service_kit::work::Price;
use url::form_urlencoded;

use crate::exports::{LONGEST, download, separator};
use crate::fields::{self, zoned};
use crate::kinds::ACTIONS;
use crate::state::{Action, Call, Endpoint};

const DEFAULT_LIMIT: usize = 50;

/// The name of an action; empty: any.
fn action(raw: &str) -> Option<String> {
    (raw.is_empty() || ACTIONS.contains(&raw)).then(|| raw.to_owned())
}

/// The parameters that filter the record.
pub(crate) fn filters() -> Vec<Param> {
    vec![
        Param::new(
            "actor",
            Kind::Free,
            "Who: a kind of actor, `kind:id`, an id, or what an API key is for; no e-mail address.",
        ),
        Param::new(
            "action",
            Kind::Checked(action, "it is the action of an entry, such as `reveal`, `export` or `swap`"),
            "What was done, such as `reveal`, `export` or `swap`.",
        ),
        Param::new(
            "subject",
            Kind::Free,
            "To what: such as `rm_orders_3`, `order/` and an id, an order's number, a SKU, or the name of a view.",
        ),
        Param::new("from", Kind::Time, "Recorded at this time or later."),
        Param::new("to", Kind::Time, "Recorded before this time."),
        Param::new("before", Kind::Number(0, i64::MAX), "Positions of the record below this one."),
        Param::new(
            "sign_ins",
            Kind::OneOf(&["1"]),
            "With sign-ins, which are left out by default unless `action` asks for them.",
        ),
    ]
}

/// The parameters of the list.
pub(crate) fn listed() -> Vec<Param> {
    let mut params = filters();
    params.push(Param::new("limit", Kind::Number(1, 200), "Items on a page, 50 by default.").display_only());
    params
}

/// The endpoints.
#[rustfmt::skip]
pub(crate) fn table() -> Vec<Endpoint> {
    use Permission::{Audit, Export, Reveal};
    let row = Endpoint::new;
    vec![
        row("/api/audit/operations", "audit.operations", Class::Searches, "The record of operations",
            Action::new(zoned(listed()), Described::one::<OperationsPage>().with_pages(), list).needs(Audit)),
        row("/api/audit/operations/{position}", "audit.operation", Class::Reads, "One entry of the record of operations",
            Action::new(Vec::new(), Described::one::<OperationDetail>(), entry).needs(Audit)),
        row("/api/audit/operations/{position}/reveals", "audit.reveal-reason", Class::LookUps, "The same with its reason; each access is recorded",
            Action::new(Vec::new(), Described::one::<OperationDetail>(), revealed).takes(Owner::Anyone, fields::reveal()).needs(Reveal)),
        row("/api/audit/operations/export.csv", "audit.export-operations-csv", Class::Searches, "The record of operations as a file", csv().needs(Export)),
        row("/api/audit/operations/export.ndjson", "audit.export-operations-ndjson", Class::Searches, "The record of operations as a file", ndjson().needs(Export)),
    ]
}

/// The query of a request: names become what they stand for.
async fn query(call: &Call) -> Result<RecordQuery, QueryError> {
    let (params, reader) = (&call.params, &call.shared.reader);
    let text = |name| params.text(name).filter(|text| !text.trim().is_empty()).map(str::to_owned);
    let (actor, subject) = (text("actor"), text("subject"));
    let actors = match &actor {
        Some(text) => Some(record_names::actors(reader, text).await?),
        None => None,
    };
    let subjects = match &subject {
        Some(text) => Some(record_names::subjects(reader, text).await?),
        None => None,
    };
    Ok(RecordQuery {
        actors,
        action: text("action"),
        subjects,
        from: params.number("from"),
        to: params.number("to"),
        before: params.number("before"),
        sign_ins: text("sign_ins").is_some(),
        without_views: false,
    })
}

/// The position in the path.
fn position(call: &Call) -> Result<i64, Problem> {
    let nothing = |_| Problem::not_found("not-found", "the record of operations has no such entry");
    call.key.parse().map_err(nothing)
}

/// A page of the record, and its last position.
pub(crate) async fn find(call: &Call) -> Result<(i64, OperationsPage), Problem> {
    let limit = call.params.limit(DEFAULT_LIMIT);
    Ok(operations::find(&call.shared.reader, &call.caller().actor, &query(call).await?, limit).await?)
}

/// The entry in the path, and the last position of the record.
pub(crate) async fn one(call: &Call) -> Result<(i64, OperationDetail), Problem> {
    Ok(operations::one(&call.shared.reader, &call.caller().actor, position(call)?).await?)
}

/// The same with its reason, for the reason in the form; the access has been recorded before.
pub(crate) async fn reveal(call: &Call) -> Result<(i64, OperationDetail), Problem> {
    let reason = call.form.text("reason").unwrap_or_default();
    let (reader, actor) = (&call.shared.reader, &call.caller().actor);
    Ok(operations::reveal(reader, actor, position(call)?, reason).await?)
}

// The position of an answer is one of the log, and the record has its own: 0 names none.

async fn list(call: Call) -> Answer {
    let (_, page) = find(&call).await?;
    let next = page.next.map(|next| next.to_string());
    call.page_before(0, &page, next.as_deref().map(|next| ("before", next)))
}

async fn entry(call: Call) -> Answer {
    let (_, entry) = one(&call).await?;
    call.page(0, &entry, None)
}

async fn revealed(call: Call) -> Answer {
    let (_, entry) = reveal(&call).await?;
    call.page(0, &entry, None)
}

fn csv() -> Action {
    let about = "A row with the names of the columns, then one for each entry, the newest first, and the manifest in the last row.";
    let params = filters().into_iter().chain([separator()]).collect();
    file(params, Format::Csv, Described::file("text/csv", about))
}

fn ndjson() -> Action {
    let about = "A line of JSON with the manifest, then one for each entry, the newest first.";
    file(filters(), Format::Ndjson, Described::file("application/x-ndjson", about))
}

fn file(params: Vec<Param>, format: Format, described: Described) -> Action {
    Action::new(zoned(params), described, move |call| write(call, format))
        .refuses([ProblemKind::TooMany])
        .costs(|_| Price::Export)
}

async fn write(mut call: Call, format: Format) -> Answer {
    take_longer(LONGEST);
    let turn = call.turn.take();
    let filter: BTreeMap<String, String> = form_urlencoded::parse(call.visit.query.as_bytes())
        .into_owned()
        .filter(|(name, value)| name != SEPARATOR && !value.is_empty())
        .collect();
    let separator = Separator::named(call.params.text(SEPARATOR));
    let request = OperationsExport { query: query(&call).await?, format, separator, filter };
    let (reader, stop) = (&call.shared.reader, &call.shared.stop);
    let role = call.caller().role_with(Permission::Export);
    let written = operations::export(reader, &request, role.as_ref(), |_| {
        if stop.is_cancelled() {
            let again = Duration::from_secs(1);
            return Err(Problem::unavailable("timed-out", "the service is stopping: ask again", again));
        }
        Ok(())
    });
    let written = written.await?;
    let detail = serde_json::json!({
        "count": written.manifest.count(), "format": format, "search": request.recorded(),
    });
    write_down(reader, &call.caller().actor, "export", OPERATIONS.to_owned(), detail, None).await?;
    let name = match format {
        Format::Csv => "attachment; filename=\"operations.csv\"",
        Format::Ndjson => "attachment; filename=\"operations.ndjson\"",
    };
    download(written, format, name, turn)
}

#[cfg(test)]
mod tests {
    use soonshop_service_kit::endpoint::params::Params;

    use super::*;

    #[test]
    fn an_action_that_is_not_one_is_refused_and_an_empty_one_is_any() {
        for good in ["action=", "action=swap", "sign_ins=1", "from=2026-11-01&to=", "before=7&limit=200"] {
            assert!(Params::read(good, &zoned(listed())).is_ok(), "{good}");
        }
        for bad in ["action=swop", "sign_ins=yes", "before=-1", "limit=201", "q=x"] {
            assert_eq!(Params::read(bad, &zoned(listed())).unwrap_err().slug(), "invalid-query", "{bad}");
        }
    }
}
