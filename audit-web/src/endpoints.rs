//! The JSON endpoints of the audit trail, under `/api/audit`: they use the same functions as the pages.

use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse as _;
use serde::Serialize;
use soonshop_audit::correlation::Tree;
use soonshop_audit::integrity::SealedLogs;
use soonshop_audit::look_up::LookUpResult;
use soonshop_audit::notes::AddedNote;
use soonshop_audit::processes::{InstanceDetail as Instance, Page as Processes};
use soonshop_audit::timeline::Page;
use soonshop_audit::trail::Trail;
use soonshop_audit::views::ViewsPage;
use soonshop_service_kit::access::{Owner, Permission};
use soonshop_service_kit::endpoint::{Answer, Described};
use soonshop_service_kit::health::verdicts;
use soonshop_service_kit::problem::Kind;
use soonshop_service_kit::rates::Class;
use soonshop_service_kit::work::Price;
use utoipa::ToSchema;

use crate::find::{self, ShopHealth, Verdict};
use crate::state::{Action, Call, Endpoint};
use crate::{exports, fields, operations, tail};

/// All of them.
pub(crate) fn all() -> Vec<Endpoint> {
    table().into_iter().chain(operations::table()).collect()
}

/// The endpoints.
#[rustfmt::skip]
fn table() -> Vec<Endpoint> {
    use Class::{Health, LookUps, Reads, Searches, Writes};
    use Kind::{Conflict, Gone};
    use Permission::{Acknowledge, Audit, Export, Reveal};
    let row = Endpoint::new;
    vec![
        row("/health/audit", "audit.health", Health, "What works in the shop, and the health of all that follows the log",
            Action::new(Vec::new(), Described::one_or::<ShopHealth, Verdict>().also_unavailable(), health).costs(|_| Price::Nothing)),
        row("/api/audit/timeline", "audit.timeline", Searches, "The timeline of events",
            Action::new(fields::zoned(fields::timeline()), Described::one::<Page>().with_pages(), timeline).needs(Audit)),
        row("/api/audit/a/{type}/{id}", "audit.trail", Reads, "The state and the history of one aggregate",
            Action::new(fields::zoned(fields::trail()), Described::one::<Trail>(), trail).needs(Audit)),
        row("/api/audit/a/{type}/{id}/reveals", "audit.reveal", LookUps, "The same with personal values; each access is recorded",
            Action::new(fields::zoned(fields::trail()), Described::one::<Trail>(), reveal).takes(Owner::Anyone, fields::reveal())
                .needs(Reveal).refuses([Gone])),
        row("/api/audit/a/{type}/{id}/notes", "audit.note", Writes, "Leave a note on one of its events; it is recorded",
            Action::new(Vec::new(), Described::one::<AddedNote>(), note).takes(Owner::Anyone, fields::notes()).needs(Audit)
                .refuses([Conflict, Gone])),
        row("/api/audit/c/{id}", "audit.correlation", Reads, "Everything that followed from one request",
            Action::new(Vec::new(), Described::one::<Tree>(), correlation).needs(Audit)),
        row("/api/audit/processes", "audit.processes", Reads, "Process managers and their instances",
            Action::new(fields::processes(), Described::one::<Processes>().with_pages(), processes).needs(Audit)),
        row("/api/audit/processes/{process}/{instance}", "audit.process", Reads, "One instance of a process manager",
            Action::new(Vec::new(), Described::one::<Instance>(), process).needs(Audit)),
        row("/api/audit/export.csv", "audit.export-csv", Searches, "The timeline as a file", exports::csv().needs(Export)),
        row("/api/audit/export.ndjson", "audit.export-ndjson", Searches, "The timeline as a file", exports::ndjson().needs(Export)),
        row("/api/audit/stream", "audit.stream", Searches, "The timeline as a live stream", tail::follows().needs(Audit).costs(|_| Price::Nothing)),
        row("/api/audit/look-ups", "audit.look-up", LookUps, "Find the person with a known value; it is recorded",
            Action::new(Vec::new(), Described::one::<LookUpResult>(), look_up).takes(Owner::Anyone, fields::look_up()).needs(Audit)),
        row("/api/audit/integrity", "audit.integrity", Reads, "What the checks of the seals found, by ranges of positions",
            Action::new(Vec::new(), Described::one::<SealedLogs>(), integrity).needs(Audit)),
        row("/api/audit/integrity/acknowledgements", "audit.acknowledge", Writes, "Acknowledge what a check of the seals found; it is recorded",
            Action::new(Vec::new(), Described::one::<SealedLogs>(), acknowledge).takes(Owner::TheShop, fields::acknowledgement())
                .needs(Acknowledge).refuses([Conflict])),
        row("/api/audit/views", "audit.views", Reads, "Saved views of the timeline",
            Action::new(fields::views(), Described::one::<ViewsPage>().with_pages(), views).needs(Audit)),
        row("/api/audit/views/{slug}/renames", "audit.rename-view", Writes, "Rename a saved view of yours; it is recorded",
            Action::new(Vec::new(), Described::one::<ViewName>(), rename_view).takes(Owner::Own, fields::view_name()).needs(Audit)
                .refuses([Conflict, Gone])),
        row("/api/audit/views/{slug}/deletions", "audit.delete-view", Writes, "Delete a saved view of yours; it is recorded",
            Action::new(Vec::new(), Described::one::<ViewName>(), delete_view).takes(Owner::Own, Vec::new()).needs(Audit)
                .refuses([Gone])),
    ]
}

