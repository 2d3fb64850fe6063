//! Stored shapes never change. `tests/golden/events/` holds every event as the log stores it, `tests/golden/states/`
//! the states that `apply` makes of them. `UPDATE_GOLDEN=1` writes missing files; it never overwrites one.
//!
//! The tests go over the catalog; the samples are beside their events, in the tests of each context.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use strum::VariantArray as _;
use uuid::Uuid;

use crate::catalog::{
    self, UPCASTERS, Visitor, event_type, event_types, expected_after, fold_to_json, samples, version_of,
};
use crate::decider::state_to_show;
use crate::ids::{self, CreditNoteId, OrderId, ProductId};
use crate::inventory::{self, MAIN};
use crate::order;
use crate::text::Sku;
use crate::{
    AGGREGATES, Actor, ActorKind, Channel, Currency, Decider, Event, EventInfo, Metadata, Money, Personal,
    Purpose, Sensitive, TYPES, context_of, state_types,
};

/// Events for golden files and for the tests that go over the catalog. Without it a new event type does not compile.
pub(crate) trait Sample: EventInfo {
    /// One event of that type, with every field filled.
    fn sample(kind: Self::Discriminant) -> Self;

    /// A history in which each event changes the state: one of each, unless they need another order.
    fn history() -> Vec<Self::Discriminant> {
        Self::Discriminant::VARIANTS.to_vec()
    }
}

/// A JWE as a key of that purpose makes it; `text` keeps the values of one event apart.
fn jwe(purpose: Purpose, text: &str) -> String {
    let header = match purpose {
        Purpose::Account => {
            "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiMDE5OWFhYmItMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAxLmFjY291bnQiLCJ2IjoxfQ"
        }
        Purpose::Invoice => {
            "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiMDE5OWFhYmItMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAxLmludm9pY2UiLCJ2IjoxfQ"
        }
    };
    format!("{header}..AAECAwQFBgcICQoL.{text}.EBESExQVFhcYGRobHB0eHw")
}

/// A personal value as it is stored.
pub(crate) fn encrypted(purpose: Purpose, text: &str) -> Personal<String> {
    serde_json::from_value(jwe(purpose, text).into()).unwrap()
}

fn id(last: u128) -> Uuid {
    Uuid::from_u128(0x0199_aabb_0000_7000_8000_0000_0000_0000 + last)
}

/// The data subject whose keys [`encrypted`] names.
pub(crate) fn person_id() -> Uuid {
    id(1)
}

pub(crate) fn product_id() -> ProductId {
    ProductId(id(3))
}

pub(crate) fn order_id() -> OrderId {
    OrderId(id(4))
}

pub(crate) fn credit_note_id() -> CreditNoteId {
    CreditNoteId(id(5))
}

pub(crate) fn payment_id() -> Uuid {
    id(7)
}

pub(crate) fn transaction_id() -> Uuid {
    id(8)
}

pub(crate) fn sku(raw: &str) -> Sku {
    Sku::try_new(raw).unwrap()
}

pub(crate) fn gbp(amount: i64) -> Money {
    Money::new(amount, Currency::GBP)
}

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

/// The golden file; where there is none, `UPDATE_GOLDEN=1` writes one.
fn read_or_write(path: &str, new: impl FnOnce() -> String) -> String {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let new = new();
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let file = golden(path);
    if !file.exists() && std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        writeln!(fs::File::create_new(&file).unwrap(), "{new}").unwrap();
    }
    let text = fs::read_to_string(&file);
    let text = text.unwrap_or_else(|_| panic!("tests/golden/{path} is missing: UPDATE_GOLDEN=1 writes it"));
    text.strip_suffix('\n').expect("a golden file ends with a line break").to_owned()
}

