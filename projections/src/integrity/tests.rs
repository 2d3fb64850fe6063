use soonshop_event_log::seal::Finding;

use super::*;

const KEYED: Evidence = Evidence {
    proved: None,
    found: Vec::new(),
    acknowledged: None,
    with_key: true,
    begun_after: None,
    head: 0,
    missing: Vec::new(),
};

fn proved(from: i64, to: i64) -> Evidence {
    Evidence { proved: Some((from, to)), ..Evidence::default() }
}

fn found(from: i64, to: i64) -> Evidence {
    Evidence { found: vec![(from, to, State::Broken)], ..Evidence::default() }
}

fn acknowledged(from: i64, to: i64) -> Evidence {
    Evidence { acknowledged: Some((from, to)), ..Evidence::default() }
}

fn after(all: &[Evidence]) -> Integrity {
    let mut known = Integrity::default();
    for (entry, evidence) in (1..).zip(all) {
        known.take(entry, evidence);
    }
    known
}

fn state(known: &Integrity, position: i64) -> Option<State> {
    known.ranges.iter().find(|range| (range.from..=range.to).contains(&position)).map(|range| range.state)
}

/// Numbers that look random, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }
}

#[test]
fn every_position_has_what_the_last_entry_about_it_says() {
    const LAST: usize = 40;
    let mut numbers = Numbers(7);
    for _ in 0..2_000 {
        let (mut known, mut by_position) = (Integrity::default(), [None; LAST + 1]);
        for entry in 1..=12 {
            let from = 1 + numbers.below(LAST);
            let to = from + numbers.below(LAST - from + 1);
            let kind = numbers.below(5);
            let with_key = numbers.below(2) == 1;
            let red = if kind == 1 { State::OtherKey } else { State::Broken };
            let range = (i64::try_from(from).unwrap(), i64::try_from(to).unwrap());
            let evidence = match kind {
                0 | 1 => Evidence { found: vec![(range.0, range.1, red)], ..Evidence::default() },
                2 => acknowledged(range.0, range.1),
                // A check of a range in which there is nothing.
                3 => Evidence::default(),
                _ => proved(range.0, range.1),
            };
            known.take(entry, &Evidence { with_key, ..evidence });
            for state in &mut by_position[from..=to] {
                *state = match (kind, *state) {
                    (0, Some(State::OtherKey)) | (3, _) => *state,
                    (0 | 1, _) => Some(red),
                    (2, Some(before)) if before.is_red() => Some(State::Acknowledged),
                    (2, before) => before,
                    (_, Some(State::OtherKey)) if !with_key => Some(State::OtherKey),
                    _ => Some(State::Proved),
                };
            }
        }
        for (position, expected) in (1..).zip(&by_position[1..]) {
            assert_eq!(state(&known, position), *expected, "{position}: {known:?}");
        }
        let in_order = known.ranges.windows(2).all(|pair| pair[0].to < pair[1].from);
        assert!(in_order && known.ranges.iter().all(|range| range.from <= range.to), "{known:?}");
        assert_eq!(known.is_well(), !by_position.iter().flatten().any(|state| state.is_red()));
    }
}

#[test]
fn a_red_range_stays_red_until_a_check_covers_it_or_somebody_acknowledges_it() {
    let red = |all: &[Evidence]| after(all).red_ranges();
    assert_eq!(red(&[proved(1, 100), found(70, 70)]), "70");
    // Not by a check of nothing, nor by one of another range.
    assert_eq!(red(&[found(70, 79), Evidence::default(), proved(80, 100), proved(1, 69)]), "70…79");
    assert_eq!(red(&[found(70, 79), proved(1, 74)]), "75…79", "a part is mended");
    assert_eq!(red(&[found(70, 79), proved(73, 75)]), "70…72, 76…79");
    assert!(after(&[found(70, 79), proved(70, 79)]).is_well());
    assert!(after(&[found(70, 79), acknowledged(1, 100)]).is_well());
    assert_eq!(red(&[found(70, 79), acknowledged(1, 100), found(72, 72)]), "72", "what comes later counts");
}

#[test]
fn an_acknowledged_range_is_not_proved_and_nothing_else_is_acknowledged() {
    let known = after(&[proved(1, 50), found(20, 29), acknowledged(10, 60)]);
    let states: Vec<_> = known.ranges.iter().map(|range| (range.from, range.to, range.state)).collect();
    assert_eq!(states, [(1, 19, State::Proved), (20, 29, State::Acknowledged), (30, 50, State::Proved)]);
    assert_eq!(state(&after(&[found(20, 29), acknowledged(10, 60), proved(1, 30)]), 25), Some(State::Proved));
}

