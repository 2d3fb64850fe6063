//! Devices on which somebody signed in before. Each holds a token, `ssd_` and base64url of 32 random bytes, which opens
//! nothing: who sends it has attempts of their own at the accounts that signed in on it, so that strangers keep no owner
//! out, and a sign-in on it is not unusual.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use uuid::Uuid;

use crate::passwords::random;
use crate::store::Account;
use crate::stored::HOUR;
use crate::token_bytes::{hash, read, text};
use crate::{Error, Identity};

/// How every device token begins.
const PREFIX: &str = "ssd_";

/// How long a device is known after its last sign-in.
pub(crate) const KEPT: i64 = 90 * 24 * HOUR;
/// How many devices of an account are known: the ones that were used last.
const AT_A_TIME: i64 = 20;

/// The device that somebody signs in on.
#[derive(Clone, Copy, Default)]
pub struct SignInDevice<'a> {
    /// What it says of itself.
    pub name: Option<&'a str>,
    /// The token that it got when somebody signed in on it before.
    pub token: Option<&'a str>,
    /// The tag of its language, for a mail about the sign-in.
    pub language: &'a str,
}

impl std::fmt::Debug for SignInDevice<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignInDevice({:?})", self.name)
    }
}

/// The stored hash of a device token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceHash(String);

impl DeviceHash {
    /// `None`: it is no device token.
    pub(crate) fn of(token: &str) -> Option<Self> {
        read::<32>(token, PREFIX).map(|secret| Self(hash(&secret)))
    }

    /// As it is stored.
    pub(crate) fn stored(&self) -> &str {
        &self.0
    }
}

/// A device after a sign-in on it.
pub(crate) struct KnownDevice {
    pub(crate) hash: DeviceHash,
    /// The token that it goes on with.
    pub(crate) token: String,
    /// The account had not signed in on it before.
    pub(crate) is_new: bool,
}

impl Identity {
    /// Whether the account with this address signed in on that device before.
    pub(crate) async fn knows(&self, device: &DeviceHash, address: &str) -> Result<bool, Error> {
        let sql = format!(
            "SELECT 1 FROM @devices d JOIN @accounts a ON a.id = d.account \
             WHERE d.hash = $1 AND a.address = $2 AND d.used_at > {} - $3",
            self.db.now()
        );
        let values = [device.stored().into(), address.into(), KEPT.into()];
        Ok(self.db.connection.query_one(self.db.statement(&sql, values)).await?.is_some())
    }

    /// Notes that the account signed in on this device, with the account locked. A device without a token of this shop gets
    /// one; several accounts share one token where they share a browser.
    pub(crate) async fn remember_device(
        &self,
        tx: &DatabaseTransaction,
        account: &Account,
        token: Option<&str>,
        now: i64,
    ) -> Result<KnownDevice, Error> {
        let sent = token.and_then(|token| Some((token, DeviceHash::of(token)?)));
        let mut known = Vec::new();
        if let Some((_, hash)) = &sent {
            let sql = "SELECT account FROM @devices WHERE hash = $1 AND used_at > $2";
            let values = [hash.stored().into(), (now - KEPT).into()];
            for row in tx.query_all(self.db.statement(sql, values)).await? {
                known.push(row.try_get_by_index::<String>(0)?);
            }
        }
        let id = account.id.to_string();
        let is_new = !known.contains(&id);
        let (token, hash) = match sent.filter(|_| !known.is_empty()) {
            Some((token, hash)) => (token.to_owned(), hash),
            None => new_token()?,
        };
        let sql = "INSERT INTO @devices (hash, account, made_at, used_at) VALUES ($1, $2, $3, $3) \
                   ON CONFLICT (hash, account) DO UPDATE SET used_at = excluded.used_at";
        let values = [hash.stored().into(), id.as_str().into(), now.into()];
        tx.execute(self.db.statement(sql, values)).await?;
        let sql = format!(
            "DELETE FROM @devices WHERE account = $1 AND hash <> $2 AND hash NOT IN (SELECT hash FROM @devices \
             WHERE account = $1 ORDER BY used_at DESC, hash LIMIT {AT_A_TIME})"
        );
        tx.execute(self.db.statement(&sql, [id.into(), hash.stored().into()])).await?;
        Ok(KnownDevice { hash, token, is_new })
    }

    /// Forgets the device of a session that its owner ends, unless it is the one on which they do so: a stranger who signs in
    /// there again is noticed.
    pub(crate) async fn forget_device_of(
        &self,
        tx: &DatabaseTransaction,
        account: Uuid,
        session: Uuid,
        asks: Option<Uuid>,
    ) -> Result<(), Error> {
        let sql = "DELETE FROM @devices WHERE account = $1 \
                   AND hash IN (SELECT known_device FROM @sessions WHERE id = $2 AND known_device IS NOT NULL) \
                   AND hash NOT IN (SELECT known_device FROM @sessions WHERE id = $3 AND known_device IS NOT NULL)";
        let asks = asks.map_or_else(String::new, |session| session.to_string());
        let values = [account.to_string().into(), session.to_string().into(), asks.into()];
        tx.execute(self.db.statement(sql, values)).await?;
        Ok(())
    }

    /// Forgets the devices of an account, but the one of the session that stays: others may have signed in on them.
    pub(crate) async fn forget_devices(
        &self,
        tx: &DatabaseTransaction,
        account: Uuid,
        stays: &str,
    ) -> Result<(), Error> {
        let sql = "DELETE FROM @devices WHERE account = $1 AND hash NOT IN \
                   (SELECT known_device FROM @sessions WHERE account = $1 AND id = $2 AND known_device IS NOT NULL)";
        tx.execute(self.db.statement(sql, [account.to_string().into(), stays.into()])).await?;
        Ok(())
    }
}

fn new_token() -> Result<(String, DeviceHash), Error> {
    let mut secret = [0; 32];
    random(&mut secret)?;
    Ok((text(PREFIX, &secret), DeviceHash(hash(&secret))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_device_token_has_no_hash_and_none_is_shown() {
        let (good, hash) = new_token().unwrap();
        assert_eq!(DeviceHash::of(&good), Some(hash));
        for bad in [
            "",
            PREFIX,
            &good[4..],
            &format!("ssp_{}", &good[4..]),
            &format!("{good}="),
            &good[..good.len() - 1],
            &format!("{PREFIX}{}", "A".repeat(10_000)),
        ] {
            assert_eq!(DeviceHash::of(bad), None, "{bad:.60}");
        }
        let device = SignInDevice { token: Some(&good), ..SignInDevice::default() };
        assert!(!format!("{device:?}").contains(&good));
    }
}
