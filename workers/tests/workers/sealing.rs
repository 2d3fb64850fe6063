//! The sealer, and whether a check finds every change made to log and seals behind its back; online and from a file
//! alike.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use soonshop_event_log::seal::{
    Fault, Kind, Positions, PublicKey, RECORD_SEALS, Report, Seal, SealKeys, Seals, TrustedKey, Verdict,
    Wrong, check, check_offline, export, log_id,
};
use soonshop_event_log::{Database, Error, EventLog, RECORD};
use soonshop_projections::operations::{self, Operation};
use soonshop_workers::sealer::{self, Sealer};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Raw, Shop, Writer, on_both, raw, until};
use crate::history::{received, stock, uuid};

on_both!(
    every_event_is_sealed_and_an_idle_log_gets_no_seal,
    every_change_to_a_sealed_row_is_found_and_named,
    rows_that_were_inserted_or_taken_out_with_the_rest_moved_are_found,
    the_unsealed_tail_is_reported_as_unprovable,
    a_seal_that_was_changed_or_removed_is_found,
    a_history_signed_again_is_found_by_its_key,
    an_empty_log_is_not_intact,
    a_range_is_checked_with_the_seals_around_it,
    seals_are_only_ever_added,
    two_sealers_seal_each_event_once,
    a_killed_sealer_continues_after_its_last_seal,
    one_trusted_key_is_enough_after_a_rotation,
    without_the_key_that_signed_nothing_is_sealed,
    a_restored_log_is_never_sealed_again,
    a_hole_is_never_sealed,
    sealing_and_appending_never_wait_for_each_other,
    a_big_backlog_is_sealed_in_pages,
    an_export_that_was_changed_or_cut_off_is_found,
    the_record_of_operations_is_sealed_and_checked_like_the_log,
);

/// A file of keys, which goes with the shop.
fn key_file(shop: &Shop, name: &str) -> PathBuf {
    let file = shop.folder().join(name);
    SealKeys::create(&file).unwrap();
    file
}

fn keys(shop: &Shop, name: &str) -> SealKeys {
    SealKeys::read(&key_file(shop, name)).unwrap()
}

fn seals(shop: &Shop) -> Seals {
    Seals::new(Database::new(shop.place.clone()).namespace("seals").unwrap())
}

struct Run {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Run {
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_mins(1), self.task).await.unwrap().unwrap();
    }

    /// Ends like a process that is killed.
    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()));
    }
}

fn sealing(shop: &Shop, keys: &SealKeys, holder: &str) -> Run {
    let stop = CancellationToken::new();
    let sealer = Sealer {
        name: sealer::NAME,
        log: shop.log(),
        seals: seals(shop),
        process: Database::new(shop.place.clone()).namespace("process").unwrap(),
        keys: keys.clone(),
        // The signal of a process that appends nothing.
        appended: watch::channel(0).1,
        holder: holder.to_owned(),
    };
    Run { task: tokio::spawn(sealer.run(stop.clone())), stop }
}

async fn all(shop: &Shop) -> Vec<Seal> {
    seals(shop).read(1, 100_000).await.unwrap().into_iter().map(Result::unwrap).collect()
}

async fn sealed_to(shop: &Shop) -> i64 {
    seals(shop).last().await.unwrap().map_or(0, |seal| seal.unwrap().last)
}

async fn reach(shop: &Shop, position: i64) {
    until(&format!("a seal over position {position}"), async || sealed_to(shop).await >= position).await;
}

/// Waits until this sealer has had the lease and let it go, of itself.
async fn let_go(shop: &Shop, holder: &str) {
    let sql = format!("SELECT count(*) FROM @leases WHERE holder = '{holder}' AND expires_at = 0");
    until(&format!("{holder} lets go"), async || shop.number("process", &sql).await == 1).await;
}

/// Waits until some sealer has the lease.
async fn held(shop: &Shop) {
    let sql = "SELECT count(*) FROM @leases WHERE name = 'sealer' AND expires_at > 0";
    until("a sealer has the lease", async || shop.number("process", sql).await == 1).await;
}

/// Expires the lease for everybody, whatever its holder believes.
async fn expire(shop: &Shop) {
    shop.run("process", "UPDATE @leases SET expires_at = 0").await;
}

/// Adds to the record of operations, of which nothing is personal here.
async fn operate(shop: &Shop, action: &'static str, count: usize) {
    let db = shop.db("operations");
    for number in 0..count {
        let tx = db.connection.begin().await.unwrap();
        let detail = serde_json::json!({ "number": number });
        let actor = "staff:Zoë".to_owned();
        let done = Operation { actor, action, subject: "rm_orders_2".to_owned(), detail, note: None };
        operations::record(&db, &tx, &done).await.unwrap();
        tx.commit().await.unwrap();
    }
}

