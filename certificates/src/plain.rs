//! Addresses of servers on other machines that are spoken to without TLS.

use url::{Host, Url};

/// Passwords and events would pass over a network in plain text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} is another machine, and is spoken to without TLS, so others may read what passes: use {instead}"
)]
pub struct PlainText {
    /// The host in the address.
    pub host: String,
    /// What its address has with TLS.
    pub instead: &'static str,
}

/// Whether that address is one of a server on another machine, without TLS.
pub fn plain_text(address: &str) -> Option<PlainText> {
    plain(address).map(|(host, instead)| PlainText { host, instead })
}

/// The host of a plain address of another machine, and what to write instead.
fn plain(address: &str) -> Option<(String, &'static str)> {
    let url = Url::parse(address).ok()?;
    let parameter =
        |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let has = |name: &str| url.query_pairs().any(|(key, _)| key == name);
    let instead = match url.scheme() {
        "postgres" | "postgresql" => {
            let mode = parameter("sslmode").or_else(|| parameter("ssl-mode"));
            let mode = mode.or_else(|| std::env::var("PGSSLMODE").ok()).unwrap_or_default();
            if ["require", "verify-ca", "verify-full"].contains(&mode.as_str()) {
                return None;
            }
            "sslmode=verify-full"
        }
        "redis" => "rediss://",
        "amqp" => "amqps://",
        // With files of TLS it is spoken in any case.
        "nats" if ["tls", "ca", "cert", "key"].into_iter().any(has) => return None,
        "nats" => "tls://",
        "http" => "https://",
        _ => return None,
    };
    let host = parameter("host").filter(|_| url.scheme().starts_with("postgres"));
    let host = host.or_else(|| url.host_str().map(str::to_owned))?;
    (!is_of_this_machine(&host)).then_some((host, instead))
}

/// A socket's folder, `localhost`, or an address of the loopback interface.
fn is_of_this_machine(host: &str) -> bool {
    if host.is_empty() || host.starts_with('/') || host.starts_with("%2F") {
        return true;
    }
    match Host::parse(host) {
        Ok(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_another_machine_without_tls_is_named() {
        for (address, host) in [
            ("postgres://u:p@db.example/shop", "db.example"),
            ("postgresql://u:p@10.0.0.7:5433/shop?sslmode=prefer", "10.0.0.7"),
            ("postgres://u@127.0.0.1/shop?host=db.example", "db.example"),
            ("redis://:p@cache.example:6379/0", "cache.example"),
            ("amqp://u:p@[fd00::1]/shop", "[fd00::1]"),
            ("nats://u:p@nats.example", "nats.example"),
            ("http://u:p@search.example:9200", "search.example"),
        ] {
            let found = plain_text(address).unwrap();
            assert_eq!(found.host, host, "{address}");
            let message = found.to_string();
            assert!(message.contains(found.instead) && !message.contains(":p@"), "{message}");
        }
    }

    #[test]
    fn what_is_encrypted_of_this_machine_or_a_file_is_no_plain_text() {
        for address in [
            "postgres://u:p@db.example/shop?sslmode=verify-full",
            "postgres://u:p@db.example/shop?sslmode=require",
            "postgres://u:p@localhost/shop",
            "postgres://u:p@127.0.0.5:5432/shop",
            "postgres://u@%2Fvar%2Frun%2Fpostgresql/shop",
            "postgres:///shop?host=/var/run/postgresql",
            "redis://[::1]:6379",
            "rediss://cache.example",
            "amqps://mq.example",
            "tls://nats.example",
            "nats://nats.example?tls=required",
            "nats://nats.example?ca=ca.pem",
            "https://search.example",
            "sqlite://data",
            "moka:",
            "in-process:",
            "tantivy://data/search",
            "no address",
        ] {
            assert_eq!(plain_text(address), None, "{address}");
        }
    }
}
