//! The rules for messages, queue names and topics, so that all three brokers can carry them.

use std::borrow::Cow;

use crate::{Error, Message};

/// The longest id, topic or queue name. AMQP's short strings end at 255 bytes, and some get a prefix.
const LONGEST_NAME: usize = 200;

/// Refuses a message that no connection can send, before a connection is needed.
pub(crate) fn check(backend: &'static str, message: &Message, limit: usize) -> Result<(), Error> {
    if message.body.len() > limit {
        return Err(Error::TooLarge { backend, size: message.body.len(), limit });
    }
    let id = &message.id;
    if id.is_empty() || id.len() > LONGEST_NAME || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::Refused {
            backend,
            reason: format!("the id {id:?} is not 1 to 200 visible ASCII characters"),
        });
    }
    Ok(())
}

/// Checks that a queue's name is `[a-z0-9-]+`.
pub(crate) fn check_queue(backend: &'static str, queue: &str) -> Result<(), Error> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if queue.is_empty() || queue.len() > LONGEST_NAME || !queue.bytes().all(fits) {
        let reason = format!("a queue's name is 1 to 200 of a-z, 0-9 and -, and {queue:?} is not");
        return Err(Error::Refused { backend, reason });
    }
    Ok(())
}

/// The topic, with `_` in place of characters that a routing key or a subject cannot hold. Adopted event types may
/// have any name, and every queue is unfiltered: a slightly different topic is better than a relay that is stuck.
pub(crate) fn topic(topic: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':');
    let token = |token: &str| !token.is_empty() && token.bytes().all(plain);
    if topic.len() <= LONGEST_NAME && topic.split('.').all(token) {
        return Cow::Borrowed(topic);
    }
    let tokens = topic.split('.').map(|token| match token {
        "" => "_".to_owned(),
        token => token.chars().map(|c| if c.is_ascii() && plain(c as u8) { c } else { '_' }).collect(),
    });
    let mut whole = tokens.collect::<Vec<String>>().join(".");
    whole.truncate(LONGEST_NAME);
    if whole.ends_with('.') {
        whole.pop();
    }
    Cow::Owned(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_brokers_can_carry_is_left_alone() {
        assert!(matches!(topic("order.OrderPlaced"), Cow::Borrowed("order.OrderPlaced")));
    }

    #[test]
    fn any_topic_becomes_one_that_brokers_can_carry() {
        for (given, carried) in [
            ("", "_"),
            ("a..b", "a._.b"),
            ("order.Order placed", "order.Order_placed"),
            ("x.*", "x._"),
            ("x.>", "x._"),
            ("x.#\n", "x.__"),
            ("größe.Neu", "gr__e.Neu"),
        ] {
            assert_eq!(topic(given), carried);
        }
        assert!(topic(&"ab.".repeat(200)).len() <= LONGEST_NAME);
        assert!(!topic(&"abc.".repeat(200)).ends_with('.'));
    }

    #[test]
    fn a_queue_name_is_lower_case_letters_digits_and_dashes() {
        assert!(check_queue("test", "projector-2").is_ok());
        for bad in ["", "Projector", "a.b", "a b", "a*", "ä", &"a".repeat(201)] {
            assert!(check_queue("test", bad).is_err(), "{bad:?}");
        }
    }
}
