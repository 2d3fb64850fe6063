//! The help of the command line in the reader's language. Its texts are in the catalogues: `tool-help-VERB` says what a
//! verb does, its attribute `ARGUMENT` what an argument is for, and `ARGUMENT-VALUE` what a value of it means. So the
//! definition of the command line has no texts of its own.

use clap::{Arg, Command};
use soonshop_replay_tool::Language;

/// The help of the tool itself, with the arguments that every verb has.
const TOOL: &str = "tool-help";

/// The verb that shows help: its own verbs are copies of the others.
const HELP: &str = "help";

/// The command line with its texts in this language.
pub(crate) fn translated(mut command: Command, language: Language) -> Command {
    command.build();
    with_texts(command, TOOL, language).after_help(language.text("tool-help-codes"))
}

/// The manual page of a translated command line.
pub(crate) fn manual(command: Command, language: Language) -> std::io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    let page = String::from_utf8(page).map_err(std::io::Error::other)?;
    let line = |line: &str| {
        let heading = line.strip_prefix(".SH ");
        let heading = heading.and_then(|name| language.find(&format!("{TOOL}-page.{}", name.to_lowercase())));
        heading.map_or_else(|| format!("{line}\n"), |heading| format!(".SH {heading}\n"))
    };
    Ok(page.lines().map(line).collect())
}

/// The key of a verb below another one.
fn key_below(key: &str, verb: &str) -> String {
    format!("{key}-{verb}")
}

/// A verb, or the tool itself, whose text has this key.
fn with_texts(mut command: Command, key: &str, language: Language) -> Command {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let usage = usage.replace("[OPTIONS]", &format!("[{}]", language.text("tool-help-options")));
    let usage = usage.replace("COMMAND", language.text("tool-help-command"));
    let heading = command.get_styles().get_usage();
    let heading = format!("{heading}{}:{heading:#}", language.text("tool-help-usage"));
    command
        .about(language.find(key))
        .override_usage(usage)
        .help_template(format!("{{about-with-newline}}\n{heading} {{usage}}\n\n{{all-args}}{{after-help}}"))
        .subcommand_help_heading(language.text("tool-help-commands"))
        .mut_args(|arg| with_text(arg, key, language))
        .mut_subcommands(|verb| {
            if verb.get_name() == HELP {
                with_texts(verb, key, language).about(language.find(&key_below(TOOL, HELP)))
            } else {
                let below = key_below(key, verb.get_name());
                with_texts(verb, &below, language)
            }
        })
}

/// The key of the text of a verb's argument: the verb's own, one that several verbs have, or one that all have.
fn key_of_argument(verb: &str, argument: &str, language: Language) -> Option<String> {
    let of_several = key_below(TOOL, "any");
    let keys = [verb, &of_several, TOOL].map(|key| format!("{key}.{argument}"));
    keys.into_iter().find(|key| language.find(key).is_some())
}

/// As it stands in a key.
fn argument_name(arg: &Arg) -> String {
    arg.get_id().as_str().replace('_', "-")
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|count| count.takes_values())
}

/// The values that an argument can have, each with the key of its text.
fn values_of(verb: &str, arg: &Arg, language: Language) -> Vec<(String, Option<String>)> {
    let values = if takes_value(arg) { arg.get_possible_values() } else { Vec::new() };
    let argument = argument_name(arg);
    let named = values.iter().map(|value| {
        let name = value.get_name();
        (name.to_owned(), key_of_argument(verb, &format!("{argument}-{name}"), language))
    });
    named.collect()
}