async fn the_record_of_operations_is_sealed_and_checked_like_the_log(shop: Shop) {
    let keys = keys(&shop, "seal.key");
    let record = EventLog::of_record(shop.db("operations"), shop.log().keys().clone());
    let seals = Seals::new(shop.db(RECORD_SEALS));
    operate(&shop, "rebuild", 5).await;
    let stop = CancellationToken::new();
    let sealer = Sealer {
        name: sealer::OF_RECORD,
        log: record.clone(),
        seals: seals.clone(),
        process: shop.db("process"),
        keys: keys.clone(),
        appended: watch::channel(0).1,
        holder: "one".to_owned(),
    };
    let run = Run { task: tokio::spawn(sealer.run(stop.clone())), stop };
    let sealed = async |position| {
        until("a seal over the record", async || {
            seals.last().await.unwrap().is_some_and(|seal| seal.unwrap().last >= position)
        })
        .await;
    };
    sealed(5).await;
    operate(&shop, "swap", 3).await;
    sealed(8).await;
    run.stop().await;
    operate(&shop, "rollback", 1).await;
    let look = async || {
        let trusted: TrustedKey = keys.current().public().to_string().parse().unwrap();
        let report = check(&record, &seals, Positions::ALL, Some(&trusted)).await.unwrap();
        let mut file = Vec::new();
        export(&record, &seals, Positions::ALL, &mut file).await.unwrap();
        assert_eq!(check_offline(&file[..], Some(&trusted)).unwrap(), report);
        report
    };
    let report = look().await;
    assert_eq!((report.verdict, report.log.as_str()), (Verdict::Intact, RECORD), "{report}");
    assert_eq!((report.to, report.tail.as_ref().map(|tail| tail.events)), (8, Some(1)));
    // The seals of one log do not verify another log of any name.
    let other = check(&shop.log(), &seals, Positions::ALL, None).await.unwrap();
    assert_eq!(other.verdict, Verdict::Broken);

    let lift = if shop.is_sqlite() {
        "DROP TRIGGER entries_are_not_changed; DROP TRIGGER entries_are_not_removed"
    } else {
        "ALTER TABLE @entries DISABLE TRIGGER USER"
    };
    shop.run("operations", lift).await;
    shop.run("operations", "CREATE TABLE @kept AS SELECT * FROM @entries").await;
    for (change, wrong) in [
        ("UPDATE @entries SET actor = 'staff:zoë' WHERE position = 4", Wrong::Changed),
        ("UPDATE @entries SET at = at + 1 WHERE position = 4", Wrong::Changed),
        ("UPDATE @entries SET action = 'swap' WHERE position = 4", Wrong::Changed),
        ("UPDATE @entries SET subject = 'rm_orders_3' WHERE position = 4", Wrong::Changed),
        ("UPDATE @entries SET detail = '{}' WHERE position = 4", Wrong::Changed),
        ("UPDATE @entries SET note = 'none' WHERE position = 4", Wrong::Changed),
        ("DELETE FROM @entries WHERE position = 4", Wrong::Missing),
    ] {
        shop.run("operations", change).await;
        let report = look().await;
        assert_eq!(report.first_bad().map(|bad| (bad.position, bad.wrong)), Some((4, wrong)), "{change}");
        shop.run("operations", "DELETE FROM @entries; INSERT INTO @entries SELECT * FROM @kept").await;
    }
    assert_eq!(look().await.verdict, Verdict::Intact);
}

/// Seals all events, and stops.
async fn seal(shop: &Shop, keys: &SealKeys) {
    let head = shop.log().head().await.unwrap().position;
    let run = sealing(shop, keys, "one");
    reach(shop, head).await;
    run.stop().await;
}

fn receipts(count: usize) -> Vec<Raw> {
    (0..count).map(|_| raw(stock("MUG"), received("MUG", 1))).collect()
}

/// Thirty events under three seals.
async fn three_seals(shop: &Shop, keys: &SealKeys) -> Writer {
    let mut writer = Writer::new(shop);
    for _ in 0..3 {
        writer.all(receipts(10)).await;
        seal(shop, keys).await;
    }
    let ranges: Vec<_> = all(shop).await.iter().map(|seal| (seal.number, seal.first, seal.last)).collect();
    assert_eq!(ranges, [(1, 1, 10), (2, 11, 20), (3, 21, 30)]);
    writer
}

async fn look(shop: &Shop, positions: Positions, trusted: Option<&TrustedKey>) -> Report {
    let report = check(&shop.log(), &seals(shop), positions, trusted).await.unwrap();
    let mut file = Vec::new();
    export(&shop.log(), &seals(shop), positions, &mut file).await.unwrap();
    let offline = check_offline(&file[..], trusted).unwrap();
    assert_eq!(offline, report, "a file says what the database says");
    report
}

async fn look_at_all(shop: &Shop) -> Report {
    look(shop, Positions::ALL, None).await
}

fn found(report: &Report) -> Vec<(i64, Wrong)> {
    report.findings.iter().map(|finding| (finding.position, finding.wrong)).collect()
}

/// Keeps both tables as they are, and lifts what guards them.
async fn keep(shop: &Shop) {
    shop.run("log", "CREATE TABLE @kept AS SELECT * FROM @events").await;
    shop.run("seals", "CREATE TABLE @kept_seals AS SELECT * FROM @seals").await;
    let lift = if shop.is_sqlite() {
        "DROP TRIGGER refuse_update; DROP TRIGGER refuse_delete; DROP TRIGGER refuse_gap"
    } else {
        "ALTER TABLE @seals DISABLE TRIGGER USER"
    };
    shop.run("seals", lift).await;
}

async fn put_back(shop: &Shop) {
    shop.run("log", "DELETE FROM @events; INSERT INTO @events SELECT * FROM @kept").await;
    shop.run("seals", "DELETE FROM @seals; INSERT INTO @seals SELECT * FROM @kept_seals").await;
    let report = look_at_all(shop).await;
    assert_eq!((report.verdict, report.findings), (Verdict::Intact, vec![]));
}

