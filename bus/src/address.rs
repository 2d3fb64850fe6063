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

/// Takes a parameter of ours out of the address: the client libraries would not know it.
pub(crate) fn take_parameter(url: &mut Url, name: &str) -> Option<String> {
    let (ours, theirs): (Vec<_>, Vec<_>) = url.query_pairs().into_owned().partition(|(key, _)| key == name);
    url.set_query(None);
    if !theirs.is_empty() {
        url.query_pairs_mut().extend_pairs(theirs);
    }
    ours.into_iter().next().map(|(_, value)| value)
}
