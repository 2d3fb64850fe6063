//! Access tokens whose signature was verified lately: a client sends the same token with each of its requests, and to verify
//! it costs more than the rest of a short request's checks.
//!
//! Only what can never change is kept: that these very bytes carry a signature of this shop, and what they say. Whether the
//! token is timely, its key published and its session active is asked each time.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use ring::digest::{SHA256, digest};

use crate::access_token::{Claims, LIFE, SKEW};

/// How many are kept.
const MOST: u64 = 10_000;

/// The tokens, by their hashes.
#[derive(Debug, Clone)]
pub(crate) struct VerifiedTokens(Cache<[u8; 32], Arc<Claims>>);

impl Default for VerifiedTokens {
    fn default() -> Self {
        let life = Duration::from_secs((LIFE + SKEW).unsigned_abs());
        Self(Cache::builder().max_capacity(MOST).time_to_live(life).build())
    }
}

impl VerifiedTokens {
    /// What the token says, verified now where it was not before. A token that is none is not kept.
    pub(crate) fn claims(&self, token: &str, verify: impl FnOnce() -> Option<Claims>) -> Option<Claims> {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        if let Some(claims) = self.0.get(&hash) {
            return Some(claims.as_ref().clone());
        }
        let claims = verify()?;
        self.0.insert(hash, Arc::new(claims.clone()));
        Some(claims)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::access_token::Holder;

    #[test]
    fn a_token_is_verified_once_and_another_one_by_itself() {
        let tokens = VerifiedTokens::default();
        let says = |number: u128| Claims {
            holder: Holder::Client(Uuid::from_u128(number)),
            client: String::new(),
            scope: String::new(),
            issued_at: 0,
            expires_at: 0,
        };
        assert_eq!(tokens.claims("a", || Some(says(1))), Some(says(1)));
        assert_eq!(tokens.claims("a", || unreachable!("it was verified")), Some(says(1)));
        assert_eq!(tokens.claims("b", || None), None);
        assert_eq!(tokens.claims("b", || Some(says(2))), Some(says(2)), "what is no token is not kept");
    }
}
