//! The summary of an event, made in one pass over its JSON: its fields for a sentence, and its words for search.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use soonshop_domain::{Event, Sensitive as _};

/// The JSON that a summary has in place of a personal value.
const PERSONAL: &str = r#"{"personal":true}"#;

/// The longest text in a summary, in characters.
const LONGEST: usize = 120;

/// A field of a summary, in its JSON: `"path":` and the value.
struct Field {
    whole: Range<usize>,
    value: usize,
}

/// A word, with its first bytes as a number for fast comparison: an order has hundreds of words, and most differ
/// there.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Word<'de> {
    head: u64,
    text: Cow<'de, str>,
}

impl<'de> From<Cow<'de, str>> for Word<'de> {
    fn from(text: Cow<'de, str>) -> Self {
        let mut head = [0; 8];
        let length = text.len().min(8);
        head[..length].copy_from_slice(&text.as_bytes()[..length]);
        Self { head: u64::from_be_bytes(head), text }
    }
}

/// The summary of one event.
#[derive(Default)]
pub(crate) struct EventSummary<'de> {
    /// The JSON of all fields, one after the other.
    json: String,
    fields: Vec<Field>,
    /// Every text in lower case, and every number; nothing personal.
    words: Vec<Word<'de>>,
    /// The encrypted values of the event.
    encrypted: HashSet<String>,
    /// A text may be an encrypted value.
    suspicious: bool,
    /// The path of the value that is read now.
    path: String,
}

/// How a value is written. (Its words are kept in any case.)
#[derive(Clone, Copy, PartialEq, Eq)]
enum WriteAs {
    /// A field of the summary, or several.
    Field,
    /// A part of the JSON of a field.
    Part,
    Words,
}

/// The kind of value that was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ValueKind {
    Plain,
    /// An object, or a list that has one in it.
    Object,
}

impl<'de> EventSummary<'de> {
    /// Reads the summary of an event from its JSON.
    pub(crate) fn of_event(event: &Event, json: &'de str) -> serde_json::Result<Self> {
        let summary = Self::read(json, HashSet::new())?;
        if !summary.suspicious {
            return Ok(summary);
        }
        let mut event = event.clone();
        let encrypted = event.personal().iter().filter_map(|value| value.jwe().map(str::to_owned)).collect();
        Self::read(json, encrypted)
    }

    fn read(json: &'de str, encrypted: HashSet<String>) -> serde_json::Result<Self> {
        let mut summary =
            Self { encrypted, json: String::with_capacity(json.len().min(512)), ..Self::default() };
        EventReader(&mut summary).deserialize(&mut serde_json::Deserializer::from_str(json))?;
        summary
            .fields
            .sort_unstable_by(|a, b| summary.json[a.whole.clone()].cmp(&summary.json[b.whole.clone()]));
        Ok(summary)
    }

    /// Reads only the words.
    pub(crate) fn words_of<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let mut summary = Self::default();
        ValueReader { summary: &mut summary, what: WriteAs::Words }.deserialize(json)?;
        Ok(summary)
    }

    /// The fields as a JSON object, by their paths.
    pub(crate) fn summary(&self) -> String {
        let mut summary = String::with_capacity(self.json.len() + self.fields.len() + 1);
        for field in &self.fields {
            summary.push(if summary.is_empty() { '{' } else { ',' });
            summary.push_str(&self.json[field.whole.clone()]);
        }
        summary.push_str(if summary.is_empty() { "{}" } else { "}" });
        summary
    }

    /// Every text and number once, in lower case, one per line.
    pub(crate) fn text(mut self) -> String {
        self.words.sort_unstable();
        self.words.dedup();
        self.words.iter().map(|word| &*word.text).collect::<Vec<_>>().join("\n")
    }

    /// Begins a field, and returns where it starts.
    fn begin(&mut self) -> Field {
        let start = self.json.len();
        put(&mut self.json, &self.path);
        self.json.push(':');
        Field { whole: start..start, value: self.json.len() }
    }

    fn end(&mut self, field: Field) {
        self.fields.push(Field { whole: field.whole.start..self.json.len(), ..field });
    }

    /// Writes a value that is neither a list nor an object.
    fn plain(&mut self, what: WriteAs, write: impl FnOnce(&mut String)) -> ValueKind {
        match what {
            WriteAs::Field => {
                let field = self.begin();
                write(&mut self.json);
                self.end(field);
            }
            WriteAs::Part => write(&mut self.json),
            WriteAs::Words => {}
        }
        ValueKind::Plain
    }

    fn number(&mut self, what: WriteAs, number: String) -> ValueKind {
        let read = self.plain(what, |json| json.push_str(&number));
        self.words.push(Word::from(Cow::Owned(number)));
        read
    }

    fn text_of(&mut self, what: WriteAs, text: Cow<'de, str>) -> ValueKind {
        // A JWE is five parts with dots between them (RFC 7516, section 7.1).
        self.suspicious |= text.bytes().filter(|byte| *byte == b'.').count() == 4;
        let personal = self.encrypted.contains(&*text);
        let read = match what {
            WriteAs::Field if personal => self.plain(what, |json| json.push_str(PERSONAL)),
            WriteAs::Field => match text.char_indices().nth(LONGEST) {
                Some((end, _)) => self.plain(what, |json| put(json, &format!("{}…", &text[..end]))),
                None => self.plain(what, |json| put(json, &text)),
            },
            WriteAs::Part | WriteAs::Words => self.plain(what, |json| put(json, &text)),
        };
        if !personal {
            let small = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
            self.words.push(Word::from(if small { text } else { text.to_lowercase().into() }));
        }
        read
    }

    /// Joins the two fields that were added last: an amount and its currency are shown together.
    fn join_money(&mut self) {
        let (Some(currency), Some(amount)) = (self.fields.pop(), self.fields.pop()) else { return };
        let value = |field: &Field| self.json[field.value..field.whole.end].to_owned();
        let (amount, currency, start) = (value(&amount), value(&currency), amount.whole.start);
        self.json.truncate(start);
        let field = self.begin();
        self.json.extend([r#"{"amount":"#, &amount, r#","currency":"#, &currency, "}"]);
        self.end(field);
    }
}

/// Adds a text as JSON.
fn put(json: &mut String, text: &str) {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        json.push_str(&serde_json::Value::from(text).to_string());
    } else {
        json.push('"');
        json.push_str(text);
        json.push('"');
    }
}

