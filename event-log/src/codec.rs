//! Encrypting and decrypting personal values: JWE compact serialization (RFC 7516) with `dir` and `A256GCM` (RFC
//! 7518, 5.3), so that any JWE library can read the values in the log.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Deserialize;

/// 256 bits.
pub type KeyBytes = [u8; 32];

/// The version of this format, in the header as `v`.
const FORM: u32 = 1;

/// Why a value could not be encrypted or decrypted. It never contains the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("it is not a JWE of this shop")]
    Form,
    #[error("its tag does not fit: another key, or it was changed")]
    Tag,
    #[error("no random numbers are available")]
    Random,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    enc: String,
    kid: String,
    v: u32,
}

fn cipher(key: &KeyBytes) -> Result<LessSafeKey, CodecError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| CodecError::Form)
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], CodecError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| CodecError::Random)?;
    Ok(bytes)
}

/// The first part of every JWE with this key, and of no other.
pub fn header(kid: &str) -> String {
    // The kid is a UUID and a purpose: nothing in it needs escaping.
    BASE64.encode(format!(r#"{{"alg":"dir","enc":"A256GCM","kid":"{kid}","v":{FORM}}}"#))
}

/// Encrypts `plaintext` with the key of this name; returns the JWE.
pub fn encrypt(kid: &str, key: &KeyBytes, plaintext: &[u8]) -> Result<String, CodecError> {
    let header = header(kid);
    let nonce = random::<NONCE_LEN>()?;
    let mut text = plaintext.to_vec();
    let tag = cipher(key)?
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(header.as_bytes()),
            &mut text,
        )
        .map_err(|_| CodecError::Form)?;
    Ok(format!("{header}..{}.{}.{}", BASE64.encode(nonce), BASE64.encode(text), BASE64.encode(tag)))
}

/// The name of the key that a JWE is encrypted with.
pub fn kid_of(jwe: &str) -> Result<String, CodecError> {
    let header = jwe.split('.').next().ok_or(CodecError::Form)?;
    let header: Header = serde_json::from_slice(&BASE64.decode(header).map_err(|_| CodecError::Form)?)
        .map_err(|_| CodecError::Form)?;
    if header.alg != "dir" || header.enc != "A256GCM" || header.v != FORM {
        return Err(CodecError::Form);
    }
    Ok(header.kid)
}

/// Decrypts a JWE; returns the plaintext.
pub fn decrypt(jwe: &str, key: &KeyBytes) -> Result<Vec<u8>, CodecError> {
    let mut parts = jwe.split('.');
    let mut next = || parts.next().ok_or(CodecError::Form);
    let (header, no_key, nonce, text, tag) = (next()?, next()?, next()?, next()?, next()?);
    if !no_key.is_empty() || parts.next().is_some() {
        return Err(CodecError::Form);
    }
    let decode = |part: &str| BASE64.decode(part).map_err(|_| CodecError::Form);
    let nonce: [u8; NONCE_LEN] = decode(nonce)?.try_into().map_err(|_| CodecError::Form)?;
    let mut sealed = decode(text)?;
    sealed.extend(decode(tag)?);
    let text = cipher(key)?
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(header.as_bytes()), &mut sealed)
        .map_err(|_| CodecError::Tag)?;
    Ok(text.to_vec())
}

/// Encrypts a key with a master key, bound to the key's name.
pub fn wrap(master: &KeyBytes, name: &str, key: &KeyBytes) -> Result<String, CodecError> {
    let nonce = random::<NONCE_LEN>()?;
    let mut text = key.to_vec();
    cipher(master)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name.as_bytes()), &mut text)
        .map_err(|_| CodecError::Form)?;
    Ok(BASE64.encode([nonce.as_slice(), &text].concat()))
}

pub fn unwrap(master: &KeyBytes, name: &str, wrapped: &str) -> Result<KeyBytes, CodecError> {
    let bytes = BASE64.decode(wrapped).map_err(|_| CodecError::Form)?;
    let (nonce, text) = bytes.split_at_checked(NONCE_LEN).ok_or(CodecError::Form)?;
    let mut text = text.to_vec();
    let nonce = nonce.try_into().map_err(|_| CodecError::Form)?;
    let key = cipher(master)?
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(name.as_bytes()), &mut text)
        .map_err(|_| CodecError::Tag)?;
    KeyBytes::try_from(&*key).map_err(|_| CodecError::Form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_random_texts_are_alike() {
        let all: std::collections::BTreeSet<[u8; 12]> = (0..100).map(|_| random().unwrap()).collect();
        assert_eq!(all.len(), 100);
        // Each place has each of its bits now and then.
        for place in 0..12 {
            let ones = all.iter().fold(0, |bits, one| bits | one[place]);
            assert_eq!(ones, u8::MAX, "{place}");
        }
    }

    #[test]
    fn an_encrypted_value_is_decrypted_only_with_its_key() {
        let jwe = encrypt("k.account", &[1; 32], b"Ada").unwrap();
        assert_eq!(kid_of(&jwe).unwrap(), "k.account");
        assert_eq!(decrypt(&jwe, &[1; 32]).unwrap(), b"Ada");
        assert_eq!(decrypt(&jwe, &[2; 32]), Err(CodecError::Tag));
    }

    #[test]
    fn a_changed_header_or_text_does_not_open() {
        let jwe = encrypt("k.account", &[1; 32], b"Ada").unwrap();
        let other = encrypt("k.invoice", &[1; 32], b"Ada").unwrap();
        let (_, rest) = jwe.split_once('.').unwrap();
        let (header, _) = other.split_once('.').unwrap();
        assert_eq!(decrypt(&format!("{header}.{rest}"), &[1; 32]), Err(CodecError::Tag));
        assert_eq!(decrypt("a.b.c", &[1; 32]), Err(CodecError::Form));
        assert!(kid_of("nonsense").is_err());
    }

    #[test]
    fn a_jwe_of_another_algorithm_or_version_is_none_of_this_shop() {
        let named = |alg: &str, enc: &str, v: u32| {
            let header = format!(r#"{{"alg":"{alg}","enc":"{enc}","kid":"k.account","v":{v}}}"#);
            kid_of(&format!("{}....", BASE64.encode(header)))
        };
        assert_eq!(named("dir", "A256GCM", FORM).unwrap(), "k.account");
        for (alg, enc, v) in [("A256KW", "A256GCM", 1), ("dir", "A128GCM", 1), ("dir", "A256GCM", 2)] {
            assert_eq!(named(alg, enc, v), Err(CodecError::Form), "{alg} {enc} {v}");
        }
    }

    #[test]
    fn a_jwe_has_five_parts_of_which_the_second_is_empty() {
        let jwe = encrypt("k.account", &[1; 32], b"Ada").unwrap();
        let (four, _) = jwe.rsplit_once('.').unwrap();
        for other in [four.to_owned(), format!("{jwe}."), jwe.replacen("..", ".AAAA.", 1)] {
            assert_eq!(decrypt(&other, &[1; 32]), Err(CodecError::Form), "{other}");
        }
    }

    #[test]
    fn a_wrapped_key_belongs_to_its_name() {
        let wrapped = wrap(&[9; 32], "a", &[1; 32]).unwrap();
        assert_eq!(unwrap(&[9; 32], "a", &wrapped).unwrap(), [1; 32]);
        assert_eq!(unwrap(&[9; 32], "b", &wrapped), Err(CodecError::Tag));
    }
}
