//! The address of a provider, as a setting names it.

/// The address of the sandbox.
pub const SANDBOX: &str = "sandbox:";

/// A setting names no provider that this build has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a provider of payments is sandbox:")]
pub struct BadAddress;

/// Refuses an address that names no provider. The sandbox is the only one yet.
pub fn check_address(address: &str) -> Result<(), BadAddress> {
    if address == SANDBOX { Ok(()) } else { Err(BadAddress) }
}
