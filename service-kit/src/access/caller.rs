//! Identifies callers by an API key, an access token, a guest's token, the operator's token, or nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use chrono::TimeDelta;
use moka::future::Cache;
use soonshop_domain::{Actor, ActorKind, clock, ids};
use uuid::Uuid;

use super::factor::{Factor, RefundLimit};
use super::key::ApiKey;
use super::keys::{Keys, Secret, StoredKey, StoredSession, Unavailable, bad_token, hash};
use super::more_roles::MoreRoles;
use super::people::{ActingClient, Bearer, Employment, KnownGuest, People, SignedIn};
use super::role::{Permission, Role};
use super::scope::Scope;
use crate::problem::{Kind, Problem};
use crate::rates::{Class, Who, count, is_passed_on};

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Of several the first.
    pub role: Role,
    pub more: MoreRoles,
    /// What their key, or the client that acts for them, is limited to.
    pub scope: Scope,
    /// Stored beside every event: `staff:<id of a key or an account>`, `service:<id of a key or a client>`, `service:operator`,
    /// `customer:<account id>`, `guest:<guest id>`, or `guest:anonymous` without a token.
    pub actor: Actor,
    /// The data subject that owns the caller's notes: its key encrypts them. A guest writes no notes.
    pub writer: Option<Uuid>,
    /// The session that they are signed in with, stored beside every event; `None`: a key, a token, or nothing.
    pub session: Option<Uuid>,
    /// A client of OAuth holds that session, and acts for them.
    pub by_client: bool,
    /// The guest whose token they sent.
    pub guest: Option<KnownGuest>,
    /// Other machines reach this process: a guest may not trade.
    pub reached_by_others: bool,
    /// What their session gave beside a password.
    pub factor: Factor,
}

impl Caller {
    pub(super) fn guest() -> Self {
        let actor = Actor::guest("anonymous");
        Self {
            role: Role::Guest,
            more: MoreRoles::default(),
            scope: Scope::default(),
            actor,
            writer: None,
            session: None,
            by_client: false,
            guest: None,
            reached_by_others: false,
            factor: Factor::NotAsked,
        }
    }

    /// The same caller as this guest.
    #[must_use]
    pub fn as_guest(self, guest: KnownGuest) -> Self {
        Self { actor: Actor::guest(guest.id.to_string()), guest: Some(guest), ..self }
    }

    /// A guest without a token.
    pub fn is_anonymous(&self) -> bool {
        self.actor.kind == ActorKind::Guest && self.guest.is_none()
    }

    /// A customer who is signed in: may do what a guest may, with what is theirs.
    pub fn is_customer(&self) -> bool {
        self.actor.kind == ActorKind::Customer
    }

    /// The account of a customer who is signed in.
    pub fn account(&self) -> Option<Uuid> {
        if self.is_customer() { Uuid::try_parse(&self.actor.id).ok() } else { None }
    }

    /// The account for which the caller claims orders of guests: their own. `403`: they are no customer who is signed in.
    pub fn claims_for(&self) -> Result<Uuid, Problem> {
        self.account().ok_or_else(|| {
            let detail =
                "a customer claims orders for their own account: send the access token of the account";
            Problem::forbidden("not-permitted", detail)
        })
    }

    /// The caller with the operator's token, or on the command line.
    pub fn operator() -> Self {
        let actor = Actor { kind: ActorKind::Service, id: "operator".to_owned() };
        Self { role: Role::Admin, actor, writer: Some(ids::OPERATOR), ..Self::guest() }
    }

    pub(super) fn of(key: &StoredKey) -> Self {
        let kind = if key.role == Role::Service { ActorKind::Service } else { ActorKind::Staff };
        let actor = Actor { kind, id: key.id.to_string() };
        let scope = key.scope.clone();
        Self { role: key.role, scope, actor, writer: Some(key.id), ..Self::guest() }
    }

    /// Somebody who is signed in.
    pub fn signed_in(person: &SignedIn) -> Self {
        let (kind, role) = match person.role {
            Some(role) => (ActorKind::Staff, role),
            None => (ActorKind::Customer, Role::Guest),
        };
        let actor = Actor { kind, id: person.account.to_string() };
        // Only staff write notes.
        let writer = person.role.map(|_| person.account);
        let (by_client, scope) = (person.by_client.is_some(), person.by_client.clone().unwrap_or_default());
        let (session, factor, more) = (Some(person.session), person.factor, person.more.clone());
        Self { role, more, scope, actor, writer, session, by_client, factor, ..Self::guest() }
    }

