//! Events in the shapes of earlier releases: each is brought to the shape of this one, a version at a time.

use serde_json::Value;
use soonshop_domain::Event;
use soonshop_domain::catalog::{self, Upcaster};

use crate::StoredEvent;

/// The event of a row of that aggregate type, and the version that it was stored in. The error says what this release
/// cannot read.
pub(crate) fn decode(kind: &str, row: &StoredEvent, upcasters: &[Upcaster]) -> Result<(u32, Event), String> {
    let version: u32 =
        row.event_version.parse().map_err(|_| format!("its version is {:?}", row.event_version))?;
    let known = catalog::version_of(kind, &row.event_type, upcasters);
    if version > known {
        return Err(format!("{} has version {version}, this release knows {known}", row.event_type));
    }
    let steps = (version..known).map(|from| step(kind, &row.event_type, upcasters, from));
    let steps = steps.collect::<Result<Vec<_>, _>>()?;
    let changes: Vec<_> = steps.into_iter().filter_map(|step| step.change).collect();
    let event = if changes.is_empty() {
        Event::decode(kind, &row.payload)
    } else {
        Event::decode_value(kind, upcast(row, &changes)?)
    };
    let event =
        event.ok_or("its type is unknown")?.map_err(|error| format!("{}: {error}", row.event_type))?;
    Ok((version, event))
}

/// What leads on from that version.
fn step<'a>(
    kind: &str,
    event_type: &str,
    upcasters: &'a [Upcaster],
    from: u32,
) -> Result<&'a Upcaster, String> {
    let mut of_event =
        upcasters.iter().filter(|step| step.aggregate_type == kind && step.event_type == event_type);
    let step = of_event.find(|step| step.from_version == from);
    step.ok_or_else(|| format!("there is no way from version {from}"))
}

/// The payload after these changes, in order.
fn upcast(row: &StoredEvent, changes: &[fn(Value) -> Value]) -> Result<Value, String> {
    let mut payload: Value = serde_json::from_str(&row.payload).map_err(|error| error.to_string())?;
    let fields = payload.get_mut(&row.event_type).ok_or("its payload does not carry its name")?;
    for change in changes {
        *fields = change(fields.take());
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;

    /// As they would be after two changes of one event.
    const UPCASTERS: &[Upcaster] = &[
        Upcaster {
            aggregate_type: "stock",
            event_type: "StockReceived",
            from_version: 1,
            change: Some(quantity),
        },
        Upcaster {
            aggregate_type: "stock",
            event_type: "StockReceived",
            from_version: 2,
            change: Some(location),
        },
    ];

    fn quantity(mut fields: Value) -> Value {
        if let Some(old) = fields.as_object_mut().and_then(|fields| fields.remove("qty")) {
            fields["quantity"] = old;
        }
        fields
    }

    fn location(mut fields: Value) -> Value {
        fields["location"] = "main".into();
        fields
    }

    const GOLDEN: [(u32, &str); 3] = [
        (1, include_str!("../tests/golden/upcast/StockReceived.v1.json")),
        (2, include_str!("../tests/golden/upcast/StockReceived.v2.json")),
        (3, include_str!("../tests/golden/upcast/StockReceived.v3.json")),
    ];

    fn row(version: &str, payload: &str) -> StoredEvent {
        StoredEvent {
            position: 1,
            event_id: Uuid::nil(),
            aggregate_type: "stock".to_owned(),
            aggregate_id: Uuid::nil().to_string(),
            sequence: 1,
            event_type: "StockReceived".to_owned(),
            event_version: version.to_owned(),
            payload: payload.trim().to_owned(),
            metadata: "{}".to_owned(),
            occurred_at: DateTime::UNIX_EPOCH,
            recorded_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn every_stored_version_reads_as_the_newest() {
        for (version, payload) in GOLDEN {
            let (stored, event) = decode("stock", &row(&version.to_string(), payload), UPCASTERS).unwrap();
            assert_eq!(stored, version);
            assert_eq!(event.encode().unwrap(), GOLDEN[2].1.trim());
        }
    }

    #[test]
    fn the_upcasters_of_other_events_change_nothing() {
        let lost: fn(Value) -> Value = |_| Value::Null;
        let of = |aggregate_type, event_type, change: fn(Value) -> Value| Upcaster {
            aggregate_type,
            event_type,
            from_version: 1,
            change: Some(change),
        };
        let all = [
            of("stock", "StockShipped", lost),
            of("order", "StockReceived", lost),
            of("stock", "StockReceived", quantity),
            Upcaster { from_version: 2, ..of("stock", "StockReceived", location) },
        ];
        let (_, event) = decode("stock", &row("1", GOLDEN[0].1), &all).unwrap();
        assert_eq!(event.encode().unwrap(), GOLDEN[2].1.trim());
    }

    #[test]
    fn an_older_shape_that_did_not_change_is_read_as_it_is() {
        let unchanged = |from_version| Upcaster {
            aggregate_type: "stock",
            event_type: "StockReceived",
            from_version,
            change: None,
        };
        let all = [unchanged(1), unchanged(2)];
        let (stored, event) = decode("stock", &row("1", GOLDEN[2].1), &all).unwrap();
        assert_eq!((stored, event.encode().unwrap().as_str()), (1, GOLDEN[2].1.trim()));
        let error = decode("stock", &row("1", GOLDEN[2].1), &all[1..]).unwrap_err();
        assert!(error.contains("there is no way from version 1"), "{error}");
        // One of several changes it.
        let mixed = [unchanged(1), Upcaster { change: Some(location), ..unchanged(2) }];
        let (_, event) = decode("stock", &row("1", GOLDEN[1].1), &mixed).unwrap();
        assert_eq!(event.encode().unwrap(), GOLDEN[2].1.trim());
    }

    #[test]
    fn a_version_that_no_row_leads_on_from_is_an_error() {
        let newest = GOLDEN[2].1;
        for (version, payload, upcasters, reason) in [
            ("4", newest, UPCASTERS, "has version 4, this release knows 3"),
            ("x", newest, UPCASTERS, "its version is \"x\""),
            ("0", newest, UPCASTERS, "there is no way from version 0"),
            ("1", GOLDEN[0].1, &UPCASTERS[1..], "there is no way from version 1"),
            ("1", "{}", UPCASTERS, "its payload does not carry its name"),
            ("3", r#"{"StockReceived":{"sku":"MUG"}}"#, UPCASTERS, "StockReceived: missing field"),
        ] {
            let error = decode("stock", &row(version, payload), upcasters).unwrap_err();
            assert!(error.contains(reason), "{version} {payload}: {error}");
        }
    }
}
