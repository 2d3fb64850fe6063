//! The rows of a table of endpoints, and the routing of requests to them.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use futures::future::BoxFuture;

use super::call::{Call, Sent, Shared, Takes, TypedForm, Visit};
use super::described::Described;
use super::params::{Param, Params};
use super::step_up::form_with_code;
use crate::Problem;
use crate::access::{Owner, Permission};
use crate::problem::Kind;
use crate::rates::Class;
use crate::work::{Price, caller_of};

/// The result of a request.
pub type Answer = Result<Response, Problem>;

type Run<S> = Box<dyn Fn(Call<S>) -> BoxFuture<'static, Answer> + Send + Sync>;

/// The behaviour of a row of the table.
pub struct Action<S> {
    params: Vec<Param>,
    answers: Described,
    needs: Permission,
    form: Option<(Owner, Vec<Param>)>,
    price: PriceOf,
    headers: &'static [(&'static str, &'static str)],
    refuses: Vec<Kind>,
    without_factor: bool,
    run: Run<S>,
}

/// The price of a request with these parameters.
type PriceOf = fn(&Params) -> Price;

impl<S> Action<S> {
    /// An action with these query parameters and this answer.
    pub fn new<F>(
        params: Vec<Param>,
        answers: Described,
        run: impl Fn(Call<S>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let run = move |call| -> BoxFuture<'static, Answer> { Box::pin(run(call)) };
        let price: PriceOf = |_| Price::Query;
        Self {
            params,
            answers,
            needs: Permission::Read,
            form: None,
            price,
            headers: &[],
            refuses: Vec::new(),
            without_factor: false,
            run: Box::new(run),
        }
    }

    /// Sets what a request costs, by its parameters; [`Price::Query`] by default.
    #[must_use]
    pub fn costs(self, price: fn(&Params) -> Price) -> Self {
        Self { price, ..self }
    }

    /// Sets the permission that the caller needs; [`Permission::Read`] by default.
    #[must_use]
    pub fn needs(self, permission: Permission) -> Self {
        Self { needs: permission, ..self }
    }

    /// Makes it a command that takes a form with these fields, and says whose things it touches.
    #[must_use]
    pub fn takes(self, of: Owner, form: Vec<Param>) -> Self {
        Self { form: Some((of, form)), ..self }
    }

    /// Names the headers that it reads beside those of every query, each with a sentence for the API's description.
    #[must_use]
    pub fn reads(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    /// The headers that it reads beside those of every query.
    pub fn headers(&self) -> &'static [(&'static str, &'static str)] {
        self.headers
    }

    /// Describes refusals of its own, besides those that follow from its path, its form and its permission.
    #[must_use]
    pub fn refuses(self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        Self { refuses: kinds.into_iter().collect(), ..self }
    }

    /// Opens it to those who must have a second factor and have given none: they need it to add one.
    #[must_use]
    pub fn without_factor(self) -> Self {
        Self { without_factor: true, ..self }
    }

    /// The refusals of its own.
    pub fn own_refusals(&self) -> &[Kind] {
        &self.refuses
    }

    /// The query parameters that it takes.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// Its answer.
    pub fn answers(&self) -> &Described {
        &self.answers
    }

    /// The fields of its form; `None` for a query.
    pub fn form(&self) -> Option<&[Param]> {
        self.form.as_ref().map(|(_, fields)| fields.as_slice())
    }

    /// The owner of the things that it touches; `None` for a query.
    pub fn of(&self) -> Option<Owner> {
        self.form.as_ref().map(|(of, _)| *of)
    }

    /// The price of a request with these parameters.
    pub fn price(&self, params: &Params) -> Price {
        (self.price)(params)
    }

    /// The permission that the caller needs.
    pub fn needed(&self) -> Permission {
        self.needs
    }
}

/// Renders a refusal as a page.
type Refused<S> = fn(&S, &Visit, &Problem) -> Response;

/// A row of the table.
pub struct Endpoint<S> {
    /// With `{…}` for each parameter.
    pub path: &'static str,
    /// `<context>.<what>`: in the API's description.
    pub name: &'static str,
    /// The class of a request.
    pub class: Class,
    /// A short summary for the API's description.
    pub summary: &'static str,
    /// Its behaviour.
    pub action: Action<S>,
    /// Set for a page: its refusals are pages too.
    refused: Option<Refused<S>>,
}

impl<S> Endpoint<S> {
    /// One that programs ask.
    pub fn new(
        path: &'static str,
        name: &'static str,
        class: Class,
        summary: &'static str,
        action: Action<S>,
    ) -> Self {
        Self { path, name, class, summary, action, refused: None }
    }