    /// A client of OAuth that acts for itself: a program. It has no key that would encrypt notes.
    pub fn acting(client: &ActingClient) -> Self {
        let actor = Actor { kind: ActorKind::Service, id: client.id.to_string() };
        Self { role: Role::Service, scope: client.scope.clone(), actor, ..Self::guest() }
    }

    /// The session of somebody who acts themselves: with it they change their account, which no client does.
    pub fn own_session(&self) -> Option<Uuid> {
        self.session.filter(|_| !self.by_client)
    }

    /// Counts a request of that class; 429 if the caller was too fast. Sign-ins are counted where keys are checked.
    pub async fn count(&self, class: Class) -> Result<(), Problem> {
        let key = self.actor.id.as_str();
        let who = match self.role {
            _ if class == Class::SignIns => return Ok(()),
            _ if self.writer == Some(ids::OPERATOR) => Who::Operator,
            Role::Guest if self.is_customer() => Who::Holder(key),
            Role::Guest if self.guest.is_some() => {
                // By the address as well: whoever begins many guests has no more than one.
                count(class, Who::Guest).await?;
                Who::Holder(key)
            }
            Role::Guest => Who::Guest,
            Role::Service => Who::Program(key),
            Role::Support
            | Role::Warehouse
            | Role::Finance
            | Role::Auditor
            | Role::Ops
            | Role::Admin
            | Role::Own => Who::Holder(key),
        };
        count(class, who).await
    }

    /// Guests trade, see figures and register users on their own machine only, where nobody else can be one; customers, and
    /// guests with a token, never do.
    fn is_kept_from(&self, permission: Permission) -> bool {
        (self.is_one_of_many() || self.is_customer() || self.guest.is_some())
            && matches!(
                permission,
                Permission::Trade | Permission::Stock | Permission::Figures | Permission::Register
            )
    }

    /// A guest without a token, of a shop that others reach: nobody knows which of them sends a request.
    pub fn is_one_of_many(&self) -> bool {
        self.reached_by_others && self.role == Role::Guest && self.is_anonymous()
    }

    /// Of people and their orders, a customer and a guest see only what is theirs: their id, which for a guest without a token
    /// is nobody's. `None`: staff and programs, and whoever asks on this machine alone, see all.
    pub fn sees_only(&self) -> Option<&str> {
        let limited = self.role == Role::Guest && (!self.is_anonymous() || self.reached_by_others);
        limited.then_some(self.actor.id.as_str())
    }

    /// Whether one of their roles allows it.
    fn may_by_role(&self, permission: Permission) -> bool {
        self.role.may(permission) || self.more.may(permission)
    }

    /// A role by which they may: the first, or the first of the others.
    pub fn role_with(&self, permission: Permission) -> Role {
        if self.role.may(permission) { self.role } else { self.more.role_with(permission) }
    }

    /// Whether roles and key allow it.
    pub fn may(&self, permission: Permission) -> bool {
        self.may_by_role(permission) && self.scope.has(permission) && !self.is_kept_from(permission)
    }

    /// 403 for a role that the table does not list, and where a second factor is asked for that was not given; `what` names
    /// the refused action.
    pub fn must(&self, permission: Permission, what: &str) -> Result<(), Problem> {
        self.must_by_role(permission, what)?;
        self.gave_factor(permission, what)
    }

    /// The same whatever second factor was given: for what somebody without one needs to add one.
    pub fn must_by_role(&self, permission: Permission, what: &str) -> Result<(), Problem> {
        if self.may(permission) {
            return Ok(());
        }
        if self.is_customer() {
            let detail = format!("{what} needs the permission {permission}, which no customer has");
            return Err(Problem::forbidden("not-permitted", detail).with("permission", permission.as_ref()));
        }
        if self.role == Role::Guest {
            let detail = format!("{what} needs an API key that may {permission}, or the operator's token");
            return Err(Problem::forbidden("operator-only", detail));
        }
        let detail = if self.session.is_some() {
            format!("{what} needs the permission {permission}, which none of your roles has")
        } else if self.may_by_role(permission) {
            format!("{what} needs a key that may {permission}; this one was made for other permissions")
        } else {
            format!("{what} needs a key that may {permission}; the role {} may not", self.role)
        };
        Err(Problem::forbidden("not-permitted", detail).with("permission", permission.as_ref()))
    }
}

