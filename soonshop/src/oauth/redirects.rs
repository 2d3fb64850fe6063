//! Redirect addresses as they are registered: what is compared as a text has one spelling, and leads to one place.

use std::net::Ipv4Addr;

use url::{Host, Url};

/// What is in none: it would end, or widen, the rule that names its origin to browsers, or stand for many addresses.
const NEVER: [char; 8] = ['*', '\\', ';', ',', '\'', '"', '<', '>'];

/// Why a redirect is refused, as a sentence.
pub(super) fn check(text: &str, public: bool) -> Result<(), String> {
    let refused = |why: &str| Err(format!("--redirect {text:?} {why}"));
    let Ok(url) = Url::parse(text) else { return refused("is no address") };
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(NEVER) {
        return refused("has a character that no redirect has: ASCII only, and none of * \\ ; , ' \" < >");
    }
    if url.as_str() != text {
        return refused(&format!("is compared letter by letter: write it as {url}"));
    }
    if url.fragment().is_some() {
        return refused("has a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refused("has a name before its host");
    }
    // Browsers know no address of IPv6 in the rule by which the consent page names it.
    let loopback = url.host() == Some(Host::Ipv4(Ipv4Addr::LOCALHOST));
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        "http" => refused("begins with https://, or with http:// and 127.0.0.1"),
        // RFC 8252, 7.1: a name in reverse, which is its owner's.
        scheme if scheme.contains('.') && public => Ok(()),
        scheme if scheme.contains('.') => {
            refused("has a scheme of an app's own: only a public client has one")
        }
        _ => refused("begins with https://, or with a scheme of the app's own that has a dot in it"),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_redirect_is_one_address_in_one_spelling() {
        for good in [
            "https://app.example/cb",
            "https://app.example/",
            "https://app.example:8443/cb?x=1",
            "http://127.0.0.1:4000/cb",
        ] {
            check(good, false).unwrap();
        }
        check("org.example.app:/cb", true).unwrap();
        for bad in [
            "",
            "cb",
            "/cb",
            "//app.example/cb",
            "https://app.example",
            "https://app.example:443/cb",
            "HTTPS://app.example/cb",
            "https://App.example/cb",
            "https://app.example/a/../cb",
            "https://app.example/cb#f",
            "https://app.example/cb#",
            "https://user@app.example/cb",
            "https://*.app.example/cb",
            "https://app.example/*",
            "https://app.example\\@evil.example/cb",
            "https://app.example/c;b",
            "http://[::1]:4000/cb",
            "http://127.0.0.2/cb",
            "https://app.example/c b",
            "https://äpp.example/cb",
            "http://app.example/cb",
            "http://localhost/cb",
            "http://127.0.0.1.evil.example/cb",
            "app:/cb",
            "javascript:alert(1)",
            "data:text/html,x",
        ] {
            assert!(check(bad, true).is_err(), "{bad}");
        }
        assert!(check("org.example.app:/cb", false).is_err(), "only a public client");
    }
}
