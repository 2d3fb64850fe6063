//! What strangers ask for with an address: to register, or for another password. They all get one answer; a worker decides
//! later whether there is an account, and who gets which mail.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use soonshop_domain::identity::account;
use soonshop_domain::identity::registration::Event;
use soonshop_domain::ids;
use uuid::Uuid;

use crate::links::NewLink;
use crate::mails::{MailKind, NewMail};
use crate::store::Account;
use crate::stored::{HOUR, moment, uuid};
use crate::{Cause, Error, Identity, Purpose};

/// How many requests of a purpose are taken within an hour, from everybody together.
const ASKED_IN_AN_HOUR: i64 = 1_000;
/// How many of them from one network: it does not use up those of everybody.
const ASKED_BY_A_NETWORK: i64 = 100;
/// How many mails of a purpose one address, and one account, gets within an hour, and within a week before it is one a
/// day.
const MAILED_IN_AN_HOUR: i64 = 3;
const MAILED_BEFORE_ONE_A_DAY: i64 = 6;

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub purpose: Purpose,
    /// As it was typed: whose it is.
    pub typed: &'a str,
    /// The same, cleaned: where a mail goes that is not to an account.
    pub address: &'a str,
    /// The tag of the language of the mail.
    pub language: &'a str,
    /// The network that it comes from, as rates count it.
    pub network: &'a str,
}

/// A request that nobody has decided yet.
#[derive(Clone)]
pub struct Undecided {
    pub id: Uuid,
    pub purpose: Purpose,
    address: String,
    address_hash: String,
    language: String,
    expires_at: i64,
    cause: Cause,
    /// The account that wants the address, or that has it.
    pub account: Option<Uuid>,
}

impl std::fmt::Debug for Undecided {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Undecided({}, {})", self.purpose.name(), self.id)
    }
}

impl Identity {
    /// Writes down what somebody asks for. It does the same work whether there is an account or not.
    pub async fn ask(&self, asked: Asked<'_>, cause: &Cause) -> Result<(), Error> {
        self.write_request(asked, None, cause).await
    }

    /// Writes down a request, of an account or of a stranger.
    pub(crate) async fn write_request(
        &self,
        asked: Asked<'_>,
        account: Option<Uuid>,
        cause: &Cause,
    ) -> Result<(), Error> {
        let purpose = asked.purpose;
        self.count_request(purpose, asked.network).await?;
        let id = ids::new().to_string();
        let address = self.seal(&id, asked.address).await?;
        let sql = format!(
            "INSERT INTO @requests (id, purpose, address, address_hash, language, correlation, traceparent, account, asked_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, {now}, {now} + $9)",
            now = self.db.now()
        );
        let values = [
            id.into(),
            purpose.name().into(),
            address.into(),
            self.address(asked.typed).await?.into(),
            asked.language.into(),
            cause.correlation.map(|id| id.to_string()).into(),
            cause.traceparent.clone().into(),
            account.map(|id| id.to_string()).into(),
            purpose.lasts().into(),
        ];
        self.db.connection.execute(self.db.statement(&sql, values)).await?;
        Ok(())
    }

    /// Counts a request for a mail: one network, and everybody together, ask for so many within an hour.
    pub(crate) async fn count_request(&self, purpose: Purpose, network: &str) -> Result<(), Error> {
        let asked_by_all = format!("asked:{}", purpose.name());
        let asked_by_network = format!("{asked_by_all}:network:{network}");
        for (what, most) in [(asked_by_network, ASKED_BY_A_NETWORK), (asked_by_all, ASKED_IN_AN_HOUR)] {
            let (count, _) = self.count(&self.db.connection, &what).await?;
            if count > most {
                return Err(Error::TooManyRequests);
            }
        }
        Ok(())
    }

    /// The requests that nobody has decided yet, the oldest first, and at most so many.
    pub async fn undecided(&self, most: u32) -> Result<Vec<Undecided>, Error> {
        let sql = format!(
            "SELECT r.id, r.purpose, r.address, r.address_hash, r.language, r.expires_at, r.correlation, r.traceparent, coalesce(r.account, a.id) \
             FROM @requests r LEFT JOIN @accounts a ON a.address = r.address_hash \
             WHERE r.linked_at IS NULL AND r.expires_at > {} ORDER BY r.asked_at, r.id LIMIT {most}",
            self.db.now()
        );
        let mut all = Vec::new();
        for row in self.db.connection.query_all(self.db.statement(&sql, [])).await? {
            let correlation: Option<String> = row.try_get_by_index(6)?;
            let account: Option<String> = row.try_get_by_index(8)?;
            all.push(Undecided {
                id: uuid(&row.try_get_by_index::<String>(0)?)?,
                purpose: Purpose::read(&row.try_get_by_index::<String>(1)?)?,
                address: self.unseal(&row.try_get_by_index::<String>(2)?).await?,
                address_hash: row.try_get_by_index(3)?,
                language: row.try_get_by_index(4)?,
                expires_at: row.try_get_by_index(5)?,
                cause: Cause {
                    correlation: correlation.map(|id| uuid(&id)).transpose()?,
                    traceparent: row.try_get_by_index(7)?,
                    ..Cause::system()
                },
                account: account.map(|id| uuid(&id)).transpose()?,
            });
        }
        Ok(all)
    }

