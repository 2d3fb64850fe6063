//! How a session begins: in one function, for every door.

use ring::hmac;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use soonshop_domain::identity::session::{BegunFrom, EndedBy, Event};
use soonshop_domain::ids;
use uuid::Uuid;

use crate::access_token::{self, Holder, LIFE};
use crate::facts::Fact;
use crate::first_step::FirstStep;
use crate::guess::Guess;
use crate::keyring::REFRESH;
use crate::passwords::random;
use crate::pending_token::PendingHash;
use crate::refresh_token::RefreshToken;
use crate::sessions::{
    ActiveSession, CLIENT, CredentialKind, Credentials, FactorGiven, StartedSession, cookie_hash,
};
use crate::signing::Signer;
use crate::store::Account;
use crate::stored::{HOUR, moment, uuid};
use crate::{Cause, Error, Identity, ProviderIdentity, SignInDevice};

/// How long a session lasts at most: of staff a working day.
pub(crate) const LASTS: i64 = 30 * 24 * HOUR;
const LASTS_FOR_STAFF: i64 = 12 * HOUR;
/// How many sessions an account begins within an hour, and has at a time; of each client of OAuth apart, so that none of
/// them ends those of the owner.
const BEGUN_IN_AN_HOUR: i64 = 30;
const AT_A_TIME: i64 = 20;
const AT_A_TIME_OF_A_CLIENT: i64 = 5;

/// An account as it was read before its password was verified.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VerifiedAccount {
    pub(crate) account: Uuid,
    pub(crate) epoch: i64,
    pub(crate) generation: i64,
}

/// The parts of a new session.
pub(crate) struct NewSession<'a> {
    pub(crate) verified: VerifiedAccount,
    pub(crate) kind: CredentialKind,
    pub(crate) device: SignInDevice<'a>,
    pub(crate) first: FirstStep,
    /// What a provider says just now, and the stored form of who it says it of.
    pub(crate) who: Option<(&'a ProviderIdentity<'a>, &'a str)>,
    /// A better hash, and the one that it replaces.
    pub(crate) upgrade: Option<(String, String)>,
    /// The second factor that was typed, and was counted; `None` at the first step.
    pub(crate) guess: Option<(PendingHash, Guess)>,
    pub(crate) cause: &'a Cause,
}

/// A session to insert, of an account that is locked and was found to be as it should.
pub(crate) struct Start<'a> {
    pub(crate) session: Uuid,
    pub(crate) client: &'a str,
    pub(crate) scope: &'a str,
    pub(crate) kind: CredentialKind,
    /// Sealed.
    pub(crate) device_name: Option<String>,
    pub(crate) known_device: Option<&'a str>,
    pub(crate) factors: Vec<String>,
    /// The provider of identities whose roles count in it.
    pub(crate) provider: Option<&'a str>,
    pub(crate) from: BegunFrom,
    pub(crate) unusual: bool,
    pub(crate) proved_at: Option<i64>,
    pub(crate) now: i64,
    /// Its owner.
    pub(crate) by: &'a Cause,
    pub(crate) cause: &'a Cause,
}

/// The credentials of a new session, and what is stored of them.
struct Made {
    credentials: Credentials,
    cookie_hash: Option<String>,
    token_hash: Option<String>,
}

impl Made {
    fn new(
        kind: CredentialKind,
        (number, key): (i32, &hmac::Key),
        signer: &Signer,
        (account, start): (Uuid, &Start<'_>),
    ) -> Result<Self, Error> {
        let session = start.session;

        match kind {
            CredentialKind::Cookie => {
                let mut secret = [0; 32];
                random(&mut secret)?;
                let cookie_hash = Some(cookie_hash(&secret));
                Ok(Self { credentials: Credentials::Cookie(secret), cookie_hash, token_hash: None })
            }
            CredentialKind::Tokens => {
                let token = RefreshToken::first(number, key, session)?;
                let of = Holder::Session { account, session };
                let (key, at) = ((signer.kid, &signer.pair), start.now.div_euclid(1000));
                let access = access_token::sign(key, of, start.client, start.scope, at)?;
                let credentials = Credentials::Tokens { access, refresh: token.text() };
                Ok(Self { credentials, cookie_hash: None, token_hash: Some(token.hash()) })
            }
        }
    }
}

impl Identity {
    /// Begins a session: whatever the door, the account is locked, and must be what it was when its password was
    /// verified. One with a second factor begins none without it: [`Error::SecondFactor`].
    pub(crate) async fn begin_session(&self, new: NewSession<'_>) -> Result<StartedSession, Error> {
        let NewSession { verified, kind, device, first, who, upgrade, guess, cause } = new;
        let name = self.sealed(verified.account, device.name).await;
        // Read first: they belong to other rows, and without them nothing begins.
        let signer = self.signer().await?;
        let (number, key) = self.keyring.newest(REFRESH).await?;
        let tx = self.begin().await?;
        let mut account = self.lock(&tx, verified.account).await?.ok_or(Error::SignIn)?;
        if account.disabled || (account.epoch, account.generation) != (verified.epoch, verified.generation) {
            return Err(Error::SignIn);
        }
        if let Some((better, old)) = upgrade {
            let sql = "UPDATE @accounts SET password = $2 WHERE id = $1 AND password = $3";
            let values = [account.id.to_string().into(), better.into(), old.into()];
            tx.execute(self.db.statement(sql, values)).await?;
        }
        let now = self.now(&tx).await?;
        let session = ids::new();
        if let Some(who) = who {
            let by = cause.by_owner(account.id, account.roles.is_staff(), None);
            if let Err(error) = self.take_identity(&tx, &mut account, who, now, &by).await {
                // The roles that it took away are gone, whether it signs anybody in or not.
                if matches!(error, Error::ProviderNotForRole) {
                    tx.commit().await?;
                }
                return Err(error);
            }
        }
        let roles = account.roles.in_session(first.provider());
        let staff = roles.is_staff();
        let by = cause.by_owner(account.id, staff, Some(session));
        let mut factors = vec![first.name()];
        match guess {
            None if self.has_factor(&tx, account.id).await? => {
                let pending = self.wait_for_factor(&tx, &account, &first, now).await?;
                tx.commit().await?;
                return Err(Error::SecondFactor(pending));
            }
            None => {}
            Some((pending, guess)) => {
                if !self.waits(&tx, &pending, account.id, now).await? {
                    return Err(Error::SignInEnded);
                }
                let given = match self.take(&tx, &mut account, &guess, now, &by).await? {
                    Ok(given) => given,
                    Err(error) => {
                        // It waits on, unless this was the last code that is compared.
                        tx.commit().await?;
                        return Err(error);
                    }
                };
                self.end_waiting(&tx, &pending).await?;
                factors.push(given.to_owned());
            }
        }
        let proved_at = (factors.len() > 1).then_some(now);
        self.set_language(&tx, &mut account, device.language).await?;
        let device = self.remember_device(&tx, &account, device.token, now).await?;
        let unusual = self.notice(&tx, &account, device.is_new, now).await?;
        let start = Start {
            session,
            client: CLIENT,
            scope: "",
            kind,
            device_name: name,
            known_device: Some(device.hash.stored()),
            factors,
            provider: first.provider(),
            from: BegunFrom::SignIn,
            unusual,
            proved_at,
            now,
            by: &by,
            cause,
        };
        let started = self.start(&tx, &account, (&signer, number, &key), start).await?;
        tx.commit().await?;
        Ok(StartedSession { device_token: Some(device.token), ..started })
    }

