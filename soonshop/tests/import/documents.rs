//! Files are compared by what their documents say: in parts, mended, repeated and overlapping, nothing of them is lost,
//! nothing comes twice, and what differs is named.

use std::path::PathBuf;

use serde_json::{Value, json};
use soonshop::import::{Options, Report, run};
use soonshop::{Shop, migrate};
use tempfile::TempDir;

use super::{count, csv, figures, file, head, in_a_process, new_shop, polled, served, shop, statuses};

/// Two orders, a credit note and two adjustments.
const WHOLE: [&str; 7] = [
    "600100,MUG,a mug,2,2011-01-05 10:00:00,5.00,,France",
    "600100,CUP,a cup,3,2011-01-05 10:00:00,4.00,,France",
    "600101,MUG,a mug,1,2011-01-06 10:00:00,5.00,,France",
    "C600102,MUG,a mug,-1,2011-01-07 10:00:00,5.00,,France",
    "C600102,CUP,a cup,-2,2011-01-07 10:00:00,4.00,,France",
    "600103,MUG,a mug,7,2011-01-08 10:00:00,0,,France",
    "600103,MUG,a mug,9,2011-01-08 10:00:00,0,,France",
];

/// The rows in four files, each of which ends within a document.
const PARTS: [std::ops::Range<usize>; 4] = [0..1, 1..4, 4..6, 6..7];

/// Revenue, credited, adjusted and received.
fn whole() -> Value {
    json!([2700, 1300, 16, 6])
}

async fn totals(shop: &Shop) -> Value {
    let figures = figures(shop).await;
    ["gross_revenue_pence", "credited_pence", "stock_adjustment_units", "stock_opening_units"]
        .map(|name| figures[name].clone())
        .into()
}

/// A shop, and a folder for its files.
struct Place {
    folder: TempDir,
    shop: Shop,
}

impl Place {
    async fn new() -> Self {
        let (folder, shop) = new_shop().await;
        Self { folder, shop }
    }

    fn file(&self, name: &str, rows: &[&str]) -> PathBuf {
        file(self.folder.path(), name, csv(rows))
    }

    fn parts(&self) -> Vec<PathBuf> {
        let files = (1..).zip(PARTS);
        files.map(|(number, rows)| self.file(&format!("part{number}.csv"), &WHOLE[rows])).collect()
    }

    fn options(files: &[PathBuf]) -> Options {
        Options { files: files.to_vec(), quiet: true, ..Options::default() }
    }

    /// A dry run says what the import then does, and writes nothing.
    async fn run(&self, options: Options) -> Report {
        let before = head(&self.shop).await;
        let dry = run(&self.shop, &Options { dry_run: true, ..options.clone() }).await.unwrap();
        assert_eq!(head(&self.shop).await, before, "a dry run writes nothing");
        let done = run(&self.shop, &options).await.unwrap();
        assert_eq!(message(&dry), message(&done), "a dry run says what is done");
        assert_eq!(dry.exit_code(), done.exit_code());
        done
    }

    async fn import(&self, files: &[PathBuf]) -> Report {
        self.run(Self::options(files)).await
    }

    async fn import_rows(&self, name: &str, rows: &[&str]) -> Report {
        self.import(&[self.file(name, rows)]).await
    }
}

/// All of a report but how long it took.
fn message(report: &Report) -> Value {
    let mut message = serde_json::to_value(report).unwrap();
    let of_the_run = |name: &str| name.starts_with("seconds") || name.ends_with("per_second");
    message
        .as_object_mut()
        .unwrap()
        .retain(|name, _| !of_the_run(name) && !["dry_run", "events"].contains(&name.as_str()));
    message
}