    /// Decides a request: its link is made, and its mail written down, or it comes to nothing. `stored` is the address
    /// that the user of [`Undecided::account`] has in the log: a mail to an account goes there.
    pub async fn decide(&self, request: &Undecided, stored: Option<&str>) -> Result<(), Error> {
        let tx = self.begin().await?;
        let id = request.id.to_string();
        let now = self.now_writing(&tx, &id).await?;
        let Some(now) = now else { return Ok(()) };
        let account = match self.holder(&tx, &request.address_hash).await? {
            Some(account) => self.lock(&tx, account).await?,
            None => None,
        };
        let linked = match (request.purpose, &account) {
            (Purpose::Register, None) => self.offer_account(&tx, request, now).await?,
            (Purpose::Email, None) => {
                self.offer_address(&tx, request, now).await?;
                false
            }
            // Nobody has the address, or somebody else.
            (Purpose::Reset | Purpose::Undo | Purpose::Claim, None)
            | (Purpose::Email | Purpose::Undo | Purpose::Claim, Some(_)) => false,
            (purpose, Some(_)) => {
                self.write_to_owner(&tx, request, account, stored, (purpose, now)).await?;
                false
            }
        };
        if !linked {
            let sql = "DELETE FROM @requests WHERE id = $1";
            tx.execute(self.db.statement(sql, [id.into()])).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Takes a request, so that it is decided once, and says what time it is. `None`: it is gone, or it was decided.
    async fn now_writing(&self, tx: &DatabaseTransaction, id: &str) -> Result<Option<i64>, Error> {
        let sql = format!(
            "UPDATE @requests SET linked_at = {} WHERE id = $1 AND linked_at IS NULL RETURNING linked_at",
            self.db.now()
        );
        let row = tx.query_one(self.db.statement(&sql, [id.into()])).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
    }

    async fn holder(&self, tx: &DatabaseTransaction, address_hash: &str) -> Result<Option<Uuid>, Error> {
        let sql = "SELECT id FROM @accounts WHERE address = $1";
        let row = tx.query_one(self.db.statement(sql, [address_hash.into()])).await?;
        row.map(|row| uuid(&row.try_get_by_index::<String>(0)?)).transpose()
    }

    /// Nobody has the address: it gets the link of a registration, and the links that it had are void.
    async fn offer_account(
        &self,
        tx: &DatabaseTransaction,
        request: &Undecided,
        now: i64,
    ) -> Result<bool, Error> {
        if !self.may_answer(tx, request, None, now).await? {
            return Ok(false);
        }
        let older = "FROM @requests WHERE address_hash = $1 AND purpose = $2 AND id <> $3 AND linked_at IS NOT NULL \
                     AND used_at IS NULL";
        for sql in
            [format!("DELETE FROM @mails WHERE request IN (SELECT id {older})"), format!("DELETE {older}")]
        {
            let values = [
                request.address_hash.as_str().into(),
                request.purpose.name().into(),
                request.id.to_string().into(),
            ];
            tx.execute(self.db.statement(&sql, values)).await?;
        }
        let event = Event::RegistrationRequested { expires_at: moment(request.expires_at)? };
        self.record_of_registration(tx, request.id, now, &request.cause, event).await?;
        let mail = NewMail {
            kind: MailKind::Register,
            request: Some(request.id),
            account: None,
            address: Some(&request.address),
            language: &request.language,
            expires_at: request.expires_at,
            client: None,
        };
        self.write_mail(tx, mail).await?;
        Ok(true)
    }

    /// Somebody has the address: its owner gets a mail, at the address that the shop has stored.
    async fn write_to_owner(
        &self,
        tx: &DatabaseTransaction,
        request: &Undecided,
        account: Option<Account>,
        stored: Option<&str>,
        (purpose, now): (Purpose, i64),
    ) -> Result<(), Error> {
        let (Some(mut account), Some(stored)) = (account, stored) else { return Ok(()) };
        let same = self.address(stored).await? == request.address_hash;
        if account.disabled || !same || !self.may_answer(tx, request, Some(account.id), now).await? {
            return Ok(());
        }
        let kind = match purpose {
            Purpose::Reset => MailKind::Reset,
            _ => MailKind::AccountExists,
        };
        if purpose == Purpose::Reset {
            let link = NewLink {
                purpose,
                request: request.id,
                address: None,
                order: None,
                language: &request.language,
                expires_at: request.expires_at,
            };
            self.make_link(tx, &account, link, now).await?;
            let expires_at = moment(request.expires_at)?;
            let event = account::Event::PasswordResetRequested { request: request.id, expires_at };
            let by = ("account.request-reset", &request.cause);
            self.record_of_account(tx, &mut account, now, by, event).await?;
        }
        let mail = NewMail {
            kind,
            request: (purpose == Purpose::Reset).then_some(request.id),
            account: Some(account.id),
            address: Some(stored),
            language: &request.language,
            expires_at: request.expires_at,
            client: None,
        };
        self.write_mail(tx, mail).await
    }

    /// Nobody has the address that an account wants: it gets the link that makes it the account's.
    async fn offer_address(
        &self,
        tx: &DatabaseTransaction,
        request: &Undecided,
        now: i64,
    ) -> Result<(), Error> {
        let Some(id) = request.account else { return Ok(()) };
        let Some(mut account) = self.lock(tx, id).await?.filter(|account| !account.disabled) else {
            return Ok(());
        };
        if !self.may_answer(tx, request, Some(id), now).await? {
            return Ok(());
        }
        let link = NewLink {
            purpose: Purpose::Email,
            request: request.id,
            address: Some(&request.address),
            order: None,
            language: &request.language,
            expires_at: request.expires_at,
        };
        self.make_link(tx, &account, link, now).await?;
        let event = account::Event::EmailChangeRequested {
            request: request.id,
            expires_at: moment(request.expires_at)?,
        };
        let by = request.cause.by_owner(id, account.roles.is_staff(), None);
        self.record_of_account(tx, &mut account, now, ("account.request-address", &by), event).await?;
        let mail = NewMail {
            kind: MailKind::Email,
            request: Some(request.id),
            account: Some(id),
            address: Some(&request.address),
            language: &request.language,
            expires_at: request.expires_at,
            client: None,
        };
        self.write_mail(tx, mail).await
    }

    /// Whether the address, and the account, may get another mail of this purpose: then it is counted.
    async fn may_answer(
        &self,
        tx: &DatabaseTransaction,
        request: &Undecided,
        account: Option<Uuid>,
        now: i64,
    ) -> Result<bool, Error> {
        let purpose = request.purpose.name();
        let typed = format!("mailed:{purpose}:typed:{}", request.address_hash);
        let of_account = account.map(|id| format!("mailed:{purpose}:account:{id}"));
        let counted: Vec<String> = [Some(typed), of_account].into_iter().flatten().collect();
        self.may_mail(tx, purpose, &counted, now).await
    }

    /// Whether all these may get another mail of this purpose: then it is counted.
    pub(crate) async fn may_mail(
        &self,
        tx: &DatabaseTransaction,
        purpose: &str,
        counted: &[String],
        now: i64,
    ) -> Result<bool, Error> {
        let hour = now.div_euclid(HOUR);
        for what in counted {
            let sql = "SELECT coalesce(sum(CASE WHEN hour = $2 THEN count ELSE 0 END), 0), \
                       coalesce(sum(CASE WHEN hour > $2 - 24 THEN count ELSE 0 END), 0), \
                       coalesce(sum(count), 0) FROM @attempts WHERE what = $1 AND hour > $2 - 168";
            let sql = if self.db.is_sqlite() { sql.to_owned() } else { sql.replace(", 0)", ", 0)::bigint") };
            let row = tx.query_one(self.db.statement(&sql, [what.as_str().into(), hour.into()])).await?;
            let row = row.ok_or_else(|| Error::internal("mails were not counted"))?;
            let (this_hour, this_day): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            if !allowed(this_hour, this_day, row.try_get_by_index(2)?) {
                tracing::info!(purpose, "an address gets no more mails for a while");
                return Ok(false);
            }
        }
        for what in counted {
            self.count(tx, what).await?;
        }
        Ok(true)
    }
}

/// Whether there may be one more, after so many within this hour, a day and a week.
fn allowed(hour: i64, day: i64, week: i64) -> bool {
    if week < MAILED_BEFORE_ONE_A_DAY { hour < MAILED_IN_AN_HOUR } else { day == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_three_mails_an_hour_six_in_all_and_then_one_a_day() {
        for (hour, day, week, may) in [
            (0, 0, 0, true),
            (2, 2, 2, true),
            (3, 3, 3, false),
            (0, 3, 3, true),
            (2, 5, 5, true),
            (0, 6, 6, false),
            (0, 1, 6, false),
            (0, 0, 6, true),
            (0, 0, 40, true),
        ] {
            assert_eq!(allowed(hour, day, week), may, "{hour} {day} {week}");
        }
    }
}
