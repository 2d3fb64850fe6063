//! Links in mails: `ssl_` and base64url of key number, request and tag. The tag is an HMAC over purpose and request, so a
//! link is made anew whenever its mail is sent, and is stored nowhere.

use ring::hmac;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use uuid::Uuid;

use crate::keyring::LINK;
use crate::store::Account;
use crate::stored::{HOUR, uuid};
use crate::{Error, Identity, token_bytes};

/// How every link's token begins.
pub(crate) const PREFIX: &str = "ssl_";

/// Key number and request.
const HEAD: usize = 4 + 16;
const BYTES: usize = HEAD + 32;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To open an account.
    Register,
    /// To set another password.
    Reset,
    /// To take another address.
    Email,
    /// To take the old address back.
    Undo,
    /// To claim the order of a guest.
    Claim,
}

impl Purpose {
    /// As it is stored, and part of the tag.
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Reset => "reset",
            Self::Email => "email",
            Self::Undo => "undo",
            Self::Claim => "claim",
        }
    }

    pub(crate) fn read(stored: &str) -> Result<Self, Error> {
        let all = [Self::Register, Self::Reset, Self::Email, Self::Undo, Self::Claim];
        let found = all.into_iter().find(|purpose| purpose.name() == stored);
        found.ok_or_else(|| Error::internal("a stored request has an unknown purpose"))
    }

    /// How long a link can be used, from the moment that it was asked for.
    pub(crate) fn lasts(self) -> i64 {
        match self {
            Self::Register | Self::Email | Self::Claim => 24 * HOUR,
            Self::Reset => HOUR,
            // Its mailbox may not be read every day.
            Self::Undo => 7 * 24 * HOUR,
        }
    }
}

fn tag(key: &hmac::Key, purpose: Purpose, request: Uuid) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(purpose.name().as_bytes());
    context.update(request.as_bytes());
    context.sign()
}

fn text(number: i32, key: &hmac::Key, purpose: Purpose, request: Uuid) -> String {
    let mut bytes = [0; BYTES];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes[4..HEAD].copy_from_slice(request.as_bytes());
    bytes[HEAD..].copy_from_slice(tag(key, purpose, request).as_ref());
    token_bytes::text(PREFIX, &bytes)
}

/// The number of the key, the request and the tag of a link that somebody sent; `None`: it has another form.
fn parse(sent: &str) -> Option<(i32, Uuid, [u8; 32])> {
    let bytes: [u8; BYTES] = token_bytes::read(sent, PREFIX)?;
    let (mut number, mut request, mut tag) = ([0; 4], [0; 16], [0; 32]);
    number.copy_from_slice(&bytes[..4]);
    request.copy_from_slice(&bytes[4..HEAD]);
    tag.copy_from_slice(&bytes[HEAD..]);
    Some((i32::from_be_bytes(number), Uuid::from_bytes(request), tag))
}

fn is_made_with(key: &hmac::Key, purpose: Purpose, request: Uuid, tag: &[u8]) -> bool {
    hmac::verify(key, &[purpose.name().as_bytes(), request.as_bytes()].concat(), tag).is_ok()
}

/// A link to make.
pub(crate) struct NewLink<'a> {
    pub(crate) purpose: Purpose,
    pub(crate) request: Uuid,
    /// The address that it leads to.
    pub(crate) address: Option<&'a str>,
    /// The order that it claims.
    pub(crate) order: Option<Uuid>,
    pub(crate) language: &'a str,
    pub(crate) expires_at: i64,
}

impl Identity {
    /// The text of a request's link.
    pub(crate) async fn link(&self, purpose: Purpose, request: Uuid) -> Result<String, Error> {
        let (number, key) = self.keyring.newest(LINK).await?;
        Ok(text(number, &key, purpose, request))
    }

    /// The request of a link that somebody sent. [`Error::Link`]: this shop did not make it for that purpose.
    pub(crate) async fn request_of(&self, sent: &str, purpose: Purpose) -> Result<Uuid, Error> {
        let (number, request, tag) = parse(sent).ok_or(Error::Link)?;
        let key = self.keyring.get(LINK, number).await?;
        let key = key.filter(|key| is_made_with(key, purpose, request, &tag));
        key.map(|_| request).ok_or(Error::Link)
    }

    /// Makes the link of a request, for an account that is locked. Earlier ones of its purpose are void, but for those
    /// that take an old address back, as whoever changes an address twice does not void the first owner's, and for those
    /// of other orders.
    pub(crate) async fn make_link(
        &self,
        tx: &DatabaseTransaction,
        account: &Account,
        link: NewLink<'_>,
        now: i64,
    ) -> Result<(), Error> {
        let (id, request, purpose) = (account.id.to_string(), link.request.to_string(), link.purpose.name());
        let older = "FROM @links WHERE account = $1 AND purpose = $2 AND used_at IS NULL AND purpose <> 'undo' \
             AND (order_id IS NULL OR order_id = $3)";
        let order = link.order.map(|order| order.to_string());
        self.void_links(tx, older, &[id.as_str().into(), purpose.into(), order.clone().into()]).await?;
        let (sealed, hash) = match link.address {
            Some(address) => (Some(self.seal(&request, address).await?), Some(self.address(address).await?)),
            None => (None, None),
        };
        let sql = "INSERT INTO @links (id, account, purpose, new_address, new_hash, language, address_hash, \
                   password_generation, made_at, expires_at, order_id) \
                   SELECT $1, id, $3, $4, $5, $6, address, password_generation, $7, $8, $9 FROM @accounts WHERE id = $2";
        let values = [
            request.into(),
            id.into(),
            purpose.into(),
            sealed.into(),
            hash.into(),
            link.language.into(),
            now.into(),
            link.expires_at.into(),
            order.into(),
        ];
        tx.execute(self.db.statement(sql, values)).await?;
        Ok(())
    }

