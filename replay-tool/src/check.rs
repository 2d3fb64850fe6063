//! `check` and `doctor`: whether the log still matches its seals, and whether everything that this tool needs is
//! available.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use soonshop_audit::export::{InvalidExport, Manifest};
use soonshop_audit::listing::csv_shape;
use soonshop_audit::reading::{Reading, verify_csv};
use soonshop_event_log::seal::{self, Finding, Positions, Report, Tail, TrustedKey, Verdict};
use soonshop_migrations::rights;
use soonshop_projections::integrity::SealedLog;
use soonshop_projections::{integrity, integrity_check, operations};

use crate::sentences::{Remedy, Word};
use crate::status::{lines, what_is_wrong};
use crate::{ACTOR, Ended, Failure, Outcome, Output, Sentence, Tool, exit};

#[derive(Debug, Clone)]
pub struct Options {
    pub from: i64,
    /// None: up to the last seal.
    pub to: Option<i64>,
    pub trusted: Option<TrustedKey>,
    /// The record of operations instead of the log.
    pub record: bool,
}

fn shown(out: &Output, report: &Report) -> Outcome {
    let value = serde_json::to_value(report).map_err(Failure::unexpected)?;
    out.result("status", &value, |language| lines(&sentences(report), language));
    // A log without seals is not a success either.
    let code = if report.verdict == Verdict::Intact { exit::DONE } else { exit::FOUND };
    Ok(Ended { code, summary: value })
}

/// Findings that are printed.
const SHOWN: usize = 10;

/// A report as text.
fn sentences(report: &Report) -> Vec<Sentence> {
    let (log, rows, seals) = (|| report.log.clone(), report.rows, report.seals);
    let mut sentences = vec![match report.verdict {
        Verdict::Intact => Sentence::Intact { log: log(), from: report.from, to: report.to, rows, seals },
        Verdict::Broken => Sentence::Broken { log: log(), rows, seals },
        Verdict::Unproven => Sentence::Unproven { log: log(), rows, seals },
        Verdict::Nothing => Sentence::NothingToCheck { log: log() },
    }];
    sentences.extend(report.findings.iter().take(SHOWN).map(|Finding { position, wrong, fault }| {
        let wrong = Word::of(format!("{wrong:?}"));
        Sentence::Found { log: log(), position: *position, wrong, detail: fault.clone() }
    }));
    let more = i64::try_from(report.findings.len().saturating_sub(SHOWN)).unwrap_or(i64::MAX);
    if more + report.findings_left > 0 {
        sentences.push(Sentence::FoundMore { count: more + report.findings_left });
    }
    // Where something is wrong, the rest claims nothing.
    if report.verdict == Verdict::Broken {
        return sentences;
    }
    if let (Some(at), Some(hash)) = (report.sealed_at, report.last_seal) {
        let (at, hash) = (format!("{at:?}"), hash.to_string());
        sentences.push(Sentence::SealedUpTo { log: log(), to: report.to, at, hash });
    }
    sentences.extend(report.keys.iter().map(|key| Sentence::SealKey { key: key.clone() }));
    if !report.keys.is_empty() && !report.key_given {
        sentences.push(Sentence::KeyNotGiven);
    }
    sentences.extend(match &report.tail {
        Some(Tail { events, since }) => {
            Some(Sentence::TailUnprovable { events: *events, since: format!("{since:?}") })
        }
        None if report.verdict == Verdict::Nothing => None,
        None => Some(Sentence::NoTail),
    });
    sentences
}

/// Compares the log, or the record of operations, with its seals, and records the result: on record, it is the verdict
/// that every view of the shop shows.
pub async fn check(tool: &Tool, options: &Options) -> Outcome {
    let of = if options.record { SealedLog::Record } else { SealedLog::Log };
    let positions = Positions { from: options.from, to: options.to };
    let reader = tool.status_reader();
    let checked = integrity_check::check(&reader, of, positions, options.trusted.as_ref()).await?;
    let ended = shown(&tool.out, &checked.report)?;
    integrity::record_check(&reader.record_proof()?, ACTOR, of, positions, &checked).await?;
    Ok(ended)
}

