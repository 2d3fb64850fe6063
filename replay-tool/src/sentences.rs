//! The sentences of the tool: the key of each in the catalogues of `soonshop-texts`, and the types of its variables.
//! Code that prints one and forgets a variable does not compile.
//!
//! Output for scripts (`--json`) is English in every language; so are log lines. Texts that come from other crates, such
//! as a database's, are shown as they are behind a sentence from here, except for errors of the operating system.

use std::fmt;

use soonshop_event_log::seal::Fault;
pub use soonshop_texts::Language;
use soonshop_texts::Value;

/// The language that a command line requests, read even if the rest of the line is invalid.
pub fn language_of(args: impl Iterator<Item = String>) -> Language {
    let mut args = args.skip_while(|arg| arg != "--lang" && !arg.starts_with("--lang="));
    let given = args.next().and_then(|arg| match arg.split_once('=') {
        Some((_, tag)) => Some(tag.to_owned()),
        None => args.next(),
    });
    match given {
        Some(tag) if Language::TAGS.contains(&tag.as_str()) => Language::of(&tag),
        Some(_) => Language::English,
        None => Language::of_environment(),
    }
}

/// A type that can fill a variable.
trait Variable {
    fn value(&self, language: Language) -> Value<'_>;
}

macro_rules! numbers {
    ($($number:ty),*) => { $(
        impl Variable for $number {
            fn value(&self, _: Language) -> Value<'_> {
                (*self).into()
            }
        }
    )* };
}

numbers!(i32, i64, u64, usize);

/// A number that is shown without decimals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rounded(pub f64);

impl Variable for Rounded {
    fn value(&self, _: Language) -> Value<'_> {
        format!("{:.0}", self.0).into()
    }
}

/// Seconds, to a tenth.
impl Variable for f64 {
    fn value(&self, _: Language) -> Value<'_> {
        format!("{self:.1}").into()
    }
}

impl Variable for &'static str {
    fn value(&self, _: Language) -> Value<'_> {
        (*self).into()
    }
}

impl Variable for String {
    fn value(&self, _: Language) -> Value<'_> {
        self.into()
    }
}

/// A sentence inside another one: a question, a reason.
impl Variable for Box<Sentence> {
    fn value(&self, language: Language) -> Value<'_> {
        self.text(language).into()
    }
}

/// A code with a name in every language: a state, a result, a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(String);

impl Word {
    pub fn of(code: impl AsRef<str>) -> Self {
        Self(code.as_ref().to_owned())
    }

    /// Its name; a code without a name is shown as it is.
    pub fn text(&self, language: Language) -> &str {
        let mut key = "tool-code-".to_owned();
        for (at, sign) in self.0.char_indices() {
            match sign {
                ' ' | '_' => key.push('-'),
                sign if sign.is_ascii_uppercase() => {
                    key.extend((at > 0).then_some('-'));
                    key.push(sign.to_ascii_lowercase());
                }
                sign => key.push(sign),
            }
        }
        language.find(&key).unwrap_or(&self.0)
    }
}

impl Variable for Word {
    fn value(&self, language: Language) -> Value<'_> {
        self.text(language).into()
    }
}

/// The code of a remedy; its text is the one of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remedy(pub &'static str);

impl Variable for Remedy {
    fn value(&self, language: Language) -> Value<'_> {
        language.find(&format!("page-remedy-{}", self.0)).unwrap_or(self.0).into()
    }
}

/// Why a query was refused, by its problem. In English its detail; in other languages the text of the problem's page, with
/// the detail behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub slug: String,
    pub detail: String,
}

impl Variable for Problem {
    fn value(&self, language: Language) -> Value<'_> {
        match language.find(&format!("problem-{}", self.slug)) {
            Some(text) if language != Language::English => format!("{text} {}", self.detail).into(),
            _ => (&self.detail).into(),
        }
    }
}

