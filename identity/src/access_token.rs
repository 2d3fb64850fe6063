//! Access tokens: JWTs in the profile of RFC 9068, signed with Ed25519. A token names session, account, client and scope,
//! and no role: what its holder may do is asked of the session. That of a client which acts for itself names the client
//! alone, and rests on its row.
//!
//! One algorithm, one `typ`, one header without anything more, and a `kid` that this shop published: whatever differs is no
//! token of this shop.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use soonshop_domain::ids;
use uuid::Uuid;

use crate::Error;

/// How long a token is valid, in seconds.
pub const LIFE: i64 = 600;
/// How far clocks may differ, in seconds.
pub const SKEW: i64 = 60;
/// The issuer and the audience of tokens. Shops differ by their keys.
pub const ISSUER: &str = "soonshop";
/// The longest token that is looked at.
const LONGEST: usize = 2_048;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    iss: String,
    aud: String,
    sub: Uuid,
    client_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<Uuid>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    scope: String,
    iat: i64,
    exp: i64,
    jti: Uuid,
}

/// Who holds a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Somebody in a session.
    Session { account: Uuid, session: Uuid },
    /// A client that acts for itself.
    Client(Uuid),
}

impl Holder {
    /// The account, or the client itself.
    pub fn subject(self) -> Uuid {
        match self {
            Self::Session { account, .. } => account,
            Self::Client(client) => client,
        }
    }
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub holder: Holder,
    pub client: String,
    pub scope: String,
    /// Seconds since 1970.
    pub issued_at: i64,
    pub expires_at: i64,
}

/// Signs a token that is valid from `now`, in seconds, on.
pub(crate) fn sign(
    (kid, key): (Uuid, &Ed25519KeyPair),
    holder: Holder,
    client: &str,
    scope: &str,
    now: i64,
) -> Result<String, Error> {
    let header = Header { alg: "EdDSA".to_owned(), typ: "at+jwt".to_owned(), kid: kid.to_string() };
    let payload = Payload {
        iss: ISSUER.to_owned(),
        aud: ISSUER.to_owned(),
        sub: holder.subject(),
        client_id: client.to_owned(),
        sid: match holder {
            Holder::Session { session, .. } => Some(session),
            Holder::Client(_) => None,
        },
        scope: scope.to_owned(),
        iat: now,
        exp: now + LIFE,
        jti: ids::new(),
    };
    let encode =
        |json: serde_json::Result<Vec<u8>>| json.map(|json| BASE64.encode(json)).map_err(Error::internal);
    let signed =
        format!("{}.{}", encode(serde_json::to_vec(&header))?, encode(serde_json::to_vec(&payload))?);
    let signature = BASE64.encode(key.sign(signed.as_bytes()));
    Ok(format!("{signed}.{signature}"))
}

/// Whether a text could be an access token: nothing else that callers send has two dots.
pub fn looks_like_one(text: &str) -> bool {
    text.starts_with("ey") && text.matches('.').count() == 2
}

impl Claims {
    /// Whether they are valid at `now`, in seconds.
    pub(crate) fn are_timely(&self, now: i64) -> bool {
        self.issued_at <= now.saturating_add(SKEW) && now < self.expires_at.saturating_add(SKEW)
    }
}

/// The id of the key that a token says it was signed with, if it could be a token of this shop.
pub(crate) fn kid(token: &str) -> Option<Uuid> {
    parts(token).map(|(kid, ..)| kid)
}

/// The id of the key, what is signed, its payload and the signature.
fn parts(token: &str) -> Option<(Uuid, &str, &str, &str)> {
    if token.len() > LONGEST {
        return None;
    }
    let mut parts = token.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let read: Header = serde_json::from_slice(&BASE64.decode(header).ok()?).ok()?;
    if read.alg != "EdDSA" || read.typ != "at+jwt" {
        return None;
    }
    let kid = Uuid::try_parse(&read.kid).ok().filter(|kid| kid.to_string() == read.kid)?;
    Some((kid, &token[..header.len() + 1 + payload.len()], payload, signature))
}

/// What a token says, if this shop made it: `key` finds the public key of a `kid`. Whether it is timely is another question.
pub(crate) fn read(token: &str, key: impl FnOnce(Uuid) -> Option<[u8; 32]>) -> Option<Claims> {
    let (kid, signed, payload, signature) = parts(token)?;
    let key = key(kid)?;
    UnparsedPublicKey::new(&ED25519, key).verify(signed.as_bytes(), &BASE64.decode(signature).ok()?).ok()?;
    let claims: Payload = serde_json::from_slice(&BASE64.decode(payload).ok()?).ok()?;
    let holder = match claims.sid {
        Some(session) => Holder::Session { account: claims.sub, session },
        // Without a session it is the client's own.
        None if claims.client_id == claims.sub.to_string() => Holder::Client(claims.sub),
        None => return None,
    };
    let ours = claims.iss == ISSUER && claims.aud == ISSUER;
    (ours && claims.exp.saturating_sub(claims.iat) <= LIFE).then_some(Claims {
        holder,
        client: claims.client_id,
        scope: claims.scope,
        issued_at: claims.iat,
        expires_at: claims.exp,
    })
}

