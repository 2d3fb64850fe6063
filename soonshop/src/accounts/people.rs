//! The sessions of people, for everything that asks who sends a request.

use std::sync::Arc;

use async_trait::async_trait;
use soonshop_identity::{ActiveSession, Cause, CredentialKind, Credentials, Identity, Password, SignIn};
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
fn role(active: &ActiveSession) -> Option<Role> {
    let known = [Role::Admin, Role::Ops, Role::Auditor, Role::Support];
    known.into_iter().find(|role| active.roles.iter().any(|name| name == role.as_ref()))
}

pub(super) fn signed_in(active: &ActiveSession) -> SignedIn {
    SignedIn {
        account: active.account,
        session: active.session,
        role: role(active),
        expires_at: active.expires_at,
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
    pub(super) fn clear(&self) {
        self.remembered.clear();
    }

    async fn active(&self, session: Uuid) -> Result<Option<ActiveSession>, Problem> {
        if let Some(active) = self.remembered.get(session) {
            return Ok(Some(active));
        }
        let read_at = Instant::now();
        let active = self.identity.active(session).await.map_err(problem)?;
        self.remembered.keep(session, read_at, active.as_ref());
        Ok(active)
    }
}

#[async_trait]
impl People for Accounts {
    async fn bearer(&self, token: &str) -> Result<Option<SignedIn>, Problem> {
        let Some(claims) = self.identity.claims(token).await.map_err(problem)? else { return Ok(None) };
        let active = self.active(claims.session).await?;
        let active = active.filter(|active| active.account == claims.account);
        Ok(active.as_ref().map(signed_in))
    }

    async fn cookie(&self, secret: &[u8; 32]) -> Result<Option<SignedIn>, Problem> {
        let active = self.identity.living_by_cookie(secret).await.map_err(problem)?;
        Ok(active.as_ref().map(signed_in))
    }

    async fn sign_in(&self, typed: Typed<'_>) -> Result<(SignedIn, [u8; 32]), Problem> {
        let asked = SignIn {
            address: typed.email,
            password: Password::typed(typed.password),
            network: typed.network,
            device: typed.device,
            kind: CredentialKind::Cookie,
        };
        let started = self.identity.sign_in(asked, &cause()).await.map_err(problem)?;
        match started.credentials {
            Credentials::Cookie(secret) => Ok((signed_in(&started.active), secret)),
            Credentials::Tokens { .. } => Err(Problem::internal("a session of a browser began with tokens")),
        }
    }

    async fn sign_out(&self, secret: &[u8; 32]) -> Result<(), Problem> {
        if self.identity.end_by_cookie(secret, &cause()).await.map_err(problem)?.is_some() {
            self.clear();
        }
        Ok(())
    }

    async fn employment(&self, id: Uuid) -> Result<Employment, Problem> {
        let found = self.identity.works_here(id).await.map_err(problem)?;
        Ok(found.map_or(Employment::Never, |now| if now { Employment::Now } else { Employment::Once }))
    }
}
