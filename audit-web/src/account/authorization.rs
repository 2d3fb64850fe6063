//! A request for an authorization: how it is read and judged, and how it is answered (RFC 6749, 4.1; RFC 7636; RFC 9207).

use axum::response::Response;
use soonshop_service_kit::access::{Clients, CodeWanted, KnownClient};
use url::form_urlencoded;

use crate::pages::frame::see_other;

/// The parameters that are read, and sent again with the consent.
const KNOWN: [&str; 8] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
];

/// The longest state, which is given back as it was sent.
const LONGEST_STATE: usize = 512;

/// The parameters of a request, as often as they were sent; empty ones are absent.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
        Self(pairs.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The value of a parameter that comes once; otherwise why not.
    pub(super) fn once(&self, name: &str) -> Result<&str, &'static str> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value),
            (None, _) => Err("the request of the program that sent you here lacks a parameter"),
            (Some(_), Some(_)) => Err("the request of the program that sent you here has a parameter twice"),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.once(name).ok()
    }

    /// The state, where it can be given back.
    pub(super) fn state(&self) -> Option<String> {
        self.get("state").filter(|state| is_state(state)).map(str::to_owned)
    }

    /// The parameters that are known, in the order in which they were sent.
    pub(super) fn known(&self) -> impl Iterator<Item = (&str, &str)> {
        let known = self.0.iter().filter(|(name, _)| KNOWN.contains(&name.as_str()));
        known.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same as a query.
    pub(super) fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.known()).finish()
    }

    fn has_one_twice(&self) -> bool {
        KNOWN.iter().any(|name| self.0.iter().filter(|(sent, _)| sent == name).count() > 1)
    }
}

/// Printable ASCII, as RFC 6749 has it.
fn is_state(state: &str) -> bool {
    state.len() <= LONGEST_STATE && state.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Why a request is sent back without a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthorizationError {
    Denied,
    Busy,
    ResponseType,
    Scope,
    /// A sentence for the developer of the client.
    Request(&'static str),
}

impl AuthorizationError {
    fn code(self) -> &'static str {
        match self {
            Self::Denied => "access_denied",
            Self::Busy => "temporarily_unavailable",
            Self::ResponseType => "unsupported_response_type",
            Self::Scope => "invalid_scope",
            Self::Request(_) => "invalid_request",
        }
    }
}

/// A client that is known, and an address that it registered.
pub(super) struct Requester {
    pub(super) issuer: String,
    pub(super) client: KnownClient,
    pub(super) redirect: String,
    pub(super) state: Option<String>,
}

impl Requester {
    fn back(&self, pairs: &[(&str, &str)]) -> Response {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs);
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", &self.issuer);
        let joint = if self.redirect.contains('?') { '&' } else { '?' };
        see_other(&format!("{}{joint}{}", self.redirect, query.finish()))
    }

    /// Leads back with a code.
    pub(super) fn answer(&self, code: &str) -> Response {
        self.back(&[("code", code)])
    }

    /// Leads back without one.
    pub(super) fn refuse(&self, error: AuthorizationError) -> Response {
        match error {
            AuthorizationError::Request(why) => {
                self.back(&[("error", error.code()), ("error_description", why)])
            }
            _ => self.back(&[("error", error.code())]),
        }
    }
}

/// A request that may be put to somebody.
pub(super) struct Asked {
    challenge: String,
    scope: Vec<String>,
}

/// What a request is found to be.
pub(super) enum Judged {
    Good(Asked),
    Bad(AuthorizationError),
}

