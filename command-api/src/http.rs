//! The endpoints that change something: one table from method and path to a command, who may give it, and its body.
//!
//! `handle` takes every request: it reads a `Call`, lets the row's action run it, and answers. Only a command that
//! needs facts first (the price of a SKU) has an action of its own. To add an endpoint, add a row to `table` and the
//! function that makes its body a command to the context's file beside this one.

mod action;
mod answer;
mod call;
mod inventory;
mod openapi;
mod order;
mod person;
pub mod problems;
mod product;
mod user;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use soonshop_domain::claim::scope;
use soonshop_domain::context_of;
use soonshop_domain::order::Order;
use soonshop_domain::product::Product;
use soonshop_domain::user::User;
use soonshop_event_store::EventStore;
use soonshop_service_kit::access::{Access, Permission};
use soonshop_service_kit::problem::{Kind, Problem};

use action::{Action, executes, prepares, removes, stocks};
use call::Call;

pub use openapi::openapi;

/// The contexts that have commands over HTTP.
pub const CONTEXTS: [&str; 4] = ["user", "product", "inventory", "order"];

/// What the endpoints work with.
#[derive(Clone)]
pub struct Commands {
    pub store: EventStore,
    /// Tells callers apart.
    pub access: Access,
    /// The contexts whose endpoints are there.
    pub contexts: BTreeSet<String>,
}

impl Commands {
    /// Of all contexts, for the operator by that token and for guests.
    pub fn new(store: EventStore, operator_token: Option<Arc<str>>) -> Self {
        Self { store, access: Access::new(operator_token), contexts: CONTEXTS.map(str::to_owned).into() }
    }
}

/// Whether a command may be given without an `Idempotency-Key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Optional,
    /// Money or stock moves.
    Required,
}

/// A row of the table.
struct Endpoint {
    method: Method,
    path: &'static str,
    /// `<aggregate type>.<command>`: stored beside every event.
    command: &'static str,
    permission: Permission,
    key: Key,
    summary: &'static str,
    action: Action,
}

macro_rules! endpoints {
    ($($method:ident $path:literal $command:literal $permission:ident $key:ident $summary:literal $action:expr;)+) => {
        vec![$(Endpoint {
            method: Method::$method,
            path: $path,
            command: $command,
            permission: Permission::$permission,
            key: Key::$key,
            summary: $summary,
            action: $action,
        }),+]
    };
}

/// Every command that can be given over HTTP.
#[rustfmt::skip]
fn table() -> Vec<Endpoint> {
    endpoints! {
        POST   "/users"                        "user.register"       Shop     Optional "Register a user"                executes::<User, _>(user::register);
        PUT    "/users/{id}"                   "user.change"         Shop     Optional "Replace a user's details"       executes::<User, _>(user::change);
        DELETE "/users/{id}"                   "user.delete"         Shop     Optional "Delete and forget a user"       removes(user::delete);
        POST   "/people/{id}/erasures"         "person.request-erasure" Forget   Optional "Forget a person, user or guest" prepares(person::erase);

        POST   "/products"                     "product.create"      Trade    Optional "List a product"                 executes::<Product, _>(product::create);
        PUT    "/products/{id}"                "product.change"      Trade    Optional "Replace a product's details"    executes::<Product, _>(product::change);
        DELETE "/products/{id}"                "product.delete"      Trade    Optional "Delete a product"               removes(product::delete);
        POST   "/products/{id}/variants"       "product.add-variant" Trade    Optional "Add a variant"                  executes::<Product, _>(product::add_variant);
        POST   "/products/{id}/prices"         "product.set-price"   Trade    Optional "Set the price of a variant"     executes::<Product, _>(product::set_price);

        POST   "/inventory/{sku}/receipts"     "stock.receive"       Trade    Required "Receive stock"                  stocks(inventory::receive);
        POST   "/inventory/{sku}/adjustments"  "stock.adjust"        Trade    Required "Correct stock after a count"    stocks(inventory::adjust);
        POST   "/inventory/{sku}/reservations" "stock.reserve"       Fulfil   Required "Reserve stock for a line"       stocks(inventory::reserve);
        POST   "/inventory/{sku}/releases"     "stock.release"       Fulfil   Required "Release a line's reservation"   stocks(inventory::release);
        POST   "/inventory/{sku}/shipments"    "stock.ship"          Fulfil   Required "Ship what a line reserved"      stocks(inventory::ship);

        POST   "/orders"                       "order.place"         Shop     Required "Place an order"                 prepares(order::place);
        POST   "/orders/{id}/cancellation"     "order.cancel"        Shop     Required "Cancel an order"                executes::<Order, _>(order::cancel);
        POST   "/orders/{id}/shipment"         "order.ship"          Trade    Required "Say that an order was shipped"  executes::<Order, _>(order::ship);
        POST   "/credit-notes"                 "credit_note.issue"   Refund   Required "Give money back"                prepares(order::issue);
    }
}

impl Endpoint {
    fn context(&self) -> &'static str {
        let kind = self.command.split('.').next().unwrap_or_default();
        context_of(kind).unwrap_or_default()
    }

    /// A path without an id makes something new, and the answer says where.
    fn creates(&self) -> bool {
        !self.path.contains('{')
    }

    fn needs_if_match(&self) -> bool {
        self.method == Method::PUT || self.method == Method::DELETE
    }

    fn status(&self) -> StatusCode {
        if self.creates() {
            StatusCode::CREATED
        } else if self.method == Method::DELETE {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::OK
        }
    }

    fn filter(&self) -> MethodFilter {
        match self.method {
            Method::PUT => MethodFilter::PUT,
            Method::DELETE => MethodFilter::DELETE,
            _ => MethodFilter::POST,
        }
    }
}

/// The endpoints of the served contexts, and the pages of [`problems`].
pub fn router(state: Commands) -> Router {
    let state = Arc::new(state);
    let mut router = problems::router();
    for endpoint in table() {
        if !state.contexts.contains(endpoint.context()) {
            continue;
        }
        let (path, filter) = (endpoint.path, endpoint.filter());
        let (state, endpoint) = (Arc::clone(&state), Arc::new(endpoint));
        let handler = move |request: Request| handle(Arc::clone(&state), Arc::clone(&endpoint), request);
        router = router.route(path, on(filter, handler));
    }
    router
}

/// Every command there is goes through here.
async fn handle(commands: Arc<Commands>, endpoint: Arc<Endpoint>, request: Request) -> Response {
    let answer = async {
        let call = Call::read(&commands, &endpoint, request).await?;
        let import_key = call.import_key().map(str::to_owned);
        match (endpoint.action.run)(call).await {
            Err(problem) => Err(imported_before(&commands.store, import_key, problem).await),
            done => done,
        }
    };
    answer.await.unwrap_or_else(IntoResponse::into_response)
}

/// What was imported before is refused as that, whatever else would refuse it by now.
async fn imported_before(store: &EventStore, key: Option<String>, problem: Problem) -> Problem {
    let Some(key) = key else { return problem };
    let about_state = matches!(problem.kind(), Kind::Conflict | Kind::Gone | Kind::Invalid);
    if !about_state || problem.slug() == "idempotency-key-reused" {
        return problem;
    }
    match store.owner_of(scope::IMPORT, &key).await {
        Ok(Some(owner)) => answer::taken(scope::IMPORT, owner),
        Ok(None) => problem,
        Err(error) => answer::unreadable(error),
    }
}