/// How long a look-up of a key is cached: a revoked key is refused after that at the latest.
pub const REMEMBERED: Duration = Duration::from_secs(2);

/// The size of that cache. A caller that tries many keys can only evict entries.
const MOST_REMEMBERED: u64 = 1_000;

/// How long it is known that a key or a session was right: to check it again is not counted as a sign-in.
const KNOWN: Duration = Duration::from_hours(1);

/// How many of them are known.
const MOST_KNOWN: u64 = 10_000;

/// How old the recorded last use of a key may get before it is recorded again.
const USED: TimeDelta = TimeDelta::minutes(1);

struct Remembered {
    key: Option<StoredKey>,
    /// Its use was recorded since the look-up.
    use_recorded: AtomicBool,
}

/// Identifies callers.
#[derive(Clone)]
pub struct Access {
    operator: Option<Secret>,
    /// The hash of the token, for sessions that were begun with it.
    pub(super) proof: Option<Secret>,
    pub(super) keys: Option<Arc<dyn Keys>>,
    pub(super) people: Option<Arc<dyn People>>,
    remembered: Cache<String, Arc<Remembered>>,
    pub(super) sessions: Cache<[u8; 32], Option<Arc<StoredSession>>>,
    /// The hashes of keys and sessions that were right.
    known: Cache<[u8; 32], ()>,
    /// The role of every caller, whatever they send.
    pub(super) everybody: Option<Role>,
    reached_by_others: bool,
    /// Above which amounts a refund asks for a fresh second factor.
    pub(super) refund_limits: Arc<[RefundLimit]>,
}

impl Access {
    /// Knows the operator by that token, if there is one, and no keys.
    pub fn new(operator: Option<Arc<str>>) -> Self {
        let remembered = Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(REMEMBERED).build();
        let sessions = Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(REMEMBERED).build();
        let known = Cache::builder().max_capacity(MOST_KNOWN).time_to_live(KNOWN).build();
        let proof = operator.as_ref().map(|token| Secret::new(&hash(token.as_bytes())));
        let operator = operator.map(|token| Secret::new(token.as_bytes()));
        Self {
            operator,
            proof,
            keys: None,
            people: None,
            remembered,
            sessions,
            known,
            everybody: None,
            reached_by_others: false,
            refund_limits: Arc::default(),
        }
    }

    /// Gives every caller that role: for a file on this machine, where there is no shop.
    pub fn everybody(role: Role) -> Self {
        Self { everybody: Some(role), ..Self::new(None) }
    }

    /// Adds the store of API keys.
    #[must_use]
    pub fn with_keys(self, keys: Arc<dyn Keys>) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// Adds the accounts of people.
    #[must_use]
    pub fn with_people(self, people: Arc<dyn People>) -> Self {
        Self { people: Some(people), ..self }
    }

    /// Guests may not trade: other machines reach this process.
    #[must_use]
    pub fn reached_by_others(self) -> Self {
        Self { reached_by_others: true, ..self }
    }

    /// Whether other machines reach this process.
    pub(super) fn is_reached_by_others(&self) -> bool {
        self.reached_by_others
    }

    /// Somebody without a key.
    pub(super) fn guest(&self) -> Caller {
        Caller { reached_by_others: self.reached_by_others, ..Caller::guest() }
    }

    /// Somebody without a key who sent these headers: a proxy that is not named passes on the requests of others.
    pub(super) fn anonymous(&self, headers: &HeaderMap) -> Caller {
        let guest = self.guest();
        Caller { reached_by_others: guest.reached_by_others || is_passed_on(headers), ..guest }
    }

