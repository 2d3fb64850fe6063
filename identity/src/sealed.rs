//! Addresses and names of people who have no account yet, sealed: there is no key of theirs before their mailbox is proven.
//! Each value has a key of its own, derived from the newest key of addresses.

use ring::hmac;
use soonshop_event_log::codec::{self, KeyBytes};

use crate::keyring::ADDRESS;
use crate::{Error, Identity};

const PREFIX: &str = "identity.address.";

fn derived(key: &hmac::Key, kid: &str) -> KeyBytes {
    let mut context = hmac::Context::with_key(key);
    // No address begins so: it has no zero in it.
    context.update(b"\0seal\0");
    context.update(kid.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.sign().as_ref());
    bytes
}

/// The number of the key in the name of a derived one.
fn number(kid: &str) -> Option<i32> {
    kid.strip_prefix(PREFIX)?.split('.').next()?.parse().ok()
}

impl Identity {
    /// Seals a value of this row, as a JWE.
    pub(crate) async fn seal(&self, row: &str, value: &str) -> Result<String, Error> {
        let (number, key) = self.keyring.newest(ADDRESS).await?;
        let kid = format!("{PREFIX}{number}.{row}");
        codec::encrypt(&kid, &derived(&key, &kid), value.as_bytes()).map_err(Error::internal)
    }

    /// Seals a value of this row, if there is one.
    pub(crate) async fn seal_if(&self, row: &str, value: Option<&str>) -> Result<Option<String>, Error> {
        match value {
            Some(value) => self.seal(row, value).await.map(Some),
            None => Ok(None),
        }
    }

    /// Opens what [`seal_if`](Self::seal_if) made.
    pub(crate) async fn unseal_if(&self, jwe: Option<&str>) -> Result<Option<String>, Error> {
        match jwe {
            Some(jwe) => self.unseal(jwe).await.map(Some),
            None => Ok(None),
        }
    }

    /// Opens what [`seal`](Self::seal) made.
    pub(crate) async fn unseal(&self, jwe: &str) -> Result<String, Error> {
        let kid = codec::kid_of(jwe).map_err(Error::internal)?;
        let number = number(&kid).ok_or_else(|| Error::internal("a sealed value names no key"))?;
        let key = self.keyring.get(ADDRESS, number).await?;
        let key = key.ok_or_else(|| Error::internal(format!("there is no {ADDRESS} key {number}")))?;
        let bytes = codec::decrypt(jwe, &derived(&key, &kid)).map_err(Error::internal)?;
        String::from_utf8(bytes).map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_a_key_of_its_own_and_names_the_one_that_it_is_derived_from() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        let other = hmac::Key::new(hmac::HMAC_SHA256, &[2; 32]);
        let kid = "identity.address.3.row";
        assert_eq!(number(kid), Some(3));
        assert_ne!(derived(&key, kid), derived(&key, "identity.address.3.other"));
        assert_ne!(derived(&key, kid), derived(&other, kid));
        for bad in ["identity.refresh.3.row", "identity.address.x.row", ""] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
