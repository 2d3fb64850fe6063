//! Documents that are in several files: in parts, or again.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::mem;

use super::{Book, Document, RowKey};
use crate::import::report::Report;

/// How the rows of a document in one file compare with those in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Equal,
    /// All of it is in the other as well.
    Within,
    /// All of the other is in it as well.
    Around,
    /// They share some rows, and each has others.
    Overlap,
    Apart,
}

/// How two sorted lists of rows compare, and how many rows they share.
fn relation(one: &[RowKey], other: &[RowKey]) -> (Relation, usize) {
    let (mut a, mut b, mut shared) = (0, 0, 0);
    while let (Some(x), Some(y)) = (one.get(a), other.get(b)) {
        match x.cmp(y) {
            Ordering::Less => a += 1,
            Ordering::Greater => b += 1,
            Ordering::Equal => (a, b, shared) = (a + 1, b + 1, shared + 1),
        }
    }
    let relation = match (shared, shared == one.len(), shared == other.len()) {
        (_, true, true) => Relation::Equal,
        (0, ..) => Relation::Apart,
        (_, true, false) => Relation::Within,
        (_, false, true) => Relation::Around,
        (_, false, false) => Relation::Overlap,
    };
    (relation, shared)
}

/// The rows of a document in one file.
struct Part {
    file: u32,
    entries: Vec<u32>,
    keys: Vec<RowKey>,
}

impl Book {
    /// The rows of a document by file.
    fn parts(&self, document: &Document) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for index in &document.entries {
            let entry = &self.entries[*index as usize];
            if parts.last().is_none_or(|part| part.file != entry.file) {
                parts.push(Part { file: entry.file, entries: Vec::new(), keys: Vec::new() });
            }
            if let Some(part) = parts.last_mut() {
                part.entries.push(*index);
                part.keys.push(entry.key());
            }
        }
        for part in &mut parts {
            part.keys.sort_unstable();
        }
        parts
    }

    /// How many rows each two files share.
    fn shared(&self) -> HashMap<(u32, u32), usize> {
        let mut shared = HashMap::new();
        for document in &self.documents {
            let parts = self.parts(document);
            for (number, one) in parts.iter().enumerate() {
                for other in &parts[number + 1..] {
                    *shared.entry((one.file, other.file)).or_default() += relation(&one.keys, &other.keys).1;
                }
            }
        }
        shared
    }

    /// Two files that share no row are parts of one whole: what each has of a document is put together. Of files that
    /// share rows one is a copy of the other, or of a part of it: their documents are the same, and count once.
    pub(super) fn put_together(&mut self, report: &mut Report) {
        let shared = self.shared();
        let mut documents = mem::take(&mut self.documents);
        for (number, document) in self.numbers.texts.iter().zip(&mut documents) {
            let parts = self.parts(document);
            if parts.len() < 2 {
                continue;
            }
            let mut kept: Vec<Part> = Vec::new();
            let mut contradicts = false;
            for mut part in parts {
                let mut keep = true;
                let mut at = 0;
                while at < kept.len() && keep {
                    let other = &kept[at];
                    let rows_shared = shared.get(&(other.file, part.file)).copied().unwrap_or_default();
                    match relation(&part.keys, &other.keys).0 {
                        Relation::Equal => {
                            report.rows_repeated += part.keys.len() as u64;
                            // One row that two different files share may be a line that is there twice.
                            if rows_shared == 1 && !self.same_rows(other.file, part.file) {
                                self.taken_once(number, &part, report);
                            }
                            keep = false;
                        }
                        Relation::Within => {
                            report.rows_repeated += part.keys.len() as u64;
                            self.taken_once(number, &part, report);
                            keep = false;
                        }
                        Relation::Around => {
                            let other = kept.remove(at);
                            report.rows_repeated += other.keys.len() as u64;
                            self.taken_once(number, &other, report);
                        }
                        Relation::Apart if rows_shared == 0 => at += 1,
                        Relation::Apart | Relation::Overlap => {
                            contradicts = true;
                            at += 1;
                        }
                    }
                }
                if keep {
                    part.keys.shrink_to_fit();
                    kept.push(part);
                }
            }
            let mut entries: Vec<u32> = kept.into_iter().flat_map(|part| part.entries).collect();
            entries.sort_unstable();
            document.entries = entries;
            if contradicts {
                self.leave_out(number, document, report, |_| {
                    "it is left out: files that share rows have other lines of its document each; mend one of them, \
                     or say --parts if every row counts"
                        .to_owned()
                });
            }
        }
        self.documents = documents;
    }

    fn same_rows(&self, one: u32, other: u32) -> bool {
        let hash = |file: u32| self.files.get(file as usize).map(|file| file.hash.as_str());
        hash(one) == hash(other)
    }

    fn taken_once(&self, number: &str, part: &Part, report: &mut Report) {
        for index in &part.entries {
            let reason =
                "another file has the same row, and it is taken once: say --parts if every row counts";
            report.differs(self.at(number, &self.entries[*index as usize], reason));
        }
    }
}