impl Asked {
    /// Judges what a known client asks for.
    pub(super) fn judge(clients: &dyn Clients, fields: &Fields, requester: &Requester) -> Judged {
        let bad = |why| Judged::Bad(AuthorizationError::Request(why));
        if fields.has_one_twice() {
            return bad("a parameter comes once");
        }
        if fields.get("state").is_some() && requester.state.is_none() {
            return bad("state has at most 512 characters of printable ASCII");
        }
        match fields.get("response_type") {
            Some("code") => {}
            Some(_) => return Judged::Bad(AuthorizationError::ResponseType),
            None => return bad("response_type is missing"),
        }
        if fields.get("response_mode").is_some_and(|mode| mode != "query") {
            return bad("response_mode is query");
        }
        // Never guessed, and never `plain`: RFC 9700, 2.1.1.
        let challenge = fields.get("code_challenge").filter(|text| clients.is_challenge(text));
        let (Some(challenge), Some("S256")) = (challenge, fields.get("code_challenge_method")) else {
            return bad("code_challenge is needed, with code_challenge_method=S256");
        };
        match clients.narrowed(fields.get("scope"), &requester.client) {
            Some(scope) => Judged::Good(Self { challenge: challenge.to_owned(), scope }),
            None => Judged::Bad(AuthorizationError::Scope),
        }
    }

    pub(super) fn wanted<'a>(&'a self, requester: &'a Requester) -> CodeWanted<'a> {
        CodeWanted {
            client: &requester.client,
            redirect: &requester.redirect,
            challenge: &self.challenge,
            scope: &self.scope,
        }
    }
}

/// Where a form may lead to end up at a redirect address: its origin, or the scheme of an app's own.
pub(super) fn form_source(redirect: &str) -> String {
    let (scheme, rest) = redirect.split_once(':').unwrap_or((redirect, ""));
    match rest.strip_prefix("//") {
        Some(rest) if ["http", "https"].contains(&scheme) => {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            format!("{scheme}://{host}")
        }
        _ => format!("{scheme}:"),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::LOCATION;
    use uuid::Uuid;

    use super::*;

    fn requester(redirect: &str, state: Option<&str>) -> Requester {
        let client = KnownClient {
            id: Uuid::from_u128(1),
            name: "app".to_owned(),
            public: false,
            redirects: vec![redirect.to_owned()],
            scope: Vec::new(),
        };
        let state = state.map(str::to_owned);
        Requester { issuer: "https://shop.example".to_owned(), client, redirect: redirect.to_owned(), state }
    }

    fn location(response: &Response) -> &str {
        response.headers()[LOCATION].to_str().unwrap()
    }

    #[test]
    fn an_answer_goes_back_with_the_state_as_it_was_sent_and_who_answers() {
        let answer = requester("https://app.example/cb", Some("a b&c=")).answer("ssa_x");
        assert_eq!(
            location(&answer),
            "https://app.example/cb?code=ssa_x&state=a+b%26c%3D&iss=https%3A%2F%2Fshop.example"
        );
        let refused = requester("https://app.example/cb?x=1", None).refuse(AuthorizationError::Denied);
        assert_eq!(
            location(&refused),
            "https://app.example/cb?x=1&error=access_denied&iss=https%3A%2F%2Fshop.example"
        );
    }

    #[test]
    fn a_parameter_that_comes_twice_is_none_and_a_state_is_printable() {
        let fields = Fields::parse("client_id=a&client_id=a&state=x&scope=&nonce=1&nonce=2");
        assert!(fields.once("client_id").is_err() && fields.once("scope").is_err() && fields.has_one_twice());
        assert_eq!(fields.state().as_deref(), Some("x"));
        assert!(!Fields::parse("nonce=1&nonce=2").has_one_twice(), "unknown ones are not looked at");
        for bad in ["a%0d%0ab", "%C3%A9", &"x".repeat(513)] {
            assert_eq!(Fields::parse(&format!("state={bad}")).state(), None, "{bad}");
        }
        let again = Fields::parse("state=a%26b&nonce=1&scope=own+read").query();
        assert_eq!(again, "state=a%26b&scope=own+read");
    }

    #[test]
    fn a_form_may_lead_to_the_origin_of_the_redirect_and_nowhere_else() {
        for (redirect, source) in [
            ("https://app.example/cb?x=1", "https://app.example"),
            ("https://app.example:8443/", "https://app.example:8443"),
            ("http://127.0.0.1:4000/cb", "http://127.0.0.1:4000"),
            ("http://[::1]:4000/cb", "http://[::1]:4000"),
            ("org.example.app:/cb", "org.example.app:"),
            ("org.example.app://host/cb", "org.example.app:"),
        ] {
            assert_eq!(form_source(redirect), source);
        }
    }
}
