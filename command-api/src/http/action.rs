//! The action of a row: a function from a call, its path parameters and its body to an answer.

use axum::response::Response;
use futures::future::BoxFuture;
use serde::Serialize;
use soonshop_domain::Decider;
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use utoipa::openapi::Object;
use uuid::Uuid;

use super::body::{Described, Input, described, meaning};
use super::call::Call;
use super::path::Parameters;
use super::privileged::Privileged;

type Outcome = Result<Response, Problem>;

/// The action of a row, and its part of the API's description.
pub(crate) struct Action {
    pub(crate) run: Box<dyn Fn(Call) -> BoxFuture<'static, Outcome> + Send + Sync>,
    /// The parameters of the path.
    pub(crate) parameters: fn() -> Vec<Object>,
    /// The schema of the body; `None`: no body is allowed.
    pub(crate) body: Option<fn() -> Described>,
    /// The fields of the body that need a permission of their own.
    pub(crate) privileged: &'static [Privileged],
    /// The body of the answer, if the action has its own.
    pub(crate) answer: Option<fn() -> Described>,
}

/// For a command that needs to look up facts first, or has a path of its own.
pub(crate) fn prepares<P: Parameters, B: Input, F: Future<Output = Outcome> + Send + 'static>(
    run: impl Fn(Call, P, B) -> F + Copy + Send + Sync + 'static,
) -> Action {
    let run = move |mut call: Call| -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let body = call.body::<B>().await?;
            let parameters = call.parameters::<P>().await?;
            let (target, meaning) = (parameters.canonical(), meaning(&body)?);
            call.may_touch(&target).await?;
            call.understand(&target, &meaning).await?;
            run(call, parameters, body).await
        })
    };
    let (parameters, body, privileged) =
        (P::schemas, Some(described::<B> as fn() -> Described), B::PRIVILEGED);
    Action { run: Box::new(run), parameters, body, privileged, answer: None }
}

/// Makes the body the command that begins a stream.
pub(crate) fn begins<A: Decider, B: Input>(command: fn(Uuid, B) -> Result<A::Command, Problem>) -> Action {
    prepares(move |call: Call, (): (), body: B| async move {
        let id = call.new_stream();
        call.execute::<A>(id, command(id, body)?).await
    })
}

/// Makes the body a command on the stream that the path names.
pub(crate) fn executes<A: Decider, B: Input>(command: fn(Uuid, B) -> Result<A::Command, Problem>) -> Action {
    prepares(
        move |call: Call, id: Uuid, body: B| async move { call.execute::<A>(id, command(id, body)?).await },
    )
}

/// A command and its stream.
pub(crate) struct Addressed<A: Decider> {
    pub(crate) id: Uuid,
    pub(crate) command: A::Command,
}

/// Makes path and body a command, and the answer from the state after it.
#[cfg_attr(not(test), expect(dead_code, reason = "no context has such a command yet"))]
pub(crate) fn answers<A: Decider, P: Parameters, B: Input, R: Serialize + ToSchema + 'static>(
    command: fn(P, B) -> Result<Addressed<A>, Problem>,
    answer: fn(Uuid, &A) -> R,
) -> Action {
    let action = prepares(move |call: Call, parameters: P, body: B| async move {
        let Addressed { id, command } = command(parameters, body)?;
        call.answer::<A, R>(id, command, answer).await
    });
    Action { answer: Some(described::<R>), ..action }
}

/// Without a body.
pub(crate) fn removes<P: Parameters, F: Future<Output = Outcome> + Send + 'static>(
    run: impl Fn(Call, P) -> F + Copy + Send + Sync + 'static,
) -> Action {
    let run = move |mut call: Call| -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let parameters = call.parameters::<P>().await?;
            let target = parameters.canonical();
            call.may_touch(&target).await?;
            call.understand(&target, &[]).await?;
            run(call, parameters).await
        })
    };
    Action { run: Box::new(run), parameters: P::schemas, body: None, privileged: &[], answer: None }
}
