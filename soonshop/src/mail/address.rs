//! The public address of the shop, which links in mails begin with.

use std::net::IpAddr;

use anyhow::{Context as _, bail};
use url::{Host, Url};

/// The address of the shop's pages, without the `/` at its end.
pub(super) fn public_url(text: &str) -> anyhow::Result<Url> {
    let url = Url::parse(text).with_context(|| format!("--public-url {text:?} is no address"))?;
    let this_machine = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if !(url.scheme() == "https" || url.scheme() == "http" && this_machine) {
        bail!("--public-url begins with https://, or with http:// and a name of this machine");
    }
    let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !bare || url.password().is_some() || url.host().is_none() {
        bail!("--public-url is a host and at most a path: without a name, a query and a fragment");
    }
    Ok(url)
}

/// Whether a host is this machine: only there may mails be handed over without TLS.
pub(super) fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The path below the public address.
pub(super) fn below(public: &Url, path: &str) -> String {
    format!("{}/{path}", public.as_str().trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_is_encrypted_or_of_this_machine_and_has_no_query() {
        for good in
            ["https://shop.example", "https://shop.example/en/", "http://127.0.0.1:8000", "http://localhost"]
        {
            let url = public_url(good).unwrap();
            assert_eq!(below(&url, "x"), format!("{}/x", good.trim_end_matches('/')));
        }
        for bad in [
            "shop.example",
            "http://shop.example",
            "ftp://shop.example",
            "https://shop.example/?a=b",
            "https://shop.example/#a",
            "https://me@shop.example",
            "",
        ] {
            let refused = public_url(bad).unwrap_err().to_string();
            assert!(refused.contains("--public-url"), "{bad}: {refused}");
        }
    }
}
