//! The settings of connections: under which names the shop answers, to whose pages, and within which bounds. The
//! bounds that are no setting are in [`Limits`]; `docs/connections.md` has a table of both.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use soonshop_service_kit::connections::{Limits, Tls};
use soonshop_service_kit::cors::Origins;
use soonshop_service_kit::hosts::Hosts;
use soonshop_service_kit::rates::Proxies;
use soonshop_service_kit::serve::ServerSettings;

/// The heading of these settings in the help.
pub const HEADING: &str = "Connections";

/// The clients that may connect, and the share of the process that each may use.
#[derive(Debug, Clone, clap::Args)]
pub struct ConnectionSettings {
    /// A host under which the shop answers, without a port: repeated, or several with commas. Without it, the names of
    /// the loopback interface
    #[arg(long, env = "SOONSHOP_HOST", value_name = "HOST", value_delimiter = ',', global = true,
          help_heading = HEADING)]
    pub host: Vec<String>,
    /// An origin whose pages may use the API from a browser, such as `https://shop.example`: repeated, or several with
    /// commas
    #[arg(long, env = "SOONSHOP_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', global = true,
          help_heading = HEADING)]
    pub cors_origin: Vec<String>,
    /// The certificate as PEM, with those that lead to its issuer, if the shop itself speaks TLS. It is read again when
    /// the file changes
    #[arg(long, env = "SOONSHOP_TLS_CERT", value_name = "FILE", global = true, help_heading = HEADING)]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key as PEM, readable by its owner only. It is read again when the file changes
    #[arg(long, env = "SOONSHOP_TLS_KEY", value_name = "FILE", global = true, help_heading = HEADING)]
    pub tls_key: Option<PathBuf>,
    /// The earlier name of --tls-cert
    #[arg(long, env = "SOONSHOP_TLS_CERTIFICATE_FILE", value_name = "FILE", global = true, hide = true)]
    pub tls_certificate_file: Option<PathBuf>,
    /// The earlier name of --tls-key
    #[arg(long, env = "SOONSHOP_TLS_KEY_FILE", value_name = "FILE", global = true, hide = true)]
    pub tls_key_file: Option<PathBuf>,
    /// Connections in all; fewer where the process may not open so many files
    #[arg(long, env = "SOONSHOP_MAX_CONNECTIONS", default_value_t = count(Limits::DEFAULT.connections), global = true,
          help_heading = HEADING, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,
    /// Connections of one address
    #[arg(long, env = "SOONSHOP_MAX_CONNECTIONS_PER_ADDRESS",
          default_value_t = count(Limits::DEFAULT.connections_per_address), global = true, help_heading = HEADING,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections_per_address: u32,
    /// Seconds for the head of a request
    #[arg(long, env = "SOONSHOP_HEAD_SECONDS", default_value_t = Limits::DEFAULT.head.as_secs(), global = true,
          help_heading = HEADING, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub head_seconds: u64,
    /// Seconds for the body of a request
    #[arg(long, env = "SOONSHOP_BODY_SECONDS", default_value_t = Limits::DEFAULT.body.as_secs(), global = true,
          help_heading = HEADING, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub body_seconds: u64,
    /// Seconds that a connection may stay without a request
    #[arg(long, env = "SOONSHOP_IDLE_SECONDS", default_value_t = Limits::DEFAULT.idle.as_secs(), global = true,
          help_heading = HEADING, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub idle_seconds: u64,
    /// Seconds within which a client takes the next 64 KiB of an answer
    #[arg(long, env = "SOONSHOP_WRITE_SECONDS", default_value_t = Limits::DEFAULT.write.as_secs(), global = true,
          help_heading = HEADING, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub write_seconds: u64,
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        let limits = Limits::DEFAULT;
        Self {
            host: Vec::new(),
            cors_origin: Vec::new(),
            tls_cert: None,
            tls_key: None,
            tls_certificate_file: None,
            tls_key_file: None,
            max_connections: count(limits.connections),
            max_connections_per_address: count(limits.connections_per_address),
            head_seconds: limits.head.as_secs(),
            body_seconds: limits.body.as_secs(),
            idle_seconds: limits.idle.as_secs(),
            write_seconds: limits.write.as_secs(),
        }
    }
}

