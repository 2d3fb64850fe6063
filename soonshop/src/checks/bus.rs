//! The check of the bus: the queue is as it is declared, and a message goes all the way through it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use soonshop_bus::{Delivery, Error, Message, Publisher};
use soonshop_service_kit::health::Fault;
use tokio::sync::{Mutex, watch};

use crate::Shop;

/// The topic of messages that only show that they arrive. Readers of the bus pass over them.
const TOPIC: &str = "soonshop.health";

/// How long a message may take through the queue.
const ARRIVES: Duration = Duration::from_millis(1_500);

/// How many marks of checks are remembered: each check of each process sends one to every queue.
const REMEMBERED: usize = 256;

/// The state of the process that listens to the bus: its queue, why it cannot listen, and the last marks of checks.
#[derive(Clone)]
pub struct BusListener(Arc<Inner>);

struct Inner {
    queue: String,
    failed: watch::Sender<Option<Error>>,
    marks: watch::Sender<VecDeque<String>>,
    /// How many messages of any kind came.
    messages: AtomicU64,
}

impl BusListener {
    /// Of the process with this queue.
    pub fn new(queue: String) -> Self {
        Self(Arc::new(Inner {
            queue,
            failed: watch::Sender::new(None),
            marks: watch::Sender::default(),
            messages: AtomicU64::new(0),
        }))
    }

    /// Its queue.
    pub(crate) fn queue(&self) -> &str {
        &self.0.queue
    }

    /// Notes why the bus cannot be listened to; `None`: it can.
    pub(crate) fn note(&self, failed: Option<Error>) {
        self.0.failed.send_replace(failed);
    }

    /// Notes a message of a check. False: it is another message.
    pub(crate) fn is_check(&self, message: &Message) -> bool {
        self.0.messages.fetch_add(1, Ordering::Relaxed);
        let check = message.topic == TOPIC;
        if check {
            let mark = String::from_utf8_lossy(&message.body).into_owned();
            self.0.marks.send_modify(|marks| {
                marks.truncate(REMEMBERED - 1);
                marks.push_front(mark);
            });
        }
        check
    }
}

/// The way in which checks send.
#[derive(Default)]
pub(super) struct Sender(Mutex<Option<Box<dyn Publisher>>>);

/// The name of the queue of this process.
pub(crate) fn queue(shop: &Shop) -> String {
    format!("projector-{}", shop.config.name)
}

/// `heard` is what this process hears from the bus; `None`: it does not listen.
pub(super) async fn ask(shop: &Shop, heard: Option<&BusListener>, sender: &Sender) -> Result<(), Fault> {
    let bus = &shop.bus;
    let Some(heard) = heard else {
        // The bus inside one process is heard there only.
        if bus.backend() == "in-process" {
            return Ok(());
        }
        bus.examine(&queue(shop)).await.map_err(fault)?;
        return match send(shop, sender, "nobody").await? {
            Delivery::Confirmed => Ok(()),
            Delivery::Unwanted => {
                Err(Fault::of("the queues", "no queue takes the messages: no projector listens", "workers"))
            }
        };
    };
    bus.examine(heard.queue()).await.map_err(fault)?;
    let mark = soonshop_domain::ids::new().to_string();
    let mut marks = heard.0.marks.subscribe();
    send(shop, sender, &mark).await?;
    let before = heard.0.messages.load(Ordering::Relaxed);
    let arrived = tokio::time::timeout(ARRIVES, marks.wait_for(|marks| marks.contains(&mark))).await;
    // Where others came meanwhile, it waits behind them: the queue is read.
    if matches!(arrived, Ok(Ok(_))) || heard.0.messages.load(Ordering::Relaxed) > before {
        return Ok(());
    }
    // The last finding of its reader, unless that is over.
    if let Some(error) = heard.0.failed.borrow().clone() {
        return Err(fault(error));
    }
    let reason = "a message that was published did not arrive: the queue is not bound, or not read";
    Err(Fault { object: Some(format!("queue {}", heard.queue())), ..reason.to_owned().into() })
}

async fn send(shop: &Shop, sender: &Sender, mark: &str) -> Result<Delivery, Fault> {
    let mut sender = sender.0.lock().await;
    let publisher = match &mut *sender {
        Some(publisher) => publisher,
        none => none.insert(shop.bus.publisher().await.map_err(fault)?),
    };
    let (id, body) = (soonshop_domain::ids::new().to_string(), Bytes::from(mark.to_owned()));
    let sent = publisher.send(Message { id, topic: TOPIC.to_owned(), body }).await.map_err(fault)?;
    drop(sender);
    sent.await.map_err(fault)
}

fn fault(error: Error) -> Fault {
    match error {
        Error::Different { object, difference } => Fault::of(object, difference, "queue-settings"),
        error => error.to_string().into(),
    }
}
