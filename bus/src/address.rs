//! Addresses of brokers: hiding their passwords, and reading our own parameters in them.

use soonshop_certificates::ServerTls;
use url::Url;

use crate::port::Error;

/// The error for an unusable address, shown without its password.
pub(crate) fn address(url: &Url, reason: &str) -> Error {
    let mut shown = url.clone();
    let hidden =
        shown.set_password(None).and_then(|()| shown.set_username("")).is_ok() || !shown.has_authority();
    let url = if hidden { shown.to_string() } else { format!("{}:", url.scheme()) };
    Error::Address { url, reason: reason.to_owned() }
}

/// Takes the files of TLS out of an address, and sees that they can be used. They are for a broker that is asked for
/// TLS.
pub(crate) fn take_tls(url: &mut Url, asks_for_tls: bool, instead: &'static str) -> Result<ServerTls, Error> {
    let refused = |url: &Url, reason: soonshop_certificates::Invalid| address(url, &reason.to_string());
    let tls = ServerTls::take(url).map_err(|reason| refused(url, reason))?;
    if tls.is_given() && !asks_for_tls {
        let reason = soonshop_certificates::Invalid::WithoutTls("ca, cert and key", instead);
        return Err(refused(url, reason));
    }
    tls.check().map_err(|reason| refused(url, reason))?;
    Ok(tls)
}

/// The error for the address of a broker whose adapter is not part of this build.
#[cfg(not(all(feature = "nats", feature = "rabbitmq")))]
pub(crate) fn not_built(url: &Url, adapter: &str, feature: &str) -> Error {
    let reason = format!(
        "this build has no {adapter} adapter: build with --features {feature}, or without --no-default-features"
    );
    address(url, &reason)
}
