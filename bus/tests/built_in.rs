//! A missing adapter is named in the error, with the feature that adds it. The other tests of this crate need both.

use soonshop_bus::connect;

#[tokio::test]
async fn an_adapter_is_built_in_or_refused_with_a_sentence() {
    assert_eq!(connect("in-process:").unwrap().backend(), "in-process");
    for (url, there, adapter, feature) in [
        ("amqp://u:secret@host", cfg!(feature = "rabbitmq"), "RabbitMQ", "rabbitmq"),
        ("amqps://u:secret@host", cfg!(feature = "rabbitmq"), "RabbitMQ", "rabbitmq"),
        ("nats://u:secret@host", cfg!(feature = "nats"), "NATS", "nats"),
    ] {
        match connect(url) {
            Ok(bus) => assert!(there && bus.backend() == feature, "{url} is a {}", bus.backend()),
            Err(error) => {
                let shown = url.replace("u:secret@", "");
                let sentence = format!(
                    "the bus address {shown:?} cannot be used: this build has no {adapter} adapter: \
                     build with --features {feature}, or without --no-default-features"
                );
                assert_eq!((error.to_string(), there), (sentence, false));
            }
        }
    }
}
