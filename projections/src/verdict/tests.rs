use soonshop_event_log::{Database, DatabaseLocation};
use soonshop_migrations::{Namespace, migrate};

use super::*;
use crate::generation::State;
use crate::sink::INDEX;
use crate::status::{GenerationStatus, Sink};

fn at(second: i32) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_600_000 + i64::from(second), 0).unwrap()
}

fn seen(position: i64, lag: (i64, f64), trouble: Option<Trouble>) -> Observed<'static> {
    let (lag_events, lag_seconds) = lag;
    Observed {
        subject: "rm_orders_1".to_owned(),
        position,
        lag_events,
        lag_seconds,
        holder: None,
        in_use: true,
        trouble,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as the function under test takes it")]
fn stopped() -> Option<Trouble> {
    Some(Trouble::Stopped { sink: "index".to_owned(), reason: "no answer".to_owned() })
}

/// The verdicts of a follower that is looked at again and again.
fn looked_at(looks: &[(i32, Observed<'_>)]) -> Vec<Option<Complaint>> {
    let mut before = None;
    let mut verdicts = Vec::new();
    for (second, seen) in looks {
        let (complaint, after) = judge(at(*second), seen, before.as_ref()).unzip();
        before = after;
        verdicts.push(complaint);
    }
    verdicts
}

#[test]
fn a_stalled_follower_stays_red_whatever_its_attempts_look_like() {
    // At 12 and 16 seconds an attempt has the lease and has not failed yet.
    let looks: Vec<_> = (0..40)
        .map(|second| {
            let looks_well = (12..=16).contains(&second) || second % 7 == 3;
            let trouble = if looks_well { None } else { stopped() };
            (second, seen(7, (3, f64::from(second)), if second == 0 { stopped() } else { trouble }))
        })
        .collect();
    let verdicts = looked_at(&looks);
    assert!(verdicts.iter().all(Option::is_some), "{verdicts:?}");
    assert!(
        verdicts.iter().flatten().all(|one| one.since == at(0) && one.remedy == "stopped"),
        "{verdicts:?}"
    );
}

#[test]
fn a_follower_is_green_once_its_position_moved_past_the_one_at_which_it_stood() {
    let looks = [
        (0, seen(7, (3, 0.0), stopped())),
        (1, seen(7, (3, 1.0), None)),
        (2, seen(8, (2, 2.0), None)),
        (3, seen(8, (2, 3.0), None)),
    ];
    assert_eq!(looked_at(&looks).iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false, false]);
}

#[test]
fn a_follower_that_has_nothing_left_to_do_is_green() {
    let looks = [(0, seen(7, (0, 0.0), Some(Trouble::Unkept))), (1, seen(7, (0, 0.0), None))];
    assert_eq!(looked_at(&looks)[1], None);
    let looks = [(0, seen(7, (0, 0.0), Some(Trouble::Parked { count: 1 }))), (1, seen(7, (4, 0.1), None))];
    assert_eq!(looked_at(&looks)[1], None, "no event is parked any more");
}

#[test]
fn a_worker_that_is_back_and_makes_no_progress_is_stalled() {
    let looks = [
        (6, seen(7, (3, 6.0), Some(Trouble::Unkept))),
        (8, seen(7, (3, 8.0), None)),
        (9, seen(7, (3, 9.0), Some(Trouble::Unkept))),
    ];
    let verdicts = looked_at(&looks);
    let kinds: Vec<_> = verdicts.iter().flatten().map(|one| (one.trouble.clone(), one.remedy)).collect();
    let stalled = Trouble::Stalled { position: 7 };
    assert_eq!(kinds, [(Trouble::Unkept, "workers"), (stalled, "stalled"), (Trouble::Unkept, "workers")]);
    assert!(
        verdicts.iter().flatten().all(|one| one.since == at(0)),
        "since the first event waits: {verdicts:?}"
    );
}

#[test]
fn a_late_follower_is_green_only_well_below_the_threshold() {
    let late = |second: i32, position: i64, seconds: f64| {
        (second, seen(position, (9, seconds), Trouble::of_lag(seconds)))
    };
    let looks = [
        late(0, 7, 59.0),
        late(1, 7, 61.0),
        late(2, 9, 58.0),
        late(3, 11, 61.0),
        late(4, 13, 59.5),
        late(5, 99, 29.0),
        late(6, 99, 30.0),
    ];
    let red: Vec<_> = looked_at(&looks).iter().map(Option::is_some).collect();
    assert_eq!(red, [false, true, true, true, true, false, false]);
}

#[test]
fn a_remedy_fits_the_trouble_and_the_holder_of_the_lease() {
    let of = |reason: &str| Trouble::Stopped { sink: "rows".to_owned(), reason: reason.to_owned() };
    for (trouble, holder, code) in [
        (Trouble::Unkept, None, "workers"),
        (Trouble::Parked { count: 2 }, Some("projector"), "parked"),
        (Trouble::Late { seconds: 61.0 }, Some("projector"), "late"),
        (Trouble::Late { seconds: 61.0 }, Some("replay-tool/host/7/x"), "held"),
        (Trouble::Stalled { position: 7 }, Some("projector"), "stalled"),
        (of("ahead-of-log: rows is at 9"), None, "rebuild"),
        (Trouble::Other { detail: "ahead-of-log: sealer was at 9".to_owned() }, None, "cut-off"),
        (of("the event at position 9 is of a newer release: x"), None, "release"),
        (of("no space left"), None, "stopped"),
    ] {
        assert_eq!(trouble.remedy(holder), code, "{trouble:?}");
    }
}

#[test]
fn a_late_follower_whose_position_does_not_change_is_stalled() {
    let late = |second: i32| {
        (second, seen(7, (3, 61.0 + f64::from(second)), Trouble::of_lag(61.0 + f64::from(second))))
    };
    let verdicts = looked_at(&[late(0), late(14), late(15), late(500)]);
    let remedies: Vec<_> = verdicts.iter().flatten().map(|one| one.remedy).collect();
    assert_eq!(remedies, ["late", "late", "stalled", "stalled"]);
    assert!(verdicts.iter().flatten().all(|one| one.since == at(-61)), "{verdicts:?}");
}

#[test]
fn a_generation_that_readers_left_is_not_waited_for() {
    let left = Observed { in_use: false, ..seen(7, (9, 90.0), None) };
    let looks = [(0, seen(7, (3, 0.0), Some(Trouble::Unkept))), (1, left)];
    assert_eq!(looked_at(&looks)[1], None);
}

#[test]
fn a_late_follower_that_makes_progress_is_late_and_not_stalled_until_it_is_well_below_the_threshold() {
    let late = |second: i32, position: i64, seconds: f64| {
        (second, seen(position, (9, seconds), Trouble::of_lag(seconds)))
    };
    let looks =
        [late(0, 7, 61.0), late(1, 9, 58.0), late(2, 11, 57.0), late(40, 13, 57.0), late(41, 15, 29.0)];
    let troubles: Vec<_> =
        looked_at(&looks).into_iter().map(|found| found.map(|found| found.trouble)).collect();
    let behind = |seconds| Some(Trouble::Late { seconds });
    assert_eq!(troubles, [behind(61.0), behind(58.0), behind(57.0), behind(57.0), None]);
}

#[test]
fn a_sink_that_does_not_answer_is_in_trouble_since_now_and_not_since_the_first_event() {
    let sink = |name, position: Option<i64>, lag: (i64, f64), unknown: Option<&str>| Sink {
        name,
        position,
        lag_events: lag.0,
        lag_seconds: lag.1,
        holder: Some("projector".to_owned()),
        stopped: None,
        unknown: unknown.map(str::to_owned),
    };
    let rows = || sink(crate::runner::ROWS, Some(9), (0, 0.0), None);
    let whole = (9, 5_000_000.0);
    let generation = |sinks| GenerationStatus {
        projection: "products".to_owned(),
        generation: 1,
        version: 1,
        shape: 1,
        state: State::Ready,
        active: true,
        previous: false,
        verified_by: None,
        sinks,
        lag_events: whole.0,
        lag_seconds: whole.1,
        parked: 0,
        complaint: None,
    };
    let silent = generation(vec![rows(), sink(INDEX, None, whole, Some("no route to host"))]);
    let answers = generation(vec![rows(), sink(INDEX, Some(9), (0, 0.0), None)]);
    let lost = generation(vec![rows(), sink(INDEX, None, whole, None)]);
    let (complaint, memory) = judge(at(0), &silent.observed(), None).unwrap();
    let detail = "index: no route to host".to_owned();
    assert_eq!(complaint, Complaint { trouble: Trouble::Other { detail }, since: at(0), remedy: "stopped" });
    let healthy = GenerationStatus { lag_events: 0, lag_seconds: 0.0, ..answers };
    assert_eq!(judge(at(1), &healthy.observed(), Some(&memory)), None, "it answers again");
    let (complaint, _) = judge(at(0), &lost.observed(), None).unwrap();
    assert_eq!(complaint.trouble, Trouble::Late { seconds: whole.1 }, "an index that was lost is behind");
}

#[tokio::test]
async fn a_look_that_found_all_well_does_not_forget_what_another_process_saw_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let db =
        Database::new(DatabaseLocation::Sqlite(folder.path().to_owned())).namespace("operations").unwrap();
    migrate(Namespace::Operations, &db.connection).await.unwrap();
    let look = async |observed: &Observed<'_>| {
        let mut memory = Memory::load(&db).await;
        memory.judge(observed);
        memory
    };
    let alive = ["rm_orders_1".to_owned()];
    look(&seen(7, (3, 0.0), stopped())).await.store(&db, &alive).await;
    let slow = look(&seen(8, (2, 0.0), None)).await;
    look(&seen(9, (1, 0.0), stopped())).await.store(&db, &alive).await;
    slow.store(&db, &alive).await;
    let kept = load(&db).await.unwrap();
    assert_eq!(kept["rm_orders_1"].position, 9, "what the other saw stays");
    look(&seen(10, (0, 0.0), None)).await.store(&db, &alive).await;
    assert!(load(&db).await.unwrap().is_empty());
}

#[test]
fn a_verdict_that_an_earlier_release_stored_is_read() {
    let stored = r#"{"what":"standing","position":7}"#;
    let trouble: Trouble = serde_json::from_str(stored).unwrap();
    assert_eq!(trouble, Trouble::Stalled { position: 7 });
    assert_eq!(serde_json::to_string(&trouble).unwrap(), r#"{"what":"stalled","position":7}"#);
}
