//! Which remedy a fault has, by what a server or the system said of it.

use soonshop_service_kit::health::Fault;

/// What is said, in small letters, and the code of the remedy. The first that is found counts.
const SAID: &[(&str, &str)] = &[
    ("read-only transaction", "read-only"),
    ("readonly database", "read-only"),
    ("read-only file system", "read-only"),
    ("read-only-allow-delete", "disk-full"),
    ("no space left", "disk-full"),
    ("disk is full", "disk-full"),
    ("there is room for", "disk-full"),
    ("database is locked", "locked"),
    ("is not there: it was moved or removed", "file-missing"),
    ("no such table", "migrate"),
    ("does not exist", "migrate"),
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
pub(super) const CODES: [&str; 17] = [
    "broker-full",
    "cache-writes",
    "certificate",
    "disk-full",
    "file-missing",
    "index-blocked",
    "index-damaged",
    "index-missing",
    "locked",
    "login",
    "migrate",
    "name",
    "queue-settings",
    "read-only",
    "rebuild",
    "release",
    "rights",
];

/// The fault with the remedy that its reason tells, unless it has one.
pub(super) fn with_remedy(fault: Fault) -> Fault {
    let reason = fault.reason.to_lowercase();
    let told = SAID.iter().find(|(words, _)| reason.contains(words)).map(|(_, code)| *code);
    Fault { remedy: fault.remedy.or(told), ..fault }
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
            ("failed to lookup address information: Name or service not known", Some("name")),
            ("connection refused", None),
        ] {
            assert_eq!(with_remedy(reason.to_owned().into()).remedy, code, "{reason}");
        }
        assert_eq!(with_remedy(Fault::of("a", "permission denied", "migrate")).remedy, Some("migrate"));
    }

    #[test]
    fn every_code_is_one_of_the_list() {
        for (words, code) in SAID {
            assert!(CODES.contains(code), "{code}");
            assert_eq!(*words, words.to_lowercase());
        }
    }
}