/// The event as this release stores it.
fn stored(aggregate_type: &str, event_type: &str) -> String {
    let version = version_of(aggregate_type, event_type, UPCASTERS);
    read_or_write(&format!("events/{event_type}.v{version}.json"), || {
        let sample = samples::all().into_iter().find(|event| event.event_type() == event_type);
        sample.unwrap_or_else(|| panic!("{event_type} has no sample")).encode().unwrap()
    })
}

fn decode(aggregate_type: &str, payload: &str) -> Event {
    Event::decode(aggregate_type, payload).unwrap().unwrap()
}

#[test]
fn every_event_type_has_a_sample_and_is_in_the_history_of_its_aggregate() {
    let names: Vec<_> = AGGREGATES.iter().map(|aggregate| aggregate.name).collect();
    assert_eq!(TYPES, names);
    let in_order: Vec<_> = AGGREGATES.iter().flat_map(|aggregate| aggregate.events).copied().collect();
    assert_eq!(event_types().iter().map(|event| event.name).collect::<Vec<_>>(), in_order);
    let sampled: Vec<_> = samples::all().iter().map(|event| event.event_type().to_owned()).collect();
    assert_eq!(sampled, in_order, "the sample of a kind is an event of that kind");
    for (aggregate_type, history) in samples::histories() {
        for event in catalog::aggregate(aggregate_type).unwrap().events {
            assert!(history.contains(event), "the history of `{aggregate_type}` does not show {event}");
        }
    }
}

#[test]
fn no_two_event_types_and_no_two_aggregate_types_share_a_name_or_an_icon() {
    let (mut names, mut icons) = (BTreeSet::new(), BTreeSet::new());
    for event in event_types() {
        assert!(names.insert(event.name), "two types have an event {}", event.name);
    }
    for aggregate in AGGREGATES {
        assert!(names.insert(aggregate.name), "two rows of the catalog are named {}", aggregate.name);
        assert!(icons.insert(aggregate.icon), "`{}` has the icon of another", aggregate.name);
        assert_eq!(aggregate.icon.chars().count(), 1, "{}", aggregate.name);
    }
}

#[test]
fn the_amount_of_an_event_is_where_its_type_says() {
    for event in samples::all() {
        let name = event.event_type();
        let json: Value = serde_json::from_str(&event.encode().unwrap()).unwrap();
        let path = event_type(name).unwrap().amount_path;
        let at_path = path.map(|path| {
            let value = path.split('.').fold(&json[name], |value, field| &value[field]);
            serde_json::from_value::<Money>(value.clone()).unwrap_or_else(|error| panic!("{name}: {error}"))
        });
        assert_eq!(event.amount(), at_path, "{name}");
    }
}

/// Fields of events and states that hold a number which is no amount.
const COUNTS: &[&str] = &[
    "number",
    "line",
    "last_line",
    "quantity",
    "hold",
    "sequence",
    "held",
    "shipped",
    "over",
    "last_cause",
    "units",
    "reserved",
    "on_hand",
    "order_lines",
    "count",
    "accounts",
    "hours",
    "user_version",
    "changes",
    "verified",
    "passwords",
    "failed_sign_ins",
    "all_ended",
    "second_factors",
    "linked",
    "recovery_codes",
    "left",
    "secret",
    "revision",
];

/// The paths of numbers that stand neither in an amount nor in a field of [`COUNTS`].
fn other_numbers(value: &Value, path: &str, name: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) if fields.contains_key("currency") && fields.contains_key("amount") => {
            serde_json::from_value::<Money>(value.clone()).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                other_numbers(field, &format!("{path}.{name}"), name, into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| other_numbers(item, path, name, into)),
        Value::Number(_) if !COUNTS.contains(&name) => into.push(path.to_owned()),
        _ => {}
    }
}

/// A stored state as people see it.
struct Shown(Value);

impl Visitor for Shown {
    type Output = Value;

    fn visit<A: Decider>(self) -> Value {
        let state: A = serde_json::from_value(self.0).unwrap();
        state_to_show(&state, &state).unwrap()
    }
}