/// Why a position or a seal does not match: the pages say it in the same words.
impl Variable for Fault {
    fn value(&self, language: Language) -> Value<'_> {
        let values = serde_json::to_value(self).unwrap_or_default();
        let code = values["code"].as_str().unwrap_or_default();
        let text = language.fill_with(&format!("seal-fault-{code}"), |variable| match &values[variable] {
            serde_json::Value::String(text) => text.clone().into(),
            other => other.to_string().into(),
        });
        text.unwrap_or_else(|| self.to_string()).into()
    }
}

macro_rules! sentences {
    ($($name:ident $({ $($variable:ident: $of:ty),* $(,)? })? => $key:literal;)*) => {
        /// A sentence with its variables.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Sentence {
            $($name $({ $($variable: $of),* })?,)*
        }

        impl Sentence {
            /// Its text in this language. Errors of the operating system in it are named in this language, too.
            pub fn text(&self, language: Language) -> String {
                let text = match self {
                    $(Self::$name $({ $($variable),* })? => {
                        language.fill($key, &[$($((stringify!($variable), Variable::value($variable, language))),*)?])
                    })*
                };
                language.with_system_errors(text)
            }
        }

        /// The name, the key and the variables of every sentence.
        #[cfg(test)]
        const SENTENCES: &[(&str, &str, &[&str])] =
            &[$((stringify!($name), $key, &[$($(stringify!($variable)),*)?])),*];
    };
}

/// In English, as it is recorded and as scripts read it.
impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Language::English))
    }
}

impl std::error::Error for Sentence {}

