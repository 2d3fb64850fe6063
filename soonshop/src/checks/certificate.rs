//! The check of the certificate that this process shows, where it speaks TLS itself: it is valid, does not end soon, and
//! a new one in its files is taken.

use soonshop_domain::clock;
use soonshop_service_kit::connections::Tls;
use soonshop_service_kit::health::Fault;

use crate::Shop;

/// The name of the check.
pub(super) const NAME: &str = "certificate";

/// The remedy: `certificate` itself is that for certificates of servers.
pub(super) const REMEDY: &str = "own-certificate";

/// The file that it is about.
pub(super) fn object(shop: &Shop) -> String {
    shop.door.tls.as_ref().map_or_else(|| "no certificate".to_owned(), Tls::file)
}

/// Whether a process of this shop shows a certificate.
pub(super) fn is_asked(shop: &Shop) -> bool {
    shop.door.tls.is_some()
}

pub(super) fn ask(shop: &Shop) -> Result<(), Fault> {
    let complaint = shop.door.tls.as_ref().and_then(|tls| tls.complaint(clock::now()));
    complaint.map_or(Ok(()), |reason| Err(Fault { object: None, reason, remedy: Some(REMEDY) }))
}
