//! Every text exists in every language, and every text is used: compared with the catalog of the domain, with the
//! golden events, and with the sources of all crates.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its files fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use soonshop_domain::metadata::{ActorKind, Channel};
use soonshop_domain::personal::Purpose;
use soonshop_domain::{TYPES, catalog, context};
use soonshop_texts::{Language, SYSTEM_ERRORS};
use strum::IntoEnumIterator as _;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every type of event.
fn events() -> BTreeSet<&'static str> {
    catalog::event_types().iter().map(|event| event.name).collect()
}

fn keys(language: Language) -> BTreeSet<&'static str> {
    language.keys().into_iter().collect()
}

/// The rest of every key with this prefix, without attributes.
fn with_prefix(prefix: &str) -> BTreeSet<&'static str> {
    let keys = Language::English.keys().into_iter();
    keys.filter_map(|key| key.split('.').next()?.strip_prefix(prefix)).collect()
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The sources of all other crates, by path.
fn sources() -> BTreeMap<PathBuf, String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("Cargo.toml").is_file() && folder.join("src").is_dir() && !folder.ends_with("texts") {
            rust_files(&folder.join("src"), &mut files);
        }
    }
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect()
}

/// The parts of a source between quotes: its string literals, and the code between them.
fn literals(source: &str) -> impl Iterator<Item = &str> {
    source.lines().flat_map(|line| line.split('"').skip(1))
}

#[test]
fn the_languages_have_the_same_keys_with_the_same_variables() {
    let (english, chinese) = (keys(Language::English), keys(Language::Chinese));
    let only_english: Vec<_> = english.difference(&chinese).collect();
    let only_chinese: Vec<_> = chinese.difference(&english).collect();
    assert!(only_english.is_empty(), "not in zh-CN: {only_english:?}");
    assert!(only_chinese.is_empty(), "not in en: {only_chinese:?}");
    for key in english {
        let variables = |language: Language| {
            language.variables(key).unwrap().iter().map(String::as_str).collect::<BTreeSet<_>>()
        };
        assert_eq!(variables(Language::English), variables(Language::Chinese), "{key}");
    }
}

#[test]
fn every_text_is_in_its_language() {
    // Equal in both languages: names, layouts, and texts that hold only variables.
    let same = |text: &str| {
        text.is_empty() || ["API", "[y/N]", "UUID"].contains(&text) || !text.contains(char::is_alphabetic)
    };
    for key in keys(Language::English) {
        let text = |language: Language| {
            language.fill_with(key, |_| "".into()).unwrap_or_else(|| panic!("{key} has no text"))
        };
        let (english, chinese) = (text(Language::English), text(Language::Chinese));
        assert!(
            english.chars().all(|sign| sign.is_ascii() || "“”×…–".contains(sign)),
            "{key} in English: {english}"
        );
        assert!(
            same(english.trim()) || same(chinese.trim()) || !chinese.is_ascii(),
            "{key} in Chinese: {chinese}"
        );
    }
}

#[test]
fn every_event_of_the_catalog_has_a_title_and_a_sentence() {
    assert_eq!(with_prefix("event-"), events());
    for event in events() {
        for key in [format!("event-{event}"), format!("event-{event}.sentence")] {
            assert!(keys(Language::English).contains(key.as_str()), "{key} is missing");
        }
        assert!(
            Language::English.find(&format!("event-{event}")).is_some(),
            "a title has no variables: {event}"
        );
    }
}

/// The paths of the fields of an event, as sentences name them.
fn paths(value: &Value, at: &str, into: &mut BTreeSet<String>) {
    into.insert(at.to_owned());
    for (name, field) in value.as_object().into_iter().flatten() {
        let path = if at.is_empty() { name.clone() } else { format!("{at}-{name}") };
        paths(field, &path, into);
    }
}

/// The golden files of optional fields that an event got without a new version.
fn fields_that_came_later(event: &str) -> Vec<Value> {
    let files =
        fs::read_dir(root().join("domain/tests/golden/added")).unwrap().map(|file| file.unwrap().path());
    let own = files.filter(|file| {
        file.file_name().unwrap().to_str().unwrap().split('.').next().is_some_and(|name| name == event)
    });
    own.map(|file| serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()).collect()
}

#[test]
fn a_sentence_names_only_fields_that_its_event_has() {
    for event in events() {
        let file = root().join(format!("domain/tests/golden/events/{event}.v1.json"));
        let golden: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        // The name of the event's aggregate.
        let mut known = BTreeSet::from(["self".to_owned()]);
        paths(&golden[event], "", &mut known);
        for added in fields_that_came_later(event) {
            paths(&added[event], "", &mut known);
        }
        for variable in Language::English.variables(&format!("event-{event}.sentence")).unwrap() {
            assert!(known.contains(variable), "{event} has no field {variable}");
        }
    }
}

