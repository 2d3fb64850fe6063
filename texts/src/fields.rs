//! The names of the fields of events and states, and of their values.

use crate::Language;

/// The separators of the parts of a path of fields: `/` in a state, `.` in an event, `-` in a sentence.
const BETWEEN: [char; 3] = ['/', '.', '-'];

/// The field whose parts have names that the shop chose.
const NAMED_BY_SHOP: &str = "attributes";

/// Fields with the values of another one.
const SAME_VALUES: [(&str, &str); 1] = [("cancelled_because", "reason")];

impl Language {
    /// A path of fields in words, such as `/placed/lines/number=1/sku`. Parts that are no names of fields, such as ids
    /// and the names of attributes, stay as they are.
    pub fn field(self, path: &str) -> String {
        self.field_with(path, |_| None)
    }

    /// The same; `other` says what a part stands for, such as an id, before it is taken as the name of a field.
    pub fn field_with(self, path: &str, other: impl Fn(&str) -> Option<String>) -> String {
        let (mut words, mut named) = (Vec::new(), true);
        for part in path.split(['/', '.']).filter(|part| !part.is_empty()) {
            let word = || other(part).unwrap_or_else(|| self.field_part(part));
            words.push(if named { word() } else { part.to_owned() });
            named &= part != NAMED_BY_SHOP;
        }
        words.join(" / ")
    }

    fn field_part(self, part: &str) -> String {
        let name = |name: &str| self.find(&format!("field-{name}"));
        // Items of a list are named by a value: `number=1`.
        match part.split_once('=') {
            Some((key, value)) => format!("{} {value}", name(key).unwrap_or(key)),
            None => name(part).unwrap_or(part).replace("~1", "/").replace("~0", "~"),
        }
    }

    /// The name of a value of a field, where the value is a code that has one. The last part of the path that is the
    /// name of a field counts: an item of a list has the values of its list.
    pub fn value_of(self, path: &str, code: &str) -> Option<&'static str> {
        if path.split(BETWEEN).any(|part| part == NAMED_BY_SHOP) {
            return None;
        }
        let known = |part: &&str| self.find(&format!("field-{part}")).is_some();
        let field = path.rsplit(BETWEEN).find(known)?;
        let same = SAME_VALUES.iter().find(|(one, _)| *one == field).map_or(field, |(_, other)| other);
        self.find(&format!("field-{same}.{code}"))
    }
}
