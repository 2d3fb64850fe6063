//! Errors of the operating system in the reader's language, such as a file that is not there.

use std::io::{Error, ErrorKind};

use crate::Language;

/// The kinds of errors that have a name, each as the key `system-error-NAME`.
pub const SYSTEM_ERRORS: &[(ErrorKind, &str)] = &[
    (ErrorKind::NotFound, "not-found"),
    (ErrorKind::PermissionDenied, "permission-denied"),
    (ErrorKind::AlreadyExists, "already-exists"),
    (ErrorKind::IsADirectory, "is-a-directory"),
    (ErrorKind::NotADirectory, "not-a-directory"),
    (ErrorKind::DirectoryNotEmpty, "directory-not-empty"),
    (ErrorKind::StorageFull, "storage-full"),
    (ErrorKind::QuotaExceeded, "quota-exceeded"),
    (ErrorKind::FileTooLarge, "file-too-large"),
    (ErrorKind::ReadOnlyFilesystem, "read-only-filesystem"),
    (ErrorKind::InvalidFilename, "invalid-filename"),
    (ErrorKind::BrokenPipe, "broken-pipe"),
    (ErrorKind::AddrInUse, "addr-in-use"),
    (ErrorKind::AddrNotAvailable, "addr-not-available"),
    (ErrorKind::ConnectionRefused, "connection-refused"),
    (ErrorKind::ConnectionReset, "connection-reset"),
    (ErrorKind::HostUnreachable, "host-unreachable"),
    (ErrorKind::NetworkUnreachable, "network-unreachable"),
    (ErrorKind::TimedOut, "timed-out"),
];

/// What the system's own text of an error has before its number.
const NUMBER: &str = " (os error ";

impl Language {
    /// The name of an error of the operating system; none: it keeps the system's own words.
    fn system_error(self, kind: ErrorKind) -> Option<&'static str> {
        let (_, name) = SYSTEM_ERRORS.iter().find(|(known, _)| *known == kind)?;
        self.find(&format!("system-error-{name}"))
    }

    /// A text in which every error of the operating system has its name in this language. Such errors often stand in
    /// the middle of another part's sentence; each is found by its number, and one without a name stays as it is.
    pub fn with_system_errors(self, text: String) -> String {
        let numbers = text.split(NUMBER).skip(1).filter_map(|rest| rest.split(')').next()?.parse().ok());
        let errors: Vec<Error> = numbers.map(Error::from_raw_os_error).collect();
        errors.into_iter().fold(text, |text, error| match self.system_error(error.kind()) {
            Some(name) => text.replace(&error.to_string(), name),
            None => text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_is_named_in_both_languages_wherever_it_stands() {
        let missing = std::fs::read("/nowhere/at/all").unwrap_err();
        let text = format!("the report r.json: {missing}; try again");
        let named = |language: Language| language.with_system_errors(text.clone());
        assert_eq!(named(Language::English), "the report r.json: No such file or folder; try again");
        assert_eq!(named(Language::Chinese), "the report r.json: 没有此文件或文件夹; try again");
        let (denied, full) = (Error::from_raw_os_error(13), Error::from_raw_os_error(28));
        let both = Language::Chinese.with_system_errors(format!("{denied}, {full}"));
        assert_eq!(both, "没有权限, 磁盘已满");
    }

    #[test]
    fn an_error_without_a_name_keeps_the_words_of_the_system() {
        let unnamed = Error::from_raw_os_error(37).to_string();
        for text in [unnamed.as_str(), "no error at all", "half of one (os error ", "(os error x)"] {
            for language in Language::ALL {
                assert_eq!(language.with_system_errors(text.to_owned()), text);
            }
        }
    }

    #[test]
    fn every_named_kind_has_its_text_in_both_languages() {
        for (kind, name) in SYSTEM_ERRORS {
            for language in Language::ALL {
                assert!(language.system_error(*kind).is_some(), "{name} in {}", language.tag());
            }
        }
    }
}
