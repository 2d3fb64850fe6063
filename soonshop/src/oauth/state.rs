//! What the endpoints share.

use std::sync::Arc;

use soonshop_service_kit::access::Access;

use crate::accounts::Accounts;

pub(super) struct OAuthState {
    pub(super) accounts: Accounts,
    pub(super) access: Access,
    /// The public address of the shop.
    pub(super) issuer: Option<Arc<str>>,
}
