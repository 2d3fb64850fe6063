//! Addresses of brokers: what may be shown of one, and the parameters in it that are ours.

use url::Url;

use crate::port::Error;

/// The error for an address, which is shown without its password.
pub(crate) fn address(url: &Url, reason: &str) -> Error {
    let mut shown = url.clone();
    let hidden =
        shown.set_password(None).and_then(|()| shown.set_username("")).is_ok() || !shown.has_authority();
    let url = if hidden { shown.to_string() } else { format!("{}:", url.scheme()) };
    Error::Address { url, reason: reason.to_owned() }
}

/// The error for the address of a broker whose adapter this build left out.
#[cfg(not(all(feature = "nats", feature = "rabbitmq")))]
pub(crate) fn not_built(url: &Url, adapter: &str, feature: &str) -> Error {
    let reason = format!(
        "this build has no {adapter} adapter: build with --features {feature}, or without --no-default-features"
    );
    address(url, &reason)
}