/// Records that somebody knows of what was found at these positions, and why it is no alarm any more.
pub async fn acknowledge(tool: &Tool, record: bool, (from, to): (i64, i64), reason: &str) -> Outcome {
    let of = if record { SealedLog::Record } else { SealedLog::Log };
    let reason = operations::reason(reason).ok_or(Failure::Usage(Sentence::ReasonTooShort))?;
    let note = operations::note(tool.log.keys(), reason).await?;
    let proof = tool.status_reader().record_proof()?;
    let known = integrity::acknowledge(&proof, ACTOR, of, (from, to), note).await?;
    let known = known.ok_or(Failure::Refused(Sentence::NothingToAcknowledge))?;
    let log = of.name().to_owned();
    let value = json!({ "log": log, "from": from, "to": to, "well": known.is_well(), "integrity": known });
    tool.out.result("status", &value, |language| {
        Sentence::Acknowledged { log: log.clone(), from, to }.text(language)
    });
    Ok(Ended::done(value))
}

/// The longest first line, in bytes.
const LONGEST: u64 = 16 << 20;

/// Checks a file that `soonshop seals export` or `export` wrote; no database is needed.
pub fn check_file(out: &Output, file: &Path, trusted: &TrustedKey) -> Outcome {
    let named = |detail| Failure::Usage(Sentence::OfFile { file: file.display().to_string(), detail });
    let open = File::open(file).map_err(|error| named(error.to_string()))?;
    let (mut open, mut first) = (BufReader::new(open), Vec::new());
    (&mut open).take(LONGEST).read_until(b'\n', &mut first).map_err(|error| named(error.to_string()))?;
    // A file that names a manifest field is an export of the audit trail, even if it was changed.
    let has = |mark: &[u8]| first.windows(mark.len()).any(|part| part == mark);
    let is_trail = has(b"\"made_at\"") || has(b"\"sha256\"");
    let (beside, is_json) = (beside(file), first.starts_with(b"{"));
    let whole = Cursor::new(first).chain(open);
    // Files of seals are JSON.
    let held = if is_trail || !beside.is_file() && !is_json {
        verify(whole)
    } else if beside.is_file() {
        std::fs::read(&beside)
            .map_err(InvalidExport::Io)
            .and_then(|text| verify_csv(&text, &csv_shape(), whole))
    } else {
        let report = seal::check_offline(whole, Some(trusted)).map_err(|error| named(error.to_string()))?;
        return shown(out, &report);
    };
    match held {
        Ok(manifest) => Ok(check_signature(out, &manifest, trusted)),
        Err(InvalidExport::Differs(detail)) => {
            Ok(judged(out, "broken", json!({ "reason": detail }), Sentence::ExportBroken { detail }))
        }
        Err(InvalidExport::Io(error)) => Err(named(error.to_string())),
        Err(other @ InvalidExport::NoExport(_)) => Err(named(other.to_string())),
    }
}

/// The file beside an export in CSV that holds its manifest, too.
pub(crate) fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".manifest.json");
    PathBuf::from(name)
}

/// Checks an export of the trail against the manifest in it.
fn verify(input: impl BufRead) -> Result<Manifest, InvalidExport> {
    let mut reading = Reading::begin(input, &csv_shape())?;
    reading.skip_rows()?;
    reading.finish()
}

/// Checks that an export, which matches its manifest, is signed by the trusted key.
fn check_signature(out: &Output, manifest: &Manifest, trusted: &TrustedKey) -> Ended {
    let (count, head) = (manifest.count(), manifest.listed().head);
    let signer = manifest.signed_by().map(|signer| signer.fingerprint.clone());
    let detail = json!({
        "count": count, "head": head, "role": manifest.listed().role, "sha256": manifest.sha256(), "signed_by": signer,
    });
    match signer {
        Some(fingerprint) if fingerprint == trusted.fingerprint() => {
            judged(out, "intact", detail, Sentence::ExportIntact { count, head, fingerprint })
        }
        Some(fingerprint) => judged(out, "broken", detail, Sentence::ExportOfOther { fingerprint }),
        None => judged(out, "unproven", detail, Sentence::ExportUnsigned { count, head }),
    }
}

fn judged(out: &Output, verdict: &str, mut value: serde_json::Value, sentence: Sentence) -> Ended {
    value["verdict"] = verdict.into();
    out.result("status", &value, |language| sentence.text(language));
    Ended { code: if verdict == "intact" { exit::DONE } else { exit::FOUND }, summary: value }
}

fn ill(error: impl ToString) -> Sentence {
    Sentence::OtherComplaint { detail: error.to_string() }
}