/// File, line and document of each difference.
fn places(report: &Report) -> Vec<(Option<u64>, &str)> {
    report.differences.iter().map(|one| (one.line, one.document.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_split_over_files_is_put_together() {
    for backwards in [false, true] {
        let place = Place::new().await;
        let mut parts = place.parts();
        if backwards {
            parts.reverse();
        }
        let report = place.import(&parts).await;
        assert_eq!(totals(&place.shop).await, whole());
        assert_eq!((report.orders, report.credit_notes, report.exit_code()), (count(2, 0), count(1, 0), 0));
        let end = head(&place.shop).await;
        for files in [vec![place.file("whole.csv", &WHOLE)], parts] {
            let again = place.import(&files).await;
            assert_eq!((again.exit_code(), again.orders, again.adjustments), (0, count(0, 2), count(0, 2)));
            assert_eq!(head(&place.shop).await, end, "nothing was added");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_with_interleaved_rows_make_complete_documents() {
    let place = Place::new().await;
    let every_other = |first: usize| WHOLE.iter().copied().skip(first).step_by(2).collect::<Vec<_>>();
    let files = [place.file("even.csv", &every_other(0)), place.file("odd.csv", &every_other(1))];
    assert_eq!(place.import(&files).await.exit_code(), 0);
    assert_eq!(totals(&place.shop).await, whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_with_a_broken_row_comes_whole_with_the_mended_file() {
    let place = Place::new().await;
    let mut broken = WHOLE;
    broken[1] = "600100,CUP,a cup,three,2011-01-05 10:00:00,4.00,,France";
    let report = place.import_rows("rows.csv", &broken).await;
    assert_eq!((report.rows_broken, report.rows_left_out, report.exit_code()), (1, 1, 3));
    assert_eq!(places(&report), [(Some(2), "600100")]);
    assert_eq!((report.orders, totals(&place.shop).await), (count(1, 0), json!([500, 1300, 16, 1])));
    let report = place.import_rows("rows.csv", &WHOLE).await;
    assert_eq!((report.orders, report.receipts, report.exit_code()), (count(1, 1), count(2, 0), 0));
    assert_eq!(totals(&place.shop).await, whole());
    assert_eq!(statuses(&place.shop).await, [("confirmed".to_owned(), 2)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_documents_all_have_a_broken_row_stores_nothing() {
    let place = Place::new().await;
    let before = head(&place.shop).await;
    let rows = [WHOLE[0], "600100,CUP,a cup,three,2011-01-05 10:00:00,4.00,,France"];
    let report = place.import_rows("rows.csv", &rows).await;
    assert_eq!(
        (report.exit_code(), report.broken[0].line, places(&report)),
        (4, 3, vec![(Some(2), "600100")])
    );
    assert_eq!(head(&place.shop).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_added_to_a_document_become_a_supplement() {
    let place = Place::new().await;
    place.import_rows("rows.csv", &[WHOLE[0], WHOLE[2], WHOLE[3], WHOLE[5]]).await;
    let report = place.import_rows("rows.csv", &WHOLE).await;
    assert_eq!((report.orders, report.credit_notes), (count(1, 2), count(1, 1)));
    assert_eq!((report.adjustments, report.receipts, report.exit_code()), (count(1, 1), count(1, 1), 0));
    assert_eq!(totals(&place.shop).await, whole());
    assert_eq!(statuses(&place.shop).await, [("confirmed".to_owned(), 3)].into());
    let numbers = super::rows(&place.shop, "orders", "SELECT number FROM @orders ORDER BY number").await;
    let numbers: Vec<String> = numbers.iter().map(|row| row.try_get("", "number").unwrap()).collect();
    assert_eq!(numbers, ["600100", "600100/2", "600101"]);
    let end = head(&place.shop).await;
    // The whole, the document as it was first, and the supplement alone: all of them are there.
    for rows in [&WHOLE[..], &WHOLE[..1], &WHOLE[1..2]] {
        let report = place.import_rows("rows.csv", rows).await;
        assert_eq!((report.exit_code(), head(&place.shop).await), (0, end), "{report}");
    }
    let third = "600100,TEA,tea,1,2011-01-05 10:00:00,1.00,,France";
    place.import_rows("rows.csv", &[WHOLE[0], WHOLE[1], third]).await;
    assert_eq!(totals(&place.shop).await, json!([2800, 1300, 16, 7]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_differs_from_the_stored_one_is_reported_and_left_as_it_is() {
    let place = Place::new().await;
    place.import_rows("rows.csv", &WHOLE).await;
    let end = head(&place.shop).await;
    for (row, mended, expected) in [
        (1, "600100,CUP,a cup,4,2011-01-05 10:00:00,4.00,,France", vec![(Some(3), "order 600100")]),
        (1, "600100,CUP,a cup,3,2011-01-05 10:00:00,4.01,,France", vec![(Some(3), "order 600100")]),
        (
            1,
            "600100,TEA,tea,3,2011-01-05 10:00:00,4.00,,France",
            vec![(Some(3), "order 600100"), (None, "order 600100")],
        ),
        (2, "600101,MUG,a mug,1,2011-01-06 10:00:00,5.00,,EIRE", vec![(Some(4), "order 600101")]),
        (2, "600101,MUG,a mug,1,2011-01-06 10:00:00,5.00,17850,France", vec![(Some(4), "order 600101")]),
        (2, "600101,MUG,a mug,1,2011-01-06 11:00:00,5.00,,France", vec![(Some(4), "order 600101")]),
        (4, "C600102,CUP,a cup,-1,2011-01-07 10:00:00,4.00,,France", vec![(Some(6), "credit note C600102")]),
        (6, "600103,MUG,a mug,8,2011-01-08 10:00:00,0,,France", vec![(Some(8), "adjustment 600103")]),
        (
            6,
            "600103,CUP,a cup,9,2011-01-08 10:00:00,0,,France",
            vec![(Some(8), "adjustment 600103"), (None, "adjustment 600103")],
        ),
    ] {
        let mut rows = WHOLE;
        rows[row] = mended;
        let report = place.import_rows("rows.csv", &rows).await;
        assert_eq!((places(&report), report.exit_code()), (expected, 3), "{mended}: {report}");
        assert_eq!((report.receipts.new, report.orders), (0, count(0, 2)), "{mended}");
    }
    assert_eq!(totals(&place.shop).await, whole());
    for (row, expected) in
        [(1, (None, "order 600100")), (4, (None, "credit note C600102")), (6, (None, "adjustment 600103"))]
    {
        let mut rows = WHOLE.to_vec();
        rows.remove(row);
        let report = place.import_rows("rows.csv", &rows).await;
        assert_eq!((places(&report), report.exit_code()), (vec![expected], 3), "{report}");
    }
    assert_eq!(head(&place.shop).await, end, "no product and no customer came along");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_in_runs_of_their_own_are_named_or_put_together_by_the_option() {
    for together in [false, true] {
        let place = Place::new().await;
        let mut codes = Vec::new();
        for part in place.parts() {
            let options = Options { parts: together, ..Place::options(&[part]) };
            codes.push(place.run(options).await.exit_code());
        }
        if together {
            assert_eq!((codes, totals(&place.shop).await), (vec![0; 4], whole()));
            let end = head(&place.shop).await;
            let report = place.import_rows("whole.csv", &WHOLE).await;
            assert_eq!((report.exit_code(), head(&place.shop).await), (0, end));
        } else {
            assert_eq!((codes, totals(&place.shop).await), (vec![0, 3, 3, 3], json!([1500, 500, 7, 3])));
            // With the whole file they are complete.
            assert_eq!(place.import_rows("whole.csv", &WHOLE).await.exit_code(), 0);
            assert_eq!(totals(&place.shop).await, whole());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_overlap_count_once_in_either_order() {
    for (one, two, in_one_run) in [(0..5, 3..7, 0), (2..7, 0..4, 3), (0..7, 2..4, 3)] {
        let place = Place::new().await;
        let files = [place.file("one.csv", &WHOLE[one]), place.file("two.csv", &WHOLE[two])];
        assert_eq!(place.import(&files).await.exit_code(), in_one_run, "{files:?}");
        assert_eq!(totals(&place.shop).await, whole(), "in one run");
        let place = Place::new().await;
        for rows in &files {
            place.import(std::slice::from_ref(rows)).await;
        }
        place.import_rows("whole.csv", &WHOLE).await;
        assert_eq!(totals(&place.shop).await, whole(), "one after the other, and mended by the whole");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_rows_in_another_form_and_order_add_nothing() {
    let place = Place::new().await;
    place.import_rows("rows.csv", &WHOLE).await;
    let end = head(&place.shop).await;
    let mut rows = WHOLE;
    rows.reverse();
    let text = csv(&rows).replace(',', ";").replace(".00", ",00");
    let utf_16: Vec<u8> =
        [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let other = file(place.folder.path(), "other.csv", utf_16);
    let report = place.import(std::slice::from_ref(&other)).await;
    assert_eq!((report.exit_code(), head(&place.shop).await), (0, end), "{report}");
    let place = Place::new().await;
    let report = place.import(&[place.file("rows.csv", &WHOLE), other]).await;
    assert_eq!((report.exit_code(), totals(&place.shop).await), (0, whole()), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_one_row_beside_itself_with_other_line_ends_or_in_another_encoding_is_one() {
    for other in [
        csv(&[WHOLE[0]]).replace('\n', "\r\n").into_bytes(),
        [0xfeff].into_iter().chain(csv(&[WHOLE[0]]).encode_utf16()).flat_map(u16::to_le_bytes).collect(),
    ] {
        let place = Place::new().await;
        let other = file(place.folder.path(), "other.csv", other);
        let report = place.import(&[place.file("rows.csv", &[WHOLE[0]]), other]).await;
        assert_eq!((report.exit_code(), report.orders.new, report.rows_repeated), (0, 1, 1), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_alike_in_one_file_count_each() {
    let place = Place::new().await;
    let twice = [WHOLE[0], WHOLE[0], WHOLE[5], WHOLE[5]];
    for new in [true, false] {
        let report = place.import_rows("rows.csv", &twice).await;
        assert_eq!((report.orders.new, report.exit_code()), (u64::from(new), 0));
        assert_eq!(totals(&place.shop).await, json!([2000, 0, 14, 4]));
    }
    // In two files they are one, which is reported, unless the files are parts.
    for (parts, code, expected) in [(false, 3, json!([500, 0, 0, 1])), (true, 0, json!([1000, 0, 0, 2]))] {
        let place = Place::new().await;
        let files = [place.file("1.csv", &[WHOLE[5], WHOLE[2]]), place.file("2.csv", &[WHOLE[2]])];
        let report = place.run(Options { parts, ..Place::options(&files) }).await;
        assert_eq!(report.exit_code(), code);
        let mut got = totals(&place.shop).await;
        got[2] = 0.into();
        assert_eq!(got, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_stock_is_received_once() {
    let place = Place::new().await;
    let lost = "600104,MUG,thrown away,-4,2011-01-09 10:00:00,0,,France";
    let more = "600105,MUG,a mug,5,2011-01-10 10:00:00,5.00,,France";
    place.import_rows("rows.csv", &WHOLE[..2]).await;
    place.import_rows("rows.csv", &[WHOLE[0], WHOLE[1], lost]).await;
    place.import_rows("mended.csv", &[lost, more, WHOLE[1], WHOLE[0]]).await;
    let report = place.import_rows("rows.csv", &[more]).await;
    assert_eq!(report.receipts, count(0, 1));
    assert_eq!(totals(&place.shop).await[3], 3 + 2 + 4 + 5);
    let available = super::rows(&place.shop, "stock", "SELECT available FROM @stock WHERE sku = 'MUG'").await;
    assert_eq!(available[0].try_get::<i64>("", "available").unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_over_http_reports_and_stores_the_same() {
    let place = Place::new().await;
    let (running, remote) = served(&place.shop).await;
    let over_http = |files: &[PathBuf]| Options { files: files.to_vec(), ..remote.clone() };
    let report = place.run(over_http(&place.parts()[..3])).await;
    assert_eq!((report.exit_code(), totals(&place.shop).await), (0, json!([2700, 1300, 7, 6])));
    let mut mended = WHOLE;
    mended[4] = "C600102,CUP,a cup,-1,2011-01-07 10:00:00,4.00,,France";
    let rows = place.file("mended.csv", &mended);
    let report = place.run(over_http(std::slice::from_ref(&rows))).await;
    assert_eq!((places(&report), report.exit_code()), (vec![(Some(6), "credit note C600102")], 3));
    assert_eq!((report.adjustments, report.receipts.new), (count(1, 1), 0));
    assert_eq!(totals(&place.shop).await, whole());
    let third = "600100,TEA,tea,1,2011-01-05 10:00:00,1.00,,France";
    let rows = place.file("more.csv", &[&WHOLE[..], &[third]].concat());
    let report = place.run(over_http(std::slice::from_ref(&rows))).await;
    assert_eq!((report.orders, report.receipts, report.exit_code()), (count(1, 2), count(1, 2), 0));
    let end = head(&place.shop).await;
    assert_eq!(place.run(over_http(std::slice::from_ref(&rows))).await.exit_code(), 0);
    running.stop().await.unwrap();
    let local = place.import(&[rows]).await;
    assert_eq!((local.exit_code(), local.orders, head(&place.shop).await), (0, count(0, 2), end), "{local}");
    assert_eq!(totals(&place.shop).await, json!([2800, 1300, 16, 7]));
}

#[test]
fn an_import_of_parts_that_is_killed_and_started_again_is_complete_and_nothing_is_double() {
    let folder = tempfile::tempdir().unwrap();
    let parts: Vec<PathBuf> = (1..)
        .zip(PARTS)
        .map(|(number, rows)| file(folder.path(), &format!("part{number}.csv"), csv(&WHOLE[rows])))
        .collect();
    in_a_process(async { migrate::migrate(&shop(folder.path())).await.unwrap() });
    let mut killed = 0;
    for most in [1, 3, 5, 8, 12, 17] {
        killed += in_a_process(async {
            let shop = shop(folder.path());
            let ended = Box::pin(polled(run(&shop, &Place::options(&parts)), most)).await.0;
            usize::from(ended.is_none())
        });
    }
    assert!(killed > 2, "{killed}");
    in_a_process(async {
        let shop = shop(folder.path());
        let report = run(&shop, &Place::options(&parts)).await.unwrap();
        assert_eq!((report.exit_code(), totals(&shop).await), (0, whole()), "{report}");
        assert_eq!(statuses(&shop).await, [("confirmed".to_owned(), 2)].into());
    });
}
