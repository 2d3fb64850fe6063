//! The parameters of an address that are ours, and not for the broker's client.

use url::Url;

use crate::address::address;
use crate::port::Error;

/// Removes one of our parameters from the address: the client libraries do not know it.
pub(crate) fn take_parameter(url: &mut Url, name: &str) -> Option<String> {
    let (ours, theirs): (Vec<_>, Vec<_>) = url.query_pairs().into_owned().partition(|(key, _)| key == name);
    url.set_query(None);
    if !theirs.is_empty() {
        url.query_pairs_mut().extend_pairs(theirs);
    }
    ours.into_iter().next().map(|(_, value)| value)
}

/// Refuses a parameter that nothing reads: a misspelt one would be taken for what was asked.
pub(crate) fn must_know(url: &Url, known: &[&str]) -> Result<(), Error> {
    match url.query_pairs().find(|(name, _)| !known.contains(&&**name)) {
        Some((name, _)) => Err(address(url, &format!("there is no parameter {name}"))),
        None => Ok(()),
    }
}