#[test]
fn what_a_key_has_found_is_proved_only_with_a_key() {
    let other = Evidence { found: vec![(1, 9, State::OtherKey)], ..KEYED };
    assert!(!after(&[other.clone(), proved(1, 9)]).is_well());
    assert!(after(&[other, Evidence { proved: Some((1, 9)), ..KEYED }]).is_well());
}

#[test]
fn events_that_are_missing_are_known_until_their_positions_are_proved_or_acknowledged() {
    let id = Uuid::from_u128(9);
    let cut_off = Evidence { missing: vec![(9, id)], head: 9, ..found(8, 9) };
    let known = after(&[proved(1, 7), cut_off.clone()]);
    assert_eq!((known.missing.as_slice(), known.head), (&[(9, id)][..], 9));
    assert!(after(&[cut_off.clone(), proved(1, 9)]).missing.is_empty());
    let known = after(&[cut_off, acknowledged(8, 9)]);
    assert_eq!((known.missing.len(), known.head), (0, 7), "the log may end there now");
}

#[test]
fn many_ranges_are_kept_in_few_and_never_greener() {
    let mut known = Integrity::default();
    for entry in 1..5_000 {
        known.take(
            entry,
            &if entry % 2 == 0 { found(entry * 2, entry * 2) } else { proved(entry * 2, entry * 2) },
        );
        assert!(known.ranges.len() <= MOST);
    }
    for entry in (2..5_000).step_by(2) {
        assert!(state(&known, entry * 2).is_some_and(State::is_red), "{entry}");
    }
}

#[test]
fn an_entry_of_an_earlier_release_is_red_from_its_first_finding_on() {
    let line = |verdict: &str, from: i64, to: i64, first_bad: Option<i64>| Recorded {
        position: 1,
        at: 0,
        actor: "staff:7".to_owned(),
        action: CHECK.to_owned(),
        subject: "log".to_owned(),
        detail: json!({
            "verdict": verdict, "from": from, "to": to, "rows": 9, "tail": 0, "first_bad": first_bad,
        }),
        note: None,
    };
    let mut known = Integrity::default();
    known.take(1, &Evidence::of_entry(&line("intact", 1, 9, None)));
    known.take(2, &Evidence::of_entry(&line("broken", 1, 9, Some(4))));
    known.take(3, &Evidence::of_entry(&line("nothing", 99, 0, None)));
    known.take(4, &Evidence::of_entry(&line("unproven", 1, 5, None)));
    assert_eq!(known.red_ranges(), "6…9");
    known.take(5, &Evidence::of_entry(&line("broken", 1, 0, Some(4))));
    assert_eq!(known.red_ranges(), "4, 6…9");
}

/// A report of a check of everything.
fn report(findings: Vec<Finding>, findings_left: i64) -> Report {
    Report {
        verdict: if findings.is_empty() { Verdict::Intact } else { Verdict::Broken },
        log: "main".to_owned(),
        log_id: Uuid::nil(),
        from: 1,
        to: 200,
        rows: 200,
        seals: 4,
        keys: Vec::new(),
        key_given: false,
        sealed_at: None,
        last_seal: None,
        sealed_to: 200,
        tail: None,
        findings,
        findings_left,
    }
}

/// The content of a check of everything that began after this entry.
fn evidence(report: Report, begun_after: i64) -> Evidence {
    Evidence::of_check(Positions::ALL, &Checked { report, missing: Vec::new(), begun_after })
}

fn at(position: i64, wrong: Wrong, fault: Fault) -> Finding {
    Finding { position, wrong, fault }
}

#[test]
fn a_check_undoes_nothing_that_was_found_or_acknowledged_after_it_began() {
    let id = Uuid::from_u128(9);
    let (clean, cut_off) = (
        |begun| evidence(report(Vec::new(), 0), begun),
        Evidence { missing: vec![(90, id)], ..found(90, 90) },
    );
    // Entry 1 and 2 were there when the check began that is entry 4; entry 3 was not.
    let known = after(&[found(20, 29), proved(1, 9), cut_off.clone(), clean(2)]);
    assert_eq!((known.red_ranges().as_str(), known.missing.as_slice()), ("90", &[(90, id)][..]));
    assert_eq!(state(&known, 20), Some(State::Proved));
    let known = after(&[cut_off.clone(), Evidence::default(), acknowledged(90, 90), clean(2)]);
    assert_eq!(state(&known, 90), Some(State::Acknowledged));
    let other = Evidence { found: vec![(50, 59, State::OtherKey)], ..KEYED };
    let keyed = Evidence { proved: Some((1, 200)), begun_after: Some(1), ..KEYED };
    assert_eq!(after(&[other, found(55, 55), keyed]).red_ranges(), "55", "it was found again meanwhile");
    let known = after(&[cut_off.clone(), clean(1)]);
    assert!(known.is_well() && known.missing.is_empty(), "{known:?}");
    // A standby may not have seen what was found.
    let known = after(&[proved(1, 9), cut_off, clean(0)]);
    assert_eq!((known.red_ranges().as_str(), known.missing.len()), ("90", 1));
    assert_eq!(state(&known, 91), Some(State::Proved));
}