fn with_text(arg: Arg, verb: &str, language: Language) -> Arg {
    let key = key_of_argument(verb, &argument_name(&arg), language);
    let text = key.and_then(|key| language.find(&key)).unwrap_or_default();
    let values = values_of(verb, &arg, language);
    let mut notes = Vec::new();
    if let Some(name) = arg.get_env() {
        let name = name.to_string_lossy();
        notes.push(language.fill("tool-help-env", &[("name", name.as_ref().into())]));
    }
    if takes_value(&arg) && !arg.get_default_values().is_empty() {
        let value = arg.get_default_values().join(" ".as_ref());
        let value = value.to_string_lossy();
        notes.push(language.fill("tool-help-default", &[("value", value.as_ref().into())]));
    }
    let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
    let all = language.fill("tool-help-values", &[("values", names.join(", ").into())]);
    let list: String = values
        .iter()
        .filter_map(|(name, key)| {
            let values = [("value", name.as_str().into()), ("text", language.find(key.as_ref()?)?.into())];
            Some(format!("\n{}", language.fill("tool-help-value-row", &values)))
        })
        .collect();
    let (mut in_short, mut in_full) = (vec![text.to_owned()], vec![text.to_owned()]);
    in_short.extend(notes.clone());
    if !list.is_empty() {
        in_full.push(format!("{}{list}", language.text("tool-help-value-list")));
    }
    if !names.is_empty() {
        in_short.push(all.clone());
        if list.is_empty() {
            notes.push(all);
        }
    }
    if !notes.is_empty() {
        in_full.push(notes.join("\n"));
    }
    let of_every_verb = arg.is_global_set() || ["help", "version"].contains(&arg.get_id().as_str());
    let (heading, order) = if arg.is_positional() {
        ("tool-help-arguments", arg.get_index())
    } else if of_every_verb && verb != TOOL {
        ("tool-help-common", Some(arg.get_display_order()))
    } else {
        ("tool-help-flags", Some(arg.get_display_order()))
    };
    let arg = arg.hide_env(true).hide_default_value(true).hide_possible_values(true);
    let arg = if let Some(order) = order { arg.display_order(order) } else { arg };
    arg.help(in_short.join(" ")).long_help(in_full.join("\n\n")).help_heading(language.text(heading))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;
    use crate::Cli;

    /// The layout of help and manual, beside the texts of verbs and arguments.
    const LAYOUT: &[&str] = &[
        "tool-help-usage",
        "tool-help-options",
        "tool-help-command",
        "tool-help-commands",
        "tool-help-arguments",
        "tool-help-flags",
        "tool-help-common",
        "tool-help-default",
        "tool-help-env",
        "tool-help-values",
        "tool-help-value-list",
        "tool-help-value-row",
        "tool-help-codes",
        "tool-help-page.name",
        "tool-help-page.synopsis",
        "tool-help-page.description",
        "tool-help-page.extra",
        "tool-help-page.version",
    ];

    /// Notes the keys of a verb and its arguments; what has no text is missing.
    fn collect(
        command: &Command,
        key: &str,
        language: Language,
        used: &mut BTreeSet<String>,
        missing: &mut Vec<String>,
    ) {
        used.insert(key.to_owned());
        if language.find(key).is_none() {
            missing.push(key.to_owned());
        }
        for arg in command.get_arguments() {
            let name = argument_name(arg);
            match key_of_argument(key, &name, language) {
                Some(key) => drop(used.insert(key)),
                None => missing.push(format!("{key}.{name}")),
            }
            let values = values_of(key, arg, language);
            // Values that need no explanation have no texts: all of them, or none.
            if values.iter().any(|(_, key)| key.is_some()) {
                for (value, own) in values {
                    match own {
                        Some(key) => drop(used.insert(key)),
                        None => missing.push(format!("{key}.{name}-{value}")),
                    }
                }
            }
        }
        for verb in command.get_subcommands() {
            if verb.get_name() == HELP {
                used.insert(key_below(TOOL, HELP));
            } else {
                collect(verb, &key_below(key, verb.get_name()), language, used, missing);
            }
        }
    }

    #[test]
    fn every_verb_argument_and_value_has_a_text_in_both_languages_and_every_text_is_used() {
        let mut command = Cli::command();
        command.build();
        for language in Language::ALL {
            let (mut used, mut missing) = (LAYOUT.iter().map(|key| (*key).to_owned()).collect(), Vec::new());
            collect(&command, TOOL, language, &mut used, &mut missing);
            assert!(missing.is_empty(), "not in {}: {missing:?}", language.tag());
            let known = language.keys().into_iter().filter(|key| key.starts_with(TOOL));
            let unused: Vec<_> = known.filter(|key| !used.contains(*key)).collect();
            assert!(unused.is_empty(), "in {}, and nothing uses them: {unused:?}", language.tag());
        }
    }

    #[test]
    fn no_argument_has_a_help_beside_the_catalogues() {
        fn check(command: &Command) {
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_none(), "{} {}", command.get_name(), arg.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    /// Everything that the parser adds to help by itself is in English.
    #[test]
    fn chinese_help_has_no_words_of_the_parser() {
        fn check(command: &mut Command) {
            let help = [command.render_help().to_string(), command.render_long_help().to_string()].concat();
            for word in [
                "Usage",
                "OPTIONS",
                "COMMAND",
                "Options",
                "Commands",
                "Arguments",
                "[default",
                "[env",
                "ossible values",
                "[alias",
                "Print",
            ] {
                assert!(!help.contains(word), "{word} in the help of {}: {help}", command.get_name());
            }
            command.get_subcommands_mut().for_each(check);
        }
        let mut command = translated(Cli::command(), Language::Chinese);
        check(&mut command);
        let manual = manual(command, Language::Chinese).unwrap();
        for word in ["NAME", "SYNOPSIS", "OPTIONS", "EXTRA", "VERSION", "May also", "[default"] {
            assert!(
                !manual.contains(&format!(".SH {word}")) && !manual.contains(&format!(" {word}")),
                "{word}: {manual}"
            );
        }
    }
}
