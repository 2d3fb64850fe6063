//! Upkeep, by one process at a time: keys are rotated, sessions that nobody uses ended, and old rows deleted.

use sea_orm::ConnectionTrait as _;

use crate::stored::HOUR;
use crate::{Error, Identity};

const DAY: i64 = 24 * HOUR;

/// How long a session is kept after its end, and a key after it signed last.
const SESSIONS_KEPT: i64 = 30 * DAY;
const KEYS_KEPT: i64 = DAY;
/// How long a request and a link are kept after their end.
const LINKS_KEPT: i64 = DAY;
/// For how many hours attempts are kept, and for how many it is kept how often a link was mailed.
const ATTEMPTS_KEPT: i64 = 24;
const MAILED_KEPT: i64 = 8 * 24;

impl Identity {
    /// Rotates signing keys, ends sessions that were not used for too long, and deletes what is old enough.
    pub async fn tend(&self) -> Result<(), Error> {
        self.tend_keys().await?;
        self.end_idle().await?;
        let now = self.db.now();
        for (sql, kept) in [
            (
                format!("DELETE FROM @sessions WHERE coalesce(ended_at, expires_at) < {now} - $1"),
                SESSIONS_KEPT,
            ),
            (
                format!(
                    "DELETE FROM @signing_keys WHERE retired_at IS NOT NULL AND signs_until < {now} - $1"
                ),
                KEYS_KEPT,
            ),
            (format!("DELETE FROM @guests WHERE used_at < {now} - $1"), crate::guests::KEPT),
            (format!("DELETE FROM @sign_ins WHERE expires_at < {now} - $1"), 0),
            (format!("DELETE FROM @challenges WHERE expires_at < {now} - $1"), 0),
            (format!("DELETE FROM @provider_sign_ins WHERE expires_at < {now} - $1"), 0),
            (format!("DELETE FROM @devices WHERE used_at < {now} - $1"), crate::devices::KEPT),
            (
                format!("DELETE FROM @factors WHERE proved_at IS NULL AND added_at < {now} - $1"),
                crate::adding::UNPROVED_KEPT,
            ),
            (format!("DELETE FROM @requests WHERE expires_at < {now} - $1 AND used_at IS NULL"), LINKS_KEPT),
            (format!("DELETE FROM @codes WHERE expires_at < {now} - $1"), DAY),
            (format!("DELETE FROM @mails WHERE expires_at < {now} - $1"), 0),
            (
                format!(
                    "DELETE FROM @links WHERE expires_at < {now} - $1 AND (used_at IS NULL OR purpose = 'reset')"
                ),
                LINKS_KEPT,
            ),
            (
                format!(
                    "DELETE FROM @attempts WHERE hour < {now} / {HOUR} - $1 AND what NOT LIKE 'mailed:%'"
                ),
                ATTEMPTS_KEPT,
            ),
            (format!("DELETE FROM @attempts WHERE hour < {now} / {HOUR} - $1"), MAILED_KEPT),
        ] {
            self.db.connection.execute(self.db.statement(&sql, [kept.into()])).await?;
        }
        Ok(())
    }
}