#[test]
fn every_amount_of_an_event_and_of_a_shown_state_has_its_currency() {
    let mut bare = Vec::new();
    for folder in ["events", "added"] {
        for file in fs::read_dir(golden(folder)).unwrap() {
            let event: Value = serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap();
            other_numbers(&event, "", "", &mut bare);
        }
    }
    assert_eq!(bare, Vec::<String>::new(), "an amount without a currency, or a count that `COUNTS` lacks");
    let (mut stored, mut shown) = (Vec::new(), Vec::new());
    for (aggregate_type, version) in state_types() {
        let file = golden(&format!("states/{aggregate_type}.v{version}.json"));
        // Another test misses a file that is not written yet.
        let Ok(steps) = fs::read(file) else { continue };
        let steps: Vec<Value> = serde_json::from_slice(&steps).unwrap();
        for state in steps.into_iter().map(|mut step| step["state"].take()) {
            other_numbers(&state, aggregate_type, "", &mut stored);
            other_numbers(
                &catalog::visit(aggregate_type, Shown(state)).unwrap(),
                aggregate_type,
                "",
                &mut shown,
            );
        }
    }
    assert_eq!(
        shown,
        Vec::<String>::new(),
        "an amount that `BARE_AMOUNTS` lacks, or a count that `COUNTS` lacks"
    );
    let stored: Vec<_> = BTreeSet::from_iter(stored).into_iter().collect();
    let payment = payment_id();
    let transaction = transaction_id();
    let of_checkout = Uuid::from_u128(11);
    let bare = [
        format!("checkout.payments.{of_checkout}.amount"),
        format!("checkout.payments.{of_checkout}.settled.amount"),
        "order.credits.amount".to_owned(),
        "order.credits.lines.1.amount".to_owned(),
        format!("order.payments.all.{payment}.amount"),
        format!("order.payments.all.{payment}.charged"),
        format!("order.payments.all.{payment}.repaid"),
        "order.payments.charged".to_owned(),
        format!("order.payments.charges.{transaction}.amount"),
        "order.payments.repaid".to_owned(),
        format!("order.payments.repayments.{transaction}.amount"),
        "payment.sums.authorized".to_owned(),
        "payment.sums.captured".to_owned(),
        "payment.sums.lapsed".to_owned(),
        "payment.sums.late".to_owned(),
        "payment.sums.refunded".to_owned(),
        "payment.sums.released".to_owned(),
        format!("payment.transactions.{transaction}.amount"),
    ];
    assert_eq!(stored, bare, "they are stored bare");
}

#[test]
fn an_event_with_personal_values_names_their_data_subject() {
    for mut event in samples::all() {
        let name = event.event_type().to_owned();
        let kids: Vec<_> =
            event.personal().into_iter().filter_map(|value| value.jwe().map(str::to_owned)).collect();
        // The samples' keys are all of one person.
        if !kids.is_empty() {
            assert_eq!(event.subject(person_id()), Some(person_id()), "{name}");
        }
    }
}

#[test]
fn an_event_expects_others_of_its_own_aggregate_within_some_time() {
    let mut count = 0;
    for event in event_types() {
        let Some(expected) = &event.expects else { continue };
        count += 1;
        assert!(!expected.one_of.is_empty(), "{}", event.name);
        assert!(expected.one_of.iter().all(|name| event.aggregate.events.contains(name)), "{}", event.name);
        assert!(expected.within_seconds > 0, "{}", event.name);
    }
    assert!(count >= 2, "orders and erasures are expected to be followed up");
}

#[test]
fn every_event_is_stored_as_it_always_was() {
    for sample in samples::all() {
        let (aggregate_type, name) = (sample.aggregate_type(), sample.event_type());
        let golden = stored(aggregate_type, name);
        let event = decode(aggregate_type, &golden);
        assert_eq!(event.encode().unwrap(), golden, "{name} is read and written again");
        assert_eq!(sample.encode().unwrap(), golden, "{name} is written");
        assert_eq!((event.aggregate_type(), event.event_type()), (aggregate_type, name));
        assert!(
            golden.starts_with(&format!("{{\"{name}\":{{")),
            "cqrs-es stores it under its name: {golden}"
        );
        let value: Value = serde_json::from_str(&golden).unwrap();
        assert_eq!(Event::decode_value(aggregate_type, value).unwrap().unwrap(), event);
    }
}