fn names<T: AsRef<str>>(all: impl Iterator<Item = T>) -> BTreeSet<String> {
    all.map(|one| one.as_ref().to_owned()).collect()
}

#[test]
fn every_code_of_the_domain_and_of_the_system_has_a_name() {
    let found = |prefix| with_prefix(prefix).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(found("aggregate-"), names(TYPES.iter()));
    assert_eq!(found("actor-"), names(ActorKind::iter()));
    assert_eq!(found("context-"), names(context::NAMES.iter()));
    assert_eq!(found("page-channel-"), names(Channel::iter()));
    assert_eq!(found("system-error-"), names(SYSTEM_ERRORS.iter().map(|(_, name)| *name)));
    let purposes: BTreeSet<String> = names(Purpose::iter());
    let keys = keys(Language::English);
    let fields = keys.iter().filter_map(|key| key.strip_prefix("field-purposes."));
    assert_eq!(fields.map(str::to_owned).collect::<BTreeSet<_>>(), purposes);
}

/// Keys that are composed at run time: their prefix, and every code that can follow. Each code must be in a source, as
/// a string or as the name of a variant.
const PUT_TOGETHER: &[(&str, &str)] = &[
    (
        "mail-",
        "register account-exists reset email undo sign-in claim password-changed factor-added factor-removed recovery-codes-made \
         recovery-code-used provider-linked client-allowed",
    ),
    (
        "page-account-done-",
        "registered later reset email undo signed-out password email-asked claimed profile address address-removed linked unlinked",
    ),
    ("page-channel-", "storefront admin api webhook import process job cli"),
    (
        "page-did-",
        "account-disable account-enable account-end-sessions account-open account-password account-reset-factor account-roles acknowledge check clock-confirm delete-view discard export key-create key-revoke key-rotate look-up process-acknowledge process-retry read-personal rebuild rename-view \
         retire retry reveal rollback save-view sign-in swap verify",
    ),
    ("page-command-retry-", "requested sent nothing"),
    ("page-compared-", "digest full sample"),
    ("page-density-", "comfortable compact"),
    ("page-exit-code-", "1 2 4 5 69 75 124 130 143"),
    ("page-failures-acknowledged-", "done nothing"),
    (
        "page-fault-",
        "missing twice unknown value one-line too-long id sku location currency choice time zone number backwards short-reason \
         control-characters tag tags empty-note pattern empty-name personal",
    ),
    ("page-filter-", "type agg actor chan"),
    ("page-found-by-", "number sku name position id hash key similar"),
    (
        "page-front-check-",
        "certificate event-store read-models keys schema operations seals accounts erasure-register damage followers workers \
         processes parked facts mails bus cache rates search disk clock integrity",
    ),
    ("page-front-document-", "readme api audit architecture operating deployment"),
    ("page-front-role-", "all command-api query-api projector relay reactor"),
    ("page-instances-", "open stuck all"),
    ("page-kind-of-run-", "rebuild verify swap rollback"),
    ("page-only-", "group failures"),
    ("page-process-", "running stopped off unknown"),
    (
        "page-remedy-",
        "event-store read-models keys schema operations seals accounts erasure-register damage workers processes parked facts mails bus cache \
         rates search disk clock integrity broker-full broker-rights cache-writes certificate clock-was-ahead cut-off damaged \
         damaged-model disk-error disk-full file-missing file-rights index-blocked index-damaged index-missing locked login migrate name queue-settings read-only rebuild reindex release rights \
         held late stalled stopped client-certificate own-certificate server-files server-issuer",
    ),
    ("page-range-", "proved broken other-key after-broken-seal acknowledged"),
    ("page-run-", "running paused done found refused failed interrupted cancelled silent"),
    (
        "page-scope-",
        "own read read-personal figures shop register trade stock fulfil refund charge override act-on-behalf audit retry-parked acknowledge",
    ),
    ("page-sealed-", "log record"),
    ("page-sink-", "cache index rows"),
    ("page-sort-", "recorded occurred"),
    (
        "page-step-",
        "new reserving refusing confirmed waiting cancelling open expiring holding paying undoing ended",
    ),
    (
        "page-term-",
        "unknown quote text type agg id actor chan correlation command cause subject reason amount created occurred",
    ),
    ("page-theme-", "auto light dark"),
    ("page-timeout-", "confirmation shipment expiry hold"),
    ("page-verdict-", "intact broken unproven tail nothing"),
    ("page-view-", "waterfall tree table renamed deleted"),
    ("role-", "admin auditor finance ops own support warehouse"),
    (
        "seal-fault-",
        "row-unreadable row-out-of-order rows-missing recorded-earlier events-cut-off seals-cut-off other-than-read event-gone \
         event-moved sealed-elsewhere event-replaced never-sealed event-changed seal-unreadable seal-of-other-log seal-count seal-leaves \
         seal-signature seal-not-first seal-before-missing seals-missing seal-not-next key-not-named \
         other-key-not-named signed-by-others file-changed file-cut-off",
    ),
    (
        "tool-code-",
        "active building cache cancelled caught-up changed deployed died different done equal errors event-log \
         export-broken failed found index inserted integrity interrupted key-of-notes key-unknown lag log missing nobody parked \
         paused previous ready record-seals refused rejected relay reordered retired rights rollback rolled-back rows \
         running scratch seal-broken seals search signature-bad swap until",
    ),
];