#[rustfmt::skip]
sentences! {
    // How it ends.
    ByTool { text: Box<Sentence> } => "tool-by-tool";
    RefusedBecause { why: Box<Sentence> } => "tool-refused-because";
    TimedOut => "tool-timed-out";
    TimedOutSaved => "tool-timed-out-saved";
    Interrupted { signal: &'static str } => "tool-interrupted";
    InterruptedSaved { signal: &'static str } => "tool-interrupted-saved";
    HeldBy { what: String, holder: String } => "tool-held-by";
    TakenOver => "tool-taken-over";
    CannotBeProjected { position: i64, cause: String } => "tool-cannot-be-projected";
    WarningsAgain { count: usize } => "tool-warnings-again";
    WarningAgain { text: Box<Sentence> } => "tool-warning-again";
    Warning { text: Box<Sentence> } => "tool-warning";

    // Errors from other crates, each followed by its own text.
    Unexpected { detail: String } => "tool-unexpected";
    StoreUnavailable { detail: String } => "tool-store-unavailable";
    BadAddress { detail: String } => "tool-bad-address";
    BadMasterKey { detail: String } => "tool-bad-master-key";
    NoKeyFile { file: String, detail: String } => "tool-no-key-file";
    SchemaUnfit { detail: String } => "tool-schema-unfit";
    AheadOfLog { detail: String } => "tool-ahead-of-log";
    NotAnswered { problem: Problem } => "tool-not-answered";
    HistoryUnreadable { problem: Problem } => "tool-history-unreadable";
    NotAvailable { problem: Problem } => "tool-not-available";
    CannotRead { detail: String } => "tool-cannot-read";
    OfAnotherRelease { detail: String } => "tool-of-another-release";
    OfFile { file: String, detail: String } => "tool-of-file";
    ManifestUnwritten { detail: String } => "tool-manifest-unwritten";

    // The command line.
    CommandLine { detail: String } => "tool-command-line";
    NoSuchValue { value: String, arg: String, known: String } => "tool-no-such-value";
    BadValue { value: String, arg: String, why: Box<Sentence> } => "tool-bad-value";
    ValueUnfit { value: String, arg: String } => "tool-value-unfit";
    NoSuchArgument { arg: String } => "tool-no-such-argument";
    NoSuchVerb { verb: String } => "tool-no-such-verb";
    ValueMissing { arg: String } => "tool-value-missing";
    ValueTooMany { value: String, arg: String } => "tool-value-too-many";
    GivenTwice { arg: String } => "tool-given-twice";
    NotText => "tool-not-text";
    NotWhole => "tool-not-whole";
    Similar { text: Box<Sentence>, names: String } => "tool-similar";
    WithUsage { text: Box<Sentence>, usage: String } => "tool-with-usage";
    VerbMissing => "tool-verb-missing";
    ArgumentsMissing { args: String } => "tool-arguments-missing";
    ArgumentsClash { arg: String, other: String } => "tool-arguments-clash";
    TryHelp { text: Box<Sentence> } => "tool-try-help";
    BadDuration { text: String } => "tool-bad-duration";
    BadRate { text: String } => "tool-bad-rate";
    BadRun { text: String } => "tool-bad-run";
    BadPoint { text: String } => "tool-bad-point";
    BadAlarm { text: String } => "tool-bad-alarm";
    BadPublicKey => "tool-bad-public-key";

    // Questions.
    Ask { question: Box<Sentence> } => "tool-ask";
    CannotAsk { question: Box<Sentence> } => "tool-cannot-ask";
    AskRetire { projection: String } => "tool-ask-retire";
    AskDiscard { count: usize } => "tool-ask-discard";
    NothingDone => "tool-nothing-done";

    // Missing things.
    NoShop { folder: String } => "tool-no-shop";
    NoRole { role: &'static str } => "tool-no-role";
    MayWrite { why: String } => "tool-may-write";
    NoReadModel { name: String, known: String } => "tool-no-read-model";
    NoGeneration { projection: String, number: i32 } => "tool-no-generation";
    NoneInUse { projection: String } => "tool-none-in-use";
    NoCandidate { projection: String } => "tool-no-candidate";
    NoCheckpoint { name: String } => "tool-no-checkpoint";
    CannotHold { name: String } => "tool-cannot-hold";
    NoRun { run: i64 } => "tool-no-run";
    RunEnded { run: i64 } => "tool-run-ended";
    RunTakesNoOrders { run: i64, verb: String } => "tool-run-takes-no-orders";
    RunCancelled { run: i64 } => "tool-run-cancelled";
    RunNotResponding { run: i64, position: i64 } => "tool-run-not-responding";

    // `list`, `status`, `runs`.
    StatusRow { projection: String, generation: i32, state: Word, place: Word, position: i64, head: i64, lag: i64, seconds: f64, parked: i64 } => "tool-status-row";
    SinkRow { sink: Word, at: String, holder: Word } => "tool-sink-row";
    SinkStopped { reason: String } => "tool-sink-stopped";
    SinkUnknown { reason: String } => "tool-sink-unknown";
    Complaint { complaint: Box<Sentence> } => "tool-complaint";
    Stopped { sink: Word, reason: String } => "tool-stopped";
    EventsParked { count: i64 } => "tool-events-parked";
    NoWorker => "tool-no-worker";
    Late { seconds: Rounded } => "tool-late";
    Stalled { position: i64 } => "tool-stalled";
    OtherComplaint { detail: String } => "tool-other-complaint";
    UnhealthySince { at: String } => "tool-unhealthy-since";
    WhatToDo { remedy: Remedy } => "tool-what-to-do";
    TamperingFound { ranges: String } => "tool-tampering-found";
    FollowingRow { name: Word, at: String, head: i64, lag: i64, seconds: f64 } => "tool-following-row";
    LogRow { name: Word, head: i64 } => "tool-log-row";
    LogRowAged { name: Word, head: i64, seconds: f64 } => "tool-log-row-aged";
    RunRow { run: i64, at: String, verb: String, of: String, state: Word, position: i64, to: i64, actor: String, process: String } => "tool-run-row";
    RunRowEnded { run: i64, at: String, verb: String, of: String, state: Word, position: i64, to: i64, actor: String, process: String, result: Word } => "tool-run-row-ended";
    RunRowFailed { run: i64, at: String, verb: String, of: String, state: Word, position: i64, to: i64, actor: String, process: String, message: String } => "tool-run-row-failed";

    // `plan`.
    PlanNew { projection: String, from: i32, to: i32 } => "tool-plan-new";
    PlanStarted { projection: String, from: i32, to: i32 } => "tool-plan-started";
    PlanFold { folded: i64, head: i64, types: usize, skipped: i64 } => "tool-plan-fold";
    PlanEstimate { seconds: i64, rate: i64, how: Box<Sentence>, size: String } => "tool-plan-estimate";
    AsRunWas { run: i64 } => "tool-as-run-was";
    Sampled { passed: i64 } => "tool-sampled";
    PlanUpcaster { name: String, count: i64 } => "tool-plan-upcaster";
    PlanUnhandled { name: String, count: i64 } => "tool-plan-unhandled";
    PlanEffects { role: Box<Sentence> } => "tool-plan-effects";
    PlanRun { projection: String } => "tool-plan-run";
    NoCodeToWrite => "tool-no-code-to-write";
    RoleCould { name: String } => "tool-role-could";
    RoleCannot { name: String } => "tool-role-cannot";
    RoleUnknown => "tool-role-unknown";

    // `rebuild`.
    AtLeastOne => "tool-at-least-one";
    Unhandled { names: String } => "tool-unhandled";
    Following { projection: String, number: i32 } => "tool-following";
    SavedAt { position: i64, run: i64, projection: String } => "tool-saved-at";
    StoppedAt { name: String, position: i64 } => "tool-stopped-at";
    NoWorkerFor { name: String, version: i32 } => "tool-no-worker-for";
    Rebuilt { result: Word, name: String, position: i64, folded: i64, skipped: i64, parked: i64, warnings: usize, seconds: f64, rate: i64 } => "tool-rebuilt";
    RebuiltFor { result: Word, name: String, position: i64, folded: i64, skipped: i64, parked: i64, warnings: usize, seconds: f64, rate: i64, keeper: String } => "tool-rebuilt-for";
    RunStarts { run: i64, name: String, epoch: i64 } => "tool-run-starts";
    RunResumes { run: i64, name: String, from: i64, head: i64, epoch: i64 } => "tool-run-resumes";
    RebuildProgress { run: i64, name: String, percent: i64, position: i64, total: i64, rate: i64, left: i64, parked: i64 } => "tool-rebuild-progress";
    RebuildProgressLimited { run: i64, name: String, percent: i64, position: i64, total: i64, rate: i64, limit: i64, left: i64, parked: i64 } => "tool-rebuild-progress-limited";
    LogHasGap { after: i64, found: i64 } => "tool-log-has-gap";
    LogEnds { position: i64 } => "tool-log-ends";

    // `verify`.
    Comparing { table: String, compared: u64, differ: usize } => "tool-comparing";
    OnlyReady { name: String, state: Word } => "tool-only-ready";
    VerifiesItself { name: String } => "tool-verifies-itself";
    ProvesNothing { detail: String } => "tool-proves-nothing";
    StoppedBefore { name: String, position: i64 } => "tool-stopped-before";
    NoTable { name: String, table: String } => "tool-no-table";
    OneTable { table: String } => "tool-one-table";
    OneColumn { table: String, columns: String } => "tool-one-column";
    NoColumn { pointer: String } => "tool-no-column";
    IndexStuck { name: String, at: i64, before: i64 } => "tool-index-stuck";
    ReportUnwritten { file: String, detail: String } => "tool-report-unwritten";
    Equal { left: i32, right: i32, position: i64, rows: u64, run: i64 } => "tool-equal";
    EqualIndexed { left: i32, right: i32, position: i64, rows: u64, unlike: usize, run: i64 } => "tool-equal-indexed";
    Differs { differ: usize, rows: u64, left: i32, right: i32, position: i64, run: i64 } => "tool-differs";
    DiffersIndexed { differ: usize, rows: u64, left: i32, right: i32, position: i64, unlike: usize, run: i64 } => "tool-differs-indexed";
    FieldDiffers { field: String, count: u64 } => "tool-field-differs";
    ExplainOne { projection: String, key: String } => "tool-explain-one";
    RowDiffers { table: String, key: String, fields: String } => "tool-row-differs";
    RowDiffersBy { table: String, key: String, fields: String, event: String, position: i64 } => "tool-row-differs-by";
    Field { name: String, left: i32, before: String, right: i32, after: String } => "tool-field";
    WholeRow { left: i32, before: String, right: i32, after: String } => "tool-whole-row";

    // `swap`, `rollback`, `retire`.
    UnexpectedGeneration { found: i32, expected: i32 } => "tool-unexpected-generation";
    InUseAlready { number: i32 } => "tool-in-use-already";
    Unfinished { number: i32, state: Word, projection: String } => "tool-unfinished";
    HasParked { number: i32, count: i64 } => "tool-has-parked";
    TooFarBehind { number: i32, lag: i64, most: i64 } => "tool-too-far-behind";
    NotClean { number: i32, count: i64, run: i64 } => "tool-not-clean";
    NotVerified { number: i32, projection: String } => "tool-not-verified";
    ReasonNeeded => "tool-reason-needed";
    LastVerification { number: i32, run: i64 } => "tool-last-verification";
    NoVerification { run: i64, number: i32 } => "tool-no-verification";
    NoPrevious { number: i32 } => "tool-no-previous";
    NotReadable { number: i32, state: Word } => "tool-not-readable";
    NeverInUse { number: i32, projection: String } => "tool-never-in-use";
    NoWorkerForTarget { number: i32, version: i32, projection: String } => "tool-no-worker-for-target";
    TakenByOther { number: i32 } => "tool-taken-by-other";
    ReadersMoved { number: i32 } => "tool-readers-moved";
    SinkBehind { sink: Word, number: i32, at: i64, barrier: i64 } => "tool-sink-behind";
    SinkNotStarted { sink: Word, number: i32, barrier: i64 } => "tool-sink-not-started";
    Swapped { projection: String, from: i32, to: i32, millis: u64 } => "tool-swapped";
    RolledBack { projection: String, from: i32, to: i32, millis: u64 } => "tool-rolled-back";
    SwapFirst { number: i32 } => "tool-swap-first";
    RetiredAlready { number: i32 } => "tool-retired-already";
    TooRecent { number: i32, minutes: i64 } => "tool-too-recent";
    WouldRetire { number: i32 } => "tool-would-retire";
    Retired { number: i32 } => "tool-retired";

    // `deploy`.
    Watching { seconds: u64 } => "tool-watching";
    Alarm { figure: Word, value: i64, most: i64 } => "tool-alarm";
    RollingBack { why: Box<Sentence> } => "tool-rolling-back";
    SwappedByOther { number: i32 } => "tool-swapped-by-other";

    // `show`, `diff`, `step`.
    NoType { kind: String, known: String } => "tool-no-type";
    BadId { id: String } => "tool-bad-id";
    NameShared { name: String, ids: String } => "tool-name-shared";
    Shown { kind: String, name: String, version: i64, last: i64, event: String, position: i64 } => "tool-shown";
    NoAggregate { kind: String, id: String } => "tool-no-aggregate";
    NotYetCreated => "tool-not-yet-created";
    NoVersion { version: i64, last: i64 } => "tool-no-version";
    VersionZero => "tool-version-zero";
    VersionsEqual { from: i64, to: i64 } => "tool-versions-equal";
    Erased => "tool-erased";
    KeyNeeded => "tool-key-needed";
    NothingTouches { key: String, projection: String } => "tool-nothing-touches";
    RowsEqual { name: String, rows: String } => "tool-rows-equal";
    RowsDiffer { name: String, rows: String } => "tool-rows-differ";

    // `export`, `tail`.
    OutNeeded => "tool-out-needed";
    CannotSign { detail: String } => "tool-cannot-sign";
    SealKeyMissing { file: String, fingerprint: String } => "tool-seal-key-missing";
    TailParked { count: usize, first: i64, after: i64 } => "tool-tail-parked";
    TailLate { position: i64 } => "tool-tail-late";
    Exporting { count: u64 } => "tool-exporting";
    Exported { count: u64, file: String } => "tool-exported";
    FileUnwritten { file: String, detail: String } => "tool-file-unwritten";
    LinkUnwritten { file: String } => "tool-link-unwritten";
    ExportCutShort { detail: String } => "tool-export-cut-short";
    TailResume { position: i64 } => "tool-tail-resume";
    HappenedAt { at: String } => "tool-happened-at";
    OnBehalfOf { who: String } => "tool-on-behalf-of";
    ViaChannel { channel: String } => "tool-via-channel";
    Because { code: String } => "tool-because";

    // `check`, `doctor`.
    Intact { log: String, from: i64, to: i64, rows: i64, seals: i64 } => "tool-intact";
    Broken { log: String, rows: i64, seals: i64 } => "tool-broken";
    Unproven { log: String, rows: i64, seals: i64 } => "tool-unproven";
    NothingToCheck { log: String } => "tool-nothing-to-check";
    Found { log: String, position: i64, wrong: Word, detail: Fault } => "tool-found";
    FoundMore { count: i64 } => "tool-found-more";
    SealedUpTo { log: String, to: i64, at: String, hash: String } => "tool-sealed-up-to";
    SealKey { key: String } => "tool-seal-key";
    KeyNotGiven => "tool-key-not-given";
    TailUnprovable { events: i64, since: String } => "tool-tail-unprovable";
    NoTail => "tool-no-tail";
    ExportIntact { count: u64, head: i64, fingerprint: String } => "tool-export-intact";
    ExportUnsigned { count: u64, head: i64 } => "tool-export-unsigned";
    ExportOfOther { fingerprint: String } => "tool-export-of-other";
    ExportBroken { detail: String } => "tool-export-broken";
    CheckPassed { what: Word, detail: Box<Sentence> } => "tool-check-passed";
    CheckFailed { what: Word, detail: Box<Sentence> } => "tool-check-failed";
    RangeBackwards { from: i64, to: i64 } => "tool-range-backwards";
    ReasonTooShort => "tool-reason-too-short";
    NothingToAcknowledge => "tool-nothing-to-acknowledge";
    Acknowledged { log: String, from: i64, to: i64 } => "tool-acknowledged";
    NothingFound => "tool-nothing-found";
    LastPosition { position: i64 } => "tool-last-position";
    CannotWriteLog => "tool-cannot-write-log";
    KeyPresent => "tool-key-present";
    Answers => "tool-answers";
    GenerationOk { version: i32, shape: i32 } => "tool-generation-ok";
    GenerationOfOtherRelease { version: i32, shape: i32 } => "tool-generation-of-other-release";

    // `parked`.
    Cause { count: usize, cause: String } => "tool-cause";
    ParkedRow { generation: String, position: i64, event: String, stream: String, attempts: i64 } => "tool-parked-row";
    NothingParked => "tool-nothing-parked";
    WouldRetry { count: usize } => "tool-would-retry";
    ToBeRetried { count: usize } => "tool-to-be-retried";
    WouldDiscard { count: usize } => "tool-would-discard";
    Discarded { count: usize } => "tool-discarded";

    // `view`.
    ReadingRows { count: u64 } => "tool-reading-rows";
    ManifestDiffers { file: String, detail: String } => "tool-manifest-differs";
    NotListening { address: String, detail: String } => "tool-not-listening";
    BadTls { why: Box<Sentence> } => "tool-bad-tls";
    NoPemCertificate { file: String, detail: String } => "tool-no-pem-certificate";
    NoCertificate { file: String } => "tool-no-certificate";
    CertificateDamaged { file: String, detail: String } => "tool-certificate-damaged";
    NoPemKey { file: String, detail: String } => "tool-no-pem-key";
    NotItsKey { certificate: String, key: String } => "tool-not-its-key";
    CertificateUnusable { file: String, detail: String } => "tool-certificate-unusable";
    CertificateEnded { file: String, date: String } => "tool-certificate-ended";
    CertificateNotYet { file: String, date: String } => "tool-certificate-not-yet";
    KeyExposed { detail: String } => "tool-key-exposed";
    ServersTls { detail: String } => "tool-servers-tls";
    OwnCertificate { file: String, detail: String } => "tool-own-certificate";
    NotLoopback { address: String } => "tool-not-loopback";
    SignedBy { fingerprint: String } => "tool-signed-by";
    Showing { count: u64, head: i64, role: String } => "tool-showing";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use soonshop_projections::generation;
    use soonshop_projections::runs;

    use super::*;

    #[test]
    fn every_sentence_is_in_both_languages_with_its_variables() {
        let keys: BTreeSet<_> = SENTENCES.iter().map(|(_, key, _)| *key).collect();
        assert_eq!(keys.len(), SENTENCES.len());
        for (name, key, variables) in SENTENCES {
            let given: BTreeSet<_> = variables.iter().copied().collect();
            for language in Language::ALL {
                let found = language.variables(key).unwrap_or_else(|| panic!("{key} is not in {language:?}"));
                assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), given, "{name}");
            }
        }
    }

    #[test]
    fn every_sentence_is_used() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let source: String = files
            .filter(|path| !path.ends_with("sentences.rs"))
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        let used: BTreeSet<_> = source
            .split("Sentence::")
            .skip(1)
            .map(|rest| rest.split(|sign: char| !sign.is_alphanumeric()).next().unwrap())
            .collect();
        for (name, ..) in SENTENCES {
            assert!(used.contains(name), "{name} is not used");
        }
    }

    #[test]
    fn every_state_has_a_name() {
        use generation::State as GenerationState;
        use runs::State;
        let generations = [
            GenerationState::Building,
            GenerationState::Ready,
            GenerationState::Rejected,
            GenerationState::Retired,
            GenerationState::Scratch,
        ];
        let runs = [
            State::Running,
            State::Paused,
            State::Done,
            State::Found,
            State::Refused,
            State::Failed,
            State::Interrupted,
            State::Cancelled,
        ];
        let all = generations.iter().map(Word::of).chain(runs.iter().map(Word::of));
        for word in all.chain(["active", "previous", "rows", "index", "cache"].map(Word::of)) {
            assert!(!word.text(Language::Chinese).is_ascii(), "{word:?}");
            assert!(word.text(Language::English).is_ascii(), "{word:?}");
        }
        assert_eq!(Word::of("unheard").text(Language::Chinese), "unheard");
        assert_eq!(Word::of("SealBroken").text(Language::Chinese), "封条损坏");
        assert_eq!(Word::of("caught_up").text(Language::English), "caught up");
    }

    #[test]
    fn numbers_select_the_plural_form() {
        let ask = |count| Sentence::AskDiscard { count }.to_string();
        assert_eq!((ask(1), ask(2)), ("Discard 1 event?".to_owned(), "Discard 2 events?".to_owned()));
    }

    #[test]
    fn an_unknown_language_falls_back_to_english() {
        let given = |args: &[&str]| language_of(args.iter().map(|arg| (*arg).to_owned()));
        assert_eq!(given(&["replay-tool", "fly", "--lang", "zh-CN"]), Language::Chinese);
        assert_eq!(given(&["replay-tool", "--lang=zh-CN", "fly"]), Language::Chinese);
        assert_eq!(given(&["replay-tool", "--lang", "de"]), Language::English);
    }
}
