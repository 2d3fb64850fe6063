//! What people do with their own accounts: for the endpoints and for the pages, so that both do the same.

use std::time::Duration;

use async_trait::async_trait;
use soonshop_domain::identity::session::EndedBy;
use soonshop_domain::text;
use soonshop_event_store::EventStore;
use soonshop_identity::{
    ActiveSession, AddressAsked, Asked, Cause, ClaimAsked, Error, Given, NewPassword, Password, Purpose,
};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{
    AddressLink, AddressWanted, ClaimWanted, LinkUsed, MailAsked, NewAccount, OwnProfile, OwnSession,
    PasswordWanted, SelfService,
};
use soonshop_workers::claiming::{self, Claimed};
use soonshop_workers::readdressing::{self, Changed};
use soonshop_workers::registering::{Finished, Unfinished, address_of, finish, person_of};
use uuid::Uuid;

use super::people::{Accounts, cause};
use super::problem::problem;

/// The accounts, and the log that decides who has which address.
#[derive(Clone)]
pub(crate) struct OwnAccounts {
    pub(super) accounts: Accounts,
    pub(super) store: EventStore,
}

/// An address in its normal form.
fn address(typed: &str) -> Result<String, Problem> {
    text::email(typed)
        .map_err(|error| Problem::invalid("invalid-body", error.to_string()).with_pointer("/email"))
}

/// A password by the rule.
fn password(typed: &str) -> Result<Password, Problem> {
    Password::new(typed).map_err(|error| problem(error).with_pointer("/password"))
}

/// What is known of a user cannot be read.
fn unread(error: &Unfinished, detail: &'static str) -> Problem {
    tracing::warn!(error = crate::cause::chain(error), "the details of a user cannot be read");
    Problem::unavailable("event-store-unavailable", detail, Duration::from_secs(1))
}

/// The same for every order that the account may not claim by a link.
fn not_claimable() -> Problem {
    Problem::invalid(
        "unknown-order",
        "no order of this id was placed without an account and with the address of yours, or an account has claimed it",
    )
    .with_pointer("/order")
}

impl OwnAccounts {
    pub(crate) fn new(accounts: Accounts, store: EventStore) -> Self {
        Self { accounts, store }
    }

    /// The session of a customer: staff claim no orders.
    async fn customer(&self, session: Uuid) -> Result<(ActiveSession, Cause), Problem> {
        let (active, cause) = self.accounts.owner(session).await?;
        if active.staff {
            let detail = "a customer claims orders for their own account: sign in with the account of one";
            return Err(Problem::forbidden("not-permitted", detail));
        }
        Ok((active, cause))
    }
}

#[async_trait]
impl SelfService for OwnAccounts {
    async fn ask_mail(
        &self,
        what: MailAsked,
        email: &str,
        language: &'static str,
        network: &str,
    ) -> Result<(), Problem> {
        let purpose = match what {
            MailAsked::Register => Purpose::Register,
            MailAsked::Reset => Purpose::Reset,
        };
        let address = address(email)?;
        let asked = Asked { purpose, typed: email, address: &address, language, network };
        // Nothing here looks whether there is an account.
        self.accounts.identity.ask(asked, &cause()).await.map_err(problem)
    }

    async fn register(&self, new: NewAccount<'_>) -> Result<LinkUsed, Problem> {
        let name = new.name.map(|name| text::line(name, 200)).transpose();
        let name =
            name.map_err(|error| Problem::invalid("invalid-body", error.to_string()).with_pointer("/name"))?;
        let given = Given {
            link: new.link,
            name: name.as_deref(),
            password: password(new.password)?,
            advertising: new.advertising.cloned(),
            network: new.network,
        };
        let identity = &self.accounts.identity;
        let proven = identity.use_registration(given).await.map_err(problem)?;
        match finish(&self.store, identity, &proven, &cause()).await {
            Ok(Finished::Open(_)) => Ok(LinkUsed::Done),
            Ok(Finished::Taken) => Err(problem(Error::Link)),
            // The link is used, and what was given is written down: a worker goes on with it.
            Err(error) => {
                tracing::warn!(error = crate::cause::chain(&error), "a registration is finished later");
                Ok(LinkUsed::Later)
            }
        }
    }

    async fn reset(&self, link: &str, typed: &str, network: &str) -> Result<(), Problem> {
        let reset = self.accounts.identity.reset_by_link(link, password(typed)?, network, &cause()).await;
        // Sessions of this process may have ended.
        self.accounts.clear();
        reset.map_err(problem)
    }

