//! Sessions of people who look at pages: begun with an e-mail address and a password, a key, or the operator's token, and
//! known by a cookie.
//!
//! A cookie only opens queries of the viewer: commands need the key, or an access token. Only the hash of its secret is
//! stored, and a session ends with its key.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, COOKIE as COOKIES, HOST, ORIGIN, USER_AGENT};
use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chrono::{DateTime, TimeDelta, Utc};
use ring::rand::SecureRandom as _;
use soonshop_domain::clock;

use super::caller::{Access, Caller, away};
use super::key::ApiKey;
pub use super::keys::StoredSession;
use super::keys::{bad_token, hash};
use super::people::{Begun, Browser, People, SignInStep, SignedIn, Typed};
use crate::rates::{Class, Who, count};
use crate::security_headers::came_over_tls;
use crate::{Problem, grammar};

/// The cookie's name where it came without TLS.
pub const COOKIE: &str = "soonshop_session";

/// And over TLS: a browser takes it from this host alone, and only with `Secure` and for all its paths.
pub const HOST_COOKIE: &str = "__Host-soonshop_session";

/// The names of the cookie by which a browser is known that somebody signed in with before, without TLS and over it. It
/// opens nothing.
const DEVICE_COOKIES: [&str; 2] = ["soonshop_device", "__Host-soonshop_device"];

/// The names of the cookie of a sign-in at a provider of identities, which comes back from another site.
const PROVIDER_COOKIES: [&str; 2] = ["soonshop_provider", "__Host-soonshop_provider"];

/// For how many seconds a browser keeps that.
const PROVIDER_KEPT: i64 = 10 * 60;

/// For how many seconds a browser keeps it: as long as the device is known.
const DEVICE_KEPT: i64 = 90 * 24 * 60 * 60;