async fn every_event_is_sealed_and_an_idle_log_gets_no_seal(shop: Shop) {
    let keys = keys(&shop, "seal.key");
    let run = sealing(&shop, &keys, "one");
    let mut writer = Writer::new(&shop);
    let mut last = 0;
    for _ in 0..3 {
        last = writer.all(receipts(40)).await;
        reach(&shop, last).await;
    }
    let before = all(&shop).await;
    // A stopping sealer reads once more; a starting one reads at least twice.
    run.stop().await;
    assert_eq!(all(&shop).await, before, "without news there is nothing to seal");
    let run = sealing(&shop, &keys, "two");
    held(&shop).await;
    run.stop().await;
    assert_eq!(all(&shop).await, before, "nor for the next one");
    assert!(before.len() <= 6, "{} seals for three batches", before.len());
    let rows = shop.log().read(1, 1_000).await.unwrap();
    let leaves: Vec<_> = before.iter().flat_map(|seal| seal.leaves.0.chunks(32)).collect();
    assert_eq!(leaves.len(), rows.len());
    for (row, leaf) in rows.iter().zip(leaves) {
        assert_eq!(soonshop_event_log::seal::Hash::of(&soonshop_event_log::seal::encode(row)).0, leaf);
    }
    let report = look(&shop, Positions::ALL, Some(&keys.current().public().into())).await;
    assert_eq!(report.verdict, Verdict::Intact, "{report}");
    assert_eq!((report.from, report.to, report.rows), (1, last, last));
    assert_eq!(report.keys, [keys.current().public().fingerprint()]);
    assert_eq!(report.last_seal, before.last().map(Seal::hash));
    assert_eq!((report.key_given, report.tail), (true, None));
}

async fn every_change_to_a_sealed_row_is_found_and_named(shop: Shop) {
    let keys = keys(&shop, "seal.key");
    three_seals(&shop, &keys).await;
    keep(&shop).await;
    let json = if shop.is_sqlite() { "" } else { "::json" };
    let later = if shop.is_sqlite() { "+ 1" } else { "+ interval '1 microsecond'" };
    let other = "'00000000-0000-7000-8000-000000000000'";
    // One byte more or less, in every column but the position.
    for change in [
        format!("payload = replace(CAST(payload AS text), '\"quantity\":1', '\"quantity\":2'){json}"),
        // The same JSON in other bytes.
        format!("payload = replace(CAST(payload AS text), '\"quantity\":1', '\"quantity\": 1'){json}"),
        format!("metadata = '{{ }}'{json}"),
        format!("recorded_at = recorded_at {later}"),
        format!("occurred_at = occurred_at {later}"),
        format!("event_id = {other}"),
        format!("aggregate_id = {other}"),
        "aggregate_type = 'order'".to_owned(),
        "sequence = sequence + 1000".to_owned(),
        "event_type = 'StockReceivee'".to_owned(),
        "event_version = '2'".to_owned(),
    ] {
        for position in [1, 17, 30] {
            let sql = format!("UPDATE @events SET {change} WHERE position = {position}");
            assert_eq!(shop.run("log", &sql).await, 1);
            let report = look_at_all(&shop).await;
            assert_eq!(report.verdict, Verdict::Broken);
            assert_eq!(found(&report), [(position, Wrong::Changed)], "{change}");
            put_back(&shop).await;
        }
    }
    if shop.is_sqlite() {
        // If a column accepts anything: a row that is no event at all.
        for change in
            ["event_id = 'none'", "sequence = 'none' || position", "payload = x'ff'", "recorded_at = 'none'"]
        {
            let positions = [1, 10, 11, 17, 30];
            shop.run("log", &format!("UPDATE @events SET {change} WHERE position IN (1, 10, 11, 17, 30)"))
                .await;
            let report = look_at_all(&shop).await;
            assert_eq!(found(&report), positions.map(|at| (at, Wrong::Changed)), "{change}");
            assert_eq!(report.rows, 30);
            put_back(&shop).await;
        }
    }
    // Rows taken out, in the middle and at the end.
    for (gone, missing) in [("position = 15", 15..=15), ("position > 27", 28..=30), ("position < 4", 1..=3)] {
        shop.run("log", &format!("DELETE FROM @events WHERE {gone}")).await;
        let report = look_at_all(&shop).await;
        assert_eq!(found(&report), missing.map(|at| (at, Wrong::Missing)).collect::<Vec<_>>());
        put_back(&shop).await;
    }
    // Two rows change places: in one seal, at its edge, and far apart.
    for (one, two) in [(4, 5), (10, 11), (3, 28)] {
        for (from, to) in [(one, 1_000), (two, one), (1_000, two)] {
            shop.run("log", &format!("UPDATE @events SET position = {to} WHERE position = {from}")).await;
        }
        let report = look_at_all(&shop).await;
        assert_eq!(found(&report), [(one, Wrong::Reordered), (two, Wrong::Reordered)]);
        assert_eq!(report.findings[0].fault, Fault::SealedElsewhere { position: two });
        put_back(&shop).await;
    }
}

