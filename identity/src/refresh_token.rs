//! Refresh tokens: `ssr_` and base64url of key number, session, generation, secret and tag.
//!
//! The tag is an HMAC over the rest: what this shop did not make ends nothing. The secret of the next token is made of the
//! one before, so that a client that lost an answer gets the same successor again.

use ring::hmac;
use uuid::Uuid;

use crate::Error;
use crate::passwords::random;
use crate::token_bytes;

/// How every refresh token begins.
pub(crate) const PREFIX: &str = "ssr_";

/// Key number, session and generation.
const HEAD: usize = 4 + 16 + 4;
const BYTES: usize = HEAD + 32 + 32;

/// A refresh token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken([u8; BYTES]);

impl RefreshToken {
    fn make(number: i32, key: &hmac::Key, session: Uuid, generation: u32, secret: &[u8]) -> Self {
        let mut bytes = [0; BYTES];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        bytes[4..20].copy_from_slice(session.as_bytes());
        bytes[20..HEAD].copy_from_slice(&generation.to_be_bytes());
        bytes[HEAD..HEAD + 32].copy_from_slice(secret);
        let tag = tag(key, &bytes[..HEAD + 32]);
        bytes[HEAD + 32..].copy_from_slice(tag.as_ref());
        Self(bytes)
    }

    /// The first one of a session.
    pub(crate) fn first(number: i32, key: &hmac::Key, session: Uuid) -> Result<Self, Error> {
        let mut secret = [0; 32];
        random(&mut secret)?;
        Ok(Self::make(number, key, session, 1, &secret))
    }

    /// The one that follows it: always the same.
    pub(crate) fn next(&self, key: &hmac::Key) -> Option<Self> {
        let mut context = hmac::Context::with_key(key);
        context.update(b"next");
        context.update(&self.0);
        let generation = u32::try_from(self.generation()).ok()?.checked_add(1)?;
        Some(Self::make(self.key(), key, self.session(), generation, context.sign().as_ref()))
    }

    /// Reads one that somebody sent; `None`: it has another form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        token_bytes::read(text, PREFIX).map(Self)
    }

    /// Whether this shop made it with that key.
    pub(crate) fn is_made_with(&self, key: &hmac::Key) -> bool {
        let mut signed = b"tag".to_vec();
        signed.extend(&self.0[..HEAD + 32]);
        hmac::verify(key, &signed, &self.0[HEAD + 32..]).is_ok()
    }

    /// The number of its key.
    pub(crate) fn key(&self) -> i32 {
        i32::from_be_bytes(self.part())
    }

    pub(crate) fn session(&self) -> Uuid {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.0[4..20]);
        Uuid::from_bytes(bytes)
    }

    pub(crate) fn generation(&self) -> i64 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.0[20..HEAD]);
        i64::from(u32::from_be_bytes(bytes))
    }

    fn part(&self) -> [u8; 4] {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.0[..4]);
        bytes
    }

    /// The hash that is stored.
    pub(crate) fn hash(&self) -> String {
        token_bytes::hash(&self.0)
    }

    /// The token itself.
    pub(crate) fn text(&self) -> String {
        token_bytes::text(PREFIX, &self.0)
    }
}

fn tag(key: &hmac::Key, bytes: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(b"tag");
    context.update(bytes);
    context.sign()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32])
    }

    #[test]
    fn a_token_reads_back_and_has_one_successor() {
        let session = Uuid::from_u128(7);
        let token = RefreshToken::first(3, &key(1), session).unwrap();
        let text = token.text();
        let read = RefreshToken::parse(&text).unwrap();
        assert!(read == token && read.is_made_with(&key(1)) && !read.is_made_with(&key(2)));
        assert_eq!((read.key(), read.session(), read.generation()), (3, session, 1));
        let next = read.next(&key(1)).unwrap();
        assert!(next == token.next(&key(1)).unwrap() && next != token);
        assert_eq!((next.generation(), next.session()), (2, session));
        assert!(next.is_made_with(&key(1)));
        assert_ne!(next.hash(), token.hash());
        assert!(!text.contains(&token.hash()));
    }

    #[test]
    fn a_changed_token_is_not_ours_and_a_malformed_one_is_none() {
        let token = RefreshToken::first(1, &key(1), Uuid::from_u128(7)).unwrap();
        for index in 0..BYTES {
            let mut changed = token.clone();
            changed.0[index] ^= 1;
            assert!(!changed.is_made_with(&key(1)), "{index}");
        }
        let text = token.text();
        for bad in [
            String::new(),
            PREFIX.to_owned(),
            text[4..].to_owned(),
            text.to_uppercase(),
            format!("{text}="),
            format!("{text}A"),
            text[..text.len() - 1].to_owned(),
            format!("{PREFIX}{}", "A".repeat(10_000)),
        ] {
            assert!(RefreshToken::parse(&bad).is_none(), "{bad:.60}");
        }
    }
}
