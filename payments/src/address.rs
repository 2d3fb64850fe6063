//! The address of a provider, as a setting names it.

/// The address of the sandbox.
pub const SANDBOX: &str = "sandbox:";

/// A setting names no provider that this build has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a provider of payments is sandbox:")]
pub struct BadAddress;

/// Whether the address is that of the sandbox, the only provider yet.
pub fn is_sandbox(address: &str) -> Result<(), BadAddress> {
    if address == SANDBOX { Ok(()) } else { Err(BadAddress) }
}
