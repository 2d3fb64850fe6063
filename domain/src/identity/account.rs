//! An account: a user that can sign in. Its id is the user's, the data subject.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::plain_facts;
use crate::{Decider, EventInfo, Expectation, Facts, Money, PersonalValue, Sensitive};

pub use super::Never as Error;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::AsRefStr, strum::EnumIter, strum::EnumString,
        )]
        #[serde(rename_all = "kebab-case")]
        #[strum(serialize_all = "kebab-case")]
        pub enum $name { $($(#[$of])* $variant),+ }
    )+};
}

codes! {
    /// How an account came to be.
    OpenedBy {
        /// Its owner registered.
        Registration,
        /// Its owner was invited.
        Invitation,
        /// A provider of identities vouched for it.
        Provider,
        /// The operator opened it at the command line.
        Operator,
    }

    /// Why a password is another one.
    PasswordReason {
        /// It is the first.
        Set,
        /// It was forgotten.
        Reset,
        /// Its owner changed it.
        Changed,
    }

    /// The step of a sign-in that failed.
    Step {
        Password,
        SecondFactor,
    }

    /// The source of a decision about roles.
    RoleSource {
        Staff,
        Provider,
        Restored,
    }

    /// What a second factor is.
    FactorKind {
        /// Codes of an app that shares a secret with the shop (RFC 6238).
        Totp,
        /// A key that a device or a browser keeps.
        Passkey,
    }

    /// Why all sessions of an account ended.
    EndedBy {
        SignedOutEverywhere,
        PasswordChanged,
        EmailChanged,
        Disabled,
        /// A customer works for the shop from now on: who signs in as staff has to be asked again how.
        BecameStaff,
    }
}

#[derive(
    Debug,
    Clone,
    PartialEq,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::VariantNames,
    strum::EnumDiscriminants,
)]
#[strum_discriminants(name(EventKind), derive(strum::IntoStaticStr, strum::VariantArray))]
pub enum Event {
    AccountOpened {
        roles: Vec<String>,
        by: OpenedBy,
    },
    /// The mailbox of the address that the user has at this version is the owner's.
    EmailVerified {
        user_version: i64,
    },
    /// A mail with a link is on its way that sets another password; the link is made of the request.
    PasswordResetRequested {
        request: Uuid,
        expires_at: chrono::DateTime<chrono::Utc>,
    },
    /// A mail with a link is on its way to another address; the link is made of the request.
    EmailChangeRequested {
        request: Uuid,
        expires_at: chrono::DateTime<chrono::Utc>,
    },
    PasswordChanged {
        reason: PasswordReason,
    },
    /// So many since that moment.
    SignInsFailed {
        count: i64,
        since: chrono::DateTime<chrono::Utc>,
        step: Step,
    },
    /// The roles from now on.
    RolesChanged {
        roles: Vec<String>,
        source: RoleSource,
    },
    AccountDisabled {
        /// A code.
        reason: String,
    },
    AccountEnabled {
        /// A code.
        reason: String,
    },
    AllSessionsEnded {
        reason: EndedBy,
    },
    SecondFactorAdded {
        factor: Uuid,
        kind: FactorKind,
    },
    SecondFactorRemoved {
        factor: Uuid,
        kind: FactorKind,
    },
    /// New recovery codes in the place of those before: so many.
    RecoveryCodesMade {
        left: i64,
    },
    /// So many are left.
    RecoveryCodeUsed {
        left: i64,
    },
    /// A client of OAuth may do this for its owner: all of it, from now on.
    AccessGranted {
        client: Uuid,
        scope: Vec<String>,
    },
    AccessWithdrawn {
        client: Uuid,
    },
    /// Its owner may sign in with this provider of identities, too.
    SignInLinked {
        /// Its name in the settings.
        provider: String,
        issuer: String,
    },
    SignInUnlinked {
        provider: String,
        issuer: String,
    },
}

#[expect(clippy::unnecessary_wraps, reason = "as the trait has it")]
fn owner(_: &Event, stream: Uuid) -> Option<Uuid> {
    Some(stream)
}

plain_facts!(owner, Account, 3);

/// The state that the facts of an account make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub roles: Vec<String>,
    /// The user's version with the address that was verified last.
    pub verified: Option<i64>,
    pub disabled: bool,
    /// How many passwords it has had.
    pub passwords: u32,
    /// How many failed sign-ins were reported.
    pub failed_sign_ins: i64,
    /// How often all of its sessions ended.
    pub all_ended: u32,
    /// How many second factors it has.
    pub second_factors: u32,
    /// How many recovery codes are left.
    pub recovery_codes: i64,
    /// How many identities at providers it has.
    pub linked: u32,
    /// The last request for another password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_requested: Option<Uuid>,
    /// The last request for another address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_requested: Option<Uuid>,
    /// The clients of OAuth that act for its owner. There are as many as the operator registered.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub clients: BTreeSet<Uuid>,
}

