//! Mails that wait to be sent, by the one worker that sends them. Each is sent at least once, and none whose link has
//! expired.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use soonshop_domain::ids;
use soonshop_event_log::Db;
use uuid::Uuid;

use crate::stored::{HOUR, moment, uuid};
use crate::{Error, Identity, Purpose};

/// The first pause after a failure, in milliseconds; each further one is twice as long, up to the longest.
const PAUSE: i64 = 5_000;
const LONGEST_PAUSE: i64 = HOUR;

/// What a mail says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MailKind {
    /// The link of a registration.
    Register,
    /// Somebody wants to register an address that has an account.
    AccountExists,
    /// The link that sets another password.
    Reset,
    /// The link that makes this address the account's.
    Email,
    /// The address of the account is another one; the link takes this one back.
    Undo,
    /// Somebody signed in on a device that is not known.
    SignIn,
    /// The link that claims the order of a guest.
    Claim,
    /// The account has another password.
    PasswordChanged,
    /// It has another second factor, the first or one more.
    FactorAdded,
    /// A second factor was removed.
    FactorRemoved,
    /// It has other recovery codes.
    RecoveryCodesMade,
    /// A recovery code stood in for a second factor.
    RecoveryCodeUsed,
    /// Its owner may sign in with a provider of identities, too.
    ProviderLinked,
    /// Its owner lets a client of OAuth act for them.
    ClientAllowed,
}

impl MailKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Register,
        Self::AccountExists,
        Self::Reset,
        Self::Email,
        Self::Undo,
        Self::SignIn,
        Self::Claim,
        Self::PasswordChanged,
        Self::FactorAdded,
        Self::FactorRemoved,
        Self::RecoveryCodesMade,
        Self::RecoveryCodeUsed,
        Self::ProviderLinked,
        Self::ClientAllowed,
    ];

    /// As it is stored, and in the keys of its texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::AccountExists => "account-exists",
            Self::Reset => "reset",
            Self::Email => "email",
            Self::Undo => "undo",
            Self::SignIn => "sign-in",
            Self::Claim => "claim",
            Self::PasswordChanged => "password-changed",
            Self::FactorAdded => "factor-added",
            Self::FactorRemoved => "factor-removed",
            Self::RecoveryCodesMade => "recovery-codes-made",
            Self::RecoveryCodeUsed => "recovery-code-used",
            Self::ProviderLinked => "provider-linked",
            Self::ClientAllowed => "client-allowed",
        }
    }

    /// Whether it tells an owner what happened to their account, when it happened, and leads nowhere.
    pub fn is_notice(self) -> bool {
        match self {
            Self::Register | Self::AccountExists | Self::Reset | Self::Email | Self::Undo | Self::Claim => {
                false
            }
            Self::SignIn
            | Self::PasswordChanged
            | Self::FactorAdded
            | Self::FactorRemoved
            | Self::RecoveryCodesMade
            | Self::RecoveryCodeUsed
            | Self::ProviderLinked
            | Self::ClientAllowed => true,
        }
    }

    fn purpose(self) -> Option<Purpose> {
        match self {
            Self::Register => Some(Purpose::Register),
            Self::Reset => Some(Purpose::Reset),
            Self::Email => Some(Purpose::Email),
            Self::Undo => Some(Purpose::Undo),
            Self::Claim => Some(Purpose::Claim),
            Self::AccountExists
            | Self::SignIn
            | Self::PasswordChanged
            | Self::FactorAdded
            | Self::FactorRemoved
            | Self::RecoveryCodesMade
            | Self::RecoveryCodeUsed
            | Self::ProviderLinked
            | Self::ClientAllowed => None,
        }
    }

    fn read(stored: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == stored);
        found.ok_or_else(|| Error::internal("a stored mail has an unknown kind"))
    }
}

/// A mail that is due. Nothing in it was typed but the address, which is in no `Debug`, and the client's name, which is the
/// operator's.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    pub id: Uuid,
    pub kind: MailKind,
    pub address: String,
    /// The tag of its language.
    pub language: String,
    /// The token of its link.
    pub link: Option<String>,
    /// Its link can be used until then.
    pub expires_at: DateTime<Utc>,
    /// How often it was tried before.
    pub tries: i64,
    /// The name of the client that it tells of.
    pub client: Option<String>,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mail({}, {})", self.kind.name(), self.id)
    }
}

/// Why a mail was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    pub reason: String,
    /// The server does not take this address, and takes others.
    pub refused: bool,
}

/// A mail to write down.
pub(crate) struct NewMail<'a> {
    pub(crate) kind: MailKind,
    pub(crate) request: Option<Uuid>,
    pub(crate) account: Option<Uuid>,
    /// `None`: the one that the account's user has, which is looked up before it is sent.
    pub(crate) address: Option<&'a str>,
    pub(crate) language: &'a str,
    pub(crate) expires_at: i64,
    /// The client that it tells of.
    pub(crate) client: Option<Uuid>,
}

/// The pause after so many failures.
fn pause(tries: i64) -> i64 {
    let doubled = u32::try_from(tries).ok().and_then(|tries| 2_i64.checked_pow(tries.min(30)));
    doubled.and_then(|times| PAUSE.checked_mul(times)).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
}

