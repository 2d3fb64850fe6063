//! Errors of the operating system in the reader's language, such as a file that is not there.

use std::io::{Error, ErrorKind};

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

/// The words before the number in the system's own text of an error.
const NUMBER: &str = " (os error ";

/// The name of an error; none: it keeps the system's own words.
fn name_of(error: &Error, find: impl Fn(&str) -> Option<&'static str>) -> Option<&'static str> {
    let (_, name) = SYSTEM_ERRORS.iter().find(|(known, _)| *known == error.kind())?;
    find(&format!("system-error-{name}"))
}

/// The text with the name of each error in it that has one; `find` finds a text by its key. Such errors are often in
/// the middle of another part's sentence: each is found by its number.
pub(crate) fn named(text: String, find: impl Fn(&str) -> Option<&'static str>) -> String {
    let numbers = text.split(NUMBER).skip(1).filter_map(|rest| rest.split(')').next()?.parse().ok());
    let errors: Vec<Error> = numbers.map(Error::from_raw_os_error).collect();
    errors.into_iter().fold(text, |text, error| match name_of(&error, &find) {
        Some(name) => text.replace(&error.to_string(), name),
        None => text,
    })
}