    /// The caller who sent these headers. 401 for a token that is neither a valid key nor the operator's, or for two
    /// tokens; 429 for one that is not known to be right, from an address that has sent too many of them; 503 while keys
    /// cannot be looked up.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        if let Some(role) = self.everybody {
            return Ok(Caller { role, ..Caller::guest() });
        }
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Ok(self.anonymous(headers));
        };
        let token = value
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let (Some(token), None) = (token, values.next()) else {
            count(Class::SignIns, Who::Guest).await?;
            return Err(bad_token());
        };
        if let (Some(people), true) = (&self.people, is_access_token(token)) {
            return Ok(match self.bearer(people, token).await? {
                Bearer::Person(person) => Caller::signed_in(&person),
                Bearer::Client(client) => Caller::acting(&client),
            });
        }
        if token.starts_with(GUEST) {
            let guest = self.guest_of(token).await?;
            return Ok(self.guest().as_guest(guest));
        }
        match self.holder(token).await? {
            None => Ok(Caller::operator()),
            Some(known) => Ok(Caller::of(&known)),
        }
    }

    /// Who holds an access token.
    async fn bearer(&self, people: &Arc<dyn People>, token: &str) -> Result<Bearer, Problem> {
        let credential = hash(token.as_bytes());
        self.count_check(&credential).await?;
        let found = people.bearer(token).await?;
        self.learn(credential, found.is_some()).await;
        found.ok_or_else(bad_token)
    }

    /// The guest whose token this is. 401: it is not valid.
    pub async fn guest_of(&self, token: &str) -> Result<KnownGuest, Problem> {
        let credential = hash(token.as_bytes());
        self.count_check(&credential).await?;
        let found = match &self.people {
            Some(people) => people.guest(token).await?,
            None => None,
        };
        self.learn(credential, found.is_some()).await;
        found.ok_or_else(bad_token)
    }

    /// The token of this guest, who begins with the command that it names. `None`: guests have none here, or
    /// this one was erased.
    pub async fn begin_guest(&self, guest: KnownGuest) -> Result<Option<String>, Problem> {
        match &self.people {
            Some(people) => people.begin_guest(guest).await,
            None => Ok(None),
        }
    }

    /// Whether the user of that id has an account, whose address changes by its owner's links alone.
    pub async fn has_account(&self, id: Uuid) -> Result<bool, Problem> {
        match &self.people {
            Some(people) => people.has_account(id).await,
            None => Ok(false),
        }
    }

    /// The valid key of this token; `None` for the operator's token.
    pub(super) async fn holder(&self, token: &str) -> Result<Option<StoredKey>, Problem> {
        // Before anything is counted: the operator always gets through.
        if self.operator.as_ref().is_some_and(|operator| operator.is(token.as_bytes())) {
            return Ok(None);
        }
        let credential = hash(token.as_bytes());
        self.count_check(&credential).await?;
        match self.valid(token).await {
            Ok(key) => {
                self.learn(credential, true).await;
                Ok(Some(key))
            }
            Err(problem) => {
                if problem.kind() == Kind::Unauthenticated {
                    self.learn(credential, false).await;
                }
                Err(problem)
            }
        }
    }

    /// Counts the check of what a client of OAuth proves itself with, as that of a key: what to [learn](Self::learn) then.
    pub async fn count_proof(&self, proof: &str) -> Result<[u8; 32], Problem> {
        let credential = hash(proof.as_bytes());
        self.count_check(&credential).await?;
        Ok(credential)
    }

    /// Counts the check of a key or a session, unless it was right before. So whoever tries many is refused before
    /// anything is looked up, and those who have a right one go on, also at the same address.
    pub(super) async fn count_check(&self, credential: &[u8; 32]) -> Result<(), Problem> {
        if self.known.contains_key(credential) { Ok(()) } else { count(Class::SignIns, Who::Guest).await }
    }

    /// Keeps whether a key or a session was right.
    pub async fn learn(&self, credential: [u8; 32], right: bool) {
        match (right, self.known.contains_key(&credential)) {
            (true, false) => self.known.insert(credential, ()).await,
            (false, true) => self.known.invalidate(&credential).await,
            _ => {}
        }
    }

    async fn valid(&self, token: &str) -> Result<StoredKey, Problem> {
        let key = ApiKey::parse(token).ok_or_else(bad_token)?;
        let keys = self.keys.as_ref().ok_or_else(bad_token)?;
        let found = self.find(keys, &key).await?;
        let known = found.key.as_ref().filter(|known| known.hash.is(&key.hash())).ok_or_else(bad_token)?;
        let now = clock::now();
        known.lives(now)?;
        known.networks.check()?;
        if known.used_at.is_none_or(|used_at| now - used_at > USED)
            && !found.use_recorded.swap(true, Ordering::Relaxed)
            && let Err(error) = keys.used(known.id).await
        {
            tracing::warn!(%error, "the use of a key could not be stored");
        }
        Ok(known.clone())
    }

    /// Whether this is the id of the holder of an API key, of an account of staff, or of the operator: they work for the
    /// shop, and are no data subjects of it as its customers are.
    pub async fn works_here(&self, id: Uuid) -> Result<bool, Problem> {
        if id == ids::OPERATOR || self.holder_of(id).await?.is_some() {
            return Ok(true);
        }
        Ok(self.employment(id).await? != Employment::Never)
    }

    /// Whether the account of that id works for the shop.
    pub async fn employment(&self, id: Uuid) -> Result<Employment, Problem> {
        match &self.people {
            Some(people) => people.employment(id).await,
            None => Ok(Employment::Never),
        }
    }

    /// The API key whose holder has this id, also one that is no longer valid.
    pub async fn holder_of(&self, id: Uuid) -> Result<Option<StoredKey>, Problem> {
        let Some(keys) = &self.keys else { return Ok(None) };
        keys.of_holder(id).await.map_err(|error| away(&error))
    }

    async fn find(&self, keys: &Arc<dyn Keys>, key: &ApiKey) -> Result<Arc<Remembered>, Problem> {
        let look = async {
            let found = keys.find(key.prefix()).await?;
            Ok(Arc::new(Remembered { key: found, use_recorded: AtomicBool::new(false) }))
        };
        let found = self.remembered.try_get_with_by_ref(key.prefix(), look).await;
        found.map_err(|error: Arc<Unavailable>| away(&error))
    }
}

