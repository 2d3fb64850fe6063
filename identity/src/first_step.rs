//! How somebody signed in, before a second factor was asked for.

/// The prefix of the name of a provider, as it is stored: among the factors of a session, and as the source of roles.
const PROVIDER: &str = "provider:";

/// The first step of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FirstStep {
    Password,
    /// The provider of identities of this name.
    Provider(String),
}

impl FirstStep {
    /// As it is stored.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Password => "password".to_owned(),
            Self::Provider(name) => format!("{PROVIDER}{name}"),
        }
    }

    pub(crate) fn read(stored: &str) -> Self {
        stored.strip_prefix(PROVIDER).map_or(Self::Password, |name| Self::Provider(name.to_owned()))
    }

    /// The provider's name.
    pub(crate) fn provider(&self) -> Option<&str> {
        match self {
            Self::Password => None,
            Self::Provider(name) => Some(name),
        }
    }
}
