//! The sessions of people, for everything that asks who sends a request.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::HeaderMap;
use serde_json::Value;
use soonshop_identity::{
    ActiveSession, Cause, CredentialKind, Credentials, Error, FactorGiven, Guest, Holder, Identity,
    NewFactor, NewPasskey, Password, SecondStep, SignIn, SignInDevice, StartedSession,
};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::clients::permitted;
use soonshop_service_kit::access::{
    Access, ActingClient, Bearer, Begun, Browser, Caller, Employment, Factor, KnownGuest, ListedFactor,
    ListedFactors, MoreRoles, People, Permission, Role, SignInStep, SignedIn, StartedFactor, StartedPasskey,
    Typed,
};
use soonshop_service_kit::rates::Class;
use soonshop_service_kit::serve::RequestContext;
use soonshop_texts::Language;
use tokio::time::Instant;
use uuid::Uuid;

use super::cache::{ClientScopes, Guests, Remembered, hash};
use super::problem::{ended, factor_problem, problem};
use super::settings::FactorSettings;
use super::typed::name_of;

/// Accounts and their sessions, with what this process read of them lately.
#[derive(Clone)]
pub(crate) struct Accounts {
    pub(crate) identity: Identity,
    remembered: Arc<Remembered>,
    guests: Arc<Guests>,
    clients: Arc<ClientScopes>,
    settings: Arc<FactorSettings>,
}

/// The roles of an account: the first one, and what it may beside that. `None`: a customer. A role that nobody defines any
/// more permits nothing.
fn roles(active: &ActiveSession) -> Option<(Role, MoreRoles)> {
    if !active.staff {
        return None;
    }
    let has = |role: &Role| active.roles.iter().any(|name| name == role.as_ref());
    let known: Vec<Role> = Role::STAFF.into_iter().filter(has).collect();
    let permissions: Vec<Permission> =
        active.permissions.iter().filter_map(|name| name.parse().ok()).collect();
    let (first, more) = known.split_first().map_or((Role::Own, &[][..]), |(first, more)| (*first, more));
    Some((first, MoreRoles::of(more, &permissions)))
}

/// The request that causes a change, by nobody who is known yet.
pub(crate) fn cause() -> Cause {
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

/// The browser as the device that somebody signs in on.
pub(super) fn device<'a>(browser: &Browser<'a>) -> SignInDevice<'a> {
    let language = Language::of(&browser.language).tag();
    SignInDevice { name: browser.name, token: browser.device, language }
}

/// 403 for a session of a client: an account is changed by its owner alone.
fn own_alone(active: &ActiveSession) -> Result<(), Problem> {
    if active.is_own() {
        return Ok(());
    }
    let detail = "an account is seen and changed by its owner alone, and not by a client that acts for them";
    Err(Problem::forbidden("not-permitted", detail))
}

/// Who is signed in with an access token, and their session.
pub(super) async fn in_session(
    accounts: &Accounts,
    access: &Access,
    headers: &HeaderMap,
    class: Class,
) -> Result<(ActiveSession, Cause), Problem> {
    let caller: Caller = access.caller(headers).await?;
    caller.count(class).await?;
    let session = caller.session.ok_or_else(ended)?;
    let active = accounts.identity.active(session).await.map_err(problem)?.ok_or_else(ended)?;
    own_alone(&active)?;
    let cause = Cause { actor: caller.actor, session: Some(session), ..cause() };
    Ok((active, cause))
}

impl Accounts {
    pub(crate) fn new(identity: Identity, settings: FactorSettings) -> Self {
        Self {
            identity,
            remembered: Arc::new(Remembered::new()),
            guests: Arc::new(Guests::new()),
            clients: Arc::new(ClientScopes::new()),
            settings: Arc::new(settings),
        }
    }

    fn signed_in(&self, active: &ActiveSession) -> SignedIn {
        let factor = match active.factor {
            FactorGiven::Never if self.settings.is_required_of(&active.roles) => Factor::Missing,
            FactorGiven::Never | FactorGiven::Before => Factor::NotFresh,
            // What asks for a fresh one asks its owner, and not the client that acts for them.
            FactorGiven::Fresh if !active.is_own() => Factor::NotFresh,
            FactorGiven::Fresh => Factor::Fresh,
        };
        let (role, more) = roles(active).map_or_else(Default::default, |(role, more)| (Some(role), more));
        let by_client = (!active.is_own()).then(|| permitted(active.scope.split(' '), role.is_none()));
        SignedIn {
            account: active.account,
            session: active.session,
            role,
            more,
            expires_at: active.expires_at,
            factor,
            by_client,
        }
    }

