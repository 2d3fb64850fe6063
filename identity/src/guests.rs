//! Guests: buyers without an account, each known by a token. It is `ssg_` and base64url of key number, guest and tag. The tag
//! is an HMAC over the guest, so that whoever repeats the first command gets the same token again; only its hash is stored.

use std::collections::{HashMap, HashSet};

use ring::hmac;
use sea_orm::{ConnectionTrait as _, Value};
use soonshop_domain::personal::kids;
use soonshop_event_log::{Error as StoreError, Key, places};
use tokio::sync::oneshot::error::TryRecvError;
use uuid::Uuid;

use crate::keyring::GUEST;
use crate::new_guests::{NewGuest, Waiting};
use crate::stored::{HOUR, uuid};
use crate::token_bytes::{hash, read, text};
use crate::{Error, Identity};

/// How every guest's token begins.
const PREFIX: &str = "ssg_";

/// Key number and guest.
const HEAD: usize = 4 + 16;
const BYTES: usize = HEAD + 32;

/// How long a token is valid after its last use, in milliseconds.
pub(crate) const KEPT: i64 = 90 * 24 * HOUR;

/// A guest who is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// The data subject.
    pub id: Uuid,
    /// The id of the command that the guest began with.
    pub first_command: Uuid,
}

fn token(number: i32, key: &hmac::Key, guest: Uuid) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes[4..HEAD].copy_from_slice(guest.as_bytes());
    let tag = hmac::sign(key, &[b"guest", &bytes[..HEAD]].concat());
    bytes[HEAD..].copy_from_slice(tag.as_ref());
    bytes
}

/// The bytes of a token that somebody sent; `None`: it has another form.
fn parse(sent: &str) -> Option<[u8; BYTES]> {
    read(sent, PREFIX)
}

impl Identity {
    /// Makes this guest, if there is none yet: the token, always the same for one guest. `None`: the guest was erased, and
    /// somebody sends the first command again.
    pub async fn begin_guest(&self, guest: Guest) -> Result<Option<String>, Error> {
        if self.is_erased(guest.id).await? {
            return Ok(None);
        }
        let (number, key) = self.keyring.newest(GUEST).await?;
        let token_hash = hash(&token(number, &key, guest.id));
        let Guest { id, first_command } = guest;
        let new = NewGuest { id, first_command, token_hash, key_number: number };
        let number = self.store_guest(new).await?;
        let key = self.keyring.get(GUEST, number).await?;
        let key = key.ok_or_else(|| Error::internal(format!("there is no guest key {number}")))?;
        Ok(Some(text(PREFIX, &token(number, &key, guest.id))))
    }

    /// Stores a guest, if there is none of this id yet: the number of the key that their token is made with.
    async fn store_guest(&self, new: NewGuest) -> Result<i32, Error> {
        let guests = &self.new_guests;
        let mut stored = guests.add(new.clone());
        let _turn = guests.turn.lock().await;
        loop {
            match stored.try_recv() {
                Ok(number) => return Ok(number.map_err(StoreError::Unavailable)?),
                Err(TryRecvError::Empty) => {}
                // Whoever was storing it went away before it was done.
                Err(TryRecvError::Closed) => stored = guests.add(new.clone()),
            }
            let together = guests.next();
            let numbers = self.insert_guests(&together).await.map_err(|error| error.to_string());
            for one in together {
                let number = numbers.as_ref().map_err(Clone::clone).and_then(|numbers| {
                    let number = numbers.get(&one.new.id.to_string()).copied();
                    number.ok_or_else(|| "the guest was deleted in the same moment".to_owned())
                });
                // Who does not wait any more asks again.
                let _ = one.stored.send(number);
            }
        }
    }

    /// The number of the key of each guest's token, by the guest.
    async fn insert_guests(&self, together: &[Waiting]) -> Result<HashMap<String, i32>, Error> {
        let now = self.db.now();
        let mut rows = Vec::with_capacity(together.len());
        let mut values: Vec<Value> = Vec::with_capacity(together.len() * 4);
        for Waiting { new, .. } in together {
            let first = values.len();
            rows.push(format!("({}, {now}, {now})", places(first + 1, 4)));
            values.extend([
                new.id.to_string().into(),
                new.token_hash.clone().into(),
                new.key_number.into(),
                new.first_command.to_string().into(),
            ]);
        }
        let sql = format!(
            "INSERT INTO @guests (id, token_hash, key_number, first_command, began_at, used_at) VALUES {} \
             ON CONFLICT DO NOTHING",
            rows.join(", ")
        );
        let tx = self.begin().await?;
        tx.execute(self.db.statement(&sql, values)).await?;
        let ids = together.iter().map(|one| one.new.id.to_string().into());
        let places = places(1, together.len());
        let sql = format!("SELECT id, key_number FROM @guests WHERE id IN ({places})");
        let found = tx.query_all(self.db.statement(&sql, ids)).await?;
        tx.commit().await?;
        let mut numbers = HashMap::new();
        for row in found {
            numbers.insert(row.try_get_by_index::<String>(0)?, row.try_get_by_index::<i32>(1)?);
        }
        Ok(numbers)
    }

