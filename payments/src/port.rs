//! The port: what the shop asks of a provider.

use std::time::Duration;

use async_trait::async_trait;
use soonshop_domain::Money;
use soonshop_domain::payment::{Kind, Outcome};
use uuid::Uuid;

/// One thing that a provider is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The key under which the provider does it once.
    pub transaction: Uuid,
    pub kind: Kind,
    pub amount: Money,
    /// The transaction that authorized the money; of an authorization itself.
    pub authorization: Uuid,
    /// What the provider called that.
    pub reference: Option<String>,
}

/// The provider gave no answer: nobody knows whether it was done. A code of ours says why: what a provider writes may hold
/// what nobody may read in a log.
#[derive(Debug, thiserror::Error)]
#[error("the provider of payments gave no answer: {0}")]
pub struct Unanswered(pub &'static str);

/// A provider of payments. What `tests/contract.rs` asks of it holds for each.
#[async_trait]
pub trait Provider: Send + Sync {
    /// As it is stored in payments.
    fn name(&self) -> &'static str;

    /// Whether no money moves.
    fn is_test(&self) -> bool;

    /// How long it knows the key of a request. One that is older is never sent again: it is looked for.
    fn keeps_keys(&self) -> Duration;

    /// Does it, once for each transaction, and says what came of it, again if it was done before.
    /// Another request under the same key fails.
    async fn ask(&self, order: &Order) -> Result<Outcome, Unanswered>;

    /// What came of a transaction. `None`: it never heard of it.
    async fn find(&self, order: &Order) -> Result<Option<Outcome>, Unanswered>;

    /// Takes nothing more under an authorization that has not ended, and says what became of it: it may have been too
    /// late. A key that it never heard of it bars, so that a request that is still on its way does nothing.
    async fn cancel(&self, order: &Order) -> Result<Outcome, Unanswered>;
}