/// How the tokens of guests begin.
const GUEST: &str = "ssg_";

/// Whether a token has the form of an access token, which no key and no token of an operator has.
fn is_access_token(token: &str) -> bool {
    token.starts_with("ey") && token.bytes().filter(|byte| *byte == b'.').count() == 2
}

pub(super) fn away(error: &Unavailable) -> Problem {
    tracing::warn!(%error, "API keys cannot be looked up");
    let detail = "API keys cannot be looked up just now";
    Problem::unavailable("database-unavailable", detail, Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::access::Permission;
    use crate::access::keys::COMPARED;
    use crate::rates::X_FORWARDED_FOR;
    use crate::shelf::Shelf;

    fn access() -> (Arc<Shelf>, Access) {
        let shelf = Arc::new(Shelf::default());
        (shelf.clone(), Access::new(Some("the-operator's-token".into())).with_keys(shelf))
    }

    fn bearer(token: &str) -> HeaderMap {
        let value = HeaderValue::from_bytes(format!("Bearer {token}").as_bytes()).unwrap();
        HeaderMap::from_iter([(AUTHORIZATION, value)])
    }

    async fn refused(access: &Access, headers: &HeaderMap) -> (u16, String) {
        let problem = access.caller(headers).await.unwrap_err();
        (problem.status().as_u16(), problem.slug().to_owned())
    }

    #[tokio::test]
    async fn a_guest_trades_and_sees_figures_only_where_no_other_machine_reaches_the_shop() {
        let here = Access::new(Some("token".into()));
        let (nothing, operator) = (HeaderMap::new(), bearer("token"));
        here.caller(&nothing).await.unwrap().must(Permission::Trade, "it").unwrap();
        let open = here.reached_by_others();
        for guest in [open.caller(&nothing).await.unwrap(), open.visitor(&nothing).await.unwrap().caller] {
            let refused = guest.must(Permission::Trade, "it").unwrap_err();
            assert_eq!((refused.status().as_u16(), refused.slug()), (403, "operator-only"));
            for kept in [Permission::Figures, Permission::Register] {
                assert_eq!(guest.must(kept, "it").unwrap_err().status(), 403, "{kept}");
            }
            guest.must(Permission::Shop, "it").unwrap();
            guest.must(Permission::Read, "it").unwrap();
        }
        open.caller(&operator).await.unwrap().must(Permission::Trade, "it").unwrap();
        // A customer never does.
        let actor = Actor { kind: ActorKind::Customer, id: Uuid::from_u128(1).to_string() };
        let customer = Caller { actor, ..Caller::guest() };
        for permission in [Permission::Trade, Permission::Stock, Permission::Figures, Permission::Register] {
            assert_eq!(customer.must(permission, "it").unwrap_err().status(), 403, "{permission}");
        }
    }

    #[test]
    fn every_permission_has_its_roles() {
        let table: Vec<String> = Permission::ALL
            .iter()
            .map(|permission| {
                let holders: Vec<_> =
                    Role::ALL.iter().filter(|role| role.may(*permission)).map(AsRef::as_ref).collect();
                format!("{permission}: {}", holders.join(" "))
            })
            .collect();
        assert_eq!(
            table,
            [
                "read: guest support warehouse finance auditor ops admin service",
                "read-personal: support warehouse finance auditor ops admin service",
                "figures: guest support warehouse finance auditor ops admin service",
                "shop: guest support admin service",
                "register: guest support admin service",
                "trade: guest ops admin service",
                "stock: guest warehouse ops admin service",
                "fulfil: warehouse ops admin service",
                "refund: support finance admin",
                "charge: finance admin",
                "erase-person: support admin",
                "erase-staff: admin",
                "override: admin",
                "act-on-behalf: support ops admin service",
                "audit: support finance auditor ops admin",
                "export: support finance auditor ops admin",
                "reveal: auditor admin",
                "retry-parked: ops admin",
                "acknowledge: ops admin",
            ]
        );
        assert!(Permission::ALL.iter().all(|permission| Role::Admin.may(*permission)));
    }

    #[tokio::test]
    async fn a_key_identifies_its_holder_and_the_token_the_operator() {
        let (shelf, access) = access();
        let (staff, staff_id) = shelf.add(Role::Support, |_| {}).unwrap();
        let (service, service_id) = shelf.add(Role::Service, |_| {}).unwrap();
        for (headers, role, actor, writer) in [
            (HeaderMap::new(), Role::Guest, "guest:anonymous".to_owned(), None),
            (bearer("the-operator's-token"), Role::Admin, "service:operator".to_owned(), Some(ids::OPERATOR)),
            (bearer(&staff.text()), Role::Support, format!("staff:{staff_id}"), Some(staff_id)),
            (bearer(&service.text()), Role::Service, format!("service:{service_id}"), Some(service_id)),
        ] {
            let caller = access.caller(&headers).await.unwrap();
            assert_eq!((caller.role, caller.actor.to_string(), caller.writer), (role, actor, writer));
        }
    }

    #[tokio::test]
    async fn an_invalid_key_is_refused_and_only_its_holder_learns_that_it_expired() {
        let (shelf, access) = access();
        let (good, _) = shelf.add(Role::Admin, |_| {}).unwrap();
        let past = clock::now() - TimeDelta::seconds(1);
        let (expired, _) = shelf.add(Role::Admin, |known| known.expires_at = Some(past)).unwrap();
        let (revoked, _) = shelf.add(Role::Admin, |known| known.revoked = true).unwrap();
        let unknown = ApiKey::generate(Uuid::new_v4()).unwrap();
        let other_secret = format!("{}_{}", &expired.text()[..12], &good.text()[13..]);
        for (token, slug) in [
            (expired.text(), "token-expired"),
            (revoked.text(), "bad-token"),
            (unknown.text(), "bad-token"),
            (other_secret, "bad-token"),
            (good.text().to_uppercase(), "bad-token"),
            (format!("{} x", good.text()), "bad-token"),
            (format!("{}{}", good.text(), "A".repeat(10_000)), "bad-token"),
            ("ключ".to_owned(), "bad-token"),
            ("the-operator's-toke".to_owned(), "bad-token"),
            (String::new(), "bad-token"),
        ] {
            assert_eq!(refused(&access, &bearer(&token)).await, (401, slug.to_owned()), "{token:.60}");
        }
        let mut twice = bearer(&good.text());
        twice.append(AUTHORIZATION, twice[AUTHORIZATION].clone());
        assert_eq!(refused(&access, &twice).await, (401, "bad-token".to_owned()));
        let mut basic = HeaderMap::new();
        basic.insert(AUTHORIZATION, HeaderValue::try_from(format!("Basic {}", good.text())).unwrap());
        assert_eq!(refused(&access, &basic).await, (401, "bad-token".to_owned()));
        assert!(access.caller(&bearer(&good.text())).await.is_ok());
    }

    #[tokio::test]
    async fn a_guest_is_one_of_many_where_others_reach_the_shop_and_where_a_proxy_says_so() {
        let (_, access) = access();
        let passed_on = HeaderMap::from_iter([(X_FORWARDED_FOR, HeaderValue::from_static("198.51.100.9"))]);
        for name in ["via", "forwarded", "x-real-ip", "x-forwarded-proto", "cf-connecting-ip"] {
            let headers =
                HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static("1.1 proxy"))]);
            assert!(access.caller(&headers).await.unwrap().is_one_of_many(), "{name}");
        }
        let many = async |access: &Access, headers: &HeaderMap| {
            access.caller(headers).await.unwrap().is_one_of_many()
        };
        assert!(!many(&access, &HeaderMap::new()).await);
        assert!(many(&access, &passed_on).await);
        assert!(!many(&access, &bearer("the-operator's-token")).await);
        assert!(many(&access.clone().reached_by_others(), &HeaderMap::new()).await);
    }

    #[tokio::test]
    async fn look_ups_and_uses_of_a_key_are_cached() {
        let (shelf, access) = access();
        let (key, id) = shelf.add(Role::Ops, |_| {}).unwrap();
        let (lately, _) = shelf.add(Role::Ops, |known| known.used_at = Some(clock::now())).unwrap();
        for _ in 0..10 {
            assert!(access.caller(&bearer(&key.text())).await.is_ok());
            assert!(access.caller(&bearer(&lately.text())).await.is_ok());
        }
        assert_eq!((shelf.asked(), shelf.used()), (2, vec![id]));
    }

    #[tokio::test]
    async fn keys_that_cannot_be_looked_up_are_unavailable_and_the_operator_and_guests_go_on() {
        let (shelf, access) = access();
        let (key, _) = shelf.add(Role::Ops, |_| {}).unwrap();
        shelf.away.store(true, Ordering::Relaxed);
        assert_eq!(refused(&access, &bearer(&key.text())).await, (503, "database-unavailable".to_owned()));
        assert!(access.caller(&bearer("the-operator's-token")).await.is_ok());
        assert!(access.caller(&HeaderMap::new()).await.is_ok());
        // A failed look-up is not cached.
        shelf.away.store(false, Ordering::Relaxed);
        assert!(access.caller(&bearer(&key.text())).await.is_ok());
    }

    #[tokio::test]
    async fn the_operator_and_the_holders_of_keys_work_here_also_when_their_keys_are_not_valid() {
        let (shelf, access) = access();
        let (_, valid) = shelf.add(Role::Support, |_| {}).unwrap();
        let (_, revoked) = shelf.add(Role::Service, |known| known.revoked = true).unwrap();
        for (id, works) in [(ids::OPERATOR, true), (valid, true), (revoked, true), (Uuid::new_v4(), false)] {
            assert_eq!(access.works_here(id).await.unwrap(), works, "{id}");
        }
        assert!(Access::new(None).works_here(ids::OPERATOR).await.unwrap());
        let now = clock::now();
        let valid_now = async |id| access.holder_of(id).await.unwrap().map(|key| key.is_valid(now));
        assert_eq!((valid_now(valid).await, valid_now(revoked).await), (Some(true), Some(false)));
        shelf.away.store(true, Ordering::Relaxed);
        assert_eq!(access.works_here(valid).await.unwrap_err().slug(), "database-unavailable");
    }

    #[test]
    fn only_an_equal_token_matches() {
        let secret = Secret::new(b"secret");
        assert!(secret.is(b"secret"));
        for other in ["", "secre", "secret1", "Secret", "secrets and more"] {
            assert!(!secret.is(other.as_bytes()), "{other:?}");
        }
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    /// [`Secret::is`] is the only comparison of secrets, and every decision goes through it.
    #[tokio::test]
    async fn a_token_is_compared_with_every_candidate_in_constant_time() {
        let (shelf, access) = access();
        let (key, _) = shelf.add(Role::Support, |_| {}).unwrap();
        let (revoked, _) = shelf.add(Role::Support, |known| known.revoked = true).unwrap();
        let (wrong, unknown) = (forged(&key), ApiKey::generate(Uuid::new_v4()).unwrap().text());
        for (sent, compared, passes) in [
            ("the-operator's-token".to_owned(), 1, true),
            ("the-operator's-tokem".to_owned(), 1, false),
            ("t".to_owned(), 1, false),
            (key.text(), 2, true),
            (wrong, 2, false),
            (revoked.text(), 2, false),
            // No stored key has its prefix.
            (unknown, 1, false),
        ] {
            let before = COMPARED.get();
            assert_eq!(access.caller(&bearer(&sent)).await.is_ok(), passes, "{sent}");
            assert_eq!(COMPARED.get() - before, compared, "{sent}");
        }
    }

    /// The same prefix with another secret.
    fn forged(key: &ApiKey) -> String {
        let other = ApiKey::generate(Uuid::new_v4()).unwrap().text();
        let text = key.text();
        let cut = text.len() - 43;
        format!("{}{}", &text[..cut], &other[other.len() - 43..])
    }
}