#[cfg(test)]
mod tests {
    use ring::hmac;
    use ring::signature::KeyPair as _;
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn pair(byte: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[byte; 32]).unwrap()
    }

    fn public(byte: u8) -> [u8; 32] {
        pair(byte).public_key().as_ref().try_into().unwrap()
    }

    fn kid() -> Uuid {
        Uuid::from_u128(5)
    }

    /// The one key of this shop.
    fn known(asked: Uuid) -> Option<[u8; 32]> {
        (asked == kid()).then(|| public(1))
    }

    /// What a token says at that time.
    fn read(token: &str, key: impl FnOnce(Uuid) -> Option<[u8; 32]>, now: i64) -> Option<Claims> {
        super::read(token, key).filter(|claims| claims.are_timely(now))
    }

    fn token() -> String {
        let of = Holder::Session { account: Uuid::from_u128(1), session: Uuid::from_u128(2) };
        sign((kid(), &pair(1)), of, "soonshop", "", NOW).unwrap()
    }

    fn signed(header: &Value, payload: &Value, key: &Ed25519KeyPair) -> String {
        let parts = [header, payload].map(|part| BASE64.encode(part.to_string()));
        let signed = parts.join(".");
        format!("{signed}.{}", BASE64.encode(key.sign(signed.as_bytes())))
    }

    fn part(token: &str, index: usize) -> Value {
        let part = token.split('.').nth(index).unwrap();
        serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn a_token_says_who_and_in_which_session_and_no_role() {
        let token = token();
        assert!(looks_like_one(&token));
        let claims = read(&token, known, NOW).unwrap();
        let holder = Holder::Session { account: Uuid::from_u128(1), session: Uuid::from_u128(2) };
        assert_eq!(claims.holder, holder);
        assert_eq!((claims.issued_at, claims.expires_at), (NOW, NOW + LIFE));
        assert_eq!(part(&token, 0), json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": kid() }));
        let names: Vec<_> = part(&token, 1).as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["aud", "client_id", "exp", "iat", "iss", "jti", "sid", "sub"]);
    }

    #[test]
    fn a_token_without_a_session_is_of_the_client_that_it_names_and_of_no_account() {
        let client = Uuid::from_u128(3);
        let of = |name: &str| {
            let token = sign((kid(), &pair(1)), Holder::Client(client), name, "read", NOW).unwrap();
            assert!(!part(&token, 1).as_object().unwrap().contains_key("sid"));
            read(&token, known, NOW)
        };
        let claims = of(&client.to_string()).unwrap();
        assert_eq!((claims.holder, claims.scope.as_str()), (Holder::Client(client), "read"));
        for other in ["soonshop", "", &Uuid::from_u128(4).to_string(), &client.simple().to_string()] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn clocks_may_differ_by_a_minute_and_no_more() {
        let token = token();
        for (now, valid) in [
            (NOW - SKEW, true),
            (NOW - SKEW - 1, false),
            (NOW + LIFE + SKEW - 1, true),
            (NOW + LIFE + SKEW, false),
            (i64::MAX, false),
            (i64::MIN, false),
        ] {
            assert_eq!(read(&token, known, now).is_some(), valid, "{now}");
        }
    }

    #[test]
    fn a_token_of_another_kind_algorithm_key_or_shop_is_none() {
        let good = token();
        let (header, payload) = (part(&good, 0), part(&good, 1));
        let with = |name: &str, value: Value| {
            let mut header = header.clone();
            header[name] = value;
            signed(&header, &payload, &pair(1))
        };
        let saying = |name: &str, value: Value| {
            let mut payload = payload.clone();
            payload[name] = value;
            signed(&header, &payload, &pair(1))
        };
        assert!(
            read(&signed(&header, &payload, &pair(1)), known, NOW).is_some(),
            "the test signs as the shop does"
        );
        // The public key as the secret of an HMAC.
        let hs256 = {
            let head = json!({ "alg": "HS256", "typ": "at+jwt", "kid": kid() });
            let signed = [&head, &payload].map(|part| BASE64.encode(part.to_string())).join(".");
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public(1)), signed.as_bytes());
            format!("{signed}.{}", BASE64.encode(tag))
        };
        let none = {
            let head = json!({ "alg": "none", "typ": "at+jwt", "kid": kid() });
            [&head, &payload].map(|part| BASE64.encode(part.to_string())).join(".") + "."
        };
        let twice = {
            let head = format!(r#"{{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"{}"}}"#, kid());
            let signed = [head, payload.to_string()].map(|part| BASE64.encode(part)).join(".");
            format!("{signed}.{}", BASE64.encode(pair(1).sign(signed.as_bytes())))
        };
        let (unsigned, _) = good.rsplit_once('.').unwrap();
        for (what, bad) in [
            ("HS256 with the public key", hs256),
            ("none", none),
            ("alg twice", twice),
            ("other alg", with("alg", "RS256".into())),
            ("other kind", with("typ", "JWT".into())),
            ("an id token", with("typ", "id+jwt".into())),
            ("other kid", with("kid", Uuid::from_u128(6).to_string().into())),
            ("kid in another form", with("kid", kid().simple().to_string().into())),
            ("own key", with("jwk", json!({ "kty": "OKP" }))),
            ("critical", with("crit", json!(["exp"]))),
            ("other shop's key", signed(&header, &payload, &pair(2))),
            ("other issuer", saying("iss", "https://evil.example".into())),
            ("other audience", saying("aud", "other".into())),
            ("audiences", saying("aud", json!([ISSUER]))),
            ("without end", saying("exp", Value::Null)),
            ("too long", saying("exp", (NOW + LIFE + 1).into())),
            ("more claims", saying("roles", json!(["admin"]))),
            ("no signature", format!("{unsigned}.")),
            ("changed", good.replacen('A', "B", 1)),
            ("padded", format!("{good}=")),
            ("four parts", format!("{good}.x")),
            ("two parts", unsigned.to_owned()),
            ("10 kB", format!("{good}{}", "A".repeat(10_000))),
            ("empty", String::new()),
            ("dots", "..".to_owned()),
        ] {
            assert!(read(&bad, known, NOW).is_none(), "{what}");
        }
        assert!(read(&good, |_| None, NOW).is_none(), "no key is known");
    }
}
