//! The endpoints that answer questions: one table from path to what answers it.
//!
//! `handle` takes every request: it reads a `Call` by the parameters that the row knows, and lets the
//! row's action answer. Lists (`list`) and look-ups (`entity`) are written once, over any row that is
//! `Shown`; reports (`analytics`) once, over a table of figures. To add a list, add rows to
//! `table` and a file for its read model beside this one. The audit trail, its pages among it, is in `audit`.

macro_rules! endpoints {
    ($($path:literal $name:literal $summary:literal $action:expr;)+) => {
        vec![$(Endpoint { path: $path, name: $name, summary: $summary, action: $action }),+]
    };
}

#[path = "contexts/analytics.rs"]
mod analytics;
#[path = "driver/as_of.rs"]
mod as_of;
#[path = "../../audit-web/src/endpoints.rs"]
mod audit;
#[path = "driver/cached.rs"]
mod cached;
#[path = "../../service-kit/src/endpoint/call.rs"]
mod call;
#[path = "driver/entity.rs"]
mod entity;
#[path = "../../event-log/src/history.rs"]
mod fold;
#[path = "contexts/inventory.rs"]
mod inventory;
#[path = "driver/list.rs"]
mod list;
#[path = "../../service-kit/src/endpoint/openapi.rs"]
mod openapi;
#[path = "contexts/order.rs"]
mod order;
#[path = "../../service-kit/src/endpoint/params.rs"]
mod params;
#[path = "contexts/product.rs"]
mod product;
#[path = "../../projections/src/source.rs"]
mod read;
#[path = "driver/search.rs"]
mod search;
#[path = "contexts/user.rs"]
mod user;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use futures::future::BoxFuture;
use soonshop_cache::Cache;
use soonshop_event_log::EventLog;
use soonshop_projections as projections;
use soonshop_projections::Registry;
use soonshop_projections::standing::Looked;
use soonshop_search::Search;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::session::to_loopback;
use soonshop_service_kit::access::{Access, Permission};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use audit::{Tail, Trends};
use cached::Kept;
use call::{Call, Visit};
use openapi::Described;
use params::Param;

pub use audit::{Asked, Change, Entry, File, Listing, Reached, Stream, Trail, columns, export};
pub use openapi::openapi;

/// The contexts whose queries can be served.
pub const CONTEXTS: [&str; soonshop_domain::context::NAMES.len()] = soonshop_domain::context::NAMES;

/// What the endpoints work with.
#[derive(Clone)]
pub struct Queries {
    pub registry: Registry,
    /// What a state of the past is folded from.
    pub log: EventLog,
    pub search: Arc<dyn Search>,
    /// May be gone at any time.
    pub cache: Arc<dyn Cache>,
    /// Tells callers apart.
    pub access: Access,
    /// The contexts whose endpoints are there.
    pub contexts: BTreeSet<String>,
    /// Ends the answers that would go on for ever.
    pub stop: CancellationToken,
}

impl Queries {
    /// What to ask how everything stands.
    pub fn looked(&self) -> Looked {
        Looked {
            log: self.log.clone(),
            registry: self.registry.clone(),
            search: Arc::clone(&self.search),
            cache: Arc::clone(&self.cache),
        }
    }
}

/// What all requests of a router share.
struct Shared {
    queries: Queries,
    kept: Kept,
    tail: Tail,
    trends: Trends,
    /// Held by whoever has the log checked: each reads all of it.
    checking: Mutex<()>,
    /// Held by whoever looks somebody up: how often that was done is counted and written down by one at a time.
    looking_up: Mutex<()>,
    /// Held by whoever leaves a note, for the same reason.
    noting: Mutex<()>,
    /// A permit is held by whoever has an export gathered.
    exporting: Semaphore,
    /// What is looked at, where it is no shop.
    file: Option<Arc<File>>,
}

/// What a row of the table does.
struct Action {
    /// The query parameters that it takes.
    params: Vec<Param>,
    /// What it answers, for the API's description.
    answers: Described,
    /// What the caller must be permitted.
    needs: Permission,
    /// The fields of the form that it takes; `None`: it is a question, and takes none.
    form: Option<Vec<Param>>,
    run: Run,
}

type Run = Box<dyn Fn(Call) -> BoxFuture<'static, Result<Response, Problem>> + Send + Sync>;

impl Action {
    fn new<F>(params: Vec<Param>, answers: Described, run: fn(Call) -> F) -> Self
    where
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        Self::with(params, answers, Box::new(move |call| Box::pin(run(call))))
    }

    fn with(params: Vec<Param>, answers: Described, run: Run) -> Self {
        Self { params, answers, needs: Permission::Read, form: None, run }
    }

    fn needs(self, permission: Permission) -> Self {
        Self { needs: permission, ..self }
    }

    /// It does something, with what a form says.
    fn takes(self, form: Vec<Param>) -> Self {
        Self { form: Some(form), ..self }
    }
}

