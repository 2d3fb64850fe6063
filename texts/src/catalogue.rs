//! The texts of one language, parsed once.

use std::collections::BTreeMap;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement};

use crate::value::Value;

/// A parsed text.
#[derive(Debug)]
struct Known {
    /// Its variables, each once, in order.
    variables: Vec<String>,
    /// The text, if it has no variables.
    plain: Option<String>,
}

pub(crate) struct Catalogue {
    bundle: FluentBundle<FluentResource>,
    /// By key; an attribute is `KEY.ATTRIBUTE`.
    texts: BTreeMap<String, Known>,
}

impl Catalogue {
    /// A text that cannot be parsed is left out, and its key is shown instead; a test finds such texts first.
    pub(crate) fn read(tag: &str, sources: &[&str]) -> Self {
        let mut bundle = FluentBundle::new_concurrent(vec![tag.parse().unwrap_or_default()]);
        bundle.set_use_isolating(false);
        for (name, right) in [("LEFT", false), ("RIGHT", true)] {
            drop(bundle.add_function(name, move |values, _| padded(values, right)));
        }
        let mut variables = BTreeMap::new();
        for source in sources {
            let resource =
                FluentResource::try_new((*source).to_owned()).unwrap_or_else(|(resource, _)| resource);
            collect(&resource, &mut variables);
            bundle.add_resource_overriding(resource);
        }
        let mut catalogue = Self { bundle, texts: BTreeMap::new() };
        let texts = variables.into_iter().map(|(key, variables)| {
            let plain = variables.is_empty().then(|| catalogue.format(&key, None)).flatten();
            (key, Known { variables, plain })
        });
        catalogue.texts = texts.collect();
        catalogue
    }

    fn pattern(&self, key: &str) -> Option<&Pattern<&str>> {
        match key.split_once('.') {
            Some((id, attribute)) => Some(self.bundle.get_message(id)?.get_attribute(attribute)?.value()),
            None => self.bundle.get_message(key)?.value(),
        }
    }

    /// A variable without a value is shown by its name.
    fn format(&self, key: &str, values: Option<&FluentArgs<'_>>) -> Option<String> {
        let mut missing = Vec::new();
        Some(self.bundle.format_pattern(self.pattern(key)?, values, &mut missing).into_owned())
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.texts.get(key)?.plain.as_deref()
    }

    pub(crate) fn fill(&self, key: &str, values: &[(&str, Value<'_>)]) -> Option<String> {
        let values = values.iter().map(|(name, value)| (*name, value.clone().fluent()));
        self.format(key, Some(&values.collect()))
    }

    pub(crate) fn fill_with<'v>(
        &self,
        key: &str,
        mut value: impl FnMut(&str) -> Value<'v>,
    ) -> Option<String> {
        let variables = self.texts.get(key)?.variables.iter();
        let values = variables.map(|name| (name.as_str(), value(name).fluent()));
        self.format(key, Some(&values.collect()))
    }

    pub(crate) fn keys(&self) -> Vec<&str> {
        self.texts.keys().map(String::as_str).collect()
    }

    pub(crate) fn variables(&self, key: &str) -> Option<&[String]> {
        self.texts.get(key).map(|known| known.variables.as_slice())
    }
}

/// The texts of a file, and the variables of each.
fn collect(resource: &FluentResource, into: &mut BTreeMap<String, Vec<String>>) {
    for entry in resource.entries() {
        let Entry::Message(message) = entry else { continue };
        let id = message.id.name;
        let attributes = message
            .attributes
            .iter()
            .map(|attribute| (format!("{id}.{}", attribute.id.name), &attribute.value));
        for (key, pattern) in message.value.iter().map(|value| (id.to_owned(), value)).chain(attributes) {
            let mut names = Vec::new();
            of_pattern(pattern, &mut names);
            into.insert(key, names);
        }
    }
}

fn of_pattern(pattern: &Pattern<&str>, names: &mut Vec<String>) {
    for element in &pattern.elements {
        if let PatternElement::Placeable { expression } = element {
            of_expression(expression, names);
        }
    }
}

fn of_expression(expression: &Expression<&str>, names: &mut Vec<String>) {
    match expression {
        Expression::Inline(inline) => of_inline(inline, names),
        Expression::Select { selector, variants } => {
            of_inline(selector, names);
            for variant in variants {
                of_pattern(&variant.value, names);
            }
        }
    }
}

fn of_inline(inline: &InlineExpression<&str>, names: &mut Vec<String>) {
    match inline {
        InlineExpression::VariableReference { id } if !names.iter().any(|name| name == id.name) => {
            names.push(id.name.to_owned());
        }
        InlineExpression::FunctionReference { arguments, .. } => {
            for argument in &arguments.positional {
                of_inline(argument, names);
            }
        }
        InlineExpression::Placeable { expression } => of_expression(expression, names),
        _ => {}
    }
}

/// `LEFT($text, 12)`, `RIGHT($text, 12)`: pads the text to this many columns, aligned to that side.
fn padded<'a>(values: &[FluentValue<'a>], right: bool) -> FluentValue<'a> {
    let [value, FluentValue::Number(columns)] = values else { return FluentValue::Error };
    let text = match value {
        FluentValue::String(text) => text.clone(),
        FluentValue::Number(number) => number.as_string(),
        _ => return FluentValue::Error,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of columns")]
    let columns = columns.value as usize;
    // A Chinese character takes two columns.
    let taken: usize = text.chars().map(|sign| if sign < '\u{2e80}' { 1 } else { 2 }).sum();
    let space = " ".repeat(columns.saturating_sub(taken));
    FluentValue::String(if right { format!("{space}{text}") } else { format!("{text}{space}") }.into())
}