async fn rows_that_were_inserted_or_taken_out_with_the_rest_moved_are_found(shop: Shop) {
    let keys = keys(&shop, "seal.key");
    three_seals(&shop, &keys).await;
    keep(&shop).await;
    for at in [1, 10, 14] {
        let insert = format!(
            "UPDATE @events SET position = position + 1000 WHERE position >= {at}; \
             UPDATE @events SET position = position - 999 WHERE position > 1000; \
             INSERT INTO @events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
                 position, event_id, occurred_at, recorded_at) \
             SELECT aggregate_type, 'another', 1, event_type, event_version, payload, metadata, \
                 {at}, '00000000-0000-7000-8000-000000000000', occurred_at, recorded_at FROM @kept WHERE position = {at}"
        );
        shop.run("log", &insert).await;
        let report = look_at_all(&shop).await;
        assert_eq!(found(&report)[0], (at, Wrong::Inserted), "{report}");
        put_back(&shop).await;
        let remove = format!(
            "DELETE FROM @events WHERE position = {at}; \
             UPDATE @events SET position = position + 1000 WHERE position > {at}; \
             UPDATE @events SET position = position - 1001 WHERE position > 1000"
        );
        shop.run("log", &remove).await;
        let report = look_at_all(&shop).await;
        assert_eq!(found(&report)[0], (at, Wrong::Missing), "{report}");
        put_back(&shop).await;
    }
}

async fn the_unsealed_tail_is_reported_as_unprovable(shop: Shop) {
    let keys = keys(&shop, "seal.key");
    let mut writer = three_seals(&shop, &keys).await;
    writer.all(receipts(5)).await;
    let rows = shop.log().read(31, 10).await.unwrap();
    let report = look_at_all(&shop).await;
    let tail = report.tail.clone().unwrap();
    assert_eq!((report.verdict, report.to, report.sealed_to), (Verdict::Intact, 30, 30));
    assert_eq!((tail.events, tail.since), (5, rows[0].recorded_at));
    assert!(report.to_string().contains("unprovable"), "{report}");
    // A check that expects 35 events fails, also when only the last one is gone.
    let known = Positions { from: 1, to: Some(35) };
    assert_eq!(look(&shop, known, None).await.verdict, Verdict::Unproven);
    shop.run("log", "DELETE FROM @events WHERE position = 35").await;
    assert_eq!(look(&shop, known, None).await.verdict, Verdict::Unproven);
    let report = look_at_all(&shop).await;
    assert_eq!((report.verdict, report.tail.clone().unwrap().events), (Verdict::Intact, 4));
    assert!(report.to_string().contains("unprovable"), "{report}");
    // A hole can be seen, and so can a row that is older than the one before it.
    shop.run("log", "DELETE FROM @events WHERE position = 32").await;
    assert_eq!(found(&look_at_all(&shop).await), [(32, Wrong::Missing)]);
    shop.run("log", "DELETE FROM @events WHERE position = 31").await;
    assert_eq!(found(&look_at_all(&shop).await), [(31, Wrong::Missing)]);
    shop.run("log", "UPDATE @events SET position = 31, recorded_at = occurred_at WHERE position = 33").await;
    assert_eq!(found(&look_at_all(&shop).await), [(31, Wrong::Reordered), (32, Wrong::Missing)]);
    shop.run("log", "DELETE FROM @events WHERE position > 30").await;
    let report = look_at_all(&shop).await;
    assert_eq!((report.verdict, report.tail.clone()), (Verdict::Intact, None));
    assert!(report.to_string().contains("there is no trace"), "{report}");
}

async fn a_seal_that_was_changed_or_removed_is_found(shop: Shop) {
    let keys = keys(&shop, "seal.key");
    three_seals(&shop, &keys).await;
    keep(&shop).await;
    let zeros = |count: usize| {
        let hexadecimal = "00".repeat(count);
        if shop.is_sqlite() { format!("x'{hexadecimal}'") } else { format!("'\\x{hexadecimal}'::bytea") }
    };
    let (hash, leaves, short) = (zeros(32), zeros(320), zeros(31));
    let signed = |change: &str| (change.to_owned(), Wrong::SignatureBad);
    let broken = |change: &str| (change.to_owned(), Wrong::SealBroken);
    for (change, wrong) in [
        signed("sealed_at = sealed_at + 1"),
        signed("last_event = '00000000-0000-7000-8000-000000000000'"),
        signed(&format!("previous = {hash}")),
        signed(&format!("signature = {}", zeros(64))),
        signed(&format!("signing_key = {hash}")),
        signed(&format!("other_key = {hash}")),
        broken("log = 'other'"),
        broken("log_id = '00000000-0000-4000-a000-000000000000'"),
        broken("events = 9"),
        broken("last_position = 19"),
        broken("first_position = 12"),
        broken("kind = 'key-change'"),
        broken("kind = 'something'"),
        broken("version = 2"),
        broken("last_event = 'none'"),
        broken(&format!("root = {hash}")),
        broken(&format!("root = {short}")),
        broken(&format!("leaves = {leaves}")),
        broken(&format!("leaves = {short}")),
    ] {
        shop.run("seals", &format!("UPDATE @seals SET {change} WHERE number = 2")).await;
        let report = look_at_all(&shop).await;
        assert_eq!(report.verdict, Verdict::Broken, "{change}");
        let first = report.first_bad().unwrap();
        assert_eq!((first.position, first.wrong), (11, wrong), "{change}");
        put_back(&shop).await;
    }
    // One that is gone, at the beginning and in the middle.
    for (number, position) in [(1, 11), (2, 11)] {
        shop.run("seals", &format!("DELETE FROM @seals WHERE number = {number}")).await;
        let report = look_at_all(&shop).await;
        assert_eq!(found(&report), [(position, Wrong::SealBroken)]);
        put_back(&shop).await;
    }
    // Two that change places.
    for (from, to) in [(2, 1_000), (3, 2), (1_000, 3)] {
        shop.run("seals", &format!("UPDATE @seals SET number = {to} WHERE number = {from}")).await;
    }
    assert_eq!(look_at_all(&shop).await.verdict, Verdict::Broken);
    put_back(&shop).await;
    // The last seal: its events count as never sealed, and the known hash shows that it existed.
    let known = look_at_all(&shop).await.last_seal;
    shop.run("seals", "DELETE FROM @seals WHERE number = 3").await;
    let report = look_at_all(&shop).await;
    assert_eq!((report.to, report.tail.clone().unwrap().events), (20, 10));
    assert_ne!(report.last_seal, known);
    assert_eq!(look(&shop, Positions { from: 1, to: Some(30) }, None).await.verdict, Verdict::Unproven);
}

