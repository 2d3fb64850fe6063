//! The texts of the pages, from the catalogues of `soonshop-texts`: how their names are mapped to keys, and how the
//! fields of an event are filled into its sentence.

use serde_json::{Map, Value};
use soonshop_audit::amounts;
use soonshop_domain::text::visible;
use soonshop_event_log::seal::Fault;
use soonshop_texts::Value as Filled;
use uuid::Uuid;

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Chinese,
}

/// The prefixes of keys that pages leave out: their own texts, and the codes that they show.
const PREFIXES: [&str; 4] = ["page-", "aggregate-", "actor-", "role-"];

/// The texts with variables, whose values the pages give in this order.
const VARIABLES: &[(&str, &[&str])] = &[
    ("account-provider-link-one", &["provider"]),
    ("aggregates", &["count"]),
    ("appended-lately", &["count", "minutes"]),
    ("at-positions", &["count", "found"]),
    ("axis", &["whole", "pauses"]),
    ("changes-more", &["count"]),
    ("commands-wait", &["count"]),
    ("documents-different", &["count"]),
    ("effects", &["count"]),
    ("events", &["count"]),
    ("fold", &["count"]),
    ("folded-deeper", &["count"]),
    ("folded-more", &["count"]),
    ("line", &["number"]),
    ("live-left-out", &["from", "to"]),
    ("live-new", &["count"]),
    ("missed-asof", &["version"]),
    ("missed-asof-unreadable", &["version"]),
    ("missed-version", &["version"]),
    ("missed-where", &["version"]),
    ("missed-where-unreadable", &["version"]),
    ("notes-there", &["count", "most"]),
    ("of-unsent", &["count"]),
    ("parked-some", &["count", "causes"]),
    ("parts-total", &["count"]),
    ("queue-and-handle", &["waited", "handled"]),
    ("record-signed-in", &["count"]),
    ("recovery-codes-left", &["count"]),
    ("relay-waits", &["count"]),
    ("retry-asked", &["count"]),
    ("rows", &["count"]),
    ("rows-more", &["count"]),
    ("rows-not-named", &["count"]),
    ("runs-alive", &["count"]),
    ("seals", &["count"]),
    ("slider-at", &["version", "last", "moment"]),
    ("state-more", &["count"]),
    ("step-missing", &["event", "elapsed", "expected", "limit"]),
    ("sign-in-with", &["provider"]),
    ("tail", &["count"]),
    ("is-stalled", &["position"]),
    ("title-about", &["page", "what"]),
    ("title-version", &["thing", "version"]),
    ("unknown-parameter", &["name"]),
    ("unknown-value", &["name"]),
];

/// The variable of a sentence that is filled with the name of the event's aggregate.
const OWN_NAME: &str = "self";

