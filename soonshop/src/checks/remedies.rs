//! Which remedy a fault has, by what a server or the system said of it.

use chrono::{DateTime, SecondsFormat};
use soonshop_service_kit::health::Fault;

/// Texts in reasons, in small letters, and the code of the remedy of each. The first that is found counts.
const REASONS: &[(&str, &str)] = &[
    ("tls with this server: ", "server-files"),
    ("unknownissuer", "server-issuer"),
    ("fatal alert: certificate", "client-certificate"),
    ("fatal alert: badcertificate", "client-certificate"),
    ("fatal alert: unknownca", "client-certificate"),
    ("fatal alert: unsupportedcertificate", "client-certificate"),
    ("requires a valid client certificate", "client-certificate"),
    ("ask for a certificate of its clients", "client-certificate"),
    ("read-only transaction", "read-only"),
    ("readonly database", "read-only"),
    ("read-only file system", "read-only"),
    ("read-only-allow-delete", "disk-full"),
    ("no space left", "disk-full"),
    ("disk is full", "disk-full"),
    ("there is room for", "disk-full"),
    ("file too large", "disk-full"),
    ("disk i/o error", "disk-error"),
    ("input/output error", "disk-error"),
    ("ahead-of-log", "cut-off"),
    ("a page of the database is damaged", "damaged"),
    ("database is locked", "locked"),
    ("lock timeout", "locked"),
    ("is not there: it was moved or removed", "file-missing"),
    ("no such table", "migrate"),
    ("database: role \"", "login"),
    ("pg_hba.conf", "login"),
    ("not currently accepting connections", "login"),
    ("permission denied for database", "login"),
    ("does not exist", "migrate"),
    ("permissions violation", "broker-rights"),
    ("refused for user", "broker-rights"),
    ("permission denied (os error", "file-rights"),
    ("operation not permitted (os error", "file-rights"),
    ("permission denied", "rights"),
    ("must be owner", "rights"),
    ("wrongpass", "login"),
    ("noauth", "login"),
    ("noperm", "login"),
    ("password authentication failed", "login"),
    ("not permitted to log in", "login"),
    ("authorization violation", "login"),
    ("access_refused", "login"),
    ("access-refused", "login"),
    ("unable to authenticate", "login"),
    ("command not allowed when used memory", "cache-writes"),
    ("read only replica", "cache-writes"),
    ("not enough good replicas", "cache-writes"),
    ("certificate", "certificate"),
    ("lookup address", "name"),
    ("name or service not known", "name"),
    ("dns error", "name"),
    ("cluster_block_exception", "index-blocked"),
    ("index_closed_exception", "index-blocked"),
    ("if it is damaged", "index-damaged"),
    ("is not as it is declared", "queue-settings"),
    ("inequivalent arg", "queue-settings"),
    ("short of memory or disk", "broker-full"),
    ("resource alarm", "broker-full"),
];

/// The codes of all remedies besides those of the checks, which have the check's name.
#[cfg(test)]
pub(super) const CODES: [&str; 33] = [
    "broker-full",
    "broker-rights",
    "cache-writes",
    "certificate",
    "client-certificate",
    "clock-was-ahead",
    "cut-off",
    "damaged",
    "damaged-model",
    "disk-error",
    "disk-full",
    "file-missing",
    "file-rights",
    "held",
    "index-blocked",
    "index-damaged",
    "index-missing",
    "late",
    "locked",
    "login",
    "migrate",
    "name",
    "own-certificate",
    "queue-settings",
    "read-only",
    "rebuild",
    "reindex",
    "release",
    "rights",
    "server-files",
    "server-issuer",
    "stalled",
    "stopped",
];

/// The fault with the remedy that its reason tells, unless it has one; and with dates that people can read.
pub(super) fn with_remedy(fault: Fault) -> Fault {
    let by_reason = remedy_in(&fault.reason);
    Fault { remedy: fault.remedy.or(by_reason), reason: with_dates(fault.reason), ..fault }
}

