//! Messages confirmed per second with 1000 in flight: the bus, and a bare lapin publisher in the same run.
//!
//! `cargo bench -p soonshop-bus`, with `AMQP_URL` set. Fails if the bus reaches less than 80 % of the bare publisher.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

use std::collections::VecDeque;
use std::time::Instant;

use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties, ExchangeKind};
use soonshop_bus::{Message, Settings, connect_with};

const MESSAGES: u32 = 20_000;
const IN_FLIGHT: usize = 1000;
const BODY: &[u8] = &[b'x'; 298];

#[tokio::main]
async fn main() {
    let url = std::env::var("AMQP_URL").expect("AMQP_URL: eval \"$(tests/services/services.sh env)\"");
    let mut ratios = Vec::new();
    for round in 1..=5 {
        let bare = bare(&url).await;
        let ours = ours(&format!("{url}?exchange=bench-bus")).await;
        println!("round {round}: bare lapin {bare:.0}/s, bus {ours:.0}/s, ratio {:.2}", ours / bare);
        ratios.push(ours / bare);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    println!("median ratio {median:.2}");
    assert!(median >= 0.8, "the bus reaches {median:.2} of a bare lapin publisher");
}

async fn ours(url: &str) -> f64 {
    let bus = connect_with(url, &Settings { queue_length: MESSAGES, ..Settings::default() }).unwrap();
    drop(bus.subscribe("bench").await.unwrap());
    let mut publisher = bus.publisher().await.unwrap();
    let mut window = VecDeque::new();
    let start = Instant::now();
    for number in 0..MESSAGES {
        let topic = "order.OrderPlaced".to_owned();
        let message = Message { id: format!("{number:036}"), topic, body: BODY.into() };
        window.push_back(publisher.send(message).await.unwrap());
        if window.len() == IN_FLIGHT {
            window.pop_front().unwrap().await.unwrap();
        }
    }
    for confirmation in window {
        confirmation.await.unwrap();
    }
    let rate = f64::from(MESSAGES) / start.elapsed().as_secs_f64();
    bus.remove("bench").await.unwrap();
    rate
}

async fn bare(url: &str) -> f64 {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let (exchange, none) = ("bench-bare", FieldTable::default);
    channel.exchange_declare(exchange.into(), ExchangeKind::Topic, durable, none()).await.unwrap();
    channel.queue_declare(exchange.into(), QueueDeclareOptions::durable(), quorum).await.unwrap();
    let bind = QueueBindOptions::default();
    channel.queue_bind(exchange.into(), exchange.into(), "#".into(), bind, none()).await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let mut window = VecDeque::new();
    let start = Instant::now();
    for _ in 0..MESSAGES {
        let (options, properties) =
            (BasicPublishOptions::default(), BasicProperties::default().with_delivery_mode(2));
        let sent =
            channel.basic_publish(exchange.into(), "order.OrderPlaced".into(), options, BODY, properties);
        window.push_back(sent.await.unwrap());
        if window.len() == IN_FLIGHT {
            assert!(window.pop_front().unwrap().await.unwrap().is_ack());
        }
    }
    for confirmation in window {
        confirmation.await.unwrap();
    }
    let rate = f64::from(MESSAGES) / start.elapsed().as_secs_f64();
    channel.queue_delete(exchange.into(), lapin::options::QueueDeleteOptions::default()).await.unwrap();
    connection.close(200, "OK".into()).await.unwrap();
    rate
}