impl Language {
    /// Its tag, as a parameter and in `lang`.
    pub(crate) const TAGS: &'static [&'static str] = soonshop_texts::Language::TAGS;

    pub(crate) fn of(tag: &str) -> Self {
        match soonshop_texts::Language::of(tag) {
            soonshop_texts::Language::English => Self::English,
            soonshop_texts::Language::Chinese => Self::Chinese,
        }
    }

    /// Whether that tag, such as `zh-TW`, is of a language that the pages are written in.
    pub(crate) fn is_spoken(tag: &str) -> bool {
        let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
        Self::TAGS.iter().any(|known| primary(known) == primary(tag))
    }

    /// Its catalogue.
    const fn texts(self) -> soonshop_texts::Language {
        match self {
            Self::English => soonshop_texts::Language::English,
            Self::Chinese => soonshop_texts::Language::Chinese,
        }
    }

    pub(crate) fn tag(self) -> &'static str {
        self.texts().tag()
    }

    /// Every tag, and the language's own name.
    pub(crate) const NAMES: [(&'static str, &'static str); 2] = [
        (Self::English.texts().tag(), Self::English.texts().name()),
        (Self::Chinese.texts().tag(), Self::Chinese.texts().name()),
    ];

    /// The language's own name.
    pub(crate) fn name(self) -> &'static str {
        self.texts().name()
    }

    /// A text of the pages; a missing one is shown by its name.
    pub(crate) fn word(self, name: &'static str) -> &'static str {
        self.find(name).unwrap_or(name)
    }

    /// A text whose name is composed at run time, if it exists.
    pub(crate) fn find(self, name: &str) -> Option<&'static str> {
        if let Some(slug) = name.strip_prefix("refused-") {
            return self.texts().find(&format!("problem-{slug}"));
        }
        PREFIXES.iter().find_map(|prefix| self.texts().find(&format!("{prefix}{name}")))
    }

    /// A text with its variables filled in; a whole number selects the plural form.
    pub(crate) fn fill(self, name: &'static str, values: &[&str]) -> String {
        let names = VARIABLES.iter().find(|(text, _)| *text == name).map_or(&[][..], |(_, names)| names);
        let values = names.iter().zip(values).map(|(name, value)| (*name, Filled::counted(value)));
        self.texts().fill(&format!("page-{name}"), &values.collect::<Vec<_>>())
    }

    /// The name of a field, by its path. `other` gives the names of parts that are no names of fields.
    pub(crate) fn field(self, path: &str, other: impl Fn(&str) -> Option<String>) -> String {
        self.texts().field_with(path, other)
    }

    /// The name of a value of a field, where it is a code that has one.
    pub(crate) fn value_of(self, path: &str, code: &str) -> Option<&'static str> {
        self.texts().value_of(path, code)
    }

    /// Why a position or a seal does not match.
    pub(crate) fn fault(self, fault: &Fault) -> String {
        let values = serde_json::to_value(fault).unwrap_or_default();
        let code = values["code"].as_str().unwrap_or_default();
        let text =
            self.texts().fill_with(&format!("seal-fault-{code}"), |variable| value(&values[variable]).into());
        text.unwrap_or_else(|| fault.to_string())
    }

    /// The description of a context, if it has a text.
    pub(crate) fn context(self, name: &str) -> Option<&'static str> {
        self.texts().find(&format!("context-{name}"))
    }

    /// The title of an event type; without one, the type itself.
    pub(crate) fn kind(self, event: &str) -> String {
        self.texts().find(&format!("event-{event}")).map_or_else(|| event.to_owned(), str::to_owned)
    }

    /// The sentence of an event with its fields filled in; without one, the type itself. `name` gives the name of an id
    /// in a field, and that of the event's own aggregate.
    pub(crate) fn sentence(
        self,
        event: &str,
        fields: &Value,
        name: impl Fn(Option<&str>) -> String,
    ) -> String {
        let none = Map::new();
        let fields = fields.as_object().unwrap_or(&none);
        // A variable's name cannot contain dots, but the path of a field does.
        let filled = self.texts().fill_with(&format!("event-{event}.sentence"), |variable| {
            let field = fields.get(&variable.replace('-', "."));
            match field {
                None if variable == OWN_NAME => name(None).into(),
                None => "–".into(),
                Some(Value::String(id)) if Uuid::try_parse(id).is_ok() => name(Some(id)).into(),
                Some(field) => self.place(variable, field),
            }
        });
        filled.unwrap_or_else(|| event.to_owned())
    }

    /// A text by its whole key; its variables are asked for by name.
    pub(crate) fn filled(self, key: &str, value: impl FnMut(&str) -> Filled<'static>) -> Option<String> {
        self.texts().fill_with(key, value)
    }

    /// The value of a variable in a sentence: a code with a name is shown by that name.
    fn place(self, variable: &str, field: &Value) -> Filled<'static> {
        match field {
            Value::Array(items) => {
                let items = items.iter().map(|item| self.one(variable, item));
                items.collect::<Vec<_>>().join(", ").into()
            }
            Value::Number(number) => {
                number.as_i64().map_or_else(|| number.to_string().into(), Filled::Number)
            }
            other => self.one(variable, other).into(),
        }
    }

    fn one(self, variable: &str, field: &Value) -> String {
        let named = field.as_str().and_then(|code| self.value_of(variable, code));
        named.map_or_else(|| value(field), str::to_owned)
    }
}