/// The code of the remedy that this reason tells.
pub(super) fn remedy_in(reason: &str) -> Option<&'static str> {
    let reason = reason.to_lowercase();
    REASONS.iter().find(|(words, _)| reason.contains(words)).map(|(_, code)| *code)
}

/// Whether the reason says that a disk takes no more.
pub(super) fn is_of_a_disk(reason: &str) -> bool {
    remedy_in(reason).is_some_and(|code| code.starts_with("disk-"))
}

/// Replaces the seconds since 1970 in the TLS library's message about a certificate by a date.
fn with_dates(mut reason: String) -> String {
    for words in ["certificate is not valid after ", "certificate is not valid before "] {
        let Some(start) = reason.find(words).map(|at| at + words.len()) else { continue };
        let rest = &reason[start..];
        let end = start + rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let date = reason[start..end].parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        if let Some(date) = date {
            reason.replace_range(start..end, &date.to_rfc3339_opts(SecondsFormat::Secs, true));
        }
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_tells_the_remedy_and_one_that_is_given_stays() {
        for (reason, code) in [
            ("error returned from database: permission denied for table events", Some("rights")),
            ("READONLY You can't write against a read only replica.", Some("cache-writes")),
            ("invalid peer certificate: Expired", Some("certificate")),
            ("invalid peer certificate: UnknownIssuer", Some("server-issuer")),
            ("TLS with this server: ca.pem: Permission denied (os error 13)", Some("server-files")),
            ("received fatal alert: CertificateRequired", Some("client-certificate")),
            ("received fatal alert: UnknownCA", Some("client-certificate")),
            ("connection requires a valid client certificate", Some("client-certificate")),
            ("invalid peer certificate: certificate not valid for name \"10.0.0.7\"", Some("certificate")),
            ("failed to lookup address information: Name or service not known", Some("name")),
            ("ACCESS_REFUSED - access to queue 'q' in vhost '/' refused for user 'u'", Some("broker-rights")),
            ("ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN", Some("login")),
            ("could not extend file \"base/1/2\": No space left on device", Some("disk-full")),
            ("(code: 778) disk I/O error", Some("disk-error")),
            ("Permission denied (os error 13)", Some("file-rights")),
            ("error returned from database: role \"shop\" does not exist", Some("login")),
            ("no pg_hba.conf entry for host \"10.0.0.7\", user \"shop\"", Some("login")),
            ("database \"shop\" does not exist", Some("migrate")),
            ("database \"shop\" is not currently accepting connections", Some("login")),
            ("permission denied for database \"shop\"", Some("login")),
            ("connection refused", None),
        ] {
            assert_eq!(with_remedy(reason.to_owned().into()).remedy, code, "{reason}");
        }
        assert_eq!(with_remedy(Fault::of("a", "permission denied", "migrate")).remedy, Some("migrate"));
    }

    #[test]
    fn the_end_of_a_certificate_is_a_date() {
        let message = "invalid peer certificate: certificate expired: verification time 1700000000 (UNIX), but \
                    certificate is not valid after 1609459199 (90540801 seconds ago)";
        let fault = with_remedy(message.to_owned().into());
        assert!(fault.reason.contains("not valid after 2020-12-31T23:59:59Z"), "{}", fault.reason);
        assert_eq!(fault.remedy, Some("certificate"));
        let early = "certificate is not valid before 4102444800 (1 seconds in future)".to_owned();
        assert!(with_dates(early).contains("before 2100-01-01T00:00:00Z"));
        assert_eq!(with_dates("not valid after all".to_owned()), "not valid after all");
    }

    #[test]
    fn every_code_is_one_of_the_list() {
        for (words, code) in REASONS {
            assert!(CODES.contains(code), "{code}");
            assert_eq!(*words, words.to_lowercase());
        }
    }
}