/// The attack of somebody who can write both tables and has a key of their own: changes an event and signs all again.
async fn sign_anew(shop: &Shop, which: RangeInclusive<usize>, keys: &SealKeys) {
    let (from, to) = which.into_inner();
    let kept = all(shop).await;
    let rows = shop.log().read(1, 1_000).await.unwrap();
    let id = log_id(&shop.log()).await.unwrap();
    shop.run("seals", &format!("DELETE FROM @seals WHERE number BETWEEN {from} AND {to}")).await;
    let mut previous = from.checked_sub(2).map(|before| kept[before].clone());
    for old in &kept[from - 1..to] {
        let covered = rows.iter().filter(|row| (old.first..=old.last).contains(&row.position));
        let leaves: Vec<_> = covered
            .map(|row| soonshop_event_log::seal::Hash::of(&soonshop_event_log::seal::encode(row)))
            .collect();
        let new = Seal::over(
            previous.as_ref(),
            (shop.log().name(), id),
            &leaves,
            old.last_event,
            old.sealed_at,
            keys.current(),
        );
        let sql = "INSERT INTO @seals SELECT number, version, kind, log, log_id, first_position, last_position, events, \
                   $1, $2, last_event, sealed_at, $3, other_key, $4, $5 FROM @kept_seals WHERE number = $6";
        let db = shop.db("seals");
        let values = [
            new.root.0.to_vec().into(),
            new.previous.0.to_vec().into(),
            new.key.0.to_vec().into(),
            new.signature.0.clone().into(),
            new.leaves.0.clone().into(),
            new.number.into(),
        ];
        db.connection.execute(db.statement(sql, values)).await.unwrap();
        previous = Some(new);
    }
}

async fn a_history_signed_again_is_found_by_its_key(shop: Shop) {
    let (ours, theirs) = (keys(&shop, "seal.key"), keys(&shop, "their.key"));
    three_seals(&shop, &ours).await;
    keep(&shop).await;
    let trusted: TrustedKey = ours.current().public().into();
    let change = "UPDATE @events SET event_version = '9' WHERE position = 13";
    // From some point on: the chain itself does not lead there.
    shop.run("log", change).await;
    sign_anew(&shop, 2..=3, &theirs).await;
    for trusted in [None, Some(&trusted)] {
        assert_eq!(found(&look(&shop, Positions::ALL, trusted).await)[0], (11, Wrong::KeyUnknown));
    }
    put_back(&shop).await;
    // One seal in the middle, and by the right key: the next one names another.
    shop.run("log", change).await;
    sign_anew(&shop, 2..=2, &ours).await;
    assert_eq!(found(&look_at_all(&shop).await), [(21, Wrong::SealBroken)]);
    put_back(&shop).await;
    // From the beginning: only who knows the key can tell, and the report says so.
    shop.run("log", change).await;
    sign_anew(&shop, 1..=3, &theirs).await;
    let report = look(&shop, Positions::ALL, Some(&trusted)).await;
    assert_eq!(found(&report), [(1, Wrong::KeyUnknown)]);
    let report = look_at_all(&shop).await;
    assert_eq!((report.verdict, report.key_given), (Verdict::Intact, false));
    assert!(report.to_string().contains("found in the seals, not given by you"), "{report}");
    assert_eq!(report.keys, [theirs.current().public().fingerprint()]);
    put_back(&shop).await;
}

async fn an_empty_log_is_not_intact(shop: Shop) {
    let keys = keys(&shop, "seal.key");
    assert_eq!(look_at_all(&shop).await.verdict, Verdict::Nothing);
    let run = sealing(&shop, &keys, "one");
    let mut writer = Writer::new(&shop);
    writer.all(receipts(3)).await;
    reach(&shop, 3).await;
    run.stop().await;
    // A range of nothing is nothing, and one that ends before it begins as well.
    for positions in [Positions { from: 4, to: None }, Positions { from: 3, to: Some(2) }] {
        assert_ne!(look(&shop, positions, None).await.verdict, Verdict::Intact, "{positions:?}");
    }
    assert_eq!(look(&shop, Positions { from: 4, to: None }, None).await.verdict, Verdict::Nothing);
    // Events that were never sealed.
    keep(&shop).await;
    shop.run("seals", "DELETE FROM @seals").await;
    let report = look_at_all(&shop).await;
    assert_eq!((report.verdict, report.tail.unwrap().events), (Verdict::Unproven, 3));
    // Seals without their events.
    shop.run("seals", "INSERT INTO @seals SELECT * FROM @kept_seals").await;
    shop.run("log", "DELETE FROM @events").await;
    assert_eq!(look_at_all(&shop).await.verdict, Verdict::Broken);
}

