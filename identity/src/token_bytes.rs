//! The bytes of the tokens of this shop: each kind is a prefix and base64url of so many bytes, and is stored as a hash.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use ring::digest::{SHA256, digest};

/// The token with these bytes.
pub(crate) fn text(prefix: &str, bytes: &[u8]) -> String {
    format!("{prefix}{}", BASE64.encode(bytes))
}

/// The bytes of a token that somebody sent; `None`: it has another form.
pub(crate) fn read<const BYTES: usize>(sent: &str, prefix: &str) -> Option<[u8; BYTES]> {
    let encoded = sent.strip_prefix(prefix)?;
    // Longer than any: not even decoded.
    if encoded.len() > BYTES * 2 {
        return None;
    }
    BASE64.decode(encoded).ok()?.try_into().ok()
}

/// The hash that is stored. Each kind has 256 bits that cannot be guessed, so one pass of SHA-256 is enough.
pub(crate) fn hash(bytes: &[u8]) -> String {
    STANDARD.encode(digest(&SHA256, bytes))
}
