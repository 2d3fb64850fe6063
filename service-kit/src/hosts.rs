//! The names under which a process answers. A page of another site may lead its own name to this machine's address; its
//! requests then carry that name, and are refused here, on every path.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::{Kind, Problem};

/// The hosts of a process. By default they are the names of the loopback interface: `localhost` and its addresses.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hosts(Option<Arc<[Name]>>);

/// A host as it is compared: without port, letters' case and the dot at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Address(IpAddr),
    Domain(String),
}

/// Why a text names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no host: give a name or an address without scheme, port and path, such as shop.example or 127.0.0.1"
)]
pub struct InvalidHost(String);

impl Hosts {
    /// These hosts and no others; without any, the names of the loopback interface. Empty texts are left out.
    pub fn new<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Result<Self, InvalidHost> {
        let mut hosts = Vec::new();
        for name in names {
            let text = name.as_ref().trim();
            if !text.is_empty() {
                // An address of IPv6 may stand without its brackets, as nothing follows it.
                let bare = text.parse().ok().map(|address: Ipv6Addr| address_of(IpAddr::V6(address)));
                let host = bare.or_else(|| Name::read(text)).ok_or_else(|| InvalidHost(text.to_owned()))?;
                hosts.push(host);
            }
        }
        Ok(if hosts.is_empty() { Self::default() } else { Self(Some(hosts.into())) })
    }

    fn has(&self, name: &Name) -> bool {
        match &self.0 {
            Some(hosts) => hosts.contains(name),
            None => name.is_loopback(),
        }
    }

    /// Refuses a request that names no host, or another one: by `Host`, and by its target where that has one, as with
    /// HTTP/2. The port is not compared.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let mut sent = headers.get_all(HOST).iter();
        let (host, another) = (sent.next(), sent.next());
        if another.is_some() {
            return Err(invalid("Host was sent more than once"));
        }
        let target = uri.authority().map(|authority| authority.as_str().as_bytes());
        let named = [target, host.map(HeaderValue::as_bytes)];
        if named.iter().all(Option::is_none) {
            return Err(invalid("send the header Host"));
        }
        for text in named.into_iter().flatten() {
            let text = std::str::from_utf8(text).ok();
            let name = text.and_then(without_port).and_then(Name::read);
            let name = name.ok_or_else(|| invalid("Host is a name or an address, and a port"))?;
            if !self.has(&name) {
                let detail =
                    "this shop does not answer under that name: --host gives the names that it answers to";
                return Err(Problem::new(Kind::Misdirected, "misdirected-request", detail));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(hosts) => f.debug_list().entries(hosts.iter()).finish(),
            None => f.write_str("loopback"),
        }
    }
}

impl Name {
    /// Reads a host without a port, an address of IPv6 in brackets.
    fn read(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            return inner
                .strip_suffix(']')?
                .parse()
                .ok()
                .map(|address: Ipv6Addr| address_of(IpAddr::V6(address)));
        }
        if let Ok(address) = text.parse::<std::net::Ipv4Addr>() {
            return Some(Self::Address(IpAddr::V4(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        (name.len() <= 253 && name.split('.').all(label)).then(|| Self::Domain(name.to_ascii_lowercase()))
    }

    fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::Domain(name) => name == "localhost",
        }
    }
}

fn address_of(address: IpAddr) -> Name {
    Name::Address(address.to_canonical())
}

/// `None`: what follows the host is no port.
fn without_port(text: &str) -> Option<&str> {
    let end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (host, rest) = text.split_at_checked(end)?;
    let port = rest.is_empty() || rest.strip_prefix(':')?.bytes().all(|b| b.is_ascii_digit());
    port.then_some(host)
}

fn invalid(detail: &'static str) -> Problem {
    Problem::malformed("invalid-host", detail).with("header", "Host")
}

/// Refuses requests for other hosts.
pub(crate) async fn only_these(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    match hosts.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The refusal of a request with that target and those values of `Host`.
    fn refused(hosts: &Hosts, target: &str, sent: &[&str]) -> Option<(u16, String)> {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append(HOST, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let checked = hosts.check(&target.parse().unwrap(), &headers);
        checked.err().map(|problem| (problem.status().as_u16(), problem.slug().to_owned()))
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is compared with what `refused` returns")]
    fn other() -> Option<(u16, String)> {
        Some((421, "misdirected-request".to_owned()))
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is compared with what `refused` returns")]
    fn malformed() -> Option<(u16, String)> {
        Some((400, "invalid-host".to_owned()))
    }

    #[test]
    fn by_default_the_names_of_the_loopback_interface_are_answered_to_whatever_the_port() {
        let hosts = Hosts::default();
        for good in [
            "127.0.0.1",
            "127.0.0.1:8000",
            "127.1.2.3",
            "localhost:1",
            "LOCALHOST.",
            "localhost:",
            "[::1]:8000",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert_eq!(refused(&hosts, "/x", &[good]), None, "{good}");
        }
        for bad in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
            "10.0.0.1",
            "[::2]",
            "127.1",
            "2130706433",
            "0.0.0.0",
            "localhost.localdomain",
        ] {
            assert_eq!(refused(&hosts, "/x", &[bad]), other(), "{bad}");
        }
    }

    #[test]
    fn only_the_hosts_that_are_given_are_answered_to() {
        let hosts = Hosts::new(["Shop.Example.", "", "::1", "192.0.2.1"]).unwrap();
        for good in ["shop.example", "SHOP.example.:443", "[::1]", "192.0.2.1:1"] {
            assert_eq!(refused(&hosts, "/x", &[good]), None, "{good}");
        }
        for bad in ["localhost", "127.0.0.1", "shop.example.evil.example", "xshop.example", "example"] {
            assert_eq!(refused(&hosts, "/x", &[bad]), other(), "{bad}");
        }
        assert_eq!(Hosts::new([""; 2]).unwrap(), Hosts::default());
    }

    #[test]
    fn a_host_that_is_missing_repeated_or_malformed_is_refused() {
        let hosts = Hosts::default();
        assert_eq!(refused(&hosts, "/x", &[]), malformed());
        assert_eq!(refused(&hosts, "/x", &["localhost", "localhost"]), malformed());
        for bad in [
            "",
            ":80",
            "user@localhost",
            "localhost:http",
            "localhost:80:80",
            "local host",
            "[::1",
            "[::1]x",
            "::1",
            "[::1%25lo]",
            "localhost/",
            "localhost..",
            ".localhost",
            "lo\u{e9}",
            "127.0.0.1,evil.example",
        ] {
            assert_eq!(refused(&hosts, "/x", &[bad]), malformed(), "{bad}");
        }
    }

    #[test]
    fn the_target_of_a_request_counts_as_its_host_does() {
        let hosts = Hosts::default();
        assert_eq!(refused(&hosts, "http://127.0.0.1:80/x", &[]), None);
        assert_eq!(refused(&hosts, "http://127.0.0.1/x", &["localhost"]), None);
        assert_eq!(refused(&hosts, "http://evil.example/x", &["127.0.0.1"]), other());
        assert_eq!(refused(&hosts, "http://127.0.0.1/x", &["evil.example"]), other());
        assert_eq!(refused(&hosts, "http://user@127.0.0.1/x", &["127.0.0.1"]), malformed());
    }

    #[test]
    fn a_host_is_given_without_scheme_port_and_path() {
        for bad in
            ["*", "http://shop.example", "shop.example:80", "shop.example/x", "b\u{fc}cher.example", "a b"]
        {
            let error = Hosts::new([bad]).unwrap_err().to_string();
            assert!(error.contains("such as shop.example"), "{error}");
        }
    }
}
