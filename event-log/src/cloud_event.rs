//! An event as a message: CloudEvents 1.0, structured JSON. Numbers that may need more than 32 bits are strings,
//! because of the specification's attribute types. `previous` is the id of the event one position before: a follower
//! that has that event can use this one without reading the log.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{LOG, StoredEvent};

#[derive(Serialize, Deserialize)]
struct Document<'a> {
    specversion: std::borrow::Cow<'a, str>,
    id: Uuid,
    #[serde(rename = "type")]
    kind: std::borrow::Cow<'a, str>,
    source: std::borrow::Cow<'a, str>,
    subject: std::borrow::Cow<'a, str>,
    time: std::borrow::Cow<'a, str>,
    recordedtime: std::borrow::Cow<'a, str>,
    partitionkey: std::borrow::Cow<'a, str>,
    log: std::borrow::Cow<'a, str>,
    position: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Uuid>,
    sequence: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlationid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causationid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    /// All metadata, as stored: a JSON object in a string, because an attribute cannot be an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<std::borrow::Cow<'a, str>>,
    datacontenttype: std::borrow::Cow<'a, str>,
    /// The payload as stored, with encrypted values. Absent if the broker would refuse the size.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Causes {
    correlation_id: Option<String>,
    causation_id: Option<String>,
    traceparent: Option<String>,
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    pub position: i64,
    pub previous: Option<Uuid>,
    /// `None` if the message came without data: the event is in the log.
    pub event: Option<StoredEvent>,
}

/// The topic of an event: `<type>.<event>`.
pub fn topic(event: &StoredEvent) -> String {
    format!("{}.{}", event.aggregate_type, event.event_type)
}

/// The message of an event. Without `data` it is small, and only announces the position.
pub fn encode(event: &StoredEvent, previous: Option<Uuid>, with_data: bool) -> serde_json::Result<Vec<u8>> {
    let causes: Causes = serde_json::from_str(&event.metadata).unwrap_or_default();
    let data: Option<&RawValue> = if with_data { Some(serde_json::from_str(&event.payload)?) } else { None };
    let moment = |moment: DateTime<Utc>| moment.to_rfc3339_opts(SecondsFormat::Micros, true);
    serde_json::to_vec(&Document {
        specversion: "1.0".into(),
        id: event.event_id,
        kind: format!("soonshop.{}.{}.v{}", event.aggregate_type, event.event_type, event.event_version)
            .into(),
        source: format!("/soonshop/{}", event.aggregate_type).into(),
        subject: event.aggregate_id.as_str().into(),
        time: moment(event.occurred_at).into(),
        recordedtime: moment(event.recorded_at).into(),
        partitionkey: format!("{}-{}", event.aggregate_type, event.aggregate_id).into(),
        log: LOG.into(),
        position: event.position.to_string().into(),
        previous,
        sequence: event.sequence.to_string().into(),
        correlationid: causes.correlation_id,
        causationid: causes.causation_id,
        traceparent: causes.traceparent,
        metadata: with_data.then(|| event.metadata.as_str().into()),
        datacontenttype: "application/json".into(),
        data,
    })
}

/// Reads a message; `None` if the relay did not write it.
pub fn decode(body: &[u8]) -> Option<Received> {
    let document: Document<'_> = serde_json::from_slice(body).ok()?;
    let position = document.position.parse().ok()?;
    let moment = |text: &str| DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc());
    let event = document.data.zip(document.metadata).and_then(|(data, metadata)| {
        // The source gives the type on its own, because an adopted type may contain dots.
        let aggregate_type = document.source.strip_prefix("/soonshop/")?;
        let kind =
            document.kind.strip_prefix("soonshop.")?.strip_prefix(aggregate_type)?.strip_prefix('.')?;
        let (event_type, event_version) = kind.rsplit_once(".v")?;
        Some(StoredEvent {
            position,
            event_id: document.id,
            aggregate_type: aggregate_type.to_owned(),
            event_type: event_type.to_owned(),
            event_version: event_version.to_owned(),
            aggregate_id: document.subject.into_owned(),
            sequence: document.sequence.parse().ok()?,
            payload: data.get().to_owned(),
            metadata: metadata.into_owned(),
            occurred_at: moment(&document.time)?,
            recorded_at: moment(&document.recordedtime)?,
        })
    });
    Some(Received { position, previous: document.previous, event })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> StoredEvent {
        StoredEvent {
            position: 7,
            event_id: Uuid::from_u128(7),
            aggregate_type: "order".to_owned(),
            aggregate_id: Uuid::nil().to_string(),
            sequence: 2,
            event_type: "OrderConfirmed".to_owned(),
            event_version: "1".to_owned(),
            payload: r#"{"OrderConfirmed":{}}"#.to_owned(),
            metadata: r#"{"correlation_id":"c"}"#.to_owned(),
            occurred_at: DateTime::from_timestamp_micros(1_000_001).unwrap(),
            recorded_at: DateTime::from_timestamp_micros(2_000_002).unwrap(),
        }
    }

    #[test]
    fn an_encoded_event_is_decoded_unchanged() {
        let body = encode(&event(), Some(Uuid::from_u128(6)), true).unwrap();
        let received = decode(&body).unwrap();
        assert_eq!((received.position, received.previous), (7, Some(Uuid::from_u128(6))));
        assert_eq!(received.event, Some(event()));
        assert_eq!(topic(&event()), "order.OrderConfirmed");
    }

    #[test]
    fn the_shape_of_a_message_never_changes() {
        let body = String::from_utf8(encode(&event(), Some(Uuid::from_u128(6)), true).unwrap()).unwrap();
        assert_eq!(
            body,
            r#"{"specversion":"1.0","id":"00000000-0000-0000-0000-000000000007","type":"soonshop.order.OrderConfirmed.v1","source":"/soonshop/order","subject":"00000000-0000-0000-0000-000000000000","time":"1970-01-01T00:00:01.000001Z","recordedtime":"1970-01-01T00:00:02.000002Z","partitionkey":"order-00000000-0000-0000-0000-000000000000","log":"main","position":"7","previous":"00000000-0000-0000-0000-000000000006","sequence":"2","correlationid":"c","metadata":"{\"correlation_id\":\"c\"}","datacontenttype":"application/json","data":{"OrderConfirmed":{}}}"#
        );
    }

    #[test]
    fn an_adopted_event_comes_back_under_its_own_names() {
        let adopted = StoredEvent {
            aggregate_type: "shop.order.v2".to_owned(),
            event_type: "Order.placed".to_owned(),
            event_version: "1.0".to_owned(),
            ..event()
        };
        let received = decode(&encode(&adopted, None, true).unwrap()).unwrap();
        assert_eq!(received.event, Some(adopted));
    }

    #[test]
    fn an_event_with_malformed_json_is_announced_without_its_data() {
        let broken = StoredEvent { payload: "{".to_owned(), metadata: "[".to_owned(), ..event() };
        assert!(encode(&broken, None, true).is_err());
        let received = decode(&encode(&broken, None, false).unwrap()).unwrap();
        assert_eq!((received.position, received.event), (7, None));
    }

    #[test]
    fn a_message_without_data_has_the_position() {
        let received = decode(&encode(&event(), None, false).unwrap()).unwrap();
        assert_eq!((received.position, received.event), (7, None));
        assert!(decode(b"{}").is_none());
    }
}