    /// Inserts a session, with its fact.
    pub(crate) async fn start(
        &self,
        tx: &DatabaseTransaction,
        account: &Account,
        (signer, number, key): (&Signer, i32, &hmac::Key),
        start: Start<'_>,
    ) -> Result<StartedSession, Error> {
        let roles = account.roles.in_session(start.provider);
        let (session, now, staff) = (start.session, start.now, roles.is_staff());
        self.make_room(tx, account, &start).await?;
        let expires_at = now + if staff { LASTS_FOR_STAFF } else { LASTS };
        let made = Made::new(start.kind, (number, key), signer, (account.id, &start))?;
        let sql = "INSERT INTO @sessions (id, account, epoch, client, device, cookie_hash, generation, refresh_key, token_hash, \
                   began_at, used_at, expires_at, proved_at, known_device, scope, provider) \
                   VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8, $9, $9, $10, $11, $12, $13, $14)";
        let values = [
            session.to_string().into(),
            account.id.to_string().into(),
            account.epoch.into(),
            start.client.into(),
            start.device_name.into(),
            made.cookie_hash.into(),
            number.into(),
            made.token_hash.into(),
            now.into(),
            expires_at.into(),
            start.proved_at.into(),
            start.known_device.into(),
            start.scope.into(),
            start.provider.into(),
        ];
        tx.execute(self.db.statement(sql, values)).await?;
        let expires_at = moment(expires_at)?;
        let event = Event::SessionStarted {
            account: account.id,
            client: start.client.to_owned(),
            factors: start.factors,
            from: start.from,
            unusual: start.unusual,
            expires_at,
        };
        let fact = Fact { stream: session, number: 1, at: now, command: "session.start", cause: start.by };
        self.record(tx, fact, event).await?;
        let permissions = self.permitted(tx, &roles).await?;
        let active = ActiveSession {
            account: account.id,
            session,
            roles: roles.all(),
            permissions,
            staff,
            expires_at,
            factor: FactorGiven::at(start.proved_at, now),
            client: start.client.to_owned(),
            scope: start.scope.to_owned(),
        };
        Ok(StartedSession { active, credentials: made.credentials, expires_in: LIFE, device_token: None })
    }

    /// Refuses an account that begins sessions without end, and ends the oldest where it has too many.
    async fn make_room(
        &self,
        tx: &DatabaseTransaction,
        account: &Account,
        start: &Start<'_>,
    ) -> Result<(), Error> {
        let (id, now) = (account.id.to_string(), start.now);
        let sql = "SELECT count(*) FROM @sessions WHERE account = $1 AND began_at > $2 AND client = $3";
        let values = [id.as_str().into(), (now - HOUR).into(), start.client.into()];
        let row = tx.query_one(self.db.statement(sql, values)).await?;
        if row.map(|row| row.try_get_by_index::<i64>(0)).transpose()?.unwrap_or(0) >= BEGUN_IN_AN_HOUR {
            return Err(Error::TooManySessions);
        }
        let most = if start.client == CLIENT { AT_A_TIME } else { AT_A_TIME_OF_A_CLIENT };
        let sql = format!(
            "SELECT id FROM @sessions WHERE account = $1 AND epoch = $2 AND ended_at IS NULL AND expires_at > $3 \
             AND client = $4 ORDER BY began_at DESC, id DESC LIMIT 100 OFFSET {}",
            most - 1
        );
        let values = [id.into(), account.epoch.into(), now.into(), start.client.into()];
        for row in tx.query_all(self.db.statement(&sql, values)).await? {
            let old = uuid(&row.try_get_by_index::<String>(0)?)?;
            self.end_one(tx, old, now, start.cause, EndedBy::TooMany).await?;
        }
        Ok(())
    }
}
