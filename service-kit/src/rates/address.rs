//! The address of a caller: the peer's; or, where the peer is a proxy that is trusted, the one that the proxy reports.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::http::header::FORWARDED;
use axum::http::{HeaderMap, HeaderName};

use crate::grammar;

/// The callers that a proxy passes on, the last one last.
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The headers by which a proxy says that it passes a request on. `Via` is the one that every proxy must send (RFC 9110,
/// section 7.6.3); the others are common.
const OF_PROXIES: [&str; 8] = [
    "via",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "true-client-ip",
    "cf-connecting-ip",
];

/// Whether somebody says that the request is passed on for another.
pub(crate) fn is_passed_on(headers: &HeaderMap) -> bool {
    OF_PROXIES.iter().any(|name| headers.contains_key(*name))
}

/// The most addresses of a header that are read: more proxies than anybody has in a row.
pub(super) const MOST: usize = 32;

/// An address, or a network of them: `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The first one.
    address: IpAddr,
    /// How many bits of the address count.
    bits: u8,
}

/// Why a network is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write an address, or a network by its first address, such as 10.0.0.7, 10.0.0.0/8 or fd00::/8, and not everybody"
)]
pub struct BadNetwork;

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| BadNetwork)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadNetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if !(1..=most).contains(&bits) {
            return Err(BadNetwork);
        }
        // Addresses of IPv4 are compared as such, however they come.
        let (address, bits) = match address.to_canonical() {
            IpAddr::V4(inner) if address.is_ipv6() => {
                (IpAddr::V4(inner), bits.checked_sub(96).filter(|bits| *bits > 0).ok_or(BadNetwork)?)
            }
            address => (address, bits),
        };
        // A network is named by its first address: 10.0.0.7/8 may be meant as 10.0.0.7.
        if first_of(address, bits) == address { Ok(Self { address, bits }) } else { Err(BadNetwork) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Network {
    /// Whether the address is in it.
    pub fn has(self, other: IpAddr) -> bool {
        other.is_ipv4() == self.address.is_ipv4() && first_of(other, self.bits) == self.address
    }
}

/// The first address of the network of that one: of its address no more than these bits, which are at least one, are
/// kept.
fn first_of(address: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(own) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            Ipv4Addr::from_bits(own.to_bits() & mask).into()
        }
        IpAddr::V6(own) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            Ipv6Addr::from_bits(own.to_bits() & mask).into()
        }
    }
}

/// The proxies that are trusted to report the address of a caller, and whether it speaks TLS.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Arc<[Network]>);

impl From<Vec<Network>> for Proxies {
    fn from(proxies: Vec<Network>) -> Self {
        Self(proxies.into())
    }
}

impl Proxies {
    /// Whether no proxy is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is one of them.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|proxy| proxy.has(address))
    }

    /// Whether the peer passes requests on although it is not trusted to.
    pub fn ignores(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        is_passed_on(headers) && !self.trusts(peer.to_canonical())
    }

    /// The address of the caller behind `peer`.
    ///
    /// A trusted proxy adds the address that it was called from at the end of `Forwarded` (RFC 7239) or
    /// `X-Forwarded-For`; what stands before it was sent by the caller, who may have made it up. So the last address
    /// that is no trusted proxy's is taken. Where that cannot be read, or the two headers name different callers (a proxy
    /// passes on the one that it does not write), it is the address of the last proxy that can be relied on.
    pub fn caller(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let named = [(FORWARDED, node as Read), (X_FORWARDED_FOR, plain as Read)].map(|(name, read)| {
            headers.contains_key(&name).then(|| self.last(peer, &elements(headers, &name), read))
        });
        match named {
            [Some(one), Some(other)] if one != other => peer,
            [one, other] => one.or(other).unwrap_or(peer),
        }
    }

    fn last(&self, peer: IpAddr, elements: &[String], read: Read) -> IpAddr {
        let mut known = peer;
        for element in elements.iter().rev().take(MOST) {
            let Some(address) = read(element) else { return known };
            known = address.to_canonical();
            if !self.trusts(known) {
                break;
            }
        }
        known
    }
}

/// Reads the address in an element of a header.
type Read = fn(&str) -> Option<IpAddr>;

/// The elements of all lines of a header. A line that cannot be read is one element without an address.
pub(super) fn elements(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("unknown"));
    lines.flat_map(|line| grammar::split(line, ',')).map(str::to_owned).collect()
}

/// `for=192.0.2.60;proto=http`, `For="[2001:db8::17]:4711"`; none in `for=unknown`, `for=_hidden`.
pub(super) fn node(element: &str) -> Option<IpAddr> {
    plain(&pair(element, "for")?)
}

/// The value of that name in an element of `Forwarded`.
pub(super) fn pair(element: &str, name: &str) -> Option<String> {
    let mut pairs = grammar::split(element, ';').into_iter().filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    grammar::value(value)
}

