//! The sessions of people, for everything that asks who sends a request.

use std::sync::Arc;

use async_trait::async_trait;
use soonshop_identity::{Cause, Door, Identity, Living, Means, Password, SignIn};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Employment, People, Role, SignedIn, Typed};
use soonshop_service_kit::serve::RequestContext;
use tokio::time::Instant;
use uuid::Uuid;

use super::cache::Remembered;
use super::problem::problem;

/// Accounts and their sessions, with what this process read of them lately.
#[derive(Clone)]
pub(crate) struct Accounts {
    pub(super) identity: Identity,
    remembered: Arc<Remembered>,
}

/// The role of an account: of several the one that may do most. `None`: a customer.
fn role(living: &Living) -> Option<Role> {
    let known = [Role::Admin, Role::Ops, Role::Auditor, Role::Support];
    known.into_iter().find(|role| living.roles.iter().any(|name| name == role.as_ref()))
}

pub(super) fn signed_in(living: &Living) -> SignedIn {
    SignedIn {
        account: living.account,
        session: living.session,
        role: role(living),
        expires_at: living.expires_at,
    }
}

/// The request that causes a change, by nobody who is known yet.
pub(super) fn cause() -> Cause {
    let system = Cause::system();
    match RequestContext::current() {
        Some(context) => Cause {
            correlation: Some(context.correlation_id),
            traceparent: Some(context.trace.to_string()),
            ..system
        },
        None => system,
    }
}

impl Accounts {
    pub(crate) fn new(identity: Identity) -> Self {
        Self { identity, remembered: Arc::new(Remembered::new()) }
    }

    /// Some session of this shop has ended.
    pub(super) fn forget(&self) {
        self.remembered.forget();
    }

    async fn living(&self, session: Uuid) -> Result<Option<Living>, Problem> {
        if let Some(living) = self.remembered.get(session) {
            return Ok(Some(living));
        }
        let read_at = Instant::now();
        let living = self.identity.living(session).await.map_err(problem)?;
        self.remembered.keep(session, read_at, living.as_ref());
        Ok(living)
    }
}

#[async_trait]
impl People for Accounts {
    async fn bearer(&self, token: &str) -> Result<Option<SignedIn>, Problem> {
        let Some(claims) = self.identity.claims(token).await.map_err(problem)? else { return Ok(None) };
        let living = self.living(claims.session).await?;
        let living = living.filter(|living| living.account == claims.account);
        Ok(living.as_ref().map(signed_in))
    }

    async fn cookie(&self, secret: &[u8; 32]) -> Result<Option<SignedIn>, Problem> {
        let living = self.identity.living_by_cookie(secret).await.map_err(problem)?;
        Ok(living.as_ref().map(signed_in))
    }

    async fn sign_in(&self, typed: Typed<'_>) -> Result<(SignedIn, [u8; 32]), Problem> {
        let asked = SignIn {
            address: typed.email,
            password: Password::typed(typed.password),
            network: typed.network,
            device: typed.device,
            door: Door::Cookie,
        };
        let begun = self.identity.sign_in(asked, &cause()).await.map_err(problem)?;
        match begun.means {
            Means::Cookie(secret) => Ok((signed_in(&begun.living), secret)),
            Means::Tokens { .. } => Err(Problem::internal("a session of a browser began with tokens")),
        }
    }

    async fn sign_out(&self, secret: &[u8; 32]) -> Result<(), Problem> {
        if self.identity.end_by_cookie(secret, &cause()).await.map_err(problem)?.is_some() {
            self.forget();
        }
        Ok(())
    }

    async fn employment(&self, id: Uuid) -> Result<Employment, Problem> {
        let found = self.identity.works_here(id).await.map_err(problem)?;
        Ok(found.map_or(Employment::Never, |now| if now { Employment::Now } else { Employment::Once }))
    }
}
