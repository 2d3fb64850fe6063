//! Pending tokens: `ssp_` and base64url of 32 random bytes. A sign-in whose password was right goes on with one.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use ring::digest::{SHA256, digest};

/// How every pending token begins.
const PREFIX: &str = "ssp_";

/// The token with this secret.
pub(crate) fn text(secret: &[u8; 32]) -> String {
    format!("{PREFIX}{}", BASE64.encode(secret))
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
        let encoded = token.strip_prefix(PREFIX)?;
        // Longer than any: not even decoded.
        if encoded.len() > 64 {
            return None;
        }
        let secret: [u8; 32] = BASE64.decode(encoded).ok()?.try_into().ok()?;
        Some(Self(STANDARD.encode(digest(&SHA256, &secret))))
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
        let good = format!("{PREFIX}{}", BASE64.encode([7; 32]));
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