/// Checks each part, and reports what is wrong. What every command needs was checked when the tool was opened.
pub async fn doctor(tool: &Tool) -> Outcome {
    let mut well = true;
    let mut note = |what: &str, outcome: Result<Sentence, Sentence>| {
        let (ok, message) = match outcome {
            Ok(message) => (true, message),
            Err(message) => (false, message),
        };
        well &= ok;
        let remedy = matches!(message, Sentence::TamperingFound { .. }).then_some("integrity");
        let mut value = json!({ "what": what, "ok": ok, "said": message.to_string() });
        if let Some(remedy) = remedy {
            value["remedy"] = remedy.into();
        }
        let (what, detail) = (Word::of(what), Box::new(message));
        let sentence =
            if ok { Sentence::CheckPassed { what, detail } } else { Sentence::CheckFailed { what, detail } };
        let mut message = vec![sentence];
        message.extend(remedy.map(|code| Sentence::WhatToDo { remedy: Remedy(code) }));
        tool.out.result("status", &value, |language| lines(&message, language));
    };
    let head = tool.log.head().await.map(|head| Sentence::LastPosition { position: head.position });
    note("event log", head.map_err(ill));
    let role = rights::replay_writes(&tool.log.db().connection).await.map_err(ill);
    note("rights", role.and_then(|why| why.map_or(Ok(Sentence::CannotWriteLog), |why| Err(ill(why)))));
    let note_key = operations::note(tool.log.keys(), "a test").await;
    note("key of notes", note_key.map(|_| Sentence::KeyPresent).map_err(ill));
    note("search", tool.search.ping().await.map(|()| Sentence::Answers).map_err(ill));
    note("cache", tool.cache.ping().await.map(|()| Sentence::Answers).map_err(ill));
    // The verdict is the one that `status` shows, and every view of the shop.
    let status = tool.status_reader().read(&tool.projectors).await?;
    let found = status.integrity.red_ranges();
    note(
        "integrity",
        found.map_or(Ok(Sentence::NothingFound), |ranges| Err(Sentence::TamperingFound { ranges })),
    );
    let (relay, seals, record) = (&status.relay, &status.seals, &status.record_seals);
    for (name, one) in [("relay", relay), ("seals", seals), ("record seals", record)] {
        if let Some(trouble) = &one.trouble {
            note(name, Err(what_is_wrong(trouble)));
        }
    }
    for one in &status.processes {
        if let Some(trouble) = &one.progress.trouble {
            note(&one.follower(), Err(what_is_wrong(trouble)));
        }
    }
    for one in &status.generations {
        let (version, shape) = (one.version, one.shape);
        let ours = tool.projectors.iter().any(|projector| one.is_made_by(&**projector));
        let outcome = match &one.complaint {
            Some(found) => Err(what_is_wrong(&found.trouble)),
            None if ours => Ok(Sentence::GenerationOk { version, shape }),
            // Somebody else keeps it up to date, or it is the way back.
            None => Ok(Sentence::GenerationOfOtherRelease { version, shape }),
        };
        note(&one.namespace(), outcome);
    }
    Ok(Ended { code: if well { exit::DONE } else { exit::FOUND }, summary: json!({ "healthy": well }) })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use soonshop_event_log::seal::{Fault, Hash, Wrong};

    use super::*;
    use crate::Language;

    /// `soonshop seals check` prints the same text for the same report.
    #[test]
    fn a_report_reads_the_same_as_from_the_shop() {
        let at = DateTime::from_timestamp_micros(1_795_600_000_123_457).unwrap();
        let mut report = Report {
            verdict: Verdict::Intact,
            log: "main".to_owned(),
            log_id: uuid::Uuid::nil(),
            from: 1,
            to: 9,
            rows: 9,
            seals: 2,
            keys: vec!["9c:41".to_owned()],
            key_given: false,
            sealed_at: Some(at),
            last_seal: Some(Hash::of(b"seal")),
            sealed_to: 9,
            tail: None,
            findings: Vec::new(),
            findings_left: 0,
        };
        for verdict in [Verdict::Intact, Verdict::Broken, Verdict::Unproven, Verdict::Nothing] {
            report.verdict = verdict;
            assert_eq!(lines(&sentences(&report), Language::English), report.to_string());
        }
        report.tail = Some(Tail { events: 3, since: at });
        let finding = Finding { position: 4, wrong: Wrong::Changed, fault: Fault::EventChanged };
        report.findings = vec![finding; SHOWN + 2];
        assert_eq!(lines(&sentences(&report), Language::English), report.to_string());
        let chinese = lines(&sentences(&report), Language::Chinese);
        let fault = Language::Chinese.find("seal-fault-event-changed").unwrap();
        assert_eq!(chinese.matches(fault).count(), SHOWN, "{chinese}");
        report.findings.truncate(SHOWN);
        assert_eq!(lines(&sentences(&report), Language::English), report.to_string());
        report.findings_left = 7;
        assert_eq!(lines(&sentences(&report), Language::English), report.to_string());
    }
}