/// The cookie's name on the connection of a request, of the two. Each kind of connection knows its own alone.
fn name([plain, over_tls]: [&'static str; 2], headers: &HeaderMap) -> &'static str {
    if came_over_tls(headers) { over_tls } else { plain }
}

/// How long a session lasts, unless its key expires first.
pub const LIFETIME: TimeDelta = TimeDelta::hours(8);

/// How long who asks is looked up, where a table of keys or sessions is kept locked.
const IDENTIFIED: Duration = Duration::from_secs(3);

/// The origin of a request (same origin or other site), as the browser reports it.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl StoredSession {
    /// The caller that acts in it.
    pub fn caller(&self) -> Caller {
        self.key.as_ref().map_or_else(Caller::operator, Caller::of)
    }
}

/// The visitor of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    pub caller: Caller,
    /// When they must sign in again; `None` without a session.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What a sign-in with a password came to.
#[derive(Debug)]
pub enum Entered {
    /// The values of `Set-Cookie`.
    Cookies(Vec<String>),
    /// A second factor is asked for: the token of the second step.
    Waits(String),
}

/// The hash of the session's cookie, if there is a readable one.
fn sent(headers: &HeaderMap) -> Option<[u8; 32]> {
    sent_secret(headers).map(|secret| hash(&secret))
}

/// The secret in the session's cookie.
fn sent_secret(headers: &HeaderMap) -> Option<[u8; 32]> {
    secret_in(headers, [COOKIE, HOST_COOKIE])
}

/// The secret in the cookie of these names.
fn secret_in(headers: &HeaderMap, names: [&'static str; 2]) -> Option<[u8; 32]> {
    BASE64.decode(sent_cookie(headers, names)?).ok()?.try_into().ok()
}

/// The secret of the sign-in at a provider that this browser began.
pub fn provider_secret(headers: &HeaderMap) -> Option<[u8; 32]> {
    secret_in(headers, PROVIDER_COOKIES)
}

/// The cookie of a sign-in at a provider; `None` takes it away. A link from another site brings it along.
pub fn provider_cookie(secret: Option<&[u8; 32]>, headers: &HeaderMap) -> String {
    let (value, seconds) =
        secret.map_or_else(Default::default, |secret| (BASE64.encode(secret), PROVIDER_KEPT));
    cookie_for("Lax", PROVIDER_COOKIES, &value, seconds, headers)
}

/// The value of the cookie of these names.
fn sent_cookie<'h>(headers: &'h HeaderMap, names: [&'static str; 2]) -> Option<&'h str> {
    let pairs = headers.get_all(COOKIES).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let name = name(names, headers);
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// The browser that sent these.
pub fn browser(headers: &HeaderMap) -> Browser<'_> {
    Browser {
        name: headers.get(USER_AGENT).and_then(|value| value.to_str().ok()),
        device: sent_cookie(headers, DEVICE_COOKIES),
        language: grammar::languages(headers).into_iter().next().unwrap_or_default(),
    }
}

fn cookie(value: &str, seconds: i64, headers: &HeaderMap) -> String {
    named_cookie([COOKIE, HOST_COOKIE], value, seconds, headers)
}

fn named_cookie(names: [&'static str; 2], value: &str, seconds: i64, headers: &HeaderMap) -> String {
    cookie_for("Strict", names, value, seconds, headers)
}

fn cookie_for(
    same_site: &str,
    names: [&'static str; 2],
    value: &str,
    seconds: i64,
    headers: &HeaderMap,
) -> String {
    let (name, secure) = (name(names, headers), if came_over_tls(headers) { "; Secure" } else { "" });
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}")
}

impl Access {
    /// Like [`caller`](Access::caller), but a session's cookie counts where no key is sent. A session that has ended
    /// makes a guest.
    pub async fn visitor(&self, headers: &HeaderMap) -> Result<Visitor, Problem> {
        let identified = tokio::time::timeout(IDENTIFIED, self.identify(headers)).await;
        identified.unwrap_or_else(|_| {
            let detail = "who asks cannot be looked up just now";
            Err(Problem::unavailable("database-unavailable", detail, Duration::from_secs(1)))
        })
    }

    async fn identify(&self, headers: &HeaderMap) -> Result<Visitor, Problem> {
        let known = |caller| Visitor { caller, expires_at: None };
        if self.everybody.is_some() || headers.contains_key(AUTHORIZATION) {
            return self.caller(headers).await.map(known);
        }
        let Some(secret) = sent_secret(headers) else { return Ok(known(self.anonymous(headers))) };
        let hash = hash(&secret);
        self.count_check(&hash).await?;
        let (found, visitor) = match self.session(hash).await? {
            Some(session) => {
                (true, Visitor { caller: session.caller(), expires_at: Some(session.expires_at) })
            }
            None => match self.signed_in_with(&secret).await? {
                Some(person) => (
                    true,
                    Visitor { caller: Caller::signed_in(&person), expires_at: Some(person.expires_at) },
                ),
                None => (false, known(self.anonymous(headers))),
            },
        };
        self.learn(hash, found).await;
        Ok(visitor)
    }

    /// Who signed in with a password and got this cookie.
    async fn signed_in_with(&self, secret: &[u8; 32]) -> Result<Option<SignedIn>, Problem> {
        match &self.people {
            Some(people) => people.cookie(secret).await,
            None => Ok(None),
        }
    }

    /// Whether the session whose cookie is sent ended because it was not used for too long.
    pub async fn was_idle(&self, headers: &HeaderMap) -> Result<bool, Problem> {
        match (&self.people, sent_secret(headers)) {
            (Some(people), Some(secret)) => people.was_idle(&secret).await,
            _ => Ok(false),
        }
    }

    /// Whether people sign in here with an e-mail address and a password.
    pub fn has_people(&self) -> bool {
        self.people.is_some()
    }

    /// Begins a session of an account, and ends the session whose cookie is sent. The same 401 for whatever was typed wrong.
    pub async fn sign_in_person(&self, typed: Typed<'_>, headers: &HeaderMap) -> Result<Entered, Problem> {
        let people = self.people()?;
        count(Class::SignIns, Who::Guest).await?;
        match people.sign_in(typed, browser(headers)).await? {
            SignInStep::SignedIn(begun) => self.begun(&begun, headers).await.map(Entered::Cookies),
            SignInStep::SecondFactor(token) => Ok(Entered::Waits(token)),
        }
    }

    /// The second step of a sign-in: the values of `Set-Cookie`.
    pub async fn second_factor(
        &self,
        token: &str,
        code: &str,
        headers: &HeaderMap,
    ) -> Result<Vec<String>, Problem> {
        let people = self.people()?;
        count(Class::SignIns, Who::Guest).await?;
        let begun = people.second_factor(token, code, browser(headers)).await?;
        self.begun(&begun, headers).await
    }

    /// The accounts of people. 401 where there are none.
    pub fn people(&self) -> Result<&Arc<dyn People>, Problem> {
        self.people.as_ref().ok_or_else(bad_token)
    }

    /// The values of `Set-Cookie` of a session that began; the session whose cookie is sent ends.
    pub async fn begun(&self, begun: &Begun, headers: &HeaderMap) -> Result<Vec<String>, Problem> {
        Caller::signed_in(&begun.person).count(Class::Writes).await?;
        self.sign_out(headers).await?;
        let seconds = (begun.person.expires_at - clock::now()).num_seconds();
        let session = cookie(&BASE64.encode(begun.secret), seconds, headers);
        let device =
            begun.device.as_ref().map(|token| named_cookie(DEVICE_COOKIES, token, DEVICE_KEPT, headers));
        Ok([Some(session), device].into_iter().flatten().collect())
    }

    /// The session of that hash, if it may still be used.
    async fn session(&self, hash: [u8; 32]) -> Result<Option<Arc<StoredSession>>, Problem> {
        let Some(keys) = &self.keys else { return Ok(None) };
        let look = async { keys.session(hash).await.map(|found| found.map(Arc::new)) };
        let found = self.sessions.try_get_with(hash, look).await.map_err(|error| away(&error))?;
        let now = clock::now();
        Ok(found.filter(|session| {
            let begun_with = match &session.key {
                Some(key) => key.lives(now).is_ok() && key.networks.admit() && key.hash.is(&session.proof),
                None => self.proof.as_ref().is_some_and(|proof| proof.is(&session.proof)),
            };
            session.expires_at > now && begun_with
        }))
    }

    /// Begins a session with a key or the operator's token, and ends the session whose cookie is sent. Returns the
    /// value of `Set-Cookie`. 401 for any other token.
    pub async fn sign_in(&self, token: &str, headers: &HeaderMap) -> Result<String, Problem> {
        let keys = self.keys.as_ref().ok_or_else(bad_token)?;
        let token = token.trim();
        let key = self.holder(token).await?;
        key.as_ref().map_or_else(Caller::operator, Caller::of).count(Class::Writes).await?;
        let now = clock::now();
        let most = now + LIFETIME;
        let expires_at =
            key.as_ref().and_then(|key| key.expires_at).map_or(most, |expires_at| expires_at.min(most));
        let mut secret = [0; 32];
        ring::rand::SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_| Problem::internal("no random numbers are available"))?;
        let proof = ApiKey::parse(token).map_or_else(|| hash(token.as_bytes()), |key| key.hash());
        let session = StoredSession { hash: hash(&secret), key, proof, expires_at };
        keys.begin(&session).await.map_err(|error| away(&error))?;
        self.sign_out(headers).await?;
        Ok(cookie(&BASE64.encode(secret), (expires_at - now).num_seconds(), headers))
    }

    /// Ends the session whose cookie is sent, if any. Returns the value of `Set-Cookie`.
    pub async fn sign_out(&self, headers: &HeaderMap) -> Result<String, Problem> {
        if let (Some(hash), Some(keys)) = (sent(headers), &self.keys) {
            keys.end(hash).await.map_err(|error| away(&error))?;
            self.sessions.invalidate(&hash).await;
        }
        if let (Some(secret), Some(people)) = (sent_secret(headers), &self.people) {
            people.sign_out(&secret).await?;
        }
        Ok(cookie("", 0, headers))
    }
}

/// Refuses a form that a page of another origin made the browser send. A program need not send an origin; a browser hides
/// it (`null`) on a page with `Referrer-Policy: no-referrer`, and says itself then that it is the same.
pub fn from_here(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    let site = text(FETCH_SITE).is_none_or(|site| site == "same-origin" || site == "none");
    let same = text(FETCH_SITE) == Some("same-origin");
    let origin = headers.get(ORIGIN).is_none_or(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        if origin == "null" {
            return same;
        }
        // Who ends TLS without saying so is taken for somebody who does not.
        let plain = || origin.strip_prefix("http://").filter(|_| !came_over_tls(headers));
        let host = origin.strip_prefix("https://").or_else(plain);
        host.is_some() && host == text(HOST)
    });
    if site && origin {
        return Ok(());
    }
    let detail = "a page of another origin sent this: do it from a page of the viewer itself";
    Err(Problem::forbidden("cross-site", detail))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::access::Role;
    use crate::rates::X_FORWARDED_PROTO;
    use crate::shelf::Shelf;

    fn headers(pairs: &[(&HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    /// The cookie, as a browser sends it.
    fn back(cookie: &str) -> HeaderMap {
        headers(&[(&COOKIES, &format!("a=b; {}", cookie.split(';').next().unwrap()))])
    }

    #[tokio::test]
    async fn a_session_acts_as_its_key_until_either_ends() {
        let shelf = Arc::new(Shelf::default());
        let access = Access::new(Some("the-token".into())).with_keys(shelf.clone());
        let soon = clock::now() + TimeDelta::minutes(10);
        let (key, id) = shelf.add(Role::Auditor, |known| known.expires_at = Some(soon)).unwrap();
        let cookie = access.sign_in(&format!(" {} ", key.text()), &HeaderMap::new()).await.unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains("Secure"), "{cookie}");
        assert!(!cookie.contains(&key.text()[13..]), "the cookie is not the key");
        let visitor = access.visitor(&back(&cookie)).await.unwrap();
        assert_eq!(
            (visitor.caller.role, visitor.caller.actor.to_string(), visitor.expires_at),
            (Role::Auditor, format!("staff:{id}"), Some(soon))
        );
        // Commands take no cookie.
        assert_eq!(access.caller(&back(&cookie)).await.unwrap().role, Role::Guest);

        // Another process, and the same key revoked.
        shelf.change(id, |known| known.revoked = true);
        let other = Access::new(Some("the-token".into())).with_keys(shelf.clone());
        assert_eq!(other.visitor(&back(&cookie)).await.unwrap().caller.role, Role::Guest);
        assert!(other.sign_in(&key.text(), &HeaderMap::new()).await.is_err());

        // Another token of the operator's ends the sessions of the one before.
        let cookie = other.sign_in("the-token", &HeaderMap::new()).await.unwrap();
        assert_eq!(other.visitor(&back(&cookie)).await.unwrap().caller.role, Role::Admin);
        let renewed = Access::new(Some("another-token".into())).with_keys(shelf.clone());
        assert_eq!(renewed.visitor(&back(&cookie)).await.unwrap().caller.role, Role::Guest);

        // A second sign-in replaces the first session.
        let second = other.sign_in("the-token", &back(&cookie)).await.unwrap();
        assert_eq!(other.visitor(&back(&cookie)).await.unwrap().caller.role, Role::Guest);
        let cookie = second;
        assert_eq!(other.visitor(&back(&cookie)).await.unwrap().caller.role, Role::Admin);

        let gone = other.sign_out(&back(&cookie)).await.unwrap();
        assert!(gone.starts_with("soonshop_session=; ") && gone.contains("Max-Age=0"), "{gone}");
        assert_eq!(other.visitor(&back(&cookie)).await.unwrap().caller.role, Role::Guest);
    }

    #[tokio::test]
    async fn over_tls_the_cookie_is_of_this_host_alone_and_is_cleared_as_it_was_set() {
        let access = Access::new(Some("the-token".into())).with_keys(Arc::new(Shelf::default()));
        let tls = |sent: &str| headers(&[(&COOKIES, sent), (&X_FORWARDED_PROTO, "https")]);
        let cookie = access.sign_in("the-token", &tls("a=b")).await.unwrap();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert!(pair.starts_with("__Host-soonshop_session="), "{cookie}");
        assert!(attributes.starts_with("Path=/; Max-Age=") && !attributes.contains("Domain"), "{cookie}");
        assert!(attributes.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
        assert_eq!(access.visitor(&tls(pair)).await.unwrap().caller.role, Role::Admin);
        // Another host of the domain could have set this one, or somebody on the way.
        let planted = tls(pair.strip_prefix("__Host-").unwrap());
        assert_eq!(access.visitor(&planted).await.unwrap().caller.role, Role::Guest);
        assert_eq!(access.visitor(&headers(&[(&COOKIES, pair)])).await.unwrap().caller.role, Role::Guest);
        let cleared = access.sign_out(&tls(pair)).await.unwrap();
        assert_eq!(cleared, "__Host-soonshop_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure");
        assert_eq!(access.visitor(&tls(pair)).await.unwrap().caller.role, Role::Guest);
    }

    #[test]
    fn the_cookie_of_a_sign_in_at_a_provider_comes_back_by_a_link_and_is_of_this_host_alone() {
        let over_tls = headers(&[(&X_FORWARDED_PROTO, "https")]);
        let cookie = provider_cookie(Some(&[7; 32]), &over_tls);
        assert!(cookie.starts_with("__Host-soonshop_provider="), "{cookie}");
        assert!(cookie.ends_with("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
        let plain = provider_cookie(Some(&[7; 32]), &HeaderMap::new());
        assert_eq!(provider_secret(&back(&plain)), Some([7; 32]));
        let pair = cookie.split(';').next().unwrap();
        let planted = pair.strip_prefix("__Host-").unwrap();
        for (sent, found) in [(pair, Some([7; 32])), (planted, None), ("__Host-soonshop_provider=AAAA", None)]
        {
            let sent = headers(&[(&COOKIES, sent), (&X_FORWARDED_PROTO, "https")]);
            assert_eq!(provider_secret(&sent), found);
        }
        assert!(
            provider_cookie(None, &over_tls).starts_with("__Host-soonshop_provider=; Path=/; Max-Age=0;")
        );
    }

    #[tokio::test]
    async fn an_unknown_session_is_a_guest_and_a_bad_key_begins_no_session() {
        // The stored hash of a session cannot be used as its cookie.
        let shelf = Arc::new(Shelf::default());
        let access = Access::new(Some("the-token".into())).with_keys(shelf);
        let cookie = access.sign_in("the-token", &HeaderMap::new()).await.unwrap();
        let stolen = sent(&back(&cookie)).unwrap();
        assert!(access.session(stolen).await.unwrap().is_some());
        let stolen = format!("{COOKIE}={}", BASE64.encode(stolen));
        for cookie in [
            "soonshop_session=",
            "soonshop_session=AAAA",
            "soonshop_session",
            "soonshop_session=%00; x",
            &stolen,
        ] {
            let visitor = access.visitor(&headers(&[(&COOKIES, cookie)])).await.unwrap();
            assert_eq!((visitor.caller.role, visitor.expires_at), (Role::Guest, None), "{cookie}");
        }
        for token in ["", "x", "ssk_00000000_AAAA"] {
            assert_eq!(access.sign_in(token, &HeaderMap::new()).await.unwrap_err().slug(), "bad-token");
        }
    }

    #[tokio::test]
    async fn with_one_role_for_everybody_tokens_and_cookies_are_ignored() {
        let access = Access::everybody(Role::Support);
        let sent = HeaderValue::from_static("Bearer nonsense");
        for shown in [
            HeaderMap::new(),
            headers(&[(&COOKIES, "soonshop_session=AAAA")]),
            HeaderMap::from_iter([(AUTHORIZATION, sent)]),
        ] {
            let visitor = access.visitor(&shown).await.unwrap();
            assert_eq!((visitor.caller.role, visitor.expires_at), (Role::Support, None), "{shown:?}");
            assert_eq!(visitor.caller.actor.to_string(), "guest:anonymous");
        }
    }

    #[test]
    fn a_form_comes_from_a_page_of_the_same_origin() {
        for good in [
            vec![],
            vec![(&HOST, "shop.example:8000"), (&ORIGIN, "http://shop.example:8000")],
            vec![(&HOST, "shop.example"), (&ORIGIN, "https://shop.example"), (&FETCH_SITE, "same-origin")],
            vec![(&FETCH_SITE, "none")],
            vec![(&HOST, "shop.example"), (&ORIGIN, "null"), (&FETCH_SITE, "same-origin")],
        ] {
            assert!(from_here(&headers(&good)).is_ok(), "{good:?}");
        }
        for bad in [
            vec![(&HOST, "shop.example"), (&ORIGIN, "https://evil.example")],
            vec![(&HOST, "shop.example"), (&ORIGIN, "null")],
            vec![(&HOST, "shop.example"), (&ORIGIN, "null"), (&FETCH_SITE, "none")],
            vec![(&HOST, "shop.example"), (&ORIGIN, "null"), (&FETCH_SITE, "cross-site")],
            vec![(&HOST, "shop.example"), (&ORIGIN, "http://shop.example.evil.example")],
            vec![(&FETCH_SITE, "cross-site")],
            vec![(&FETCH_SITE, "same-site")],
        ] {
            assert_eq!(from_here(&headers(&bad)).unwrap_err().slug(), "cross-site", "{bad:?}");
        }
    }
}
