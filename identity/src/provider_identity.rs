//! Somebody, as a provider of identities describes them.

use crate::Roles;

/// What a provider says of somebody who signed in there.
#[derive(Clone)]
pub struct ProviderIdentity<'a> {
    /// Its name in the settings.
    pub provider: &'a str,
    pub issuer: &'a str,
    /// The `sub`.
    pub subject: &'a str,
    /// The e-mail address, if the provider has verified it.
    pub address: Option<&'a str>,
    pub name: Option<&'a str>,
    /// The roles that its claims give; `None`: it gives none to anybody.
    pub roles: Option<Vec<String>>,
    /// Whether customers, and whether staff may sign in with it.
    pub customers: bool,
    pub staff: bool,
}

impl std::fmt::Debug for ProviderIdentity<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProviderIdentity({})", self.provider)
    }
}

impl ProviderIdentity<'_> {
    /// Whether it signs in an account with these roles.
    pub(crate) fn admits(&self, roles: &Roles) -> bool {
        if roles.is_staff() { self.staff } else { self.customers }
    }
}
