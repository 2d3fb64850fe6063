//! Logs, to standard error: standard output is for the output of a command.

use std::fmt;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, with the fields of the event at its top.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("a log format is `text` or `json`".to_owned()),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the log filter {filter:?} cannot be read")]
    Filter { filter: String, source: tracing_subscriber::filter::ParseError },
    #[error("logging was begun already")]
    Begun(#[source] tracing_subscriber::util::TryInitError),
}

/// Libraries that write the values of statements, personal ones among them, into spans: never below this level,
/// whatever the filter says.
const WITHOUT_VALUES: &[&str] = &["sea_orm=info"];

/// Begins logging, once for the process. A filter reads `info,soonshop_bus=debug`.
pub fn init(format: LogFormat, filter: &str) -> Result<(), Error> {
    let named = |source| Error::Filter { filter: filter.to_owned(), source };
    let mut env_filter = EnvFilter::try_new(filter).map_err(named)?;
    for directive in WITHOUT_VALUES {
        env_filter = env_filter.add_directive(directive.parse().map_err(named)?);
    }
    // If nothing can be written, as on a full disk, the log line is lost and the work goes on.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(env_filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    match format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).finish().try_init(),
    }
    .map_err(Error::Begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_format_parses_back() {
        for format in [LogFormat::Text, LogFormat::Json] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("xml".parse::<LogFormat>().is_err());
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_named() {
        let error = init(LogFormat::Text, "info,=loud=").unwrap_err();
        assert!(error.to_string().contains("info,=loud="), "{error}");
    }
}
