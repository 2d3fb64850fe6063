//! What a row of the table does: from a call and its body to an answer.

use axum::response::Response;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use soonshop_domain::Decider;
use soonshop_domain::inventory::{self, At, Place, Stock};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};
use uuid::Uuid;

use super::call::Call;
use super::inventory::{Moved, location};

/// The body of a command.
pub(super) trait Input: DeserializeOwned + ToSchema + Send + 'static {
    /// When it happened, if the body says so: only the operator may.
    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// A pointer to another field that only the operator may set.
    fn privileged(&self) -> Option<String> {
        None
    }
}

type Outcome = Result<Response, Problem>;

/// The name of a body's schema, and that schema with those it refers to.
pub(super) type Described = (String, Vec<(String, RefOr<Schema>)>);

pub(super) struct Action {
    pub(super) run: Box<dyn Fn(Call) -> BoxFuture<'static, Outcome> + Send + Sync>,
    /// The body, for the API's description; `None`: there must not be one.
    pub(super) body: Option<fn() -> Described>,
}

/// For a command that needs facts first.
pub(super) fn prepares<B: Input, F: Future<Output = Outcome> + Send + 'static>(
    run: impl Fn(Call, B) -> F + Copy + Send + Sync + 'static,
) -> Action {
    let body = || {
        let mut schemas = vec![(B::name().into_owned(), B::schema())];
        B::schemas(&mut schemas);
        (B::name().into_owned(), schemas)
    };
    let run = move |mut call: Call| -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let body = call.body::<B>().await?;
            run(call, body).await
        })
    };
    Action { run: Box::new(run), body: Some(body) }
}

/// The body becomes the command, of the stream that the path names or the command begins.
pub(super) fn executes<A: Decider, B: Input>(command: fn(Uuid, B) -> Result<A::Command, Problem>) -> Action {
    prepares(move |mut call: Call, body: B| async move {
        let id = call.stream().await?;
        call.execute::<A>(id, command(id, body)?).await
    })
}

/// The body becomes a command of the SKU's stock, at the location that comes with it.
pub(super) fn stocks<B: Input>(command: fn(B) -> Moved) -> Action {
    prepares(move |mut call: Call, body: B| async move {
        let sku = call.sku().await?;
        let (named, mut command) = command(body)?;
        let location = location(named)?;
        // A claim tells owners apart, and all receipts of one stock have the same. What no state takes is answered
        // from the command's record if it was this very command, and as imported before if it was not.
        if call.imported().await? {
            command = inventory::Command::Receive { quantity: 0 };
        }
        let id = inventory::stream(&sku, &location);
        call.execute::<Stock>(id, At { place: Place { sku, location }, command }).await
    })
}

/// Without a body.
pub(super) fn removes<F: Future<Output = Outcome> + Send + 'static>(
    run: impl Fn(Call, Uuid) -> F + Copy + Send + Sync + 'static,
) -> Action {
    let run = move |mut call: Call| -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let id = call.stream().await?;
            run(call, id).await
        })
    };
    Action { run: Box::new(run), body: None }
}
