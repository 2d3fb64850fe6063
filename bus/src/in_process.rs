//! The bus inside one process: bounded queues in memory. Messages that are dropped, or lost by a restart, are still
//! in the log.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::{Bus, Confirmation, Delivery, Error, Message, Publisher, Settings, Subscription, message};

const BACKEND: &str = "in-process";

/// The same limit as the brokers, so that code that works here works there.
const LIMIT: usize = 1024 * 1024;

pub(crate) struct InProcess {
    queues: Queues,
}

/// The queues, shared by the bus, its publishers and its subscriptions.
#[derive(Clone)]
struct Queues {
    by_name: Arc<Mutex<HashMap<String, Arc<Queue>>>>,
    longest: usize,
}

#[derive(Default)]
struct Queue {
    held: Mutex<Backlog>,
    arrived: Notify,
}

/// Unacknowledged messages, and the number of the first. Numbers only grow, so a reader's place stays valid when
/// earlier messages are dropped or acknowledged.
#[derive(Default)]
struct Backlog {
    first: u64,
    messages: VecDeque<Message>,
}

impl Backlog {
    fn push(&mut self, message: Message, longest: usize) {
        self.messages.push_back(message);
        if self.messages.len() > longest {
            self.messages.pop_front();
            self.first += 1;
        }
    }

    fn from(&self, place: u64) -> impl Iterator<Item = &Message> {
        let passed = usize::try_from(place.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.messages.iter().skip(passed)
    }

    fn acknowledge(&mut self, place: u64) {
        while self.first < place && self.messages.pop_front().is_some() {
            self.first += 1;
        }
    }
}

impl Queue {
    fn held<T>(&self, look: impl FnOnce(&mut Backlog) -> T) -> T {
        look(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Queues {
    fn by_name<T>(&self, look: impl FnOnce(&mut HashMap<String, Arc<Queue>>) -> T) -> T {
        look(&mut self.by_name.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn declare(&self, name: &str) -> Arc<Queue> {
        self.by_name(|queues| Arc::clone(queues.entry(name.to_owned()).or_default()))
    }

    /// Publishes to all queues in one step, so that messages of two publishers have the same order in every queue.
    fn publish(&self, message: Message) -> Delivery {
        self.by_name(|queues| {
            for queue in queues.values() {
                queue.held(|held| held.push(message.clone(), self.longest));
                queue.arrived.notify_waiters();
            }
            if queues.is_empty() { Delivery::Unwanted } else { Delivery::Confirmed }
        })
    }
}

impl InProcess {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { queues: Queues { by_name: Arc::default(), longest: settings.in_process_length } }
    }
}

#[async_trait]
impl Bus for InProcess {
    fn backend(&self) -> &'static str {
        BACKEND
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn examine(&self, queue: &str) -> Result<(), Error> {
        message::check_queue(BACKEND, queue)
    }

    async fn publisher(&self) -> Result<Box<dyn Publisher>, Error> {
        Ok(Box::new(InProcessPublisher { queues: self.queues.clone() }))
    }

    async fn subscribe(&self, queue: &str) -> Result<Box<dyn Subscription>, Error> {
        message::check_queue(BACKEND, queue)?;
        let name = queue.to_owned();
        let queue = self.queues.declare(&name);
        let place = queue.held(|held| held.first);
        Ok(Box::new(InProcessSubscription { queues: self.queues.clone(), name, queue, place }))
    }

    async fn remove(&self, queue: &str) -> Result<(), Error> {
        message::check_queue(BACKEND, queue)?;
        if let Some(removed) = self.queues.by_name(|queues| queues.remove(queue)) {
            removed.arrived.notify_waiters();
        }
        Ok(())
    }
}

struct InProcessPublisher {
    queues: Queues,
}

#[async_trait]
impl Publisher for InProcessPublisher {
    async fn send(&mut self, mut message: Message) -> Result<Confirmation, Error> {
        message::check(BACKEND, &message, LIMIT)?;
        if let std::borrow::Cow::Owned(topic) = message::topic(&message.topic) {
            message.topic = topic;
        }
        let delivery = self.queues.publish(message);
        Ok(Box::pin(std::future::ready(Ok(delivery))))
    }

    fn limit(&self) -> usize {
        LIMIT
    }
}

struct InProcessSubscription {
    queues: Queues,
    name: String,
    queue: Arc<Queue>,
    /// The number of the first message that was not returned yet.
    place: u64,
}

#[async_trait]
impl Subscription for InProcessSubscription {
    async fn next(&mut self, most: usize) -> Result<Vec<Message>, Error> {
        loop {
            let queue = self.queues.declare(&self.name);
            if !Arc::ptr_eq(&queue, &self.queue) {
                // The queue was removed: as with the brokers, the subscription declares it again.
                self.queue = queue;
                self.place = 0;
            }
            let mut arrived = std::pin::pin!(self.queue.arrived.notified());
            // Enabled before looking, or a message between the look and the wait would not wake this reader.
            arrived.as_mut().enable();
            let (came, first) = self.queue.held(|held| {
                (held.from(self.place).take(most.max(1)).cloned().collect::<Vec<_>>(), held.first)
            });
            if !came.is_empty() {
                self.place = self.place.max(first) + came.len() as u64;
                return Ok(came);
            }
            arrived.await;
        }
    }

    async fn acknowledge(&mut self) -> Result<(), Error> {
        self.queue.held(|held| held.acknowledge(self.place));
        Ok(())
    }
}
