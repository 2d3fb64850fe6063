//! Links that claim the order of a guest for an account. They go to the order's address, which has to be the account's own,
//! and each is of one order and one account.

use sea_orm::ConnectionTrait as _;
use soonshop_domain::ids;
use uuid::Uuid;

use crate::links::NewLink;
use crate::mails::{MailKind, NewMail};
use crate::stored::uuid;
use crate::{ActiveSession, Error, Identity, Purpose};

/// A customer who wants to claim an order.
#[derive(Debug, Clone, Copy)]
pub struct ClaimAsked<'a> {
    pub active: &'a ActiveSession,
    pub order: Uuid,
    /// The address that the order was placed with.
    pub address: &'a str,
    /// The tag of the language of the mail.
    pub language: &'a str,
    /// The network that it comes from.
    pub network: &'a str,
}

/// A link that may be used: the order that it claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimLink {
    pub request: Uuid,
    pub order: Uuid,
}

impl Identity {
    /// Writes down the mail with the link. An order gets as many as an address. [`Error::NotFound`]: its address is not the
    /// account's.
    pub async fn ask_claim(&self, asked: ClaimAsked<'_>) -> Result<(), Error> {
        let ClaimAsked { active, order, address, language, network } = asked;
        let hash = self.address(address).await?;
        self.count_request(Purpose::Claim, network).await?;
        let tx = self.begin().await?;
        let account = self.lock(&tx, active.account).await?.filter(|account| !account.disabled);
        let account = account.ok_or(Error::Token)?;
        let sql = "SELECT 1 FROM @accounts WHERE id = $1 AND address = $2";
        let values = [account.id.to_string().into(), hash.into()];
        if tx.query_one(self.db.statement(sql, values)).await?.is_none() {
            return Err(Error::NotFound);
        }
        let now = self.now(&tx).await?;
        let purpose = Purpose::Claim;
        let counted = [format!("mailed:{}:order:{order}", purpose.name())];
        if !self.may_mail(&tx, purpose.name(), &counted, now).await? {
            return Err(Error::TooManyRequests);
        }
        let (request, expires_at) = (ids::new(), now + purpose.lasts());
        let link = NewLink { purpose, request, address: None, order: Some(order), language, expires_at };
        self.make_link(&tx, &account, link, now).await?;
        let mail = NewMail {
            kind: MailKind::Claim,
            request: Some(request),
            account: Some(account.id),
            address: Some(address),
            language,
            expires_at,
            client: None,
        };
        self.write_mail(&tx, mail).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The order that a link claims for this account. Nothing is used up: the order is claimed once, whoever sends the link
    /// again. [`Error::Link`]: it is not this account's, has expired, another one has followed it, or the account has
    /// another address since.
    pub async fn claim_link(&self, sent: &str, account: Uuid) -> Result<ClaimLink, Error> {
        let request = self.request_of(sent, Purpose::Claim).await?;
        let sql = format!(
            "SELECT l.order_id FROM @links l JOIN @accounts a ON a.id = l.account WHERE l.id = $1 AND l.account = $2 \
             AND l.purpose = 'claim' AND l.expires_at > {} AND l.address_hash = a.address AND a.disabled_at IS NULL",
            self.db.now()
        );
        let values = [request.to_string().into(), account.to_string().into()];
        let row = self.db.connection.query_one(self.db.statement(&sql, values)).await?.ok_or(Error::Link)?;
        let order: Option<String> = row.try_get_by_index(0)?;
        Ok(ClaimLink { request, order: uuid(&order.ok_or(Error::Link)?)? })
    }
}