#[test]
fn every_golden_event_of_whatever_version_can_still_be_read() {
    for file in fs::read_dir(golden("events")).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        let (event_type, version) = name.strip_suffix(".json").and_then(|n| n.split_once(".v")).expect(name);
        let aggregate_type = catalog::event_type(event_type)
            .unwrap_or_else(|| panic!("no event is called {event_type}, but one was stored"))
            .aggregate
            .name;
        let mut payload: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let written = version_of(aggregate_type, event_type, UPCASTERS);
        for from in version.parse::<u32>().unwrap()..written {
            let row = UPCASTERS.iter().find(|row| {
                (row.aggregate_type, row.event_type, row.from_version) == (aggregate_type, event_type, from)
            });
            let change =
                row.unwrap_or_else(|| panic!("no upcaster takes {event_type} from version {from}")).change;
            if let Some(change) = change {
                payload[event_type] = change(payload[event_type].take());
            }
        }
        let event = Event::decode_value(aggregate_type, payload).unwrap();
        assert_eq!(event.unwrap_or_else(|error| panic!("{name}: {error}")).event_type(), event_type);
    }
}

#[test]
fn apply_makes_the_golden_state_of_each_version() {
    let versions: BTreeMap<_, _> = state_types().into_iter().collect();
    for (aggregate_type, history) in samples::histories() {
        let events: Vec<_> =
            history.iter().map(|name| decode(aggregate_type, &stored(aggregate_type, name))).collect();
        let steps = (1..=events.len()).map(
            |count| json!({ "after": history[count - 1], "state": fold_to_json(&events[..count]).unwrap() }),
        );
        let made = Value::Array(steps.collect());
        let version = versions[aggregate_type];
        let path = format!("states/{aggregate_type}.v{version}.json");
        let golden = read_or_write(&path, || serde_json::to_string_pretty(&made).unwrap());
        let golden: Value = serde_json::from_str(&golden).unwrap();
        let same = golden == made;
        assert!(
            same,
            "`apply` of `{aggregate_type}` makes another state of the same history than tests/golden/{path} says, and \
             snapshots of the old one would be read as if nothing had changed: raise its STATE_VERSION to {}, then \
             write the new file with UPDATE_GOLDEN=1. It makes: {made:#}",
            version + 1
        );
    }
}

/// The JSON pointers of all fields below this one, outer ones first.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let below: Vec<_> = match value {
        Value::Object(fields) => fields.iter().map(|(name, field)| (format!("{at}/{name}"), field)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, item)| (format!("{at}/{index}"), item)).collect()
        }
        _ => Vec::new(),
    };
    let with_their_own = below.into_iter().flat_map(|(pointer, field)| {
        let own = pointers(field, &pointer);
        std::iter::once(pointer).chain(own)
    });
    with_their_own.collect()
}

/// The payload without the field, if it is one that can be taken out of an object.
fn without(payload: &Value, pointer: &str) -> Option<Value> {
    let (parent, name) = pointer.rsplit_once('/')?;
    let mut less = payload.clone();
    less.pointer_mut(parent)?.as_object_mut()?.remove(name)?;
    Some(less)
}