/// An event's JSON: its fields, below its name.
struct EventReader<'t, 'de>(&'t mut EventSummary<'de>);

impl<'de> DeserializeSeed<'de> for EventReader<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EventReader<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut event: A) -> Result<(), A::Error> {
        event.next_key::<IgnoredAny>()?.ok_or_else(|| A::Error::custom("an event without a name"))?;
        event.next_value_seed(ValueReader { summary: &mut *self.0, what: WriteAs::Field })?;
        Ok(())
    }
}

/// The name of a field: the path goes on with it.
struct PathReader<'t>(&'t mut String);

impl<'de> DeserializeSeed<'de> for PathReader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for PathReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        if !self.0.is_empty() {
            self.0.push('.');
        }
        self.0.push_str(name);
        Ok(())
    }
}

/// A value.
struct ValueReader<'t, 'de> {
    summary: &'t mut EventSummary<'de>,
    what: WriteAs,
}

impl<'de> DeserializeSeed<'de> for ValueReader<'_, 'de> {
    type Value = ValueKind;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<ValueKind, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueReader<'_, 'de> {
    type Value = ValueKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<ValueKind, E> {
        if self.what == WriteAs::Part {
            self.summary.json.push_str("null");
        }
        Ok(ValueKind::Plain)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<ValueKind, E> {
        Ok(self.summary.plain(self.what, |json| json.push_str(if truth { "true" } else { "false" })))
    }

    fn visit_i64<E>(self, number: i64) -> Result<ValueKind, E> {
        Ok(self.summary.number(self.what, number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<ValueKind, E> {
        Ok(self.summary.number(self.what, number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<ValueKind, E> {
        let number = Number::from_f64(number).ok_or_else(|| E::custom("a number that JSON has not"))?;
        Ok(self.summary.number(self.what, number.to_string()))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<ValueKind, E> {
        Ok(self.summary.text_of(self.what, text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<ValueKind, E> {
        Ok(self.summary.text_of(self.what, text.to_owned().into()))
    }

    /// Writes a list: its values, or its length if it holds objects.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ValueKind, A::Error> {
        let (summary, mut count, mut read) = (self.summary, 0_usize, ValueKind::Plain);
        let field = (self.what == WriteAs::Field).then(|| summary.begin());
        let mut inside = if self.what == WriteAs::Words { WriteAs::Words } else { WriteAs::Part };
        if inside == WriteAs::Part {
            summary.json.push('[');
        }
        while let Some(one) = list.next_element_seed(ValueReader { summary: &mut *summary, what: inside })? {
            count += 1;
            if one == ValueKind::Object {
                (read, inside) = (ValueKind::Object, WriteAs::Words);
            }
            if inside == WriteAs::Part {
                summary.json.push(',');
            }
        }
        if inside == WriteAs::Part {
            if count > 0 {
                summary.json.pop();
            }
            summary.json.push(']');
        }
        if let Some(field) = field {
            if read == ValueKind::Object {
                summary.json.truncate(field.value);
                summary.json.push_str(&count.to_string());
            }
            summary.end(field);
        }
        Ok(read)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<ValueKind, A::Error> {
        let summary = self.summary;
        let (above, already) = (summary.path.len(), summary.fields.len());
        let what = if self.what == WriteAs::Field { WriteAs::Field } else { WriteAs::Words };
        let (mut names, mut money) = (0, true);
        while fields.next_key_seed(PathReader(&mut summary.path))?.is_some() {
            let name = summary.path[above..].trim_start_matches('.');
            money &= name == if names == 0 { "amount" } else { "currency" };
            names += 1;
            fields.next_value_seed(ValueReader { summary: &mut *summary, what })?;
            summary.path.truncate(above);
        }
        if money && names == 2 && summary.fields.len() == already + 2 {
            summary.join_money();
        }
        Ok(ValueKind::Object)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn summary_and_text(fields: &Value, encrypted: &[&str]) -> (Value, String) {
        let json = json!({ "Happened": fields }).to_string();
        let summary =
            EventSummary::read(&json, encrypted.iter().map(|jwe| (*jwe).to_owned()).collect()).unwrap();
        (serde_json::from_str(&summary.summary()).unwrap(), summary.text())
    }

    #[test]
    fn fields_are_named_by_their_paths_and_amounts_are_one_field() {
        let fields = json!({
            "total": { "amount": -5, "currency": "GBP" },
            "variant": { "sku": "MUG", "price": { "amount": 7, "currency": "EUR" }, "size": { "amount": 1, "unit": "kg" } },
            "none": null, "yes": true, "share": 0.5, "empty": {},
        });
        let summary = json!({
            "total": { "amount": -5, "currency": "GBP" },
            "variant.sku": "MUG", "variant.price": { "amount": 7, "currency": "EUR" },
            "variant.size.amount": 1, "variant.size.unit": "kg",
            "yes": true, "share": 0.5,
        });
        assert_eq!(summary_and_text(&fields, &[]), (summary, "-5\n0.5\n1\n7\neur\ngbp\nkg\nmug".to_owned()));
        assert_eq!(summary_and_text(&json!({}), &[]), (json!({}), String::new()));
    }

    #[test]
    fn a_list_of_values_is_shown_and_a_list_of_objects_is_counted() {
        let fields = json!({
            "tags": ["b", "A", null, true, ["c", 1]], "none": [],
            "lines": [{ "sku": "MUG", "of": [{ "x": "deep" }] }, { "sku": "CUP" }],
            "mixed": ["first", { "x": "y" }], "nested": [[1], [{ "x": 2 }]],
        });
        let summary = json!({
            "tags": ["b", "A", null, true, ["c", 1]], "none": [], "lines": 2, "mixed": 2, "nested": 2,
        });
        assert_eq!(
            summary_and_text(&fields, &[]),
            (summary, "1\n2\na\nb\nc\ncup\ndeep\nfirst\nmug\ny".to_owned())
        );
    }

    #[test]
    fn a_personal_value_is_a_marker_and_not_searchable() {
        let fields =
            json!({ "contact": { "email": "a.b.c.d.e", "notes": ["a.b.c.d.e"] }, "host": "v.w.x.y.z" });
        let (summary, text) = summary_and_text(&fields, &["a.b.c.d.e"]);
        assert_eq!(summary["contact.email"], json!({ "personal": true }));
        assert_eq!(summary["host"], "v.w.x.y.z");
        assert_eq!(text, "v.w.x.y.z");
    }

    #[test]
    fn long_texts_are_cut_between_characters_and_others_are_as_they_were() {
        let texts = json!({ "long": "ü".repeat(121), "just": "ü".repeat(120), "odd": "Tab\t\"\\\u{1}\u{2028}", "é\"": "È" });
        let summary = json!({
            "long": format!("{}…", "ü".repeat(120)), "just": "ü".repeat(120), "odd": "Tab\t\"\\\u{1}\u{2028}", "é\"": "È",
        });
        let (found, text) = summary_and_text(&texts, &[]);
        assert_eq!(found, summary);
        assert!(
            text.contains(&"ü".repeat(121)) && text.contains("tab\t\"\\\u{1}\u{2028}") && text.contains('è')
        );
    }

    #[test]
    fn a_summary_has_its_fields_by_their_paths() {
        let json = r#"{"Happened":{"a":{"b":"c"},"total":{"amount":1,"currency":"GBP"}}}"#;
        let summary = EventSummary::read(json, HashSet::new()).unwrap();
        assert_eq!(summary.summary(), r#"{"a.b":"c","total":{"amount":1,"currency":"GBP"}}"#);
    }

    #[test]
    fn malformed_event_json_is_rejected() {
        for broken in ["", "[]", "\"Happened\"", "{}", r#"{"Happened":{"#] {
            assert!(EventSummary::read(broken, HashSet::new()).is_err(), "{broken}");
        }
    }
}
