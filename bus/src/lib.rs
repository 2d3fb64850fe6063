//! The bus: how news of stored events reaches other processes.
//!
//! A port and three adapters: in-process, `RabbitMQ`, NATS `JetStream`. The bus is only for speed. It may lose,
//! repeat or reorder messages; followers of the log notice this and read the log. So this crate knows nothing of
//! events: it moves [`Message`]s, reports truthfully which were confirmed, and reconnects by itself.
//!
//! Start reading at [`connect`], then [`Bus`].

mod address;
mod in_process;
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
mod link;
mod message;
#[cfg(feature = "nats")]
mod nats;
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
mod parameters;
mod port;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;

use std::sync::Arc;

use url::Url;

pub use port::{Bus, Confirmation, Delivery, Error, Message, Publisher, Settings, Subscription};

use address::address;
#[cfg(not(all(feature = "nats", feature = "rabbitmq")))]
use address::not_built;

/// The bus behind a URL (`in-process:`, `amqp(s)://`, `nats://` or `tls://`). Checks the address; connects later.
///
/// `amqp://…?exchange=NAME` (default `soonshop`) and `nats://…?stream=NAME` (default `SOONSHOP`) separate shops that
/// share a broker. `?ca=FILE` names the authority that is trusted with TLS, `?cert=FILE&key=FILE` the client's
/// certificate; NATS speaks TLS with them, with `tls://` and with `?tls=required`. The first TLS connection needs
/// rustls's default provider: the binary installs it.
pub fn connect(url: &str) -> Result<Arc<dyn Bus>, Error> {
    connect_with(url, &Settings::default())
}

/// Like [`connect`], with other limits.
pub fn connect_with(url: &str, settings: &Settings) -> Result<Arc<dyn Bus>, Error> {
    let parsed = Url::parse(url).map_err(|reason| Error::Address {
        // Not the whole address: an unparsable one may contain a password anywhere.
        url: url.split(':').next().unwrap_or_default().to_owned(),
        reason: reason.to_string(),
    })?;
    let server = parsed.has_host() && !parsed.cannot_be_a_base();
    match parsed.scheme() {
        "in-process" => Ok(Arc::new(in_process::InProcess::new(settings))),
        "amqp" | "amqps" | "nats" | "tls" if !server => Err(address(&parsed, "it names no server")),
        #[cfg(feature = "rabbitmq")]
        "amqp" | "amqps" => Ok(Arc::new(rabbitmq::RabbitMq::new(parsed, settings)?)),
        #[cfg(not(feature = "rabbitmq"))]
        "amqp" | "amqps" => Err(not_built(&parsed, "RabbitMQ", "rabbitmq")),
        #[cfg(feature = "nats")]
        "nats" | "tls" => Ok(Arc::new(nats::Nats::new(parsed, settings)?)),
        #[cfg(not(feature = "nats"))]
        "nats" | "tls" => Err(not_built(&parsed, "NATS", "nats")),
        _ => Err(address(&parsed, "a bus is in-process:, amqp://, amqps://, nats:// or tls:// (NATS)")),
    }
}