#[test]
fn an_event_without_its_optional_fields_is_read_and_written_back_without_them() {
    let mut left_out = 0;
    for sample in samples::all() {
        let (aggregate_type, name) = (sample.aggregate_type(), sample.event_type());
        let read = |payload: &Value| Event::decode_value(aggregate_type, payload.clone()).unwrap().ok();
        let mut payload: Value = serde_json::from_str(&sample.encode().unwrap()).unwrap();
        for pointer in pointers(&payload[name], &format!("/{name}")) {
            let Some(less) = without(&payload, &pointer) else { continue };
            let Some(event) = read(&less) else { continue };
            left_out += 1;
            let written: Value = serde_json::from_str(&event.encode().unwrap()).unwrap();
            if written != less {
                // The contact of an order was always written, also an empty one.
                assert_eq!(pointer, "/OrderPlaced/contact", "{name} is read without it and written with it");
                assert_eq!(without(&written, &pointer), Some(less));
                assert_eq!(written.pointer(&pointer), Some(&json!({})));
            }
            payload = written;
        }
    }
    assert!(left_out > 10, "{left_out} fields are optional");
}

#[test]
fn the_codec_gets_every_encrypted_value_of_an_event() {
    for event in event_types() {
        let (aggregate_type, name) = (event.aggregate.name, event.name);
        let golden = stored(aggregate_type, name);
        let encrypted = golden.matches("eyJhbGciOiJkaXIi").count();
        let mut event = decode(aggregate_type, &golden);
        let shown: Vec<_> = event.personal().into_iter().filter_map(|v| v.jwe().map(str::to_owned)).collect();
        assert_eq!(shown.len(), encrypted, "{name}");
        assert!(shown.iter().all(|jwe| golden.contains(jwe.as_str())), "{name}");
    }
}