    /// A page for people.
    pub fn page(
        path: &'static str,
        name: &'static str,
        class: Class,
        action: Action<S>,
        refused: Refused<S>,
    ) -> Self {
        Self { path, name, class, summary: "A page", action, refused: Some(refused) }
    }

    /// Sets the permission that callers need.
    #[must_use]
    pub fn needs(self, permission: Permission) -> Self {
        Self { action: self.action.needs(permission), ..self }
    }

    /// Its context.
    pub fn context(&self) -> &'static str {
        self.name.split('.').next().unwrap_or_default()
    }
}

/// These endpoints.
pub fn router<S: Shared>(shared: &Arc<S>, endpoints: impl IntoIterator<Item = Endpoint<S>>) -> Router {
    let mut router = Router::new();
    for endpoint in endpoints {
        let path = endpoint.path;
        let posts = endpoint.action.form.is_some();
        let (shared, endpoint) = (Arc::clone(shared), Arc::new(endpoint));
        let handler = move |request: Request| handle(Arc::clone(&shared), Arc::clone(&endpoint), request);
        let method: MethodRouter = if posts { post(handler) } else { get(handler) };
        router = router.route(path, method);
    }
    router
}

/// Handles every request.
async fn handle<S: Shared>(shared: Arc<S>, endpoint: Arc<Endpoint<S>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let visitor = shared.access().visitor(&parts.headers).await;
    let mut visit = Visit::of(&parts, visitor.as_ref().ok());
    let (sent, typed): (Sent, Option<TypedForm>) = match (endpoint.refused, endpoint.action.form()) {
        (Some(_), Some(fields)) => {
            let (sent, typed) = Sent::read(&parts.headers, body, fields).await;
            (sent, Some(typed))
        }
        _ => (Sent::Body(body), None),
    };
    let mut asked_code = false;
    let takes = Takes {
        needs: endpoint.action.needs,
        named: if endpoint.refused.is_some() { "this page" } else { "this" },
        params: &endpoint.action.params,
        form: endpoint.action.form(),
        is_page: endpoint.refused.is_some() && endpoint.action.form.is_none(),
        without_factor: endpoint.action.without_factor,
    };
    let answer = async {
        let place = parts.extensions.clone();
        let mut visitor = visitor?;
        visitor.caller.count(endpoint.class).await?;
        let sent = match endpoint.refused {
            Some(_) => {
                form_with_code(shared.access(), &takes, &mut visitor, (&parts.headers, sent), &mut asked_code)
                    .await?
            }
            None => sent,
        };
        let mut call = Call::read(&shared, &takes, visit.clone(), visitor, parts, sent).await?;
        let price = endpoint.action.price(&call.params);
        let taker = caller_of(call.caller(), &place);
        let mut waiting = None;
        if let Some(required_position) =
            call.required_position.filter(|required_position| required_position.waits)
        {
            waiting = Some(shared.work().waiting(taker.clone()).await?);
            if !matches!(price, Price::Nothing | Price::Low) {
                // Nobody holds a turn of another kind while waiting for what is not written yet.
                shared.reach(required_position).await;
                waiting = None;
            }
        }
        // A look at a row that waits for its position has its turn as one of those.
        if waiting.is_none() {
            call.turn = shared.work().turn(price, taker).await?;
        }
        let headers = call.headers_in.clone();
        let answer = (endpoint.action.run)(call).await;
        drop(waiting);
        match answer {
            Err(problem) => Err(shared.access().problem_for(&headers, problem).await),
            answer => answer,
        }
    };
    let answer = answer.await;
    match answer {
        Ok(response) => response,
        Err(problem) => match endpoint.refused {
            Some(page) => {
                visit.form = typed;
                visit.asked_code = asked_code;
                page(&shared, &visit, &problem)
            }
            None => {
                let mut response = problem.into_response();
                // For the page of the refusal, so that nobody is looked up a second time.
                if let Some(visitor) = visit.visitor {
                    response.extensions_mut().insert(visitor);
                }
                response
            }
        },
    }
}
