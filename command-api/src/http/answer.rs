//! Answers to commands: one function renders an outcome, and one table names each refusal.

use std::time::Duration;

use axum::Json;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use soonshop_domain::claim::scope;
use soonshop_domain::{Classified, Decider, ErrorKind, Facts, clock};
use soonshop_event_log::LOG;
use soonshop_event_store::{Answer, ExecuteError, Executed, LARGEST_EVENT, OutcomeKind};
use soonshop_service_kit::headers::{EVENT_POSITION, EventPosition};
use soonshop_service_kit::problem::{Kind, Problem};
use utoipa::ToSchema;
use uuid::Uuid;

/// A command that was done.
#[derive(Serialize, ToSchema)]
pub(crate) struct Done {
    /// The id of the thing that the command changed.
    pub(crate) id: Uuid,
    /// Its version now: also the `ETag`.
    pub(crate) version: Option<i64>,
    /// The position of the last event: also in `Event-Position`. Null if nothing had to change.
    pub(crate) position: Option<i64>,
    /// Only after a wait (`Prefer: wait`), where nothing is decided yet: who has to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waits_for: Option<WaitsFor>,
}

/// Who has to do the next step of a checkout that is still running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WaitsFor {
    /// The buyer pays, or confirms a payment.
    Buyer,
    /// The shop holds stock, asks a provider, or places the order.
    Shop,
}

/// The status of an answer: the one table from kinds of outcome.
pub(crate) fn status(kind: OutcomeKind) -> StatusCode {
    match kind {
        OutcomeKind::Created => StatusCode::CREATED,
        OutcomeKind::Done => StatusCode::OK,
        OutcomeKind::Removed => StatusCode::NO_CONTENT,
        OutcomeKind::Accepted => StatusCode::ACCEPTED,
        OutcomeKind::Refused(kind) => sorted(kind).status(),
    }
}

/// The units that a deleted product leaves behind.
const STOCK_ON_HAND: HeaderName = HeaderName::from_static("stock-on-hand");