#[test]
fn an_unknown_type_is_distinguished_from_a_broken_event() {
    assert!(Event::decode("parcel", "{}").is_none());
    assert!(Event::decode("order", r#"{"OrderFolded":{}}"#).unwrap().is_err());
    assert!(Event::decode("stock", r#"{"OrderShipped":{}}"#).unwrap().is_err());
    assert_eq!(
        (context_of("parcel"), catalog::aggregate("parcel"), expected_after("ParcelLost")),
        (None, None, None)
    );
    assert!(event_type("ParcelLost").is_none());
    assert_eq!(fold_to_json(&[]).unwrap(), Value::Null);
}

#[test]
fn metadata_is_stored_as_a_flat_map_of_strings() {
    let full = Metadata {
        correlation_id: Some(id(1)),
        causation_id: Some(id(2)),
        command_id: Some(id(3)),
        command_type: Some("order.place".to_owned()),
        actor_kind: Some(ActorKind::System),
        actor_id: Some("fulfilment".to_owned()),
        on_behalf_of: Some("customer:0199aabb-0000-7000-8000-000000000001".to_owned()),
        channel: Some(Channel::Process),
        reason_code: Some("changed-my-mind".to_owned()),
        reason_note: Some(encrypted(Purpose::Account, "bm90ZQ")),
        reason_note_about: None,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        session_id: None,
    };
    let golden = read_or_write("metadata.v1.json", || serde_json::to_string(&full).unwrap());
    let read: Metadata = serde_json::from_str(&golden).unwrap();
    assert_eq!(read, full);
    assert_eq!(read.actor(), Some(Actor::system("fulfilment")));
    assert_eq!(serde_json::to_string(&read).unwrap(), golden);
    // cqrs-es reads nothing else.
    let flat: BTreeMap<String, String> = serde_json::from_str(&golden).unwrap();
    assert_eq!(flat.len(), 11);
    let back: Metadata = serde_json::from_value(json!(flat)).unwrap();
    assert_eq!(back, full);
    // A field that came later.
    let about = Metadata {
        reason_note: full.reason_note.clone(),
        reason_note_about: Some("0199aabb-0000-7000-8000-000000000002.account".to_owned()),
        ..Metadata::default()
    };
    let golden =
        read_or_write("added/metadata.reason_note_about.json", || serde_json::to_string(&about).unwrap());
    let read: Metadata = serde_json::from_str(&golden).unwrap();
    assert_eq!(read, about);
    assert_eq!(serde_json::to_string(&read).unwrap(), golden);
    let signed_in = Metadata { session_id: Some(id(6)), ..Metadata::default() };
    let golden =
        read_or_write("added/metadata.session_id.json", || serde_json::to_string(&signed_in).unwrap());
    let read: Metadata = serde_json::from_str(&golden).unwrap();
    assert_eq!(read, signed_in);
    assert_eq!(serde_json::to_string(&read).unwrap(), golden);
}

#[test]
fn metadata_without_a_value_is_not_written_and_an_unknown_key_is_passed_over() {
    assert_eq!(serde_json::to_string(&Metadata::default()).unwrap(), "{}");
    let some = Metadata { channel: Some(Channel::Cli), ..Metadata::default() };
    assert_eq!(serde_json::to_string(&some).unwrap(), r#"{"channel":"cli"}"#);
    assert_eq!(serde_json::from_str::<Metadata>(r#"{"channel":"cli","from_tomorrow":"x"}"#).unwrap(), some);
    assert_eq!(some.actor(), None);
}

#[test]
fn actors_and_channels_have_the_names_that_are_stored() {
    use ActorKind::{Customer, Guest, Service, Staff, System};
    use Channel::{Admin, Api, Cli, Import, Job, Process, Storefront, Webhook};
    let kinds = [Guest, Customer, Staff, Service, System].map(|kind| {
        assert_eq!(json!(kind), kind.to_string());
        kind.to_string()
    });
    assert_eq!(kinds.join(" "), "guest customer staff service system");
    let channels = [Storefront, Admin, Api, Webhook, Import, Process, Job, Cli].map(|channel| {
        assert_eq!(json!(channel), channel.to_string());
        channel.to_string()
    });
    assert_eq!(channels.join(" "), "storefront admin api webhook import process job cli");
    assert_eq!(Actor::system("fulfilment").to_string(), "system:fulfilment");
}

#[test]
fn stored_ids_never_change() {
    let pinned = [
        (ids::COMMANDS, "0b6f2c66-9e1d-4b55-8f0e-6a1c3c6f5a01"),
        (ids::PROCESSES, "4f6b0d3e-7a2c-4c8e-9d55-1f0a7be39b02"),
        (ids::STREAMS, "a3d1f7c2-55b8-4e0e-8c3f-2d9e60b41c03"),
        (ids::STOCK, "c9e25a10-3f4d-4a77-b1c8-90d3a7f2e604"),
        (ids::IMPORTS, "e17c84b9-6d02-4f3b-a5e6-7b8c9d0e1f05"),
        (inventory::stream(&sku("MUG"), MAIN), "d3fb51ec-16a4-5aea-a3fb-dc004677f4eb"),
        (inventory::stream(&sku(" mug "), "main"), "d3fb51ec-16a4-5aea-a3fb-dc004677f4eb"),
        (ids::stream_of(Uuid::from_u128(1)), "f4c24da4-7726-5109-b29b-aa1a88c6d020"),
    ];
    for (made, id) in pinned {
        assert_eq!(made.to_string(), id);
    }
    assert_eq!(order::number_of(OrderId(Uuid::from_u128(1)), 0), "S-QXMWRC3D");
    assert_eq!(order::number_of(OrderId(Uuid::from_u128(1)), 1), "S-DPWN3W1E");
    assert_eq!(json!(CreditNoteId(id(5))), "0199aabb-0000-7000-8000-000000000005");
}

#[test]
fn the_parts_of_an_id_are_kept_apart() {
    assert_ne!(ids::derived(ids::STOCK, &["AB", "C"]), ids::derived(ids::STOCK, &["A", "BC"]));
    assert_ne!(ids::derived(ids::STOCK, &["A"]), ids::derived(ids::IMPORTS, &["A"]));
}

#[test]
fn a_new_id_has_version_seven() {
    assert_eq!(ids::new().get_version_num(), 7);
    assert_ne!(ids::new(), ids::new());
}