async fn a_range_is_checked_with_the_seals_around_it(shop: Shop) {
    let keys = keys(&shop, "seal.key");
    three_seals(&shop, &keys).await;
    let trusted = keys.current().public().into();
    for (from, to, whole) in
        [(1, 1, (1, 10)), (10, 11, (1, 20)), (12, 13, (11, 20)), (21, 30, (21, 30)), (-5, 30, (1, 30))]
    {
        let report = look(&shop, Positions { from, to: Some(to) }, Some(&trusted)).await;
        assert_eq!(report.verdict, Verdict::Intact, "{report}");
        assert_eq!((report.from, report.to), whole);
        assert_eq!(report.rows, whole.1 - whole.0 + 1, "no more is read than is needed");
    }
    keep(&shop).await;
    shop.run("log", "UPDATE @events SET event_version = '9' WHERE position = 13").await;
    let report = look(&shop, Positions { from: 11, to: None }, None).await;
    assert_eq!(found(&report), [(13, Wrong::Changed)]);
    assert_eq!(look(&shop, Positions { from: 1, to: Some(10) }, None).await.verdict, Verdict::Intact);
    put_back(&shop).await;
    // The seal before the range is part of the check.
    shop.run("seals", "UPDATE @seals SET sealed_at = 0 WHERE number = 1").await;
    let report = look(&shop, Positions { from: 11, to: Some(20) }, None).await;
    assert_eq!(report.first_bad().unwrap().wrong, Wrong::SignatureBad);
    // Seals that give themselves out to cover something else are not passed over in silence.
    put_back(&shop).await;
    shop.run("seals", "UPDATE @seals SET last_position = 5 WHERE number = 2").await;
    let report = look(&shop, Positions { from: 11, to: Some(20) }, None).await;
    assert_eq!(report.verdict, Verdict::Unproven, "{report}");
}

async fn seals_are_only_ever_added(shop: Shop) {
    let keys = keys(&shop, "seal.key");
    three_seals(&shop, &keys).await;
    let before = all(&shop).await;
    let db = shop.db("seals");
    let copy = |number: i64| {
        format!(
            "INSERT INTO @seals SELECT {number}, version, kind, log, log_id, first_position, last_position, events, root, \
             previous, last_event, sealed_at, signing_key, other_key, signature, leaves FROM @seals WHERE number = 3"
        )
    };
    let mut refused = vec![
        "UPDATE @seals SET sealed_at = 0".to_owned(),
        "UPDATE @seals SET number = number + 7".to_owned(),
        "DELETE FROM @seals WHERE number = 3".to_owned(),
        copy(2),
        copy(3),
        copy(5),
    ];
    if shop.is_sqlite() {
        refused.push(copy(3).replace("INSERT", "INSERT OR REPLACE"));
    } else {
        refused.push("TRUNCATE @seals".to_owned());
    }
    for sql in refused {
        let outcome = db.connection.execute_unprepared(&db.sql(&sql)).await;
        assert!(outcome.is_err(), "{sql}");
    }
    assert_eq!(all(&shop).await, before);
}

async fn two_sealers_seal_each_event_once(shop: Shop) {
    let keys = keys(&shop, "seal.key");
    let runs = [sealing(&shop, &keys, "one"), sealing(&shop, &keys, "two")];
    let mut writer = Writer::new(&shop);
    let mut last = 0;
    for _ in 0..10 {
        last = writer.all(receipts(20)).await;
        // Both believe that they hold it: the one that lost the lease learns so only later.
        expire(&shop).await;
        held(&shop).await;
    }
    reach(&shop, last).await;
    for run in runs {
        run.stop().await;
    }
    let report = look_at_all(&shop).await;
    assert_eq!(report.verdict, Verdict::Intact, "{report}");
    assert_eq!((report.rows, report.to), (last, last));
}

async fn a_killed_sealer_continues_after_its_last_seal(shop: Shop) {
    let keys = keys(&shop, "seal.key");
    let mut writer = Writer::new(&shop);
    for round in 0..12 {
        let last = writer.all(receipts(50)).await;
        expire(&shop).await;
        let run = sealing(&shop, &keys, "one");
        // Killed before it has begun, while it is at it, and when it may be done.
        match round % 3 {
            0 => {}
            1 => held(&shop).await,
            _ => reach(&shop, last).await,
        }
        run.kill().await;
        assert!(sealed_to(&shop).await <= last);
    }
    seal(&shop, &keys).await;
    let report = look_at_all(&shop).await;
    assert_eq!((report.verdict, report.to), (Verdict::Intact, 600), "{report}");
}

