//! The parameters of a request: each comes once, and an empty one is absent (RFC 6749, 3.2). Unknown ones are not looked at.

use std::collections::BTreeMap;

use axum::extract::Request;
use axum::http::HeaderMap;
use soonshop_service_kit::endpoint::call::form_body;
use soonshop_service_kit::rates::{Class, Who, count};
use url::form_urlencoded;

use super::refusal::Refusal;

/// The fields of a form.
#[derive(Debug, Default)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Reads the form in a body. Who sends none is counted like who is not known: nobody else can be.
    pub(super) async fn read(request: Request) -> Result<(HeaderMap, Self), Refusal> {
        let (parts, body) = request.into_parts();
        let read = match form_body(&parts.headers, body).await {
            Ok(text) => Self::parse(&text),
            Err(problem) => Err(problem.into()),
        };
        match read {
            Ok(fields) => Ok((parts.headers, fields)),
            Err(refusal) => {
                count(Class::SignIns, Who::Guest).await?;
                Err(refusal)
            }
        }
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()).into_owned() {
            if fields.insert(name, value).is_some() {
                return Err(Refusal::request("a parameter comes once"));
            }
        }
        fields.retain(|_, value| !value.is_empty());
        Ok(Self(fields))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::request(&format!("{name} is missing")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_comes_once_and_an_empty_one_is_absent() {
        let fields = Fields::parse("a=1+2&b=&c=%C3%A9&d").unwrap();
        assert_eq!((fields.get("a"), fields.get("b"), fields.get("c")), (Some("1 2"), None, Some("é")));
        assert!(fields.required("d").is_err() && fields.required("a").is_ok());
        for twice in ["a=1&a=1", "a=1&a=", "a=&a=", "a&%61=2"] {
            assert!(Fields::parse(twice).is_err(), "{twice}");
        }
    }
}
