//! Pending tokens: `ssp_` and base64url of 32 random bytes. A sign-in whose password was right goes on with one.

use crate::token_bytes::{self, hash, read};

/// How every pending token begins.
const PREFIX: &str = "ssp_";

/// The token with this secret.
pub(crate) fn text(secret: &[u8; 32]) -> String {
    token_bytes::text(PREFIX, secret)
}

/// What goes on with a sign-in: the pending token, which opens nothing but its second step.
#[derive(Clone, PartialEq, Eq)]
pub struct PendingSignIn {
    /// The token. It is not stored.
    pub token: String,
    /// For how many seconds it is valid.
    pub expires_in: i64,
}

impl std::fmt::Debug for PendingSignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PendingSignIn")
    }
}

/// The stored hash of a pending token.
#[derive(Clone)]
pub(crate) struct PendingHash(String);

impl PendingHash {
    pub(crate) fn of(token: &str) -> Option<Self> {
        read::<32>(token, PREFIX).map(|secret| Self(hash(&secret)))
    }

    /// As it is stored.
    pub(crate) fn stored(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_token_has_no_hash() {
        let good = text(&[7; 32]);
        assert!(PendingHash::of(&good).is_some());
        for bad in [
            "",
            PREFIX,
            &good[4..],
            &good.to_uppercase(),
            &format!("{good}="),
            &good[..good.len() - 1],
            &format!("{PREFIX}{}", "A".repeat(10_000)),
        ] {
            assert!(PendingHash::of(bad).is_none(), "{bad:.60}");
        }
        let shown = PendingSignIn { token: good.clone(), expires_in: 1 };
        assert!(!format!("{shown:?}").contains(&good));
    }
}
