//! Which addresses a process may listen on. What other machines can reach is encrypted: by the process itself, or by a
//! proxy before it that is named.

use std::net::SocketAddr;

pub use crate::connections::is_of_this_machine;
use crate::serve::ServerSettings;

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unprotected {
    /// Neither TLS nor a proxy.
    #[error(
        "{0} can be reached by other machines, and what they send would not be encrypted: give --tls-cert and --tls-key, \
         or --behind-proxy with the address or the network of the proxy that speaks TLS with them, or listen on the \
         loopback interface (127.0.0.1 or [::1])"
    )]
    Plain(SocketAddr),
    /// Nobody signs in there.
    #[error(
        "{0} can be reached by other machines, and nobody signs in to see the file: listen on the loopback interface \
         (127.0.0.1 or [::1])"
    )]
    WithoutSignIn(SocketAddr),
}

/// Refuses an address that other machines can reach, unless the process speaks TLS itself or is behind a proxy.
pub fn must_be_protected(address: SocketAddr, server_settings: &ServerSettings) -> Result<(), Unprotected> {
    if is_of_this_machine(address) || server_settings.tls.is_some() || !server_settings.proxies.is_empty() {
        Ok(())
    } else {
        Err(Unprotected::Plain(address))
    }
}

/// Refuses an address that other machines can reach.
pub fn must_be_of_this_machine(address: SocketAddr) -> Result<(), Unprotected> {
    if is_of_this_machine(address) { Ok(()) } else { Err(Unprotected::WithoutSignIn(address)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::Tls;
    use crate::rates::Proxies;

    const OPEN: [&str; 4] = ["0.0.0.0:80", "[::]:80", "192.168.1.2:80", "[::ffff:10.0.0.1]:80"];

    #[test]
    fn the_loopback_interface_may_always_be_listened_on() {
        for good in ["127.0.0.1:80", "127.8.8.8:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            let good = good.parse().unwrap();
            assert_eq!(must_be_protected(good, &ServerSettings::default()), Ok(()), "{good}");
            assert_eq!(must_be_of_this_machine(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn an_address_that_others_reach_needs_tls_or_a_proxy() {
        let proxies = Proxies::from(vec!["10.0.0.0/8".parse().unwrap()]);
        let behind = ServerSettings { proxies, ..ServerSettings::default() };
        let folder = crate::connections::folder_of_tests();
        let file = |name: &str| folder.path().join(name);
        let tls = Tls::read(&file("valid.pem"), &file("server.key")).unwrap();
        let speaks_tls = ServerSettings { tls: Some(tls), ..ServerSettings::default() };
        for bad in OPEN {
            let bad = bad.parse().unwrap();
            let message = must_be_protected(bad, &ServerSettings::default()).unwrap_err().to_string();
            for words in ["--tls-cert", "--tls-key", "--behind-proxy", "127.0.0.1"] {
                assert!(message.contains(words), "{message}");
            }
            assert_eq!(must_be_protected(bad, &behind), Ok(()), "{bad}");
            assert_eq!(must_be_protected(bad, &speaks_tls), Ok(()), "{bad}");
            assert!(must_be_of_this_machine(bad).unwrap_err().to_string().contains("loopback"), "{bad}");
        }
    }
}