    async fn use_address_link(&self, link: &str, which: AddressLink) -> Result<LinkUsed, Problem> {
        let purpose = match which {
            AddressLink::Confirm => Purpose::Email,
            AddressLink::Undo => Purpose::Undo,
        };
        let (identity, cause) = (&self.accounts.identity, cause());
        let account = identity.address_link(link, purpose).await.map_err(problem)?;
        let old = address_of(&self.store, account)
            .await
            .map_err(|error| unread(&error, "the address cannot be changed just now"))?;
        let change = identity.use_address_link(link, purpose, old.as_deref(), &cause).await;
        // Sessions of this process may have ended.
        self.accounts.clear();
        match readdressing::finish(&self.store, identity, &change.map_err(problem)?, &cause).await {
            Ok(Changed::Done) => Ok(LinkUsed::Done),
            Ok(Changed::Taken) => Err(problem(Error::Link)),
            // The link is used: a worker goes on with it.
            Err(error) => {
                tracing::warn!(error = crate::cause::chain(&error), "an address is changed later");
                Ok(LinkUsed::Later)
            }
        }
    }

    async fn ask_address(&self, session: Uuid, wanted: AddressWanted<'_>) -> Result<(), Problem> {
        let (active, cause) = self.accounts.owner(session).await?;
        let address = address(wanted.email)?;
        let asked = AddressAsked {
            active: &active,
            password: Password::typed(wanted.password),
            typed: wanted.email,
            address: &address,
            language: wanted.language,
            network: wanted.network,
        };
        self.accounts.identity.ask_address(asked, &cause).await.map_err(|error| match error {
            Error::WrongPassword => {
                Problem::invalid("wrong-password", "the password is wrong").with_pointer("/password")
            }
            error => problem(error),
        })
    }

    async fn ask_claim(&self, session: Uuid, wanted: ClaimWanted<'_>) -> Result<(), Problem> {
        let (active, _) = self.customer(session).await?;
        let address = claiming::claimable_address(&self.store, wanted.order).await;
        let address = address.map_err(|error| unread(&error, "orders cannot be read just now"))?;
        let address = address.ok_or_else(not_claimable)?;
        let asked = ClaimAsked {
            active: &active,
            order: wanted.order,
            address: &address,
            language: wanted.language,
            network: wanted.network,
        };
        self.accounts.identity.ask_claim(asked).await.map_err(|error| match error {
            Error::NotFound => not_claimable(),
            error => problem(error),
        })
    }

    async fn claim(&self, session: Uuid, link: &str) -> Result<(), Problem> {
        let (active, cause) = self.customer(session).await?;
        let account = active.account;
        let link = self.accounts.identity.claim_link(link, account).await.map_err(problem)?;
        match claiming::claim(&self.store, (link, account), &cause).await {
            Ok(Claimed::Done) => Ok(()),
            Ok(Claimed::Taken) => {
                Err(Problem::conflict("order-claimed", "another account has claimed the order already"))
            }
            Ok(Claimed::Erased) => {
                Err(Problem::gone("person-erased", "the account was erased, and takes over no order"))
            }
            Err(error) => Err(unread(&error, "the order cannot be claimed just now")),
        }
    }

    async fn change_password(&self, session: Uuid, wanted: PasswordWanted<'_>) -> Result<(), Problem> {
        let (active, cause) = self.accounts.owner(session).await?;
        let change = NewPassword {
            active: &active,
            old: Password::typed(wanted.old),
            new: Password::new(wanted.new).map_err(problem)?,
            network: wanted.network,
        };
        let changed = self.accounts.identity.change_password(change, &cause).await;
        self.accounts.clear();
        changed.map_err(problem)
    }

    async fn sessions(&self, session: Uuid) -> Result<Vec<OwnSession>, Problem> {
        let (active, _) = self.accounts.owner(session).await?;
        let all = self.accounts.identity.sessions(active.account).await.map_err(problem)?;
        let own = all.into_iter().map(|one| OwnSession {
            current: one.id == active.session,
            id: one.id,
            client: one.client,
            client_name: one.client_name,
            device: one.device,
            began_at: one.began_at,
            used_at: one.used_at,
            expires_at: one.expires_at,
        });
        Ok(own.collect())
    }

    async fn end_session(&self, session: Uuid, id: Uuid) -> Result<(), Problem> {
        let (active, cause) = self.accounts.owner(session).await?;
        let ended = self.accounts.identity.end_session(active.account, id, EndedBy::Revoked, &cause).await;
        self.accounts.clear();
        if ended.map_err(problem)? {
            return Ok(());
        }
        Err(Problem::not_found(
            "session-not-found",
            "you have no session of this id: GET /auth/sessions lists them",
        ))
    }

    async fn end_other_sessions(&self, session: Uuid) -> Result<(), Problem> {
        let (active, cause) = self.accounts.owner(session).await?;
        let identity = &self.accounts.identity;
        for one in identity.sessions(active.account).await.map_err(problem)? {
            if one.id != active.session {
                // One that ended meanwhile is no error.
                let ended = identity.end_session(active.account, one.id, EndedBy::Revoked, &cause).await;
                self.accounts.clear();
                ended.map_err(problem)?;
            }
        }
        Ok(())
    }

    async fn profile(&self, session: Uuid) -> Result<OwnProfile, Problem> {
        let (active, _) = self.accounts.owner(session).await?;
        let person = person_of(&self.store, active.account).await;
        let person = person.map_err(|error| unread(&error, "your details cannot be read just now"))?;
        Ok(OwnProfile { name: person.name, email: person.email, phone: person.phone })
    }
}