/// A value as people read it.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => visible(text).into_owned(),
        Value::Array(items) => items.iter().map(self::value).collect::<Vec<_>>().join(", "),
        Value::Object(_) => amounts::shown_value(value).unwrap_or_else(|| value.to_string()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use soonshop_domain::catalog::event_types;
    use strum::IntoEnumIterator as _;

    use super::*;

    const ID: &str = "0199a6c2-7b1e-7c4e-9d2f-0a1b2c3d4e5f";

    /// No id has a name.
    fn unnamed(id: Option<&str>) -> String {
        soonshop_audit::name::short(id.unwrap_or(ID))
    }

    #[test]
    fn a_sentence_shows_names_in_place_of_ids() {
        let fields =
            json!({ "quantity": 2, "sku": "MUG-01", "line": 731, "order_id": ID, "location": "main" });
        let message =
            |name: fn(Option<&str>) -> String| Language::English.sentence("StockReserved", &fields, name);
        assert_eq!(message(|_| "558638".to_owned()), "2 × MUG-01 reserved for line 731 of order 558638");
        assert_eq!(message(unnamed), "2 × MUG-01 reserved for line 731 of order …2c3d4e5f");
        let own =
            Language::English.sentence("OrderShipped", &json!({}), |id| id.unwrap_or("558638").to_owned());
        assert_eq!(own, "Order 558638 was shipped");
    }

    #[test]
    fn texts_have_exactly_the_variables_that_pages_fill_in() {
        for language in [Language::English, Language::Chinese] {
            for (name, given) in VARIABLES {
                let mut variables = language.texts().variables(&format!("page-{name}")).unwrap().to_vec();
                variables.sort();
                let mut given = given.to_vec();
                given.sort_unstable();
                assert_eq!(variables, given, "{name}");
            }
            let keys = language.texts().keys();
            let filled = keys.iter().filter(|key| {
                key.starts_with("page-") && !language.texts().variables(key).unwrap_or_default().is_empty()
            });
            assert_eq!(filled.count(), VARIABLES.len());
        }
    }

    #[test]
    fn every_event_has_a_title_and_a_sentence() {
        for event in event_types().iter().map(|event| event.name) {
            for language in [Language::English, Language::Chinese] {
                assert_ne!(language.kind(event), event);
                assert_ne!(language.sentence(event, &json!({}), unnamed), event);
            }
        }
    }

    #[test]
    fn every_fault_of_a_seal_has_its_text_in_both_languages() {
        for fault in Fault::iter() {
            assert_eq!(Language::English.fault(&fault), fault.to_string());
            assert!(!Language::Chinese.fault(&fault).is_ascii(), "{fault}");
        }
        let fault = Fault::SealsMissing { seal: 7, last: 5 };
        assert_eq!(Language::Chinese.fault(&fault), "封条 7：缺少其前一个封条，最后一个是 5");
    }

    #[test]
    fn a_count_selects_the_plural_form() {
        assert_eq!(Language::English.fill("tail", &["1"]), "1 event is not sealed yet.");
        assert_eq!(Language::English.fill("tail", &["2"]), "2 events are not sealed yet.");
        assert_eq!(Language::Chinese.fill("tail", &["1"]), "1 个事件尚未封存。");
        assert_eq!(["1", "2"].map(|count| Language::English.fill("events", &[count])), ["event", "events"]);
        assert_eq!(Language::Chinese.fill("events", &["1"]), "个事件");
        assert_eq!(Language::Chinese.fill("relay-waits", &["0"]), "总线未确认的事件：0");
        let at = |language: Language| {
            [["1", "20"], ["2", "3…7"]].map(|values| language.fill("at-positions", &values))
        };
        assert_eq!(at(Language::English), ["position 20", "positions 3…7"]);
        assert_eq!(at(Language::Chinese), ["位置 20", "位置 3…7"]);
    }

    #[test]
    fn a_sentence_shows_a_dash_for_a_missing_value() {
        let fields = json!({ "number": "S-1", "lines": 2, "total": { "amount": 1299, "currency": "GBP" } });
        let message = Language::English.sentence("OrderPlaced", &fields, unnamed);
        assert_eq!(message, "Order S-1 was placed: 2 lines, GBP 12.99");
        assert_eq!(
            Language::Chinese.sentence("OrderCancelled", &json!({}), unnamed),
            "订单 …2c3d4e5f 已取消：–"
        );
        assert_eq!(Language::English.sentence("Unheard", &json!({}), unnamed), "Unheard");
    }

    #[test]
    fn the_usual_codes_of_reasons_have_names_in_both_languages_and_others_stay_as_they_are() {
        for field in ["reason", "/cancelled_because"] {
            let of = |code: &str| [Language::English, Language::Chinese].map(|one| one.value_of(field, code));
            assert_eq!(of("changed-mind"), [Some("changed mind"), Some("改变主意")], "{field}");
            assert_eq!(of("goods-damaged"), [Some("goods damaged"), Some("商品损坏")], "{field}");
            assert_eq!(of("rma2024-17"), [None, None], "{field}");
        }
    }

    #[test]
    fn the_reason_of_a_refusal_is_shown_in_words() {
        let fields =
            json!({ "refusal.line": 2, "refusal.sku": "CUP", "refusal.reason": "insufficient-stock" });
        let message =
            [Language::English, Language::Chinese].map(|one| one.sentence("OrderRefused", &fields, unnamed));
        assert_eq!(message[0], "Order …2c3d4e5f was refused: line 2, CUP, not enough in stock");
        assert_eq!(message[1], "订单 …2c3d4e5f 被拒绝：第 2 行，CUP，库存不足");
    }

    #[test]
    fn a_code_in_a_sentence_is_shown_by_its_name() {
        let fields = json!({ "purposes": ["account", "invoice", "unheard"] });
        assert_eq!(
            Language::Chinese.sentence("ErasureRequested", &fields, unnamed),
            "请求删除当事人 …2c3d4e5f 的个人信息：账户, 发票, unheard"
        );
        let fields = json!({ "variant.sku": "A\u{202e}-1", "variant.price": "1" });
        assert!(!Language::English.sentence("ProductVariantAdded", &fields, unnamed).contains('\u{202e}'));
    }
}
