//! Passkeys as second factors: added in two steps, asked for, and taken.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use serde_json::Value;
use soonshop_domain::identity::account::FactorKind;
use soonshop_domain::{Personal, PersonalValue as _, Purpose, ids};
use uuid::Uuid;

use crate::adding::BegunFactor;
use crate::challenges::{Asker, Challenge};
use crate::pending_token::PendingHash;
use crate::relying_party::{KnownPasskey, PasskeyKey, RefusedAnswer};
use crate::store::Account;
use crate::stored::uuid;
use crate::{ActiveSession, Cause, Error, Identity, Password, RelyingParty};

/// Somebody who wants a passkey.
#[derive(Debug, Clone)]
pub struct NewPasskey<'a> {
    pub active: &'a ActiveSession,
    /// Their password, once more: a session that was left open adds none.
    pub password: Password,
    /// What its owner calls it.
    pub name: &'a str,
    /// The network that it comes from.
    pub network: &'a str,
}

/// A passkey that waits for the browser's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct StartedPasskey {
    pub id: Uuid,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON`.
    pub options: Value,
}

/// A passkey of an account, opened.
pub(crate) struct Passkey {
    pub(crate) factor: Uuid,
    key: PasskeyKey,
}

/// What the answer of a passkey is compared with; no challenge: it is no such answer.
#[derive(Default)]
pub(crate) struct PasskeyGuess {
    pub(crate) challenge: Option<Challenge>,
    pub(crate) passkeys: Vec<Passkey>,
}

/// The stored hash of the id of a passkey.
fn hash(id: &str) -> String {
    STANDARD.encode(digest(&SHA256, id.as_bytes()))
}

impl Identity {
    /// With passkeys for this site. Without it, none can be added, nor asked for.
    #[must_use]
    pub fn with_passkeys(mut self, relying_party: Option<RelyingParty>) -> Self {
        self.relying_party = relying_party.map(Into::into);
        self
    }

    /// Whether there can be passkeys.
    pub fn offers_passkeys(&self) -> bool {
        self.relying_party.is_some()
    }

    pub(crate) fn relying_party(&self) -> Result<&RelyingParty, Error> {
        self.relying_party.as_deref().ok_or(Error::PasskeysNotOffered)
    }

    /// The passkeys of an account.
    pub(crate) async fn passkeys(&self, account: Uuid) -> Result<Vec<Passkey>, Error> {
        let opened = self.opened_secrets(account, FactorKind::Passkey).await?.into_iter();
        opened
            .map(|(factor, text)| {
                Ok(Passkey { factor, key: serde_json::from_str(&text).map_err(Error::internal)? })
            })
            .collect()
    }

    /// Begins to add a passkey, as [`add_factor`](Self::add_factor) does an app.
    pub async fn add_passkey(&self, new: NewPasskey<'_>) -> Result<StartedPasskey, Error> {
        let relying_party = self.relying_party()?;
        let NewPasskey { active, password, name, network } = new;
        let verified = self.verified(active.account, password, network).await?;
        let known: Vec<_> = self.passkeys(verified.id).await?.into_iter().map(|one| one.key).collect();
        let asked = relying_party.ask_for_new(verified.id, &known)?;
        let id = ids::new();
        let asker = Asker::Adding { factor: id, session: active.session };
        let begun = BegunFactor {
            id,
            kind: FactorKind::Passkey,
            secret: None,
            name: Some(self.sealed_of(verified.id, name.to_owned()).await?),
            challenge: Some((asker, self.sealed_challenge(&asked.state).await?)),
        };
        self.begin_factor(active, &verified, begun).await?;
        Ok(StartedPasskey { id, options: asked.options })
    }

    /// Proves a passkey that was begun by the browser's answer. With the first factor of an account come its recovery codes,
    /// shown this once.
    pub async fn prove_passkey(
        &self,
        active: &ActiveSession,
        factor: Uuid,
        answer: &str,
        cause: &Cause,
    ) -> Result<Vec<String>, Error> {
        let relying_party = self.relying_party()?;
        self.begun(&self.db.connection, active.account, (factor, FactorKind::Passkey)).await?;
        let asker = Asker::Adding { factor, session: active.session };
        let challenge = self.challenge(active.account, asker).await?.ok_or(Error::WrongPasskey)?;
        let made = match relying_party.new_passkey(&challenge.state, answer) {
            Ok((key, state)) => {
                let text = serde_json::to_string(&key).map_err(Error::internal)?;
                Some((hash(&key.id), self.sealed_of(active.account, text).await?, state))
            }
            Err(RefusedAnswer::Internal(error)) => return Err(error),
            Err(refused) => {
                tracing::info!(?refused, %factor, "a new passkey was refused");
                None
            }
        };
        let tx = self.begin().await?;
        let mut account = self.lock(&tx, active.account).await?.ok_or(Error::Token)?;
        let now = self.now(&tx).await?;
        self.still_active(&tx, &account, active.session, now).await?;
        self.begun(&tx, account.id, (factor, FactorKind::Passkey)).await?;
        let waited = self.use_challenge(&tx, &challenge, now).await?;
        let Some((hash, secret, state)) = made.filter(|_| waited) else {
            tx.commit().await?;
            return Err(Error::WrongPasskey);
        };
        let sql = "SELECT 1 FROM @factors WHERE kind = 'passkey' AND hash = $1";
        if tx.query_one(self.db.statement(sql, [hash.as_str().into()])).await?.is_some() {
            tx.commit().await?;
            return Err(Error::WrongPasskey);
        }
        let sql = "UPDATE @factors SET proved_at = $2, used_at = $2, secret = $3, hash = $4, state = $5 \
                   WHERE id = $1 AND proved_at IS NULL";
        let values = [factor.to_string().into(), now.into(), secret.into(), hash.into(), state.into()];
        if tx.execute(self.db.statement(sql, values)).await?.rows_affected() != 1 {
            return Err(Error::NotFound);
        }
        let of = (active.session, factor, FactorKind::Passkey);
        let codes = self.was_added(&tx, &mut account, of, now, cause).await?;
        tx.commit().await?;
        Ok(codes)
    }

    /// Asks a sign-in that waits for a passkey: what `PublicKeyCredential.parseRequestOptionsFromJSON` takes.
    pub async fn ask_at_sign_in(&self, token: &str) -> Result<Value, Error> {
        let pending = PendingHash::of(token).ok_or(Error::SignInEnded)?;
        let sql = format!("SELECT account FROM @sign_ins WHERE hash = $1 AND expires_at > {}", self.db.now());
        let row = self.db.connection.query_one(self.db.statement(&sql, [pending.stored().into()])).await?;
        let id = uuid(&row.ok_or(Error::SignInEnded)?.try_get_by_index::<String>(0)?)?;
        let (options, sealed) = self.asked(id).await?;
        let tx = self.begin().await?;
        let account = self.lock(&tx, id).await?.ok_or(Error::SignInEnded)?;
        let now = self.now(&tx).await?;
        if !self.waits(&tx, &pending, account.id, now).await? {
            return Err(Error::SignInEnded);
        }
        self.keep_challenge(&tx, account.id, (Asker::SignIn(&pending), sealed), now).await?;
        tx.commit().await?;
        Ok(options)
    }

    /// Asks somebody who is signed in for a passkey, for what asks for a fresh second factor.
    pub async fn ask_for_step_up(&self, active: &ActiveSession) -> Result<Value, Error> {
        let (options, sealed) = self.asked(active.account).await?;
        let tx = self.begin().await?;
        let account = self.lock(&tx, active.account).await?.ok_or(Error::Token)?;
        let now = self.now(&tx).await?;
        self.still_active(&tx, &account, active.session, now).await?;
        self.keep_challenge(&tx, account.id, (Asker::StepUp(active.session), sealed), now).await?;
        tx.commit().await?;
        Ok(options)
    }

    /// What the passkeys of an account are asked, and the sealed state of it.
    async fn asked(&self, account: Uuid) -> Result<(Value, String), Error> {
        let relying_party = self.relying_party()?;
        let known: Vec<_> = self.passkeys(account).await?.into_iter().map(|one| one.key).collect();
        if known.is_empty() {
            return Err(Error::NoPasskey);
        }
        let asked = relying_party.ask(&known)?;
        Ok((asked.options, self.sealed_challenge(&asked.state).await?))
    }

    /// Takes the answer of a passkey, with the account locked. The inner error is for who gave it: what was done stays.
    pub(crate) async fn take_passkey(
        &self,
        tx: &DatabaseTransaction,
        account: &mut Account,
        (guess, answer): (&PasskeyGuess, &str),
        attempts: (i64, i64),
        now: i64,
    ) -> Result<Result<(), Error>, Error> {
        let PasskeyGuess { challenge, passkeys } = guess;
        let Some(challenge) = challenge else { return Ok(Err(Error::WrongPasskey)) };
        if !self.use_challenge(tx, challenge, now).await? {
            return Ok(Err(Error::WrongPasskey));
        }
        let sql = "SELECT id, state FROM @factors WHERE account = $1 AND kind = 'passkey' AND proved_at IS NOT NULL";
        let mut states = Vec::new();
        for row in tx.query_all(self.db.statement(sql, [account.id.to_string().into()])).await? {
            let factor = uuid(&row.try_get_by_index::<String>(0)?)?;
            states.push((factor, row.try_get_by_index::<String>(1)?));
        }
        let found = passkeys.iter().filter_map(|one| {
            let (factor, state) = states.iter().find(|(factor, _)| *factor == one.factor)?;
            Some((*factor, KnownPasskey { key: &one.key, state }))
        });
        let (factors, known): (Vec<_>, Vec<_>) = found.unzip();
        let given = (challenge.state.as_str(), answer);
        let right = match self.relying_party()?.answer(account.id, given, &known) {
            Ok(right) => right,
            Err(RefusedAnswer::Internal(error)) => return Err(error),
            Err(RefusedAnswer::Copied) => {
                // The signature was right, so somebody has a copy of its key.
                self.report_passkey(tx, account, attempts).await?;
                return Ok(Err(Error::CopiedPasskey));
            }
            Err(RefusedAnswer::Wrong(why)) => {
                tracing::info!(why, "the answer of a passkey was refused");
                return Ok(Err(Error::WrongPasskey));
            }
        };
        let sql = "UPDATE @factors SET state = $2, used_at = $3 WHERE id = $1";
        let values = [factors[right.index].to_string().into(), right.state.into(), now.into()];
        tx.execute(self.db.statement(sql, values)).await?;
        Ok(Ok(()))
    }

    /// A value of an account's owner, sealed with their key.
    pub(crate) async fn sealed_of(&self, account: Uuid, text: String) -> Result<String, Error> {
        let mut value = Personal::new(text, account, Purpose::Account);
        self.people.encrypt(&mut value).await?;
        Ok(value.jwe().ok_or_else(|| Error::internal("a value was not sealed"))?.to_owned())
    }
}
