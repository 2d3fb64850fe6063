//! Whether a caller speaks TLS with the proxy that it calls.

use std::net::IpAddr;

use axum::http::header::FORWARDED;
use axum::http::{HeaderMap, HeaderName};

use super::address::{MOST, Proxies, elements, node, pair};

/// Says so of the connection of the caller.
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

impl Proxies {
    /// Whether the caller behind `peer` speaks TLS, as `Forwarded` (RFC 7239) or `X-Forwarded-Proto` says. They count
    /// only from a trusted proxy, and where both say something, both have to say `https`.
    pub fn over_tls(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        if !self.trusts(peer.to_canonical()) {
            return false;
        }
        let plain = elements(headers, &X_FORWARDED_PROTO);
        let plain = plain.last().map(|scheme| is_https(scheme));
        let message = [self.by_forwarded(headers), plain];
        message.contains(&Some(true)) && !message.contains(&Some(false))
    }

    /// The scheme in the element that names the caller: the last one whose address is no trusted proxy's.
    fn by_forwarded(&self, headers: &HeaderMap) -> Option<bool> {
        let mut of_caller = None;
        for element in elements(headers, &FORWARDED).iter().rev().take(MOST) {
            of_caller = pair(element, "proto").map(|scheme| is_https(&scheme));
            if !node(element).is_some_and(|address| self.trusts(address.to_canonical())) {
                break;
            }
        }
        of_caller
    }
}

fn is_https(scheme: &str) -> bool {
    scheme.trim().eq_ignore_ascii_case("https")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn over_tls(peer: &str, sent: &[(HeaderName, &str)]) -> bool {
        let proxies = ["10.0.0.0/8", "fd00::/8"].map(|proxy| proxy.parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        Proxies::from(proxies.to_vec()).over_tls(peer.parse().unwrap(), &headers)
    }

    #[test]
    fn only_a_trusted_proxy_says_that_a_caller_speaks_tls() {
        let f = |value| (FORWARDED, value);
        let x = |value| (X_FORWARDED_PROTO, value);
        for (sent, expected) in [
            (vec![], false),
            (vec![x("https")], true),
            (vec![x("HTTPS")], true),
            (vec![x("http")], false),
            (vec![x("https://evil.example")], false),
            (vec![x("")], false),
            // The proxy adds its own after what the caller made up.
            (vec![x("https, http")], false),
            (vec![x("https"), x("http")], false),
            (vec![x("http, https")], true),
            (vec![f("for=198.51.100.9;proto=https")], true),
            (vec![f("proto=\"HTTPS\";for=198.51.100.9")], true),
            (vec![f("for=198.51.100.9;proto=http")], false),
            (vec![f("for=198.51.100.9")], false),
            (vec![f("host=https;for=198.51.100.9")], false),
            (vec![f("for=1.1.1.1;proto=https, for=198.51.100.9;proto=http")], false),
            (vec![f("for=1.1.1.1;proto=http, for=198.51.100.9;proto=https")], true),
            (vec![f("for=1.1.1.1;proto=https, for=_hidden;proto=http")], false),
            (vec![f("for=1.1.1.1;proto=https, for=198.51.100.9")], false),
            // From the caller to the first proxy by TLS, and from that one to the second without.
            (vec![f("for=198.51.100.9;proto=https, for=10.0.0.2;proto=http")], true),
            (vec![f("for=198.51.100.9;proto=http, for=10.0.0.2;proto=https")], false),
            // The proxy writes one of them, and passes on the other.
            (vec![f("for=198.51.100.9;proto=https"), x("http")], false),
            (vec![f("for=198.51.100.9;proto=http"), x("https")], false),
            (vec![f("for=198.51.100.9;proto=https"), x("https")], true),
            (vec![f("for=198.51.100.9"), x("https")], true),
        ] {
            for peer in ["10.0.0.1", "::ffff:10.0.0.1", "fd00::1"] {
                assert_eq!(over_tls(peer, &sent), expected, "{peer} {sent:?}");
            }
            for peer in ["198.51.100.9", "127.0.0.1", "::1"] {
                assert!(!over_tls(peer, &sent), "{peer} {sent:?}");
            }
        }
    }
}