impl Identity {
    pub(crate) async fn write_mail(&self, tx: &DatabaseTransaction, mail: NewMail<'_>) -> Result<(), Error> {
        let id = ids::new().to_string();
        let address = match mail.address {
            Some(address) => self.seal(&id, address).await?,
            None => String::new(),
        };
        let sql = format!(
            "INSERT INTO @mails (id, kind, request, account, address, language, expires_at, client, due_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, {})",
            self.db.now()
        );
        let values = [
            id.into(),
            mail.kind.name().into(),
            mail.request.map(|request| request.to_string()).into(),
            mail.account.map(|account| account.to_string()).into(),
            address.into(),
            mail.language.into(),
            mail.expires_at.into(),
            mail.client.map(|client| client.to_string()).into(),
        ];
        tx.execute(self.db.statement(&sql, values)).await?;
        Ok(())
    }

    /// The mails that are due, the oldest first, and at most so many; those whose links have expired are deleted.
    pub async fn due_mails(&self, most: u32) -> Result<Vec<Mail>, Error> {
        let now = self.db.now();
        let sql = format!("DELETE FROM @mails WHERE expires_at <= {now}");
        self.db.connection.execute(self.db.statement(&sql, [])).await?;
        // Those that only a later release knows wait for it, and hold up no others.
        let known = MailKind::ALL.map(|kind| format!("'{}'", kind.name())).join(", ");
        let sql = format!(
            "SELECT m.id, m.kind, m.request, m.address, m.language, m.expires_at, m.tries, k.name FROM @mails m \
             LEFT JOIN @clients k ON k.id = m.client WHERE m.due_at <= {now} AND m.address <> '' \
             AND m.kind IN ({known}) ORDER BY m.due_at, m.id LIMIT {most}"
        );
        let mut all = Vec::new();
        for row in self.db.connection.query_all(self.db.statement(&sql, [])).await? {
            let kind = MailKind::read(&row.try_get_by_index::<String>(1)?)?;
            let request: Option<String> = row.try_get_by_index(2)?;
            let link = match (kind.purpose(), request) {
                (Some(purpose), Some(request)) => Some(self.link(purpose, uuid(&request)?).await?),
                _ => None,
            };
            all.push(Mail {
                id: uuid(&row.try_get_by_index::<String>(0)?)?,
                kind,
                address: self.unseal(&row.try_get_by_index::<String>(3)?).await?,
                language: row.try_get_by_index(4)?,
                link,
                expires_at: moment(row.try_get_by_index(5)?)?,
                tries: row.try_get_by_index(6)?,
                client: row.try_get_by_index(7)?,
            });
        }
        Ok(all)
    }

    /// It was sent.
    pub async fn mail_sent(&self, mail: &Mail) -> Result<(), Error> {
        let sql = "DELETE FROM @mails WHERE id = $1";
        self.db.connection.execute(self.db.statement(sql, [mail.id.to_string().into()])).await?;
        Ok(())
    }

    /// It was not sent, and is tried again after a pause that grows.
    pub async fn mail_failed(&self, mail: &Mail, unsent: &Unsent) -> Result<(), Error> {
        let reason: String = unsent.reason.replace(&mail.address, "…").chars().take(200).collect();
        let sql = format!(
            "UPDATE @mails SET tries = tries + 1, due_at = {} + $2, failed = $3, refused = $4 WHERE id = $1",
            self.db.now()
        );
        let values = [
            mail.id.to_string().into(),
            pause(mail.tries).into(),
            reason.into(),
            i32::from(unsent.refused).into(),
        ];
        self.db.connection.execute(self.db.statement(&sql, values)).await?;
        Ok(())
    }
}

/// How many mails were tried and could not be sent, for another reason than their address, and why the last one could not.
pub async fn failing(db: &Db) -> Result<Option<(i64, String)>, Error> {
    let sql = "SELECT count(*) OVER (), failed FROM @mails WHERE tries > 0 AND refused = 0 ORDER BY due_at DESC LIMIT 1";
    let Some(row) = db.connection.query_one(db.statement(sql, [])).await? else { return Ok(None) };
    let reason: Option<String> = row.try_get_by_index(1)?;
    Ok(Some((row.try_get_by_index(0)?, reason.unwrap_or_default())))
}

/// How many mails wait that could still be sent.
pub async fn waiting(db: &Db) -> Result<i64, Error> {
    let sql = format!("SELECT count(*) FROM @mails WHERE expires_at > {}", db.now());
    let row = db.connection.query_one(db.statement(&sql, [])).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_after_a_failure_grows_to_an_hour() {
        assert_eq!([0, 1, 2, 3].map(pause), [5_000, 10_000, 20_000, 40_000]);
        assert_eq!([10, 100, i64::MAX].map(pause), [LONGEST_PAUSE; 3]);
    }

    #[test]
    fn every_kind_is_read_as_it_is_stored() {
        for kind in MailKind::ALL {
            assert_eq!(MailKind::read(kind.name()).unwrap(), kind);
        }
        assert!(MailKind::read("").is_err());
    }
}