/// The answer to a command that was done, now or before: both are the same, byte for byte.
pub(crate) fn render(answer: &Answer, body: &impl Serialize) -> Response {
    let position = answer.last_position;
    let fields = [
        (LOCATION, answer.reference.clone()),
        (ETAG, answer.version.map(|version| format!("\"{version}\""))),
        (
            EVENT_POSITION,
            position.map(|position| EventPosition { log: Some(LOG.to_owned()), position }.to_string()),
        ),
        (STOCK_ON_HAND, answer.detail.clone().filter(|_| answer.kind == OutcomeKind::Removed)),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
    let status = status(answer.kind);
    if answer.kind == OutcomeKind::Removed {
        return (status, headers).into_response();
    }
    (status, headers, Json(body)).into_response()
}

fn sorted(kind: ErrorKind) -> Kind {
    match kind {
        ErrorKind::Invalid => Kind::Invalid,
        ErrorKind::NotFound => Kind::NotFound,
        ErrorKind::Gone => Kind::Gone,
        ErrorKind::Conflict => Kind::Conflict,
    }
}

/// A refusal of the domain's.
pub(crate) fn rejected(error: &impl Classified) -> Problem {
    Problem::new(sorted(error.kind()), error.as_ref().to_owned(), error.to_string())
}

fn stale(actual: i64) -> Problem {
    let detail = format!("it has version {actual} by now: read it again, and decide again");
    Problem::precondition("stale-version", detail).with("version", actual)
}

/// Why a command was not done.
pub(crate) fn refused<E: Classified>(error: ExecuteError<E>) -> Problem {
    match error {
        ExecuteError::Rejected(error) => rejected(&error),
        ExecuteError::RejectedBefore { slug, sentence } => Problem::conflict(slug, sentence),
        ExecuteError::Stale { actual, .. } => stale(actual),
        ExecuteError::Taken { scope, owner } => taken(&scope, owner),
        ExecuteError::IdReused => Problem::invalid(
            "idempotency-key-reused",
            "the Idempotency-Key was used for another request: take a new one",
        ),
        ExecuteError::Erased => {
            Problem::gone("person-erased", "the person was erased, and nothing new about them is kept")
        }
        ExecuteError::TooLarge { .. } => {
            Problem::too_large("event-too-large", format!("one change may have {LARGEST_EVENT} bytes"))
                .with("limit", LARGEST_EVENT)
        }
        ExecuteError::Unavailable(reason) => {
            tracing::warn!(reason, "the event store did not take a command");
            let detail = "the event store cannot be used just now; whether this was done is not known: send it \
                          again with the same Idempotency-Key";
            Problem::unavailable("event-store-unavailable", detail, Duration::from_secs(1))
        }
        ExecuteError::Fault(reason) => Problem::internal(reason),
    }
}

/// The answer to a command, done or refused.
pub(crate) fn answer<A: Decider>(
    id: Uuid,
    command: A::Command,
    done: Result<Executed, ExecuteError<A::Error>>,
) -> Result<Response, Problem> {
    let answer = recorded::<A>(command, done)?;
    let (version, position) = (answer.version, answer.last_position);
    Ok(render(&answer, &Done { id, version, position, waits_for: None }))
}

/// The recorded answer of a command, or the reason why it was not done.
pub(crate) fn recorded<A: Decider>(
    command: A::Command,
    done: Result<Executed, ExecuteError<A::Error>>,
) -> Result<Answer, Problem> {
    match done {
        Ok(done) => Ok(done.answer),
        // Nothing exists, so it has no version: if the command would be refused for that, the refusal says so.
        Err(ExecuteError::Stale { actual: 0, .. }) => {
            match A::default().decide(command, &Facts { now: clock::now() }) {
                Err(error) => Err(rejected(&error)),
                Ok(_) => Err(stale(0)),
            }
        }
        Err(error) => Err(refused(error)),
    }
}

/// The log or the key store could not be read.
pub(crate) fn unreadable(error: soonshop_event_log::Error) -> Problem {
    refused(ExecuteError::<soonshop_domain::user::Error>::from(error))
}

/// Another stream holds a unique value.
pub(crate) fn taken(name: &str, owner: String) -> Problem {
    match name {
        // The owner of an address is personal: it is not named.
        scope::EMAIL => {
            Problem::conflict("email-taken", "another user has this e-mail address").with_pointer("/email")
        }
        scope::SKU => {
            Problem::conflict("sku-taken", "another product has one of the SKUs").with("owner", owner)
        }
        scope::ORDER_NUMBER => Problem::conflict("order-number-taken", "another order has this number")
            .with("owner", owner)
            .with_pointer("/number"),
        scope::CREDIT_NOTE_NUMBER => {
            Problem::conflict("credit-note-number-taken", "another credit note has this number")
                .with("owner", owner)
                .with_pointer("/number")
        }
        // The owner of a cart has one of their own.
        scope::OPEN_CART => {
            let cart = owner.strip_prefix("cart:").unwrap_or_default().to_owned();
            Problem::conflict("cart-open", "its owner has an open cart: go on with that one")
                .with("cart", cart)
        }
        scope::IMPORT => {
            Problem::conflict("imported-before", "the thing that X-Import-Key names was imported before")
                .with("owner", owner)
        }
        unknown => Problem::internal(format!("the scope {unknown} has no problem")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn rendered(answer: &Answer) -> String {
        let (version, position) = (answer.version, answer.last_position);
        let done = Done { id: Uuid::from_u128(7), version, position, waits_for: None };
        let response = render(answer, &done);
        let mut text = response.status().to_string();
        for (name, value) in response.headers() {
            text = format!("{text}\n{name}: {}", value.to_str().unwrap());
        }
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        format!("{text}\n\n{}", std::str::from_utf8(&body).unwrap())
    }

    /// Golden: a stored answer must be rendered the same for as long as its record is kept.
    #[tokio::test]
    async fn a_recorded_answer_is_always_rendered_the_same() {
        let answer = Answer {
            kind: OutcomeKind::Created,
            reference: Some("/orders/7".to_owned()),
            version: Some(1),
            first_position: Some(41),
            last_position: Some(42),
            detail: None,
        };
        assert_eq!(
            rendered(&answer).await,
            "201 Created\ncontent-type: application/json\nlocation: /orders/7\netag: \"1\"\nevent-position: main:42\n\n\
             {\"id\":\"00000000-0000-0000-0000-000000000007\",\"version\":1,\"position\":42}"
        );
        let accepted = Answer { kind: OutcomeKind::Accepted, ..answer.clone() };
        assert_eq!(
            rendered(&accepted).await,
            "202 Accepted\ncontent-type: application/json\nlocation: /orders/7\netag: \"1\"\nevent-position: main:42\n\n\
             {\"id\":\"00000000-0000-0000-0000-000000000007\",\"version\":1,\"position\":42}"
        );
        let gone = Answer { kind: OutcomeKind::Removed, reference: None, ..answer.clone() };
        assert_eq!(rendered(&gone).await, "204 No Content\netag: \"1\"\nevent-position: main:42\n\n");
        let left = Answer { detail: Some("\"MUG\";units=7".to_owned()), ..gone.clone() };
        assert_eq!(
            rendered(&left).await,
            "204 No Content\netag: \"1\"\nevent-position: main:42\nstock-on-hand: \"MUG\";units=7\n\n"
        );
        let unchanged = Answer { kind: OutcomeKind::Done, reference: None, last_position: None, ..answer };
        assert_eq!(
            rendered(&unchanged).await,
            "200 OK\ncontent-type: application/json\netag: \"1\"\n\n\
             {\"id\":\"00000000-0000-0000-0000-000000000007\",\"version\":1,\"position\":null}"
        );
    }

    #[test]
    fn every_scope_has_a_problem() {
        let scopes = [
            scope::EMAIL,
            scope::SKU,
            scope::ORDER_NUMBER,
            scope::CREDIT_NOTE_NUMBER,
            scope::OPEN_CART,
            scope::IMPORT,
        ];
        for name in scopes {
            assert_eq!(taken(name, "product:7".to_owned()).status(), 409, "{name}");
        }
    }
}