/// Keys with these prefixes that are written out in full.
const NAMED_WHOLE: &[&str] = &[
    "page-command-retry-what",
    "page-compared-bytes",
    "page-compared-how",
    "page-compared-without",
    "page-instances-none",
    "page-instances-of-it",
    "page-instances-more",
    "page-step-missing",
    "page-sealed-to",
    "page-view-name",
    "page-view-frozen",
    "page-view-save",
    "page-view-saved-by",
    "page-view-change",
    "page-view-rename",
    "page-view-new-name",
    "page-view-delete",
    "page-view-delete-what",
    "page-view-deleted-by",
];

/// The spellings of `caught-up` in sources.
fn spellings(code: &str) -> [String; 4] {
    let camel = code.split('-').map(|word| word[..1].to_uppercase() + &word[1..]).collect::<String>();
    let [spaces, lines] = [" ", "_"].map(|between| code.replace('-', between));
    [code.to_owned(), spaces, lines, camel]
}

#[test]
fn composed_keys_match_the_existing_codes() {
    let sources = sources();
    let mut words: BTreeSet<&str> = sources.values().flat_map(|source| literals(source)).collect();
    words.extend(sources.values().flat_map(|source| source.split(|sign: char| !sign.is_alphanumeric())));
    for (prefix, codes) in PUT_TOGETHER {
        let codes: BTreeSet<&str> = codes.split_whitespace().collect();
        let named: BTreeSet<&str> = NAMED_WHOLE.iter().filter_map(|key| key.strip_prefix(prefix)).collect();
        let found = with_prefix(prefix);
        let missing: Vec<_> = codes.difference(&found).collect();
        let extra: Vec<_> =
            found.iter().filter(|code| !codes.contains(*code) && !named.contains(*code)).collect();
        assert!(
            missing.is_empty() && extra.is_empty(),
            "{prefix}: {missing:?} are missing, {extra:?} unknown"
        );
        for code in codes {
            let there = spellings(code).iter().any(|spelling| words.contains(spelling.as_str()));
            assert!(there, "no source knows the code {code} of {prefix}{code}");
        }
    }
}

#[test]
fn every_key_is_used_and_every_used_key_exists() {
    let sources = sources();
    let all: BTreeSet<&str> = sources.values().flat_map(|source| literals(source)).collect();
    let pages: BTreeSet<&str> = sources
        .values()
        .filter(|source| source.contains(".word(") || source.contains(".word_of("))
        .flat_map(|source| literals(source))
        .collect();
    let put_together = |key: &str| {
        PUT_TOGETHER.iter().any(|(prefix, _)| key.starts_with(prefix)) && !NAMED_WHOLE.contains(&key)
    };
    let unused: Vec<_> = keys(Language::English)
        .into_iter()
        .filter(|key| match key.split_once('-') {
            _ if put_together(key) => false,
            // Compared with the command line instead, in `replay-tool/src/help.rs`.
            Some(("tool", name)) if name.split(['-', '.']).next() == Some("help") => false,
            // Compared with the catalog instead, with `SYSTEM_ERRORS`, and with the pages of all problems.
            Some(("event" | "aggregate" | "actor" | "context" | "field" | "system" | "problem", _)) => false,
            Some(("page", name)) => !pages.contains(name),
            _ => !all.contains(key),
        })
        .collect();
    assert!(unused.is_empty(), "no source uses {unused:?}");

    let known = keys(Language::English);
    for (path, source) in &sources {
        for call in ["view.word(\"", "view.counted(\"", "language.word(\"", "language.fill(\""] {
            for rest in source.split(call).skip(1) {
                let name = rest.split('"').next().unwrap();
                let key = match name.strip_prefix("refused-") {
                    Some(slug) => format!("problem-{slug}"),
                    None => format!("page-{name}"),
                };
                let there = known.contains(name) || known.contains(key.as_str());
                assert!(there, "{} uses {name}, which is in no language", path.display());
            }
        }
        for literal in literals(source).filter(|literal| literal.starts_with("tool-")) {
            assert!(known.contains(literal) || literal == "tool-code-", "{literal} is in no language");
        }
    }
}