/// A row of the table.
struct Endpoint {
    path: &'static str,
    /// `<context>.<what>`: in the API's description.
    name: &'static str,
    summary: &'static str,
    action: Action,
}

impl Endpoint {
    /// It answers people, with a page.
    fn is_page(&self) -> bool {
        self.path.starts_with(audit::PAGES)
    }
}

/// Every question that can be asked over HTTP.
#[rustfmt::skip]
fn table() -> Vec<Endpoint> {
    endpoints! {
        "/users"                     "user.list"                 "List users"                      list::lists::<projections::user::Model>();
        "/users/{id}"                "user.read"                 "A user"                          entity::reads::<projections::user::Model>();

        "/products"                  "product.list"              "List products"                   list::lists::<projections::product::Model>();
        "/products/search"           "product.search"            "Search products"                 search::searches();
        "/products/suggestions"      "product.suggest"           "Complete what is being typed"    search::suggests();
        "/products/{id}"             "product.read"              "A product"                       entity::reads::<projections::product::Model>();
        "/products/{id}/prices"      "product.prices"            "The prices of a product"         product::prices();

        "/inventory"                 "inventory.list"            "List stock"                      list::lists::<projections::inventory::Model>();
        "/inventory/{sku}"           "inventory.read"            "The stock of a SKU"              entity::reads::<projections::inventory::Model>();

        "/orders"                    "order.list"                "List orders"                     list::lists::<projections::order::Model>();
        "/orders/{id}"               "order.read"                "An order"                        entity::reads::<projections::order::Model>();
        "/credit-notes"              "order.list-credit-notes"   "List credit notes"               list::lists::<projections::order::credit::Model>();
        "/credit-notes/{id}"         "order.read-credit-note"    "A credit note"                   entity::reads::<projections::order::credit::Model>();

        "/analytics/sales"           "analytics.sales"           "What was sold"                   analytics::reports(&analytics::SALES);
        "/analytics/credits"         "analytics.credits"         "What was given back"             analytics::reports(&analytics::CREDITS);
        "/analytics/stock-movements" "analytics.stock-movements" "What came in, and what was counted" analytics::reports(&analytics::MOVEMENTS);
        "/analytics/stock"           "analytics.stock"           "What lies there now"             analytics::reports(&analytics::STOCK);
        "/analytics/summary"         "analytics.summary"         "All of it, in one answer"        analytics::summarizes();
    }
    .into_iter()
    .chain(audit::table())
    .collect()
}

impl Endpoint {
    fn context(&self) -> &'static str {
        self.name.split('.').next().unwrap_or_default()
    }
}

/// The endpoints of the served contexts.
pub fn router(state: Queries) -> Router {
    routed(state, None, table().into_iter().chain(audit::pages::table()))
}

/// The audit trail of an export: what can be answered out of its rows alone. Nobody signs in, so only what was asked of
/// this machine by its own name is answered: a page of another site that is led here learns nothing.
pub fn router_of_file(state: Queries, file: File) -> Router {
    routed(state, Some(Arc::new(file)), audit::file::table()).layer(from_fn(asked_of_this_machine))
}

async fn asked_of_this_machine(request: Request, next: Next) -> Response {
    match to_loopback(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn routed(state: Queries, file: Option<Arc<File>>, endpoints: impl IntoIterator<Item = Endpoint>) -> Router {
    let kept = Kept::new(Arc::clone(&state.cache));
    let shared = Arc::new(Shared {
        kept,
        tail: Tail::default(),
        trends: Trends::default(),
        checking: Mutex::default(),
        looking_up: Mutex::default(),
        noting: Mutex::default(),
        exporting: Semaphore::new(audit::EXPORTS),
        queries: state,
        file,
    });
    let mut router = Router::new();
    for endpoint in endpoints {
        if !shared.queries.contexts.contains(endpoint.context()) {
            continue;
        }
        let path = endpoint.path;
        let posts = endpoint.action.form.is_some();
        let (shared, endpoint) = (Arc::clone(&shared), Arc::new(endpoint));
        let handler = move |request: Request| handle(Arc::clone(&shared), Arc::clone(&endpoint), request);
        let method: MethodRouter = if posts { post(handler) } else { get(handler) };
        router = router.route(path, method);
    }
    router
}

/// Everything that is asked goes through here.
async fn handle(shared: Arc<Shared>, endpoint: Arc<Endpoint>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let visitor = shared.queries.access.visitor(&parts.headers).await;
    let asked = Visit::of(&shared, &parts, visitor.as_ref().ok());
    let answer = async {
        let call = Call::read(&shared, &endpoint, asked.clone(), visitor?, parts, body).await?;
        (endpoint.action.run)(call).await
    };
    match answer.await {
        Ok(response) => response,
        Err(problem) if endpoint.is_page() => audit::pages::refused(&asked, &problem),
        Err(problem) => problem.into_response(),
    }
}