impl ConnectionSettings {
    /// Checks the names and the origins. `proxies` are trusted to report on callers.
    pub fn server_settings(&self, proxies: Proxies) -> anyhow::Result<ServerSettings> {
        let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let limits = Limits {
            connections: number(self.max_connections),
            connections_per_address: number(self.max_connections_per_address),
            head: Duration::from_secs(self.head_seconds),
            body: Duration::from_secs(self.body_seconds),
            idle: Duration::from_secs(self.idle_seconds),
            write: Duration::from_secs(self.write_seconds),
            ..Limits::DEFAULT
        };
        let certificate = one_of(
            "--tls-cert",
            self.tls_cert.as_ref(),
            "--tls-certificate-file",
            self.tls_certificate_file.as_ref(),
        )?;
        let key = one_of("--tls-key", self.tls_key.as_ref(), "--tls-key-file", self.tls_key_file.as_ref())?;
        let tls = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(Tls::read(certificate, key)?),
            (None, None) => None,
            _ => bail!("give both --tls-cert and --tls-key, or neither"),
        };
        let (hosts, origins) = (Hosts::new(&self.host)?, Origins::new(&self.cors_origin)?);
        Ok(ServerSettings { hosts, origins, limits, tls, proxies, pages: None })
    }
}

/// The file under the name of an option, or under its earlier one.
fn one_of<'a>(
    name: &str,
    file: Option<&'a PathBuf>,
    earlier_name: &str,
    earlier: Option<&'a PathBuf>,
) -> anyhow::Result<Option<&'a PathBuf>> {
    match (file, earlier) {
        (Some(file), Some(earlier)) if file != earlier => {
            bail!("{name} and {earlier_name}, its earlier name, give two files: give {name} alone")
        }
        _ => Ok(file.or(earlier)),
    }
}

/// Raises the number of files that this process may open to what it is allowed at most, and returns it. A connection
/// is a file, and many systems allow 1,024 by default. `None`: it is not known.
pub fn raise_file_limit() -> Option<u64> {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => Some(files),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays as it is: raise it before the start (ulimit -n)");
            rlimit::Resource::NOFILE.get_soft().ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_host_or_origin_is_refused_and_says_what_to_give() {
        let with = |host: &str, origin: &str| {
            let settings = ConnectionSettings {
                host: vec![host.to_owned()],
                cors_origin: vec![origin.to_owned()],
                ..ConnectionSettings::default()
            };
            settings.server_settings(Proxies::default())
        };
        assert!(with("http://shop.example", "").unwrap_err().to_string().contains("without scheme"));
        assert!(with("", "*").unwrap_err().to_string().contains("as a browser sends it"));
        let server_settings = with("", "").unwrap();
        assert_eq!((server_settings.hosts, server_settings.limits), (Hosts::default(), Limits::DEFAULT));
    }

    #[test]
    fn certificate_and_key_are_given_together_under_one_name() {
        let file = || Some(PathBuf::from("a.pem"));
        let refused = |settings: ConnectionSettings| {
            settings.server_settings(Proxies::default()).unwrap_err().to_string()
        };
        let alone = ConnectionSettings { tls_cert: file(), ..ConnectionSettings::default() };
        assert!(refused(alone.clone()).contains("both --tls-cert and --tls-key"));
        let under_the_earlier_name = ConnectionSettings { tls_key_file: file(), ..alone.clone() };
        assert!(refused(under_the_earlier_name).contains("a.pem"));
        let twice = ConnectionSettings { tls_certificate_file: Some("b.pem".into()), ..alone };
        assert!(refused(twice).contains("its earlier name"));
    }

    #[test]
    fn the_file_limit_is_what_the_process_is_allowed_at_most() {
        let raised = raise_file_limit().unwrap();
        assert_eq!(raise_file_limit(), Some(raised));
        assert_eq!(rlimit::Resource::NOFILE.get_soft().unwrap(), raised);
    }
}
