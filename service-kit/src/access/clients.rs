//! Clients of OAuth, as the pages ask about them, and the port that knows them; and what their scopes permit.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::role::Permission;
use super::scope::Scope;
use crate::Problem;

/// The scope of what a customer may with what is theirs.
pub const OWN: &str = "own";

/// What [`OWN`] permits a customer.
const OF_CUSTOMERS: [Permission; 2] = [Permission::Read, Permission::Shop];

/// What these names permit: what a caller may, and of that no more than this. `customer`: the caller is one.
pub fn permitted<'n>(names: impl IntoIterator<Item = &'n str>, customer: bool) -> Scope {
    let mut permissions = Vec::new();
    for name in names {
        match name.parse() {
            Ok(permission) => permissions.push(permission),
            Err(_) if name == OWN && customer => permissions.extend(OF_CUSTOMERS),
            // A name of another release, or of nothing here.
            Err(_) => {}
        }
    }
    Scope::only(permissions)
}

/// Whether a client may have a scope of that name. What asks for a fresh second factor is none: a client gives none.
pub fn is_scope(name: &str) -> bool {
    name == OWN || name.parse().is_ok_and(|permission: Permission| !permission.asks_for_fresh_factor())
}

/// Every name of a scope, in the order in which they are listed everywhere.
pub fn scopes() -> Vec<&'static str> {
    let permissions = Permission::ALL.iter().map(AsRef::as_ref).filter(|name| is_scope(name));
    std::iter::once(OWN).chain(permissions).collect()
}

/// A client that acts for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownClient {
    pub id: Uuid,
    pub name: String,
    /// It has no secret: anybody can take its name.
    pub public: bool,
    /// The addresses that codes may go to, as they are compared.
    pub redirects: Vec<String>,
    pub scope: Vec<String>,
}

/// A client asks for a code.
#[derive(Debug, Clone, Copy)]
pub struct CodeWanted<'a> {
    pub client: &'a KnownClient,
    pub redirect: &'a str,
    pub challenge: &'a str,
    pub scope: &'a [String],
}

/// A client that somebody lets act for them.
#[derive(Debug, Clone)]
pub struct OwnConsent {
    pub client: Uuid,
    pub name: String,
    pub scope: Vec<String>,
    pub given_at: DateTime<Utc>,
}

/// What people do with clients. `session` is that of the one who asks, and is of the shop itself.
#[async_trait]
pub trait Clients: Send + Sync {
    /// The address of this server of authorizations, as its metadata has it; `None`: it was not told.
    fn issuer(&self) -> Option<&str>;

    /// The client of that id, as it was sent, if it acts for people.
    async fn client(&self, id: &str) -> Result<Option<KnownClient>, Problem>;

    /// The names that are asked for, of those that the client has; `None`: it has not all of them.
    fn narrowed(&self, asked: Option<&str>, client: &KnownClient) -> Option<Vec<String>>;

    /// Whether a text is a challenge of PKCE by `S256`.
    fn is_challenge(&self, text: &str) -> bool;

    /// A code, where its owner consented to this before; `None`: they have to be asked.
    async fn code_by_consent(&self, session: Uuid, wanted: CodeWanted<'_>)
    -> Result<Option<String>, Problem>;

    /// Consents, and makes a code.
    async fn consent(&self, session: Uuid, wanted: CodeWanted<'_>) -> Result<String, Problem>;

    /// The clients that may act for the owner.
    async fn consents(&self, session: Uuid) -> Result<Vec<OwnConsent>, Problem>;

    /// Withdraws a consent: the client's sessions end. One that is not there is withdrawn already.
    async fn withdraw(&self, session: Uuid, client: Uuid) -> Result<(), Problem>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_permits_what_it_names_and_nothing_where_it_names_nothing() {
        let all = |names: &[&str], customer: bool| {
            let scope = permitted(names.iter().copied(), customer);
            Permission::ALL.into_iter().filter(|one| scope.has(*one)).collect::<Vec<_>>()
        };
        assert_eq!(all(&[], true), [], "no names are no permissions, and not all of them");
        assert_eq!(all(&[OWN], true), [Permission::Read, Permission::Shop]);
        assert_eq!(all(&[OWN], false), [], "staff have nothing of their own");
        assert_eq!(all(&["refund", "Refund", "nothing", ""], false), [Permission::Refund]);
    }

    #[test]
    fn what_asks_for_a_fresh_second_factor_is_no_scope() {
        let named = scopes();
        assert_eq!((named[0], named.len()), (OWN, 1 + Permission::ALL.len() - 4));
        for name in ["export", "reveal", "erase-person", "erase-staff", "Read", "", "own read"] {
            assert!(!is_scope(name), "{name}");
        }
        assert!(named.into_iter().all(is_scope));
    }
}