#[test]
fn every_type_of_problem_has_its_text_in_both_languages_and_its_page() {
    let pages = fs::read_dir(root().join("docs/problems")).unwrap();
    let mut pages: BTreeSet<String> =
        pages.map(|page| page.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert!(pages.contains("credit-too-large"), "{pages:?}");
    // For one that this release does not know.
    pages.insert("otherwise".to_owned());
    for language in [Language::English, Language::Chinese] {
        let texts = keys(language).into_iter().filter_map(|key| key.strip_prefix("problem-"));
        let texts: BTreeSet<String> = texts.map(str::to_owned).collect();
        assert_eq!(texts, pages, "{}", language.tag());
    }
}

/// Reads the files themselves: Fluent drops what it cannot parse, and takes the last of two texts with one key.
#[test]
fn every_catalogue_can_be_read_and_has_each_key_once() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("locales");
    for language in Language::ALL {
        let mut seen = BTreeSet::new();
        for entry in fs::read_dir(folder.join(language.tag())).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let parsed = fluent_syntax::parser::parse(text.as_str());
            let parsed = parsed.unwrap_or_else(|(_, faults)| panic!("{}: {faults:?}", path.display()));
            for entry in &parsed.body {
                if let fluent_syntax::ast::Entry::Message(message) = entry {
                    let name = message.id.name;
                    assert!(seen.insert(name.to_owned()), "{name} is there twice in {}", language.tag());
                }
            }
        }
        assert!(!seen.is_empty());
    }
}

#[test]
fn a_missing_key_is_shown_itself() {
    assert_eq!(Language::English.text("page-unheard"), "page-unheard");
    assert_eq!(Language::Chinese.fill("page-unheard", &[("count", 1.into())]), "page-unheard");
    assert_eq!(Language::English.find("event-OrderPlaced.unheard"), None);
    assert_eq!(Language::English.fill_with("page-unheard", |_| "".into()), None);
}

#[test]
fn a_number_selects_the_plural_form() {
    let tail = |language: Language, count: i64| language.fill("page-tail", &[("count", count.into())]);
    assert_eq!(tail(Language::English, 0), "0 events are not sealed yet.");
    assert_eq!(tail(Language::English, 1), "1 event is not sealed yet.");
    assert_eq!(tail(Language::Chinese, 1), "1 个事件尚未封存。");
}

#[test]
fn a_locale_selects_a_language_only_with_utf8() {
    for locale in ["zh_CN.UTF-8", "zh_CN", "zh_TW.utf8", "zh-CN", "zh_CN.UTF-8@pinyin"] {
        assert_eq!(Language::of_locale(locale), Language::Chinese, "{locale}");
    }
    for locale in ["C", "POSIX", "en_GB.UTF-8", "zh_CN.GB18030", "de_DE@euro", "", "汉"] {
        assert_eq!(Language::of_locale(locale), Language::English, "{locale}");
    }
}

#[test]
fn padding_counts_columns_as_a_terminal_does() {
    let row = |language: Language| {
        let filled = language.fill_with("tool-sink-row", |variable| match variable {
            "sink" => language.find("tool-code-log").unwrap_or_default().into(),
            _ => "1".into(),
        });
        filled.unwrap_or_default()
    };
    assert_eq!(row(Language::English), "    log    at 1            worker 1");
    assert_eq!(row(Language::Chinese), "    日志   位置 1            工作进程 1");
}

/// Words after a one that end like a plural and are none, or are counted by another number.
const SINGULAR: &[&str] = &[
    "is", "was", "has", "its", "this", "as", "s", "ms", "less", "process", "address", "bus", "comes",
    "differs", "does", "matches", "readers",
];

