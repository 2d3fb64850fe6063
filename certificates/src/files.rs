//! Reading files of certificates and keys.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use soonshop_private_files::{self as private_files, Unusable};

use crate::Invalid;

/// More than any file of certificates or of a key has.
const MOST: u64 = 1 << 20;

/// The name of a file in messages. A key that was given in place of its file's name is shown to nobody.
pub(crate) fn named(file: &Path) -> String {
    let name = file.to_string_lossy();
    if name.contains("-----") || name.contains(char::is_control) {
        "(a text in place of the name of a file)".to_owned()
    } else {
        name.into_owned()
    }
}

/// Refuses a pipe, which would be waited for.
fn must_be_regular(file: &Path) -> std::io::Result<()> {
    if std::fs::metadata(file)?.is_file() {
        Ok(())
    } else {
        Err(std::io::Error::other("it is no regular file"))
    }
}

fn bytes(opened: File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if opened.take(MOST + 1).read_to_end(&mut bytes)? as u64 > MOST {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Invalid> {
    let opened = must_be_regular(file).and_then(|()| File::open(file));
    opened.and_then(bytes).map_err(|error| Invalid::File(named(file), error))
}

/// Reads a file that nobody but its owner may read.
pub(crate) fn read_private(file: &Path) -> Result<Vec<u8>, Invalid> {
    let failed = |error| Invalid::File(named(file), error);
    must_be_regular(file).map_err(failed)?;
    match private_files::open_secret(file) {
        Ok(opened) => bytes(opened).map_err(failed),
        Err(Unusable::Exposed(why)) => Err(Invalid::Readable(why)),
        Err(Unusable::Unopened(error)) => Err(failed(error)),
    }
}

/// The certificates of a file, of which there is at least one.
pub(crate) fn chain(file: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Invalid> {
    let chain = certificates(bytes).map_err(|error| Invalid::Certificate(named(file), error))?;
    if chain.is_empty() { Err(Invalid::NoCertificate(named(file))) } else { Ok(chain) }
}

pub(crate) fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_slice_iter(bytes).collect()
}

pub(crate) fn key(file: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Invalid> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| Invalid::Key(named(file), error))
}
