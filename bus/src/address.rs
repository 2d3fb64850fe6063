//! Addresses of brokers, shown without their passwords.

use url::Url;

use crate::port::Error;

/// The error for an unusable address, shown without its password.
pub(crate) fn address(url: &Url, reason: &str) -> Error {
    let mut shown = url.clone();
    // A parameter may be a secret that was put there by mistake.
    shown.set_query(None);
    let hidden =
        shown.set_password(None).and_then(|()| shown.set_username("")).is_ok() || !shown.has_authority();
    let url = if hidden { shown.to_string() } else { format!("{}:", url.scheme()) };
    Error::Address { url, reason: reason.to_owned() }
}

/// The error for the address of a broker whose adapter is not part of this build.
#[cfg(not(all(feature = "nats", feature = "rabbitmq")))]
pub(crate) fn not_built(url: &Url, adapter: &str, feature: &str) -> Error {
    let reason = format!(
        "this build has no {adapter} adapter: build with --features {feature}, or without --no-default-features"
    );
    address(url, &reason)
}