#[test]
fn events_after_a_broken_seal_are_proved_only_by_a_check_that_begins_at_it() {
    let seal = at(30, Wrong::SealBroken, Fault::SealLeaves { seal: 3 });
    let broken = evidence(report(vec![seal.clone(), at(50, Wrong::Changed, Fault::EventChanged)], 0), 0);
    let red = |all: &[Evidence]| after(all).red_ranges();
    assert_eq!(red(&[proved(1, 200), broken.clone()]), "30…200");
    assert_eq!(red(&[broken.clone(), proved(31, 200), proved(51, 200)]), "30…200");
    // Whatever is found or acknowledged between, the seal before it does not hold.
    let between = [broken.clone(), found(60, 60), acknowledged(70, 70), proved(71, 200)];
    assert_eq!(red(&between), "30…59, 60, 61…69 (+1)");
    let later = Evidence { found: vec![(101, 300, State::AfterBrokenSeal)], ..Evidence::default() };
    assert_eq!(red(&[broken.clone(), later, proved(101, 300)]), "30…100, 101…300");
    assert!(after(&[broken.clone(), proved(1, 200)]).is_well());
    assert_eq!(red(&[broken.clone(), proved(30, 99)]), "100…200");
    assert!(after(&[broken.clone(), proved(30, 99), proved(100, 200)]).is_well(), "one part after the other");
    assert!(after(&[broken, acknowledged(30, 200), proved(40, 200)]).is_well());
}

#[test]
fn findings_that_are_only_counted_make_all_checked_positions_red() {
    let changed = |position| at(position, Wrong::Changed, Fault::EventChanged);
    let cut_off = at(190, Wrong::Missing, Fault::EventsCutOff { to: 200 });
    let listed: Vec<_> = (1..=100).map(changed).chain([cut_off]).collect();
    let known = after(&[proved(1, 200), evidence(report(listed.clone(), 0), 1)]);
    assert_eq!(known.red().map(|range| range.to - range.from + 1).sum::<i64>(), 111);
    let known = after(&[proved(1, 200), evidence(report(listed, 50), 1)]);
    assert_eq!(known.red_ranges(), "1…200");
    // They are in the order in which they were found, and not in that of the positions.
    let last: Vec<_> = (101..=200).map(changed).collect();
    assert_eq!(after(&[proved(1, 200), evidence(report(last, 1), 1)]).red_ranges(), "1…200");
}

#[test]
fn an_acknowledgement_forgets_the_end_of_the_log_only_where_it_is_what_was_found() {
    let all = Evidence { head: 200, ..proved(1, 200) };
    let head = |found: Evidence, ack: Evidence| after(&[all.clone(), found, ack]).head;
    assert_eq!(head(found(3, 3), acknowledged(1, 999_999)), 200);
    assert_eq!(head(found(191, 200), acknowledged(1, 999_999)), 190);
    assert_eq!(head(found(191, 200), acknowledged(195, 200)), 194);
    assert_eq!(head(found(191, 200), acknowledged(191, 199)), 200);
    let behind = Evidence { found: vec![(30, 200, State::AfterBrokenSeal)], ..Evidence::default() };
    assert_eq!(head(behind, acknowledged(30, 200)), 200, "nothing was cut off");
}

#[test]
fn the_last_proved_position_is_known() {
    assert_eq!(Integrity::default().proved_to(), 0);
    assert_eq!(after(&[found(1, 9)]).proved_to(), 0);
    assert_eq!(after(&[proved(1, 200), found(150, 300)]).proved_to(), 149);
}

#[test]
fn an_entry_that_is_not_as_it_was_sealed_is_red_until_it_is_proved_again_or_acknowledged() {
    let mut known = after(&[proved(1, 9)]);
    known.suspect(4, 4);
    assert_eq!(state(&known, 4), Some(State::Broken));
    assert_eq!(known.red_ranges(), "4");
    known.take(2, &acknowledged(4, 4));
    known.suspect(4, 4);
    assert_eq!(state(&known, 4), Some(State::Acknowledged));
    known.take(3, &proved(1, 9));
    assert!(known.is_well());
    // What was cut off lies behind the last position.
    known.suspect(10, 12);
    assert_eq!(known.red_ranges(), "10…12");
}