    pub(super) fn of_browser(&self, started: StartedSession) -> Result<Begun, Problem> {
        match started.credentials {
            Credentials::Cookie(secret) => {
                Ok(Begun { person: self.signed_in(&started.active), secret, device: started.device_token })
            }
            Credentials::Tokens { .. } => Err(Problem::internal("a session of a browser began with tokens")),
        }
    }

    /// The session as it is now, and its owner as the cause of a change.
    pub(crate) async fn owner(&self, session: Uuid) -> Result<(ActiveSession, Cause), Problem> {
        let active = self.identity.active(session).await.map_err(problem)?.ok_or_else(ended)?;
        own_alone(&active)?;
        let actor = Caller::signed_in(&self.signed_in(&active)).actor;
        Ok((active, Cause { actor, session: Some(session), ..cause() }))
    }

    /// Some session of this shop has ended.
    pub(crate) fn clear(&self) {
        self.remembered.clear();
    }

    /// A client that acts for itself: what its token says, and of that no more than its row; `None`: it is removed.
    async fn acting(&self, id: Uuid, scope: &str) -> Result<Option<ActingClient>, Problem> {
        let known = match self.clients.get(id) {
            Some(known) => known,
            None => {
                let read_at = Instant::now();
                let found = self.identity.scope_of_client(id).await.map_err(problem)?;
                let Some(found) = found else { return Ok(None) };
                let known: Arc<[String]> = found.into();
                self.clients.keep(id, read_at, &known);
                known
            }
        };
        let names = scope.split(' ').filter(|name| known.iter().any(|own| own == name));
        Ok(Some(ActingClient { id, scope: permitted(names, false) }))
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
    async fn bearer(&self, token: &str) -> Result<Option<Bearer>, Problem> {
        let Some(claims) = self.identity.claims(token).await.map_err(problem)? else { return Ok(None) };
        let (account, session) = match claims.holder {
            Holder::Session { account, session } => (account, session),
            Holder::Client(id) => return Ok(self.acting(id, &claims.scope).await?.map(Bearer::Client)),
        };
        let active = self.active(session).await?;
        let active = active.filter(|active| active.account == account && active.client == claims.client);
        // A token may be for less than its session.
        let active = active.map(|active| ActiveSession { scope: claims.scope, ..active });
        Ok(active.as_ref().map(|active| Bearer::Person(self.signed_in(active))))
    }

    async fn cookie(&self, secret: &[u8; 32]) -> Result<Option<SignedIn>, Problem> {
        let active = self.identity.living_by_cookie(secret).await.map_err(problem)?;
        Ok(active.as_ref().map(|active| self.signed_in(active)))
    }

    async fn was_idle(&self, secret: &[u8; 32]) -> Result<bool, Problem> {
        self.identity.was_idle(secret).await.map_err(problem)
    }

    async fn sign_in(&self, typed: Typed<'_>, browser: Browser<'_>) -> Result<SignInStep, Problem> {
        let asked = SignIn {
            address: typed.email,
            password: Password::typed(typed.password),
            network: typed.network,
            device: device(&browser),
            kind: CredentialKind::Cookie,
        };
        match self.identity.sign_in(asked, &cause()).await {
            Ok(started) => self.of_browser(started).map(SignInStep::SignedIn),
            Err(Error::SecondFactor(pending)) => Ok(SignInStep::SecondFactor(pending.token)),
            Err(error) => Err(problem(error)),
        }
    }

    fn offers_passkeys(&self) -> bool {
        self.identity.offers_passkeys()
    }

    async fn ask_at_sign_in(&self, token: &str) -> Result<Value, Problem> {
        self.identity.ask_at_sign_in(token).await.map_err(problem)
    }

    async fn ask_for_step_up(&self, session: Uuid) -> Result<Value, Problem> {
        let (active, _) = self.owner(session).await?;
        self.identity.ask_for_step_up(&active).await.map_err(problem)
    }

    async fn second_factor(&self, token: &str, code: &str, browser: Browser<'_>) -> Result<Begun, Problem> {
        let step = SecondStep { token, code, device: device(&browser), kind: CredentialKind::Cookie };
        self.of_browser(self.identity.second_factor(step, &cause()).await.map_err(problem)?)
    }

    async fn step_up(&self, session: Uuid, code: &str) -> Result<(), Problem> {
        let (active, cause) = self.owner(session).await?;
        self.identity.step_up(&active, code, &cause).await.map_err(problem)?;
        self.clear();
        Ok(())
    }

    async fn factors(&self, session: Uuid) -> Result<ListedFactors, Problem> {
        let (active, _) = self.owner(session).await?;
        let listed = self.identity.factors(active.account).await.map_err(problem)?;
        let factors = listed.factors.into_iter().map(|one| ListedFactor {
            id: one.id,
            kind: one.kind.as_ref().to_owned(),
            name: one.name,
            added_at: one.added_at,
            used_at: one.used_at,
        });
        Ok(ListedFactors { factors: factors.collect(), recovery_codes: listed.recovery_codes })
    }

    async fn add_factor(
        &self,
        session: Uuid,
        password: &str,
        network: &str,
    ) -> Result<StartedFactor, Problem> {
        let (active, _) = self.owner(session).await?;
        let new = NewFactor { active: &active, password: Password::typed(password), network };
        let started = self.identity.add_factor(new).await.map_err(factor_problem)?;
        Ok(StartedFactor { id: started.id, secret: started.secret.text(), uri: started.uri })
    }

    async fn prove_factor(&self, session: Uuid, factor: Uuid, code: &str) -> Result<Vec<String>, Problem> {
        let (active, cause) = self.owner(session).await?;
        let codes = self.identity.prove_factor(&active, factor, code, &cause).await;
        self.clear();
        codes.map_err(factor_problem)
    }

    async fn add_passkey(
        &self,
        session: Uuid,
        (name, password): (&str, &str),
        network: &str,
    ) -> Result<StartedPasskey, Problem> {
        let (active, _) = self.owner(session).await?;
        let name = name_of(name)?;
        let new = NewPasskey { active: &active, password: Password::typed(password), name: &name, network };
        let started = self.identity.add_passkey(new).await.map_err(factor_problem)?;
        Ok(StartedPasskey { id: started.id, options: started.options })
    }

    async fn prove_passkey(&self, session: Uuid, factor: Uuid, answer: &str) -> Result<Vec<String>, Problem> {
        let (active, cause) = self.owner(session).await?;
        let codes = self.identity.prove_passkey(&active, factor, answer, &cause).await;
        self.clear();
        codes.map_err(factor_problem)
    }

    async fn remove_factor(&self, session: Uuid, factor: Uuid) -> Result<(), Problem> {
        let (active, cause) = self.owner(session).await?;
        let removed = self.identity.remove_factor(&active, factor, &cause).await;
        self.clear();
        if removed.map_err(factor_problem)? { Ok(()) } else { Err(factor_problem(Error::NotFound)) }
    }

    async fn make_recovery_codes(&self, session: Uuid) -> Result<Vec<String>, Problem> {
        let (active, cause) = self.owner(session).await?;
        self.identity.make_recovery_codes(&active, &cause).await.map_err(factor_problem)
    }

    async fn sign_out(&self, secret: &[u8; 32]) -> Result<(), Problem> {
        if self.identity.end_by_cookie(secret, &cause()).await.map_err(problem)?.is_some() {
            self.clear();
        }
        Ok(())
    }

    async fn guest(&self, token: &str) -> Result<Option<KnownGuest>, Problem> {
        let hash = hash(token);
        if let Some(known) = self.guests.get(&hash) {
            return Ok(Some(known));
        }
        let read_at = Instant::now();
        let found = self.identity.guest(token).await.map_err(problem)?;
        let known = found.map(|guest| KnownGuest { id: guest.id, first_command: guest.first_command });
        self.guests.keep(hash, read_at, known);
        Ok(known)
    }

    async fn begin_guest(&self, guest: KnownGuest) -> Result<Option<String>, Problem> {
        let guest = Guest { id: guest.id, first_command: guest.first_command };
        self.identity.begin_guest(guest).await.map_err(problem)
    }

    async fn has_account(&self, id: Uuid) -> Result<bool, Problem> {
        self.identity.has_account(id).await.map_err(problem)
    }

    async fn employment(&self, id: Uuid) -> Result<Employment, Problem> {
        let found = self.identity.works_here(id).await.map_err(problem)?;
        Ok(found.map_or(Employment::Never, |now| if now { Employment::Now } else { Employment::Once }))
    }
}
