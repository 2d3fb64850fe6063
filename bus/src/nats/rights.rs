//! Rights that the login lacks. The server says so beside the answers, and the answer that was asked for never comes.

use std::future::Future;

use async_nats::{Event, ServerError};
use tokio::sync::watch;

use crate::Error;

pub(super) const BACKEND: &str = "nats";

/// Refusals of the server on one connection: how many, and the last in its own words.
#[derive(Clone, Default)]
pub(super) struct Refusals(watch::Sender<(u64, String)>);

impl Refusals {
    /// Notes the event, if it is a refusal.
    pub(super) fn hear(&self, event: Event) {
        if let Event::ServerError(ServerError::Other(text)) = event
            && text.to_ascii_lowercase().contains("permissions violation")
        {
            self.0.send_modify(|(count, last)| {
                *count += 1;
                *last = text;
            });
        }
    }

    /// Refusals from now on.
    pub(super) fn since_now(&self) -> Since {
        let since = self.0.borrow().0;
        Since { since, heard: self.0.subscribe() }
    }
}

/// Refusals after a moment.
#[derive(Clone)]
pub(super) struct Since {
    since: u64,
    heard: watch::Receiver<(u64, String)>,
}

impl Since {
    /// The outcome of the work, unless the server refuses something before. Safe to drop at any await, if the work is.
    pub(super) async fn or<T>(&mut self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let since = self.since;
        tokio::select! {
            biased;
            outcome = work => outcome,
            reason = refused(&mut self.heard, since) => Err(Error::Unreachable { backend: BACKEND, reason }),
        }
    }
}

/// Returns with the first refusal after so many.
async fn refused(heard: &mut watch::Receiver<(u64, String)>, since: u64) -> String {
    let found = heard.wait_for(|(count, _)| *count > since).await.map(|found| found.1.clone());
    match found {
        Ok(text) => text,
        // The connection is gone, which the work notices.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_refusals_after_the_moment_count() {
        let refusals = Refusals::default();
        let refuse =
            |text: &str| refusals.hear(Event::ServerError(ServerError::Other(format!("{text} for \"x\""))));
        let mut before = refusals.since_now();
        refuse("Permissions Violation");
        let mut after = refusals.since_now();
        let pending = async || std::future::pending::<Result<(), Error>>().await;
        let refused = before.or(pending()).await.unwrap_err();
        assert!(refused.to_string().contains("Permissions Violation for \"x\""), "{refused}");
        assert_eq!(after.or(async { Ok(7) }).await.unwrap(), 7);
        refuse("Something else");
        assert!(futures::FutureExt::now_or_never(after.or(pending())).is_none());
    }
}
