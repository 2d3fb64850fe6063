//! The faults of a command line, as sentences of this tool: the parser's own are in English only.

use std::num::ParseIntError;

use clap::error::{ContextKind, ErrorKind};
use soonshop_replay_tool::Sentence;

/// A part of what the parser found, as text; empty where it found none.
fn part(error: &clap::Error, kind: ContextKind) -> String {
    error.get(kind).map(ToString::to_string).unwrap_or_default()
}

/// The fault. None: help or the version was asked for.
pub(crate) fn fault(error: &clap::Error) -> Option<Sentence> {
    let (arg, value) = (part(error, ContextKind::InvalidArg), part(error, ContextKind::InvalidValue));
    Some(match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return None,
        ErrorKind::InvalidValue if value.is_empty() => Sentence::ValueMissing { arg },
        ErrorKind::InvalidValue => {
            Sentence::NoSuchValue { value, arg, known: part(error, ContextKind::ValidValue) }
        }
        ErrorKind::ValueValidation => match reason(error) {
            Some(why) => Sentence::BadValue { value, arg, why: Box::new(why) },
            None => Sentence::ValueUnfit { value, arg },
        },
        ErrorKind::TooManyValues => Sentence::ValueTooMany { value, arg },
        ErrorKind::UnknownArgument => Sentence::NoSuchArgument { arg },
        ErrorKind::InvalidSubcommand => {
            Sentence::NoSuchVerb { verb: part(error, ContextKind::InvalidSubcommand) }
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Sentence::VerbMissing
        }
        ErrorKind::MissingRequiredArgument => Sentence::ArgumentsMissing { args: arg },
        ErrorKind::ArgumentConflict => match part(error, ContextKind::PriorArg) {
            other if other == arg => Sentence::GivenTwice { arg },
            other => Sentence::ArgumentsClash { arg, other },
        },
        ErrorKind::InvalidUtf8 => Sentence::NotText,
        _ => Sentence::CommandLine { detail: error.render().to_string().trim_end().to_owned() },
    })
}

/// Why a value cannot be read.
fn reason(error: &clap::Error) -> Option<Sentence> {
    let source = std::error::Error::source(error)?;
    if source.is::<ParseIntError>() {
        return Some(Sentence::NotWhole);
    }
    source.downcast_ref::<Sentence>().cloned()
}

/// The fault with what the parser suggests, the usage, and where to read more.
pub(crate) fn explained(error: &clap::Error, fault: Sentence) -> Sentence {
    let suggested =
        [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    let similar = suggested.into_iter().map(|kind| part(error, kind)).find(|names| !names.is_empty());
    let text = match similar {
        Some(names) => Sentence::Similar { text: Box::new(fault), names },
        None => fault,
    };
    let usage = part(error, ContextKind::Usage);
    let text = match usage.trim_start_matches("Usage:").trim() {
        "" => text,
        usage => Sentence::WithUsage { text: Box::new(text), usage: usage.to_owned() },
    };
    Sentence::TryHelp { text: Box::new(text) }
}