/// The name of a view in its address.
#[derive(Serialize, ToSchema)]
#[schema(as = SavedViewName)]
struct ViewName {
    slug: String,
}

async fn views(call: Call) -> Answer {
    let (position, page) = find::views(&call).await?;
    call.page(position, &page, page.next.as_deref())
}

async fn rename_view(call: Call) -> Answer {
    let slug = find::rename_view(&call).await?;
    call.page(0, &ViewName { slug }, None)
}

async fn delete_view(call: Call) -> Answer {
    find::delete_view(&call).await?;
    call.page(0, &ViewName { slug: call.key.clone() }, None)
}

async fn health(call: Call) -> Answer {
    let details = call.shared.access.sees_details(&call.headers_in).await;
    let (_, health) = find::shop_health(&call, details).await?;
    let healthy = health.followers.healthy;
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let uncached = [(CACHE_CONTROL, "no-store")];
    if details {
        return Ok((status, uncached, axum::Json(health)).into_response());
    }
    let verdict = Verdict { healthy, checks: verdicts(&health.checks) };
    Ok((status, uncached, axum::Json(verdict)).into_response())
}

async fn timeline(call: Call) -> Answer {
    let (position, page) = find::timeline(&call).await?;
    let link = page.next.map(|next| next.to_string());
    call.page_before(position, &page, link.as_deref().map(|next| (fields::further(&call.params), next)))
}

async fn trail(call: Call) -> Answer {
    let (head, trail) = find::trail(&call).await?;
    call.page(head, &trail, None)
}

async fn reveal(call: Call) -> Answer {
    let (head, trail) = find::reveal(&call).await?;
    call.page(head, &trail, None)
}

async fn note(call: Call) -> Answer {
    let left = find::leave_note(&call).await?;
    call.page(left.position, &left, None)
}

async fn correlation(call: Call) -> Answer {
    let (position, tree) = find::correlation(&call).await?;
    call.page(position, &tree, None)
}

async fn processes(call: Call) -> Answer {
    let (position, page) = find::processes(&call).await?;
    call.page(position, &page, page.next.as_deref())
}

async fn process(call: Call) -> Answer {
    let (position, one) = find::process(&call).await?;
    call.page(position, &one, None)
}

async fn look_up(call: Call) -> Answer {
    let found = find::look_up(&call).await?;
    call.page(0, &found, None)
}

async fn integrity(call: Call) -> Answer {
    let known = find::integrity(&call).await?;
    call.page(0, &known, None)
}

async fn acknowledge(call: Call) -> Answer {
    let known = find::acknowledge(&call).await?;
    call.page(0, &known, None)
}
