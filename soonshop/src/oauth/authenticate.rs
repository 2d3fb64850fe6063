//! Which client sends a request (RFC 6749, 2.3.1): by HTTP Basic, or in the body, and never by both.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use soonshop_identity::{Client, Error};
use soonshop_service_kit::rates::{Class, Who, count};
use url::form_urlencoded;

use super::fields::Fields;
use super::refusal::Refusal;
use super::state::OAuthState;

/// What a client says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    id: String,
    secret: Option<String>,
}

/// One of the two parts of HTTP Basic, which is encoded as in a form.
fn decoded(part: &str) -> Option<String> {
    // As a value, so that `=` and `&` in it separate nothing.
    let escaped = part.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(format!("part={escaped}").as_bytes()).next().map(|(_, value)| value.into_owned())
}

fn basic(value: &str) -> Option<Said> {
    let (scheme, encoded) = value.split_once(' ')?;
    let bytes = BASE64.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some(Said { id: decoded(id)?, secret: Some(decoded(secret)?) })
}

fn said(headers: &HeaderMap, fields: &Fields) -> Result<Said, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let in_body = (fields.get("client_id"), fields.get("client_secret"));
    let Some(value) = values.next() else {
        let id = in_body.0.ok_or_else(Refusal::client)?;
        return Ok(Said { id: id.to_owned(), secret: in_body.1.map(str::to_owned) });
    };
    if values.next().is_some() {
        return Err(Refusal::request("Authorization comes once"));
    }
    let said = value.to_str().ok().and_then(basic).ok_or_else(Refusal::client)?;
    if in_body.1.is_some() || in_body.0.is_some_and(|id| id != said.id) {
        return Err(Refusal::request(
            "a client says who it is in one place: in Authorization, or in the body",
        ));
    }
    Ok(said)
}

/// The client that sends this request. What is wrong is counted as a wrong key is; what is right, as of a program.
pub(super) async fn client(
    state: &OAuthState,
    headers: &HeaderMap,
    fields: &Fields,
) -> Result<Client, Refusal> {
    let said = match said(headers, fields) {
        Ok(said) => said,
        Err(refusal) => {
            count(Class::SignIns, Who::Guest).await?;
            return Err(refusal);
        }
    };
    let identity = &state.accounts.identity;
    let Some(secret) = said.secret else {
        // Anybody can name a public one.
        count(Class::SignIns, Who::Guest).await?;
        return Ok(identity.authenticate_client(&said.id, None).await?);
    };
    let proof = state.access.count_proof(&format!("{}:{secret}", said.id)).await?;
    let found = identity.authenticate_client(&said.id, Some(&secret)).await;
    if matches!(found, Ok(_) | Err(Error::Client)) {
        state.access.learn(proof, found.is_ok()).await;
    }
    let client = found?;
    count(Class::Writes, Who::Program(&said.id)).await?;
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_of_basic_are_decoded_as_in_a_form() {
        let of = |text: &str| basic(&format!("Basic {}", BASE64.encode(text)));
        let said = |id: &str, secret: &str| Some(Said { id: id.to_owned(), secret: Some(secret.to_owned()) });
        assert_eq!(of("a:b"), said("a", "b"));
        assert_eq!(of("a%3Ab+c:d%26e&f=g"), said("a:b c", "d&e&f=g"));
        assert_eq!(of("a:"), said("a", ""));
        assert_eq!(basic(&format!("bAsIc {}", BASE64.encode("a:b"))), said("a", "b"));
        for bad in ["", "Basic", "Basic !", "Bearer YTpi", &format!("Basic {}", BASE64.encode("no colon"))] {
            assert_eq!(basic(bad), None, "{bad}");
        }
    }
}