async fn one_trusted_key_is_enough_after_a_rotation(shop: Shop) {
    let file = key_file(&shop, "seal.key");
    let first = SealKeys::read(&file).unwrap();
    let mut writer = Writer::new(&shop);
    writer.all(receipts(10)).await;
    seal(&shop, &first).await;
    let second = SealKeys::renew(&file).unwrap();
    assert_eq!(second.publics().collect::<Vec<_>>()[1], first.current().public());
    writer.all(receipts(10)).await;
    seal(&shop, &second).await;
    let chain = all(&shop).await;
    let shape: Vec<_> = chain.iter().map(|seal| (seal.kind, seal.first, seal.last)).collect();
    assert_eq!(shape, [(Kind::Events, 1, 10), (Kind::KeyChange, 11, 10), (Kind::Events, 11, 20)]);
    let (old, new) = (first.current().public(), second.current().public());
    assert_eq!((chain[1].key, chain[1].other_key), (old, Some(new)), "the old key names the new one");
    assert_eq!((chain[2].key, chain[2].other_key), (new, Some(old)), "and the new one the old");
    // Twice more: one in the middle is never used, as nothing was sealed with it.
    SealKeys::renew(&file).unwrap();
    let third = SealKeys::renew(&file).unwrap();
    writer.all(receipts(10)).await;
    seal(&shop, &third).await;
    let report = look_at_all(&shop).await;
    let used = [old, new, third.current().public()];
    assert_eq!(report.keys, used.map(|key| key.fingerprint()));
    // Each of the three is enough for all, and any but a later one for a range.
    let stranger = keys(&shop, "their.key").current().public();
    for key in used {
        assert_eq!(look(&shop, Positions::ALL, Some(&key.into())).await.verdict, Verdict::Intact);
    }
    let middle = Positions { from: 11, to: Some(20) };
    assert_eq!(look(&shop, middle, Some(&old.into())).await.verdict, Verdict::Intact);
    assert_eq!(look(&shop, middle, Some(&new.into())).await.verdict, Verdict::Intact);
    let end = Positions { from: 21, to: Some(30) };
    assert_eq!(look(&shop, end, Some(&old.into())).await.verdict, Verdict::Intact);
    for positions in [Positions::ALL, middle, end] {
        let report = look(&shop, positions, Some(&stranger.into())).await;
        assert_eq!(report.first_bad().unwrap().wrong, Wrong::KeyUnknown);
    }
    // Without the change of keys nothing leads from one to the other.
    keep(&shop).await;
    shop.run("seals", "DELETE FROM @seals WHERE number = 2").await;
    assert_eq!(look(&shop, Positions::ALL, Some(&old.into())).await.verdict, Verdict::Broken);
    put_back(&shop).await;
    shop.run("seals", "UPDATE @seals SET other_key = NULL WHERE number = 3").await;
    assert_eq!(look(&shop, Positions::ALL, Some(&old.into())).await.verdict, Verdict::Broken);
}

async fn without_the_key_that_signed_nothing_is_sealed(shop: Shop) {
    let mut writer = three_seals(&shop, &keys(&shop, "seal.key")).await;
    let lost = keys(&shop, "their.key");
    writer.all(receipts(5)).await;
    let before = all(&shop).await;
    let run = sealing(&shop, &lost, "two");
    let_go(&shop, "two").await;
    run.stop().await;
    assert_eq!(all(&shop).await, before);
    // Nor on top of a seal that does not hold.
    keep(&shop).await;
    shop.run("seals", "UPDATE @seals SET sealed_at = 0 WHERE number = 3").await;
    let run = sealing(&shop, &keys(&shop, "seal.key"), "three");
    let_go(&shop, "three").await;
    run.stop().await;
    assert_eq!(sealed_to(&shop).await, 30);
    let refused = seals(&shop).end(&shop.log()).await;
    assert!(matches!(&refused, Err(Error::Seals(why)) if why.contains("seal 3")), "{refused:?}");
}

async fn a_restored_log_is_never_sealed_again(shop: Shop) {
    let keys = keys(&shop, "seal.key");
    let writer = three_seals(&shop, &keys).await;
    let before = all(&shop).await;
    assert_eq!(seals(&shop).end(&shop.log()).await.unwrap().position, 30);
    let run = sealing(&shop, &keys, "two");
    writer.store.close().await;
    shop.run("log", "DELETE FROM @events WHERE position > 25").await;
    let mut other = Writer::of_another_history(&shop);
    other.all((0..20).map(|n| raw(uuid(n + 500), received("CUP", 1))).collect()).await;
    let_go(&shop, "two").await;
    assert_eq!(all(&shop).await, before, "nothing was sealed over it");
    let ended = seals(&shop).end(&shop.log()).await;
    assert!(matches!(ended, Err(Error::AheadOfLog { position: 30, .. })), "{ended:?}");
    run.stop().await;
    assert_eq!(
        found(&look_at_all(&shop).await),
        (26..=30).map(|at| (at, Wrong::Changed)).collect::<Vec<_>>()
    );
}

async fn a_hole_is_never_sealed(shop: Shop) {
    let keys = keys(&shop, "seal.key");
    let mut writer = three_seals(&shop, &keys).await;
    writer.all(receipts(5)).await;
    shop.run("log", "DELETE FROM @events WHERE position = 33").await;
    let run = sealing(&shop, &keys, "two");
    let_go(&shop, "two").await;
    run.stop().await;
    assert_eq!(sealed_to(&shop).await, 30);
}