/// An address, maybe with a port; one of IPv6 also in brackets.
fn plain(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>().ok();
    address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The name of the address that a request comes from, behind trusted proxies: an extension of the request.
#[derive(Debug, Clone)]
pub struct CallersAddress(pub Arc<str>);

/// The network that is counted as one caller: an address of IPv4, or a network of IPv6 of 64 bits, which one customer of
/// a provider has.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

/// The name under which an address is counted: that of its [`network`].
pub(crate) fn counted_name(address: IpAddr) -> String {
    match network(address) {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(network) => format!("{network}/64"),
    }
}

/// Where the peer is not known.
pub(super) const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn caller(peer: &str, sent: &[(HeaderName, &str)]) -> String {
        let proxies = ["10.0.0.0/8", "fd00::/8", "192.0.2.1"].map(|proxy| proxy.parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        Proxies::from(proxies.to_vec()).caller(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_network_is_named_by_its_first_address_and_is_not_everybody() {
        let read = |text: &str| text.parse::<Network>().map(|network| network.to_string()).ok();
        for (text, taken) in [
            ("10.0.0.7", Some("10.0.0.7/32")),
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("fd00::/8", Some("fd00::/8")),
            ("::ffff:10.0.0.7", Some("10.0.0.7/32")),
            ("::ffff:10.0.0.0/104", Some("10.0.0.0/8")),
            ("10.0.0.7/8", None),
            ("fd00::1/8", None),
            ("0.0.0.0/0", None),
            ("::/0", None),
            ("10.0.0.0/33", None),
        ] {
            assert_eq!(read(text).as_deref(), taken, "{text}");
        }
    }

    #[test]
    fn headers_of_a_peer_that_is_not_trusted_count_for_nothing() {
        for header in [FORWARDED, X_FORWARDED_FOR] {
            for value in ["198.51.100.9", "for=198.51.100.9", "10.0.0.1, 198.51.100.9"] {
                assert_eq!(caller("203.0.113.5", &[(header.clone(), value)]), "203.0.113.5");
            }
        }
        // An address of IPv4 that is written as one of IPv6.
        assert_eq!(caller("::ffff:203.0.113.5", &[]), "203.0.113.5");
    }

    #[test]
    fn a_trusted_proxy_reports_the_caller_and_what_the_caller_made_up_counts_for_nothing() {
        let f = |value| (FORWARDED, value);
        let x = |value| (X_FORWARDED_FOR, value);
        for (peer, sent, expected) in [
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec![x("198.51.100.9")], "198.51.100.9"),
            ("::ffff:10.0.0.1", vec![x("::ffff:198.51.100.9")], "198.51.100.9"),
            ("10.0.0.1", vec![x("1.1.1.1, 198.51.100.9, 10.3.3.3")], "198.51.100.9"),
            ("10.0.0.1", vec![x("1.1.1.1"), x("198.51.100.9")], "198.51.100.9"),
            ("10.0.0.1", vec![x("198.51.100.9:4711")], "198.51.100.9"),
            ("10.0.0.1", vec![x("2001:db8::17")], "2001:db8::17"),
            ("fd00::1", vec![x("[2001:db8::17]:4711")], "2001:db8::17"),
            ("192.0.2.1", vec![x("192.0.2.2")], "192.0.2.2"),
            // All of them are proxies: the first one is where it came from.
            ("10.0.0.1", vec![x("10.0.0.9, 10.0.0.2")], "10.0.0.9"),
            ("10.0.0.1", vec![f("for=198.51.100.9")], "198.51.100.9"),
            ("10.0.0.1", vec![f("for=1.1.1.1, proto=https;For=\"[2001:db8::17]:4711\"")], "2001:db8::17"),
            ("10.0.0.1", vec![f("for=\"198.51.100.9:80\";by=10.0.0.1")], "198.51.100.9"),
            // A hidden or malformed element hides those before it.
            ("10.0.0.1", vec![f("for=1.1.1.1, for=_hidden")], "10.0.0.1"),
            ("10.0.0.1", vec![f("for=1.1.1.1, for=unknown, for=10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", vec![x("1.1.1.1, nonsense")], "10.0.0.1"),
            ("10.0.0.1", vec![x("")], "10.0.0.1"),
            // The proxy writes one of them, and passes on the other.
            ("10.0.0.1", vec![f("for=1.1.1.1"), x("198.51.100.9")], "10.0.0.1"),
            ("10.0.0.1", vec![f("for=198.51.100.9"), x("198.51.100.9")], "198.51.100.9"),
        ] {
            assert_eq!(caller(peer, &sent), expected, "{peer} {sent:?}");
        }
        let long = "10.0.0.2, ".repeat(100_000);
        assert_eq!(caller("10.0.0.1", &[x(&long)]), "10.0.0.2");
    }

    #[test]
    fn an_address_of_ipv6_is_counted_by_its_network() {
        let name = |text: &str| counted_name(text.parse().unwrap());
        assert_eq!(name("198.51.100.9"), "198.51.100.9");
        assert_eq!(name("2001:db8:1:2:3:4:5:6"), name("2001:db8:1:2:ffff::1"));
        assert_eq!(name("2001:db8:1:2::1"), "2001:db8:1:2::/64");
        assert_ne!(name("2001:db8:1:2::1"), name("2001:db8:1:3::1"));
    }

    #[test]
    fn a_network_of_proxies_has_its_addresses_and_no_others() {
        let has =
            |proxy: &str, address: &str| proxy.parse::<Network>().unwrap().has(address.parse().unwrap());
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("10.0.0.7", "10.0.0.7") && !has("10.0.0.7", "10.0.0.6"));
        assert!(has("128.0.0.0/1", "203.0.113.5") && !has("128.0.0.0/1", "::1"));
        assert!(has("8000::/1", "fdff::1") && has("fd00::/8", "fdff::1") && !has("fd00::/8", "fe00::1"));
        for bad in [
            "",
            "proxy",
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0/8",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        assert_eq!("10.0.0.7".parse::<Network>().unwrap().to_string(), "10.0.0.7/32");
    }
}
