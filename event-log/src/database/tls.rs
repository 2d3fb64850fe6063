//! The files of TLS that the address of a PostgreSQL server names. sqlx reads them for each connection; here they are
//! checked, because it names none of them when one is wrong, and does not say what it leaves out.

use std::path::PathBuf;

use soonshop_certificates::{Invalid, ServerTls};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// The other parameters that sqlx knows.
const PARAMETERS: [&str; 11] = [
    "sslmode",
    "ssl-mode",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The files of an address, by the names that sqlx knows.
pub(super) fn files(url: &str) -> Result<ServerTls, String> {
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    let (mut ca, mut certificate, mut key) = (None, None, None);
    for (name, value) in url.query_pairs() {
        let file = match &*name {
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" => &mut ca,
            "sslcert" | "ssl-cert" => &mut certificate,
            "sslkey" | "ssl-key" => &mut key,
            "ca" | "cert" | "key" => {
                return Err("for PostgreSQL, ca, cert and key are sslrootcert, sslcert and sslkey".to_owned());
            }
            name if PARAMETERS.contains(&name) || name.starts_with("options[") => continue,
            // sqlx would pass it over: a misspelt `sslmode` is no encryption.
            name => return Err(format!("an address of PostgreSQL has no parameter {name}")),
        };
        *file = Some(PathBuf::from(value.into_owned()));
    }
    ServerTls::new(ca, (certificate, key), ["sslcert", "sslkey"]).map_err(|error| error.to_string())
}

/// The same. Refuses what would not be done as it is asked: an authority without `sslmode=verify-full` is never asked.
pub(super) fn of(url: &str, options: &PgConnectOptions) -> Result<ServerTls, String> {
    let tls = files(url)?;
    match options.get_ssl_mode() {
        PgSslMode::VerifyCa | PgSslMode::VerifyFull => {}
        _ if tls.ca().is_some() => {
            let reason = Invalid::WithoutTls("certificates of authorities", "add sslmode=verify-full");
            return Err(reason.to_string());
        }
        PgSslMode::Require => {}
        _ if tls.is_given() => {
            let reason = Invalid::WithoutTls("sslcert and sslkey", "add sslmode=verify-full");
            return Err(reason.to_string());
        }
        _ => {}
    }
    Ok(tls)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    fn read(parameters: &str) -> Result<ServerTls, String> {
        let url = format!("postgres://u:p@h/d{parameters}");
        of(&url, &PgConnectOptions::from_str(&url).unwrap())
    }

    #[test]
    fn the_files_of_an_address_are_those_that_sqlx_reads() {
        let all = "?sslmode=verify-full&sslrootcert=/a%20b.pem&sslcert=c.pem&sslkey=k.pem";
        let tls = read(all).unwrap();
        assert_eq!(tls.ca().unwrap().to_str(), Some("/a b.pem"));
        let (certificate, key) = tls.own().unwrap();
        assert_eq!((certificate.to_str(), key.to_str()), (Some("c.pem"), Some("k.pem")));
        assert_eq!(read(&all.replace("sslrootcert", "ssl-ca").replace("sslkey", "ssl-key")), Ok(tls));
        assert!(!read("?sslmode=verify-full").unwrap().is_given());
    }

    #[test]
    fn an_authority_that_would_never_be_asked_is_refused() {
        for bad in ["?sslrootcert=a.pem", "?sslmode=require&sslrootcert=a.pem", "?sslcert=c.pem&sslkey=k.pem"]
        {
            assert!(read(bad).unwrap_err().contains("add sslmode=verify-full"), "{bad}");
        }
        assert!(read("?sslmode=require&sslcert=c.pem&sslkey=k.pem").unwrap().own().is_some());
        assert!(read("?sslmode=verify-full&ca=a.pem").unwrap_err().contains("sslrootcert"));
        for bad in ["?ssl_mode=verify-full", "?sslmod=require", "?pass=hush"] {
            let message = read(bad).unwrap_err();
            assert!(message.contains("has no parameter") && !message.contains("hush"), "{message}");
        }
        assert!(read("?application_name=x&options[jit]=off&port=5432").is_ok());
        assert!(read("?sslmode=verify-full&sslcert=c.pem").unwrap_err().contains("given together"));
    }
}