    /// Whether there is a key of this guest that was erased.
    async fn is_erased(&self, guest: Uuid) -> Result<bool, Error> {
        let keys = self.people.keys(&kids(guest).collect::<HashSet<_>>()).await?;
        Ok(keys.values().any(|key| matches!(key, Key::Tombstone)))
    }

    /// Deletes what there is of a guest who is being erased: the token, and the links with which somebody might claim their
    /// orders, with the mails that wait.
    pub async fn erase_guest(&self, guest: Uuid, orders: &[Uuid]) -> Result<(), Error> {
        let tx = self.begin().await?;
        let mails = "DELETE FROM @mails WHERE request IN (SELECT id FROM @links WHERE purpose = 'claim' AND order_id = $1)";
        let links = "DELETE FROM @links WHERE purpose = 'claim' AND order_id = $1";
        for order in orders {
            for sql in [mails, links] {
                tx.execute(self.db.statement(sql, [order.to_string().into()])).await?;
            }
        }
        let sql = "DELETE FROM @guests WHERE id = $1";
        tx.execute(self.db.statement(sql, [guest.to_string().into()])).await?;
        Ok(tx.commit().await?)
    }

    /// Deletes the tokens of these guests, who were erased.
    pub async fn forget_guests(&self, erased: &[Uuid]) -> Result<u64, Error> {
        let mut deleted = 0;
        for chunk in erased.chunks(500) {
            let sql = format!("DELETE FROM @guests WHERE id IN ({})", places(1, chunk.len()));
            let ids = chunk.iter().map(|id| id.to_string().into());
            deleted += self.db.connection.execute(self.db.statement(&sql, ids)).await?.rows_affected();
        }
        Ok(deleted)
    }

    /// The guest of a token that somebody sent; `None`: it is none of this shop, or was not used for too long. Its use is
    /// recorded.
    pub async fn guest(&self, sent: &str) -> Result<Option<Guest>, Error> {
        let Some(bytes) = parse(sent) else { return Ok(None) };
        let sql = format!(
            "SELECT id, first_command, CASE WHEN used_at < {now} - {HOUR} THEN 1 ELSE 0 END FROM @guests \
             WHERE token_hash = $1 AND used_at > {now} - {KEPT}",
            now = self.db.now()
        );
        let row = self.db.connection.query_one(self.db.statement(&sql, [hash(&bytes).into()])).await?;
        let Some(row) = row else { return Ok(None) };
        let id: String = row.try_get_by_index(0)?;
        let guest = Guest { id: uuid(&id)?, first_command: uuid(&row.try_get_by_index::<String>(1)?)? };
        if row.try_get_by_index::<i32>(2)? == 1 {
            let sql = format!("UPDATE @guests SET used_at = {} WHERE id = $1", self.db.now());
            if let Err(error) = self.db.connection.execute(self.db.statement(&sql, [id.into()])).await {
                tracing::warn!(%error, "the use of a guest's token could not be stored");
            }
        }
        Ok(Some(guest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32])
    }

    fn text(bytes: [u8; BYTES]) -> String {
        super::text(PREFIX, &bytes)
    }

    #[test]
    fn a_guest_has_one_token_and_no_other_guest_or_key_has_it() {
        let (one, other) = (Uuid::from_u128(7), Uuid::from_u128(8));
        let made = token(1, &key(1), one);
        assert_eq!(made, token(1, &key(1), one));
        for different in [token(1, &key(1), other), token(1, &key(2), one), token(2, &key(1), one)] {
            assert_ne!(made[HEAD..], different[HEAD..]);
            assert_ne!(hash(&made), hash(&different));
        }
        assert_eq!(parse(&text(made)), Some(made));
        assert!(!text(made).contains(&hash(&made)), "the stored hash is not the token");
    }

    #[test]
    fn what_has_another_form_is_no_token_of_a_guest() {
        let good = text(token(1, &key(1), Uuid::from_u128(7)));
        for bad in [
            String::new(),
            PREFIX.to_owned(),
            good[4..].to_owned(),
            good.replace("ssg_", "ssr_"),
            good.to_uppercase(),
            format!("{good}="),
            format!("{good}A"),
            format!(" {good}"),
            good[..good.len() - 1].to_owned(),
            format!("{PREFIX}{}", "A".repeat(10 << 20)),
        ] {
            assert!(parse(&bad).is_none(), "{bad:.60}");
        }
    }
}
