//! The text of an API key: `ssk_<prefix>_<secret>`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::digest::{SHA256, digest};
use ring::rand::SecureRandom as _;
use uuid::Uuid;

/// How many characters of a key are shown, and stored in the clear.
const PREFIX: usize = 8;

/// A key with its secret. It is shown once, by [`text`](Self::text), and never stored.
pub struct ApiKey {
    prefix: String,
    secret: [u8; 32],
}

impl ApiKey {
    /// A new key for that id, from 32 random bytes; `None` if the system has no random numbers.
    ///
    /// The prefix is the end of the id, which is random: its beginning is the time, and two keys may have that in
    /// common.
    pub fn generate(id: Uuid) -> Option<Self> {
        let mut secret = [0; 32];
        ring::rand::SystemRandom::new().fill(&mut secret).ok()?;
        Some(Self { prefix: Self::prefix_of(id), secret })
    }

    /// The prefix of the key with that id.
    pub fn prefix_of(id: Uuid) -> String {
        let id = id.simple().to_string();
        id[id.len() - PREFIX..].to_owned()
    }

    /// Parses the token of a caller; `None` if it does not have the form of a key.
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, secret) = text.strip_prefix("ssk_")?.split_once('_')?;
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if prefix.len() != PREFIX || !prefix.bytes().all(hex) || secret.len() != 43 {
            return None;
        }
        Some(Self { prefix: prefix.to_owned(), secret: BASE64.decode(secret).ok()?.try_into().ok()? })
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The stored hash of the secret. 256 random bits cannot be guessed, so one pass of SHA-256 without salt is enough
    /// (NIST SP 800-63B, 5.1.2.2: secrets of 112 bits or more need an approved one-way function and no more).
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &self.secret).as_ref());
        hash
    }

    /// The key itself.
    pub fn text(&self) -> String {
        format!("ssk_{}_{}", self.prefix, BASE64.encode(self.secret))
    }
}

impl fmt::Debug for ApiKey {
    /// Never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ssk_{}_…", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ApiKey {
        ApiKey::generate(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0bad_cafe)).unwrap()
    }

    #[test]
    fn a_key_parses_back() {
        let key = key();
        assert_eq!(key.prefix(), "0badcafe");
        let again = ApiKey::parse(&key.text()).unwrap();
        assert_eq!((again.prefix(), again.hash()), (key.prefix(), key.hash()));
    }

    #[test]
    fn keys_are_unique_and_differ_from_their_hash() {
        let (one, two) = (key(), key());
        assert_ne!(one.hash(), two.hash());
        assert_ne!(one.hash(), one.secret);
    }

    #[test]
    fn a_malformed_key_is_not_parsed() {
        let good = key().text();
        let secret = &good[13..];
        for bad in [
            String::new(),
            "ssk_".to_owned(),
            secret.to_owned(),
            format!("SSK_0badcafe_{secret}"),
            format!("ssk_0BADCAFE_{secret}"),
            format!("ssk_0badcaf_{secret}"),
            format!("ssk_0badcafé_{secret}"),
            format!("ssk_0badcafe_{secret}="),
            format!("ssk_0badcafe_{}", &secret[1..]),
            format!("ssk_0badcafe_{}*", &secret[1..]),
            format!("ssk_0badcafe_{secret} "),
            format!("ssk_0badcafe_{}", "A".repeat(10_000)),
        ] {
            assert!(ApiKey::parse(&bad).is_none(), "{bad:.80}");
        }
    }

    #[test]
    fn debug_never_shows_the_secret() {
        let key = key();
        assert_eq!(format!("{key:?}"), "ssk_0badcafe_…");
    }
}
