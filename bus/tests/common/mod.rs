//! Helpers of the contract and fault tests.

use std::time::Duration;

use futures::future::join_all;
use soonshop_bus::{Delivery, Error, Message, Publisher, Settings, Subscription};
use tokio::time::timeout;

/// Longer than any step here takes on a busy machine, with a broker's start.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// Shorter times than in production, and less disk space.
pub(crate) fn settings() -> Settings {
    Settings { pause_most: Duration::from_secs(1), stream_bytes: 64 * 1024 * 1024, ..Settings::default() }
}

pub(crate) fn message(number: usize) -> Message {
    Message {
        id: format!("id-{number}"),
        topic: "order.OrderPlaced".to_owned(),
        body: format!("{{\"number\":{number}}}").into(),
    }
}

/// Sends all messages before it awaits the first confirmation.
pub(crate) async fn publish<I>(publisher: &mut dyn Publisher, messages: I) -> Vec<Result<Delivery, Error>>
where
    I: IntoIterator<Item = Message>,
{
    let mut confirmations = Vec::new();
    for message in messages {
        confirmations.push(publisher.send(message).await.unwrap());
    }
    timeout(LONG, join_all(confirmations)).await.expect("every confirmation resolves")
}

/// Receives messages until `enough`; the subscription has to recover from errors by itself.
pub(crate) async fn receive<F>(subscription: &mut dyn Subscription, enough: F) -> Vec<Message>
where
    F: Fn(&[Message]) -> bool,
{
    let mut came = Vec::new();
    let done = timeout(LONG, async {
        while !enough(&came) {
            if let Ok(more) = subscription.next(100).await {
                came.extend(more);
            }
        }
    });
    let in_time = done.await.is_ok();
    assert!(in_time, "only {} came: {:?} …", came.len(), came.iter().take(5).collect::<Vec<_>>());
    came
}

pub(crate) async fn receive_count(subscription: &mut dyn Subscription, count: usize) -> Vec<Message> {
    receive(subscription, |came| came.len() >= count).await
}
