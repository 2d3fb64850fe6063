//! What the pages of accounts share.

use std::sync::Arc;

use axum::response::Response;
use futures::future::BoxFuture;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Access, Clients, Owner, Providers, SelfService};
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::endpoint::{self, Answer, RequiredPosition, Visit};
use soonshop_service_kit::rates::{Class, Who, count};
use soonshop_service_kit::work::{Price, Work};
use uuid::Uuid;

use super::next::SIGN_IN;
use crate::pages::frame::{View, answered, described, refusal, see_other, with};

/// The sources of the pages.
#[derive(Clone)]
pub struct AccountPages {
    /// Does what people do with their own accounts.
    pub own: Arc<dyn SelfService>,
    /// Knows the clients of OAuth, and who consents to them.
    pub clients: Arc<dyn Clients>,
    /// Leads to providers of identities, and back.
    pub providers: Arc<dyn Providers>,
    /// Authenticates visitors.
    pub access: Access,
    /// Gives turns to what costs something; one for all services of a process.
    pub work: Work,
}

/// One request.
pub(super) type Call = endpoint::Call<AccountPages>;
/// A row of the table.
pub(super) type Endpoint = endpoint::Endpoint<AccountPages>;
/// The answer to a request.
pub(super) type Run = fn(Call) -> BoxFuture<'static, Answer>;

impl endpoint::Shared for AccountPages {
    fn access(&self) -> &Access {
        &self.access
    }

    fn work(&self) -> &Work {
        &self.work
    }

    /// They show nothing that is read from the log's followers.
    fn reach(&self, _: RequiredPosition) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

type Action = endpoint::Action<AccountPages>;

/// A page that is opened.
pub(super) fn shown(path: &'static str, name: &'static str, params: Vec<Param>, run: Run) -> Endpoint {
    let action = Action::new(with(params), described(), run);
    Endpoint::page(path, name, Class::Reads, action.without_factor().costs(|_| Price::Low), refused)
}

/// A form that is sent, to an address with these parameters.
pub(super) fn sent(
    path: &'static str,
    name: &'static str,
    class: Class,
    (params, form): (Vec<Param>, Vec<Param>),
    run: Run,
) -> Endpoint {
    let action = Action::new(with(params), described(), run).takes(Owner::Own, form);
    Endpoint::page(path, name, class, action.without_factor().costs(|_| Price::Nothing), refused)
}

/// A field for a password. What is wrong with it, and that it is missing, is said beside the form.
pub(super) fn password(name: &'static str) -> Param {
    Param::new(name, Kind::Typed, "A password.").secret().or_empty()
}

/// A field for an e-mail address.
pub(super) fn email() -> Param {
    Param::new("email", Kind::Free, "An e-mail address.").or_empty()
}

/// Renders a refusal.
pub(super) fn refused(_: &AccountPages, visit: &Visit, problem: &Problem) -> Response {
    let view = View::account(visit, &[]);
    answered(&view, problem.status(), "refused", None, &refusal(&view, problem))
}

/// Does what is counted as a sign-in, unless they come too fast. The form comes back then, too.
pub(super) async fn as_sign_in<T>(action: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    count(Class::SignIns, Who::Guest).await?;
    action.await
}

/// How a page looks, and for whom.
pub(super) fn view(call: &Call) -> View<'_> {
    View::account(&call.visit, call.params.passed_over())
}

/// The session of the account that is signed in; otherwise the page to sign in on, which leads to `page`. A form that was
/// sent without a session is not sent again.
pub(super) fn session(call: &Call, page: &str) -> Result<Uuid, Box<Response>> {
    let elsewhere = || Box::new(see_other(&view(call).to(SIGN_IN, &[("next", page)])));
    call.caller().own_session().ok_or_else(elsewhere)
}
