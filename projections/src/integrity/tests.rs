use super::*;

const KEYED: Said = Said {
    proved: None,
    found: Vec::new(),
    acknowledged: None,
    with_key: true,
    head: 0,
    missing: Vec::new(),
};

fn proved(from: i64, to: i64) -> Said {
    Said { proved: Some((from, to)), ..Said::default() }
}

fn found(from: i64, to: i64) -> Said {
    Said { found: vec![(from, to, State::Broken)], ..Said::default() }
}

fn acknowledged(from: i64, to: i64) -> Said {
    Said { acknowledged: Some((from, to)), ..Said::default() }
}

fn after(all: &[Said]) -> Integrity {
    let mut known = Integrity::default();
    for (entry, said) in (1..).zip(all) {
        known.take(entry, said);
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
            let said = match kind {
                0 | 1 => Said { found: vec![(range.0, range.1, red)], ..Said::default() },
                2 => acknowledged(range.0, range.1),
                // A check of a range in which there is nothing.
                3 => Said::default(),
                _ => proved(range.0, range.1),
            };
            known.take(entry, &Said { with_key, ..said });
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
    let red = |all: &[Said]| after(all).red_ranges();
    assert_eq!(red(&[proved(1, 100), found(70, 70)]), "70");
    // Not by a check of nothing, nor by one of another range.
    assert_eq!(red(&[found(70, 79), Said::default(), proved(80, 100), proved(1, 69)]), "70…79");
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
    let other = Said { found: vec![(1, 9, State::OtherKey)], ..KEYED };
    assert!(!after(&[other.clone(), proved(1, 9)]).is_well());
    assert!(after(&[other, Said { proved: Some((1, 9)), ..KEYED }]).is_well());
}

#[test]
fn events_that_are_missing_are_known_until_their_positions_are_proved_or_acknowledged() {
    let id = Uuid::from_u128(9);
    let cut_off = Said { missing: vec![(9, id)], head: 9, ..found(8, 9) };
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
    known.take(1, &Said::by_entry(&line("intact", 1, 9, None)));
    known.take(2, &Said::by_entry(&line("broken", 1, 9, Some(4))));
    known.take(3, &Said::by_entry(&line("nothing", 99, 0, None)));
    known.take(4, &Said::by_entry(&line("unproven", 1, 5, None)));
    assert_eq!(known.red_ranges(), "6…9");
    known.take(5, &Said::by_entry(&line("broken", 1, 0, Some(4))));
    assert_eq!(known.red_ranges(), "4, 6…9");
}
