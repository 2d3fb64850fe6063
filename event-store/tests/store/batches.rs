//! Requests that wait together are judged as if they had come one by one.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use soonshop_domain::ids;
use soonshop_event_store::{Claim, Request};
use uuid::Uuid;

use crate::fixture::{Fixture, Tip, checking, request, submit, words};

/// One request, in terms of a few streams, values and ids, so that requests collide.
#[derive(Debug, Clone)]
struct Step {
    stream: usize,
    /// Builds on the event that it believes to be last, on an earlier version, or on an event that does not exist.
    stands: u8,
    appends: bool,
    /// 0 and 1: values that all streams want and none gives up (the order of giving up and taking may vary). From 2
    /// on: values of its own.
    claims: Option<u8>,
    /// Gives up its own values, except the one that it claims.
    frees: bool,
    /// Has the id of that earlier request.
    repeats: Option<usize>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..3_usize, 0..8_u8, 0..5_u8, proptest::option::weighted(0.5, 0..5_u8), any::<bool>());
    let step = (step, proptest::option::weighted(0.1, 0..20_usize));
    let step = step.prop_map(|((stream, stands, appends, claims, frees), repeats)| Step {
        stream,
        stands,
        appends: appends > 0,
        claims,
        frees,
        repeats,
    });
    proptest::collection::vec(step, 1..24)
}

/// A model of the log, which judges the requests one after the other.
#[derive(Default)]
struct Model {
    streams: HashMap<String, (i64, Option<Uuid>)>,
    /// The owner of each value; the value determines its scope.
    owners: HashMap<Vec<u8>, String>,
    commands: Vec<Uuid>,
    /// Values that were given up, and perhaps claimed again.
    freed: Vec<Vec<u8>>,
}

impl Model {
    fn judge(&mut self, request: &Request, message: &str) -> Result<(), String> {
        let stream = &request.streams[0];
        let at = self.streams.get(&stream.aggregate_id).copied().unwrap_or_default();
        let mut right: Vec<&str> = Vec::new();
        if self.commands.contains(&request.command_id) {
            right = vec!["known"];
        } else {
            if at != (stream.sequence, stream.event_id) {
                right.extend(["version", "behind"]);
            }
            let taken =
                |claim: &Claim| self.owners.get(&claim.value).is_some_and(|owner| *owner != claim.owner);
            if request.claims.iter().any(taken) {
                right.push("claimed");
            }
            if right.is_empty() {
                right.push("done");
            }
        }
        if !right.contains(&message) {
            return Err(format!("{message}, and not {right:?}: {request:?}"));
        }
        if message == "done" {
            self.apply(request);
        }
        Ok(())
    }

    fn apply(&mut self, request: &Request) {
        if let Some(event) = request.events.last() {
            self.streams.insert(event.aggregate_id.clone(), (event.sequence, Some(event.event_id)));
            self.commands.push(request.command_id);
        }
        for (_, owner) in &request.frees {
            let kept = |value: &Vec<u8>| request.claims.iter().any(|claim| claim.value == *value);
            let contested = |value: &Vec<u8>| value[16] < 2;
            let gone =
                |value: &Vec<u8>, holder: &String| holder == owner && !kept(value) && !contested(value);
            let freed = self.owners.iter().filter(|(value, holder)| gone(value, holder));
            self.freed.extend(freed.map(|(value, _)| value.clone()).collect::<Vec<_>>());
            self.owners.retain(|value, holder| !gone(value, holder));
        }
        for claim in &request.claims {
            self.owners.insert(claim.value.clone(), claim.owner.clone());
        }
    }
}

fn number_of(step: &Step) -> u8 {
    u8::try_from(step.stream).unwrap()
}

fn requests(steps: &[Step], salt: &[u8]) -> Vec<Request> {
    let mut tips = [Tip::new(), Tip::new(), Tip::new()];
    let mut requests: Vec<Request> = Vec::new();
    for step in steps {
        let believed = &mut tips[step.stream];
        let mut wrong = believed.clone();
        let tip = match step.stands {
            0 => {
                (wrong.sequence, wrong.event_id) = (0, None);
                &mut wrong
            }
            1 => {
                wrong.event_id = Some(ids::new());
                &mut wrong
            }
            _ => believed,
        };
        let mut request = if step.appends { request(tip) } else { checking(tip) };
        let owner = format!("stock:{}", tip.stream);
        // A check claims nothing, as in the store.
        if let (Some(value), true) = (step.claims, step.appends) {
            let own = value > 1;
            let (scope, whose) = if own { ("own", number_of(step)) } else { ("sku", 0) };
            let value = [salt, &[value, whose]].concat();
            request.claims.push(Claim { scope, key_id: 1, value, form: 1, owner: owner.clone() });
            request.claim_keys = vec![1];
            if step.frees && own {
                request.frees.push((scope, owner));
            }
        }
        if let Some(earlier) = step.repeats.and_then(|earlier| requests.get(earlier)) {
            request.command_id = earlier.command_id;
        }
        requests.push(request);
    }
    requests
}

fn judged_as_if_one_by_one(fixture: impl Future<Output = Fixture>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shop = runtime.block_on(fixture);
    let store = runtime.block_on(async { shop.store() });
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&steps(), |steps| {
        let requests = requests(&steps, &ids::new().as_bytes()[..]);
        let outcomes = runtime.block_on(submit(&store, requests.clone()));
        let mut model = Model::default();
        for (request, message) in requests.iter().zip(words(&outcomes)) {
            model.judge(request, message).map_err(TestCaseError::fail)?;
        }
        // Afterwards the owners are those of the model.
        for (value, owner) in &model.owners {
            let hex = value.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
            let value = if shop.is_sqlite() { "value" } else { "encode(value, 'hex')" };
            let held = format!("SELECT count(*) FROM @claims WHERE {value} = '{hex}' AND owner = '{owner}'");
            prop_assert_eq!(runtime.block_on(shop.number("log", &held)), 1);
        }
        for value in model.freed.iter().filter(|value| !model.owners.contains_key(*value)) {
            let hex = value.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
            let value = if shop.is_sqlite() { "value" } else { "encode(value, 'hex')" };
            let held = format!("SELECT count(*) FROM @claims WHERE {value} = '{hex}'");
            prop_assert_eq!(runtime.block_on(shop.number("log", &held)), 0);
        }
        Ok(())
    });
    runtime.block_on(shop.events());
    outcome.unwrap();
}

#[test]
fn a_batch_is_judged_as_if_its_requests_came_one_by_one_on_sqlite() {
    judged_as_if_one_by_one(Fixture::sqlite());
}

#[test]
fn a_batch_is_judged_as_if_its_requests_came_one_by_one_on_postgres() {
    judged_as_if_one_by_one(Fixture::postgres());
}