impl Account {
    pub(crate) fn evolve(&mut self, event: Event) {
        match event {
            Event::AccountOpened { roles, .. } | Event::RolesChanged { roles, .. } => self.roles = roles,
            Event::EmailVerified { user_version } => self.verified = Some(user_version),
            Event::PasswordResetRequested { request, .. } => self.reset_requested = Some(request),
            Event::EmailChangeRequested { request, .. } => self.email_requested = Some(request),
            Event::PasswordChanged { .. } => self.passwords = self.passwords.saturating_add(1),
            Event::SignInsFailed { count, .. } => {
                self.failed_sign_ins = self.failed_sign_ins.saturating_add(count);
            }
            Event::AccountDisabled { .. } => self.disabled = true,
            Event::AccountEnabled { .. } => self.disabled = false,
            Event::AllSessionsEnded { .. } => self.all_ended = self.all_ended.saturating_add(1),
            Event::SecondFactorAdded { .. } => self.second_factors = self.second_factors.saturating_add(1),
            Event::SecondFactorRemoved { .. } => {
                self.second_factors = self.second_factors.saturating_sub(1);
                // Recovery codes stand in for a factor, and end with the last one.
                if self.second_factors == 0 {
                    self.recovery_codes = 0;
                }
            }
            Event::RecoveryCodesMade { left } | Event::RecoveryCodeUsed { left } => {
                self.recovery_codes = left;
            }
            Event::AccessGranted { client, .. } => {
                self.clients.insert(client);
            }
            Event::AccessWithdrawn { client } => {
                self.clients.remove(&client);
            }
            Event::SignInLinked { .. } => self.linked = self.linked.saturating_add(1),
            Event::SignInUnlinked { .. } => self.linked = self.linked.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;
    use crate::golden::{Sample, product_id};

    impl Sample for Event {
        fn sample(kind: EventKind) -> Self {
            match kind {
                EventKind::AccountOpened => {
                    Self::AccountOpened { roles: vec!["support".to_owned()], by: OpenedBy::Operator }
                }
                EventKind::EmailVerified => Self::EmailVerified { user_version: 1 },
                EventKind::PasswordResetRequested => Self::PasswordResetRequested {
                    request: Uuid::from_u128(0x0199_aabb_0000_7000_8000_0000_0000_000b),
                    expires_at: "2026-01-02T03:04:05.006Z".parse().unwrap(),
                },
                EventKind::EmailChangeRequested => Self::EmailChangeRequested {
                    request: Uuid::from_u128(0x0199_aabb_0000_7000_8000_0000_0000_000c),
                    expires_at: "2026-01-02T03:04:05.006Z".parse().unwrap(),
                },
                EventKind::PasswordChanged => Self::PasswordChanged { reason: PasswordReason::Set },
                EventKind::SignInsFailed => Self::SignInsFailed {
                    count: 10,
                    since: "2026-01-02T03:04:05.006Z".parse().unwrap(),
                    step: Step::Password,
                },
                EventKind::RolesChanged => {
                    Self::RolesChanged { roles: vec!["auditor".to_owned()], source: RoleSource::Staff }
                }
                EventKind::AccountDisabled => Self::AccountDisabled { reason: "left".to_owned() },
                EventKind::AccountEnabled => Self::AccountEnabled { reason: "mistake".to_owned() },
                EventKind::AllSessionsEnded => Self::AllSessionsEnded { reason: EndedBy::PasswordChanged },
                EventKind::SecondFactorAdded => {
                    Self::SecondFactorAdded { factor: product_id().0, kind: FactorKind::Totp }
                }
                EventKind::SecondFactorRemoved => {
                    Self::SecondFactorRemoved { factor: product_id().0, kind: FactorKind::Totp }
                }
                EventKind::RecoveryCodesMade => Self::RecoveryCodesMade { left: 10 },
                EventKind::RecoveryCodeUsed => Self::RecoveryCodeUsed { left: 9 },
                EventKind::AccessGranted => Self::AccessGranted {
                    client: Uuid::from_u128(0x0199_aabb_0000_7000_8000_0000_0000_000d),
                    scope: vec!["own".to_owned()],
                },
                EventKind::AccessWithdrawn => Self::AccessWithdrawn {
                    client: Uuid::from_u128(0x0199_aabb_0000_7000_8000_0000_0000_000d),
                },
                EventKind::SignInLinked => Self::SignInLinked {
                    provider: "example".to_owned(),
                    issuer: "https://accounts.example".to_owned(),
                },
                EventKind::SignInUnlinked => Self::SignInUnlinked {
                    provider: "example".to_owned(),
                    issuer: "https://accounts.example".to_owned(),
                },
            }
        }
    }

    #[test]
    fn a_fact_is_recorded_as_it_was_decided_in_any_state() {
        let again = Event::PasswordChanged { reason: PasswordReason::Changed };
        for given in [vec![], vec![Event::AccountDisabled { reason: "left".to_owned() }]] {
            TestFramework::<Account>::with(Facts { now: crate::clock::now() })
                .given(given)
                .when(Command::Record(again.clone()))
                .then_expect_events(vec![again.clone()]);
        }
    }
}
