//! Authorization codes: `ssa_` and base64url of 32 random bytes. A browser brings one to its client, which redeems it once,
//! with the verifier whose hash is the code's challenge (RFC 7636, `S256`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::digest::{SHA256, digest};

use crate::passwords::random;
use crate::{Error, token_bytes};

/// How every code begins.
const PREFIX: &str = "ssa_";

/// The lengths of a verifier.
const VERIFIER: std::ops::RangeInclusive<usize> = 43..=128;

/// A code that was made, and its hash.
pub(crate) fn new() -> Result<(String, String), Error> {
    let mut secret = [0; 32];
    random(&mut secret)?;
    Ok((token_bytes::text(PREFIX, &secret), token_bytes::hash(&secret)))
}

/// The stored hash of a code that somebody sent; `None`: it has another form.
pub(crate) fn hash_of(sent: &str) -> Option<String> {
    token_bytes::read::<32>(sent, PREFIX).map(|secret| token_bytes::hash(&secret))
}

/// Whether it is a challenge of `S256`: base64url of 32 bytes, in one spelling.
pub fn is_challenge(text: &str) -> bool {
    BASE64.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

/// Whether a verifier is that of this challenge.
pub(crate) fn is_verified(challenge: &str, verifier: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    VERIFIER.contains(&verifier.len())
        && verifier.bytes().all(unreserved)
        && BASE64.encode(digest(&SHA256, verifier.as_bytes())) == challenge
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of RFC 7636, appendix B.
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const GOOD: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn a_verifier_is_the_one_whose_hash_is_the_challenge() {
        assert!(is_challenge(CHALLENGE) && is_verified(CHALLENGE, GOOD));
        for bad in ["", CHALLENGE, &GOOD[1..], &format!("{GOOD}x"), &format!("{GOOD}="), &"a".repeat(43)] {
            assert!(!is_verified(CHALLENGE, bad), "{bad}");
        }
        // What hashes to the challenge and has another form.
        for bad in ["short", &"a".repeat(129), &format!("{} ", "a".repeat(43))] {
            let challenge = BASE64.encode(digest(&SHA256, bad.as_bytes()));
            assert!(!is_verified(&challenge, bad), "{bad}");
        }
        for bad in
            ["", GOOD.get(1..).unwrap(), &format!("{CHALLENGE}="), &CHALLENGE.replace('-', "+"), "plain"]
        {
            assert!(!is_challenge(bad), "{bad}");
        }
    }

    #[test]
    fn a_code_has_one_form() {
        let (code, hash) = new().unwrap();
        assert_eq!(hash_of(&code), Some(hash));
        for bad in
            ["", PREFIX, &code[4..], &code.replace("ssa_", "ssc_"), &format!("{code}="), &code.to_uppercase()]
        {
            assert_eq!(hash_of(bad), None, "{bad}");
        }
    }
}
