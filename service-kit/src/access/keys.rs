//! Stored keys and sessions, and the port that looks them up.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use ring::hmac;
use uuid::Uuid;

use super::role::Role;
use super::scope::{Networks, Scope};
use crate::Problem;

#[cfg(test)]
thread_local! {
    /// How often this thread compared something with a secret.
    pub(super) static COMPARED: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// A secret to compare with the one that a caller sent. It cannot be read, only compared with [`Secret::is`], in
/// constant time.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The time it takes does not depend on where the two differ: it compares their HMACs under the secret.
    pub fn is(&self, sent: &[u8]) -> bool {
        #[cfg(test)]
        COMPARED.set(COMPARED.get() + 1);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let tag = hmac::sign(&key, &self.0);
        hmac::verify(&key, sent, tag.as_ref()).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A key as it is stored.
#[derive(Debug, Clone)]
pub struct StoredKey {
    pub id: Uuid,
    /// SHA-256 of the secret.
    pub hash: Secret,
    pub role: Role,
    pub scope: Scope,
    pub networks: Networks,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked: bool,
    /// To about a minute.
    pub used_at: Option<DateTime<Utc>>,
}

impl StoredKey {
    /// Whether it opens the shop at that moment.
    pub fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.lives(now).is_ok()
    }

    /// Refuses a key that was revoked or has expired.
    pub(super) fn lives(&self, now: DateTime<Utc>) -> Result<(), Problem> {
        if self.revoked {
            return Err(bad_token());
        }
        if self.expires_at.is_some_and(|expires_at| expires_at <= now) {
            let detail = "the API key has expired: its issuer can replace it with `soonshop key rotate`";
            return Err(Problem::unauthenticated("token-expired", detail));
        }
        Ok(())
    }
}

/// A session as it is stored.
#[derive(Debug, Clone)]
pub struct StoredSession {
    /// SHA-256 of the cookie's 32 random bytes.
    pub hash: [u8; 32],
    /// The key that it was begun with; `None`: the operator's token.
    pub key: Option<StoredKey>,
    /// SHA-256 of the secret that it was begun with: another token of the operator's ends it.
    pub proof: [u8; 32],
    pub expires_at: DateTime<Utc>,
}

/// The reason why keys cannot be looked up just now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Where keys are stored.
#[async_trait]
pub trait Keys: Send + Sync {
    /// The key with that prefix. It does not check the secret.
    async fn find(&self, prefix: &str) -> Result<Option<StoredKey>, Unavailable>;

    /// The key with that id, also if it was revoked or has expired: its id is that of its holder, as the writer of
    /// notes.
    async fn of_holder(&self, id: Uuid) -> Result<Option<StoredKey>, Unavailable>;

    /// Records that the key was used just now.
    async fn used(&self, id: Uuid) -> Result<(), Unavailable>;

    /// Stores a new session, and records who began it.
    async fn begin(&self, session: &StoredSession) -> Result<(), Unavailable>;

    /// The session with that hash, unless it was ended, with the current state of its key.
    async fn session(&self, hash: [u8; 32]) -> Result<Option<StoredSession>, Unavailable>;

    /// Ends the session in every process.
    async fn end(&self, hash: [u8; 32]) -> Result<(), Unavailable>;
}

pub(super) fn hash(secret: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, secret).as_ref());
    hash
}

/// The same problem for every bad token, so that a caller learns nothing about the keys that exist.
pub(super) fn bad_token() -> Problem {
    Problem::unauthenticated(
        "bad-token",
        "Authorization carries no API key that is known and not revoked, no access token of a session that has not ended, \
         nor the operator's token: leave it out, or send `Bearer <token>`, once",
    )
}
