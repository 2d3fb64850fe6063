//! Reading files of certificates and keys.

use std::io::Read as _;
use std::path::Path;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use soonshop_private_files as private_files;

use crate::Invalid;

/// The name of a file in messages.
pub(crate) fn named(file: &Path) -> String {
    file.display().to_string()
}

pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Invalid> {
    std::fs::read(file).map_err(|error| Invalid::File(named(file), error))
}

/// Reads a file that nobody but its owner may read.
pub(crate) fn read_private(file: &Path) -> Result<Vec<u8>, Invalid> {
    let failed = |error| Invalid::File(named(file), error);
    let mut opened = std::fs::File::open(file).map_err(failed)?;
    if let Some(why) = private_files::exposed(file, &opened).map_err(failed)? {
        return Err(Invalid::Readable(why));
    }
    let mut bytes = Vec::new();
    opened.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
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