/// The plural after each number one in a text: the next word, or the one after it.
fn wrong_plurals(text: &str) -> Vec<String> {
    let words: Vec<_> = text.split_whitespace().collect();
    let begins = words.iter().enumerate().filter(|(_, word)| **word == "1").map(|(at, _)| at + 1);
    let after = begins.flat_map(|at| words[at.min(words.len())..words.len().min(at + 2)].iter());
    // `events: 1 processed` names what is counted, whatever the count.
    let bare = after
        .filter(|word| !word.ends_with(':'))
        .map(|word| word.trim_matches(|sign: char| !sign.is_ascii_alphabetic()));
    let plural = |word: &&str| {
        word.ends_with('s') && word.bytes().all(|byte| byte.is_ascii_lowercase()) && !SINGULAR.contains(word)
    };
    bare.filter(plural).map(str::to_owned).collect()
}

#[test]
fn one_is_never_followed_by_a_plural() {
    let mut wrong = Vec::new();
    for key in Language::English.keys() {
        let text = Language::English.fill_with(key, |_| 1.into()).unwrap();
        wrong.extend(wrong_plurals(&text).into_iter().map(|word| format!("{key}: {word} in {text}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(wrong_plurals("1 events, 1 parked event, 1 new events; 11 events"), ["events", "events"]);
}

#[test]
fn a_noun_that_is_counted_has_a_form_for_one() {
    for (key, one, more) in
        [("page-events", "event", "events"), ("page-rows", "row", "rows"), ("page-seals", "seal", "seals")]
    {
        let of = |count: i64| Language::English.fill(key, &[("count", count.into())]);
        assert_eq!([of(0), of(1), of(2), of(21)], [more, one, more, more]);
    }
    let lately = |count: i64, minutes: i64| {
        Language::English
            .fill("page-appended-lately", &[("count", count.into()), ("minutes", minutes.into())])
    };
    assert_eq!(lately(1, 1), "1 event in the last minute");
    assert_eq!(lately(2, 15), "2 events in the last 15 minutes");
}

/// The names of all fields of a value.
fn field_names(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                into.insert(name.clone());
                // The names of attributes are the shop's.
                if name != "attributes" {
                    field_names(field, into);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| field_names(item, into)),
        _ => {}
    }
}

fn golden(folder: &str) -> Vec<Value> {
    let files = fs::read_dir(root().join("domain/tests/golden").join(folder)).unwrap();
    files
        .map(|file| serde_json::from_str(&fs::read_to_string(file.unwrap().path()).unwrap()).unwrap())
        .collect()
}

#[test]
fn every_field_of_events_and_states_has_a_name_in_both_languages() {
    let mut names = BTreeSet::new();
    for event in ["events", "added"].iter().flat_map(|folder| golden(folder)) {
        event.as_object().unwrap().values().for_each(|fields| field_names(fields, &mut names));
    }
    let mut statuses = BTreeSet::new();
    for state in golden("states").iter().flat_map(|file| file.as_array().unwrap().clone()) {
        field_names(&state["state"], &mut names);
        statuses.extend(state["state"]["status"].as_str().map(str::to_owned));
    }
    // Keys of maps, by an id.
    let is_id = |name: &str| name.len() == 36 && name.matches('-').count() == 4;
    names.retain(|name| !name.contains('/') && name.parse::<u64>().is_err() && !is_id(name));
    assert!(names.len() > 30 && statuses.len() > 5);
    for language in Language::ALL {
        for name in &names {
            assert!(
                language.find(&format!("field-{name}")).is_some(),
                "{name} has no name in {}",
                language.tag()
            );
        }
        for status in &statuses {
            assert!(
                language.value_of("/status", status).is_some(),
                "{status} has no name in {}",
                language.tag()
            );
        }
    }
}

#[test]
fn a_path_of_fields_is_read_in_words() {
    let of = |path| Language::Chinese.field(path);
    assert_eq!(of("/placed/lines/number=1/sku"), "下单内容 / 各行 / 编号 1 / 货号");
    assert_eq!(of("variant.price"), "款式 / 价格");
    assert_eq!(of("/attributes/name"), "属性 / name");
    assert_eq!(of("/lines/0199~11"), "各行 / 0199/1");
    let value = |path, code| Language::Chinese.value_of(path, code);
    assert_eq!(value("/status", "shipped"), Some("已发货"));
    assert_eq!(value("/lines/0199aabb-0000~11", "released"), Some("已释放"));
    assert_eq!(value("refusal-reason", "insufficient-stock"), Some("库存不足"));
    assert_eq!(value("/attributes/status", "shipped"), None);
    assert_eq!(value("/placed/country", "France"), None);
    assert_eq!(value("/status", "a b"), None);
}