    /// The account whose link this is, if it can be used now. Nothing is locked: look again with
    /// [`use_link`](Self::use_link).
    pub(crate) async fn account_of(&self, purpose: Purpose, request: Uuid) -> Result<Uuid, Error> {
        let sql = format!(
            "SELECT account FROM @links WHERE id = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > {}",
            self.db.now()
        );
        let values = [request.to_string().into(), purpose.name().into()];
        let row = self.db.connection.query_one(self.db.statement(&sql, values)).await?;
        uuid(&row.ok_or(Error::Link)?.try_get_by_index::<String>(0)?)
    }

    /// Uses a link of an account that is locked, once; all its other links are void. [`Error::Link`]: it was used, it has
    /// expired, another one has followed it, the account is disabled, or it has another address or password since, which
    /// is no reason against taking an address back.
    pub(crate) async fn use_link(
        &self,
        tx: &DatabaseTransaction,
        account: &Account,
        (purpose, request): (Purpose, Uuid),
        now: i64,
    ) -> Result<(), Error> {
        if account.disabled {
            return Err(Error::Link);
        }
        let (id, request) = (account.id.to_string(), request.to_string());
        let sql = "UPDATE @links SET used_at = $4 WHERE id = $1 AND account = $2 AND purpose = $3 AND used_at IS NULL \
                   AND expires_at > $4 AND (purpose = 'undo' OR password_generation = $5 \
                   AND address_hash = (SELECT address FROM @accounts WHERE id = $2))";
        let values = [
            request.as_str().into(),
            id.as_str().into(),
            purpose.name().into(),
            now.into(),
            account.generation.into(),
        ];
        if tx.execute(self.db.statement(sql, values)).await?.rows_affected() != 1 {
            return Err(Error::Link);
        }
        // An old address that is taken back voids the links to those that followed it.
        let others = "FROM @links WHERE account = $1 AND id <> $2 AND used_at IS NULL AND (purpose <> 'undo' \
                      OR $3 = 'undo' AND made_at >= (SELECT own.made_at FROM @links own WHERE own.id = $2))";
        let values = [id.as_str().into(), request.as_str().into(), purpose.name().into()];
        self.void_links(tx, others, &values).await
    }

    /// Deletes links, and their mails that are not sent yet. `which`: `FROM @links WHERE …`, with these values.
    async fn void_links(
        &self,
        tx: &DatabaseTransaction,
        which: &str,
        values: &[sea_orm::Value],
    ) -> Result<(), Error> {
        for sql in
            [format!("DELETE FROM @mails WHERE request IN (SELECT id {which})"), format!("DELETE {which}")]
        {
            tx.execute(self.db.statement(&sql, values.iter().cloned())).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32])
    }

    #[test]
    fn a_link_reads_back_and_is_one_of_its_purpose_alone() {
        let request = Uuid::from_u128(7);
        let link = text(3, &key(1), Purpose::Reset, request);
        let (number, read, tag) = parse(&link).unwrap();
        assert_eq!((number, read), (3, request));
        assert!(is_made_with(&key(1), Purpose::Reset, request, &tag));
        assert!(!is_made_with(&key(1), Purpose::Register, request, &tag), "another purpose");
        assert!(!is_made_with(&key(2), Purpose::Reset, request, &tag), "another key");
        assert!(!is_made_with(&key(1), Purpose::Reset, Uuid::from_u128(8), &tag), "another request");
        assert_eq!(
            link,
            text(3, &key(1), Purpose::Reset, request),
            "it is the same however often it is mailed"
        );
        for purpose in [Purpose::Register, Purpose::Reset, Purpose::Email, Purpose::Undo, Purpose::Claim] {
            assert_eq!(Purpose::read(purpose.name()).unwrap(), purpose);
        }
        assert!(Purpose::read("claims").is_err());
    }

    #[test]
    fn what_has_another_form_is_no_link() {
        let link = text(1, &key(1), Purpose::Reset, Uuid::from_u128(7));
        for bad in [
            String::new(),
            PREFIX.to_owned(),
            link[4..].to_owned(),
            link.replace("ssl_", "ssr_"),
            format!("{link}A"),
            format!("{link}="),
            link[..link.len() - 1].to_owned(),
            format!("{PREFIX}{}", "A".repeat(10_000)),
        ] {
            assert!(parse(&bad).is_none(), "{bad:.60}");
        }
    }
}
