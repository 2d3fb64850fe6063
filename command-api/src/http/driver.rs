//! The way of every command: routed by its row, read as a call, run by its action.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use soonshop_domain::claim::scope;
use soonshop_event_store::EventStore;
use soonshop_service_kit::access::{Caller, KnownGuest};
use soonshop_service_kit::problem::{Kind, Problem};
use soonshop_service_kit::rates::Class;

use super::answer;
use super::call::Call;
use super::endpoint::Endpoint;
use super::headers::GUEST_TOKEN;
use super::state::Commands;

/// The refusal of an e-mail address that another user has.
const EMAIL_TAKEN: &str = "email-taken";

/// The endpoints of the contexts that are served.
pub(crate) fn router(state: Commands, endpoints: Vec<Endpoint>) -> Router {
    let state = Arc::new(state);
    let mut router = Router::new();
    for endpoint in endpoints {
        if !state.contexts.contains(endpoint.row.context()) {
            continue;
        }
        let path = endpoint.row.path;
        let filter = MethodFilter::try_from(endpoint.row.method.clone()).unwrap_or(MethodFilter::POST);
        let (state, endpoint) = (Arc::clone(&state), Arc::new(endpoint));
        let handler = move |request: Request| handle(Arc::clone(&state), Arc::clone(&endpoint), request);
        router = router.route(path, on(filter, handler));
    }
    router
}

async fn handle(commands: Arc<Commands>, endpoint: Arc<Endpoint>, request: Request) -> Response {
    let answer = async {
        let call = Call::read(&commands, &endpoint.row, endpoint.action.body.is_some(), request).await?;
        let (import_key, caller) = (call.import_key().map(str::to_owned), call.caller().clone());
        let begins = call.begins();
        match (endpoint.action.run)(call).await {
            Err(problem) => {
                let problem = imported_before(&commands.store, import_key, problem).await;
                Err(looked_up(&caller, problem).await)
            }
            Ok(answer) => with_token(&commands, begins, answer).await,
        }
    };
    answer.await.unwrap_or_else(IntoResponse::into_response)
}

/// Adds the token of the guest who begins with this command to the answer. If the token cannot be made, the command was
/// executed all the same; the client sends it again under the same `Idempotency-Key` and gets the token then.
async fn with_token(
    commands: &Commands,
    begins: Option<KnownGuest>,
    mut answer: Response,
) -> Result<Response, Problem> {
    let Some(guest) = begins else { return Ok(answer) };
    if let Some(token) = commands.access.begin_guest(guest).await? {
        let value = HeaderValue::try_from(token).map_err(Problem::internal)?;
        answer.headers_mut().insert(GUEST_TOKEN, value);
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(answer)
}

/// A refusal that tells of another person is a look-up of that person, and refused as one: nobody finds out from many
/// registrations which e-mail addresses are known.
async fn looked_up(caller: &Caller, problem: Problem) -> Problem {
    if problem.slug() != EMAIL_TAKEN {
        return problem;
    }
    caller.count(Class::LookUps).await.err().unwrap_or(problem)
}

/// Replaces a refusal by `imported-before` if the import was done before, whatever else is wrong by now.
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