/// An append holds the lock of the head (on SQLite: of the file). The sealer goes on meanwhile; and an append goes on
/// during a write of the sealer.
async fn sealing_and_appending_never_wait_for_each_other(shop: Shop) {
    use sqlx::{Connection as _, Executor as _};
    let keys = keys(&shop, "seal.key");
    let mut writer = Writer::new(&shop);
    let last = writer.all(receipts(20)).await;
    let (take, head) = ("BEGIN", "SELECT 1 FROM log.head FOR UPDATE");
    let folder = shop.folder().join("data");
    if shop.is_sqlite() {
        let file = soonshop_event_log::database::sqlite_file(&folder, "log");
        let mut appending = sqlx::SqliteConnection::connect(&file.display().to_string()).await.unwrap();
        appending.execute("BEGIN IMMEDIATE").await.unwrap();
        seal(&shop, &keys).await;
        appending.execute("ROLLBACK").await.unwrap();
        let file = soonshop_event_log::database::sqlite_file(&folder, "seals");
        let mut sealing = sqlx::SqliteConnection::connect(&file.display().to_string()).await.unwrap();
        sealing.execute("BEGIN IMMEDIATE").await.unwrap();
        writer.all(receipts(20)).await;
        sealing.execute("ROLLBACK").await.unwrap();
    } else {
        let soonshop_event_log::DatabaseLocation::Postgres(url) = &shop.place else {
            panic!("it is PostgreSQL")
        };
        let mut appending = sqlx::PgConnection::connect(url).await.unwrap();
        appending.execute(take).await.unwrap();
        appending.execute(head).await.unwrap();
        seal(&shop, &keys).await;
        appending.execute("ROLLBACK").await.unwrap();
        appending.execute(take).await.unwrap();
        appending.execute("LOCK TABLE seals.seals IN ACCESS EXCLUSIVE MODE").await.unwrap();
        writer.all(receipts(20)).await;
        appending.execute("ROLLBACK").await.unwrap();
    }
    assert_eq!(sealed_to(&shop).await, last);
}

async fn a_big_backlog_is_sealed_in_pages(shop: Shop) {
    let keys = keys(&shop, "seal.key");
    let mut writer = Writer::new(&shop);
    for _ in 0..5 {
        writer.all(receipts(2_500)).await;
    }
    seal(&shop, &keys).await;
    let counts: Vec<_> = all(&shop).await.iter().map(|seal| seal.count).collect();
    assert_eq!(counts, [10_000, 2_500]);
    let report = look_at_all(&shop).await;
    assert_eq!((report.verdict, report.rows, report.seals), (Verdict::Intact, 12_500, 2));
}

async fn an_export_that_was_changed_or_cut_off_is_found(shop: Shop) {
    let keys = keys(&shop, "seal.key");
    let mut writer = three_seals(&shop, &keys).await;
    writer.all(receipts(2)).await;
    let mut file = Vec::new();
    assert_eq!(export(&shop.log(), &seals(&shop), Positions::ALL, &mut file).await.unwrap(), 32);
    let text = String::from_utf8(file).unwrap();
    let trusted: TrustedKey = keys.current().public().into();
    let offline = |text: &str| check_offline(text.as_bytes(), Some(&trusted));
    assert_eq!(offline(&text).unwrap().verdict, Verdict::Intact);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    assert_eq!(lines.len(), 1 + 32 + 3 + 1);
    // An unsealed event: the file differs from its manifest, though no seal covers it.
    let changed = text.replace(lines[34], &lines[34].replace("StockReceived", "StockReceivee"));
    assert_eq!(found(&offline(&changed).unwrap()), [(33, Wrong::ExportBroken)]);
    // A sealed event: both differences are reported.
    let changed = text.replace(lines[5], &lines[5].replace("\"sequence\":5", "\"sequence\":6"));
    assert_eq!(found(&offline(&changed).unwrap()), [(5, Wrong::Changed), (33, Wrong::ExportBroken)]);
    // A line that is there twice, and two lines in the wrong order.
    let twice = text.replace(lines[5], &lines[5].repeat(2));
    assert_eq!(found(&offline(&twice).unwrap()), [(5, Wrong::Inserted), (33, Wrong::ExportBroken)]);
    let swapped = [&lines[..5], &[lines[6], lines[5]], &lines[7..]].concat().concat();
    assert_eq!(offline(&swapped).unwrap().verdict, Verdict::Broken);
    let without = |line: usize| [&lines[..line], &lines[line + 1..]].concat().concat();
    assert_eq!(found(&offline(&without(36)).unwrap()), [(33, Wrong::ExportBroken)]);
    assert_eq!(found(&offline(&without(9)).unwrap())[0], (9, Wrong::Missing));
    assert_eq!(found(&offline(&without(22)).unwrap())[0], (11, Wrong::SealBroken));
    for bad in [
        "",
        "{}\n",
        lines[1],
        &without(0),
        &(text.clone() + lines[1]),
        &text.replace("\"event\"", "\"evemt\""),
    ] {
        assert!(matches!(offline(bad), Err(Error::Export { .. })), "{bad:.80}");
    }
    // Another key is not the one that was given.
    let stranger: PublicKey = self::keys(&shop, "their.key").current().public();
    let report = check_offline(text.as_bytes(), Some(&stranger.into())).unwrap();
    assert_eq!(found(&report), [(1, Wrong::KeyUnknown)]);
}
