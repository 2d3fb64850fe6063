//! The secret of a sign-in at a provider, which only the browser has. What goes to the provider is derived from it, each
//! under a name of its own, so that none of it leads to another or to the secret; the shop stores its hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;

use crate::passwords::random;
use crate::{Error, token_bytes};

/// The secret.
#[derive(Clone)]
pub struct ProviderSecret([u8; 32]);

impl std::fmt::Debug for ProviderSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProviderSecret")
    }
}

impl From<[u8; 32]> for ProviderSecret {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl ProviderSecret {
    pub(crate) fn new() -> Result<Self, Error> {
        let mut bytes = [0; 32];
        random(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// For the browser's cookie.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }

    fn derived(&self, name: &str) -> String {
        BASE64.encode(hmac::sign(&self.key(), name.as_bytes()))
    }

    /// The `state` of the request.
    pub fn state(&self) -> String {
        self.derived("state")
    }

    /// Whether this `state` was made of this secret.
    pub fn is_of(&self, state: &str) -> bool {
        let bytes = BASE64.decode(state);
        bytes.is_ok_and(|bytes| hmac::verify(&self.key(), b"state", &bytes).is_ok())
    }

    /// The `nonce` of the ID token.
    pub fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// The verifier of the code (RFC 7636).
    pub fn verifier(&self) -> String {
        self.derived("code_verifier")
    }

    /// As it is stored.
    pub(crate) fn hash(&self) -> String {
        token_bytes::hash(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_the_provider_differs_and_a_state_is_of_one_secret() {
        let (one, other) = (ProviderSecret::from([1; 32]), ProviderSecret::from([2; 32]));
        let all = [one.state(), one.nonce(), one.verifier(), BASE64.encode(one.bytes()), other.state()];
        for (at, text) in all.iter().enumerate() {
            assert_eq!(text.len(), 43, "as RFC 7636 asks for");
            assert!(!all[..at].contains(text));
        }
        assert!(one.is_of(&one.state()));
        for bad in [other.state(), one.nonce(), format!("{}=", one.state()), String::new()] {
            assert!(!one.is_of(&bad), "{bad}");
        }
        assert_eq!(format!("{one:?}"), "ProviderSecret");
    }
}
