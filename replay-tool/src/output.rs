//! All output for people and scripts. Standard output is the result; everything else goes to standard error. With
//! `--json` standard output holds one JSON object per line, the last of them `summary` or `exit_error`.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};
use soonshop_domain::text::visible;

use crate::sentences::{Language, Sentence};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ShowProgress {
    Auto,
    Bar,
    Plain,
    Json,
    None,
}

/// Plain progress lines are at least this far apart, and at least a twentieth of the work.
const LINES: Duration = Duration::from_secs(10);

/// The schema version of `--json`.
const SCHEMA: u32 = 1;

#[derive(Debug)]
enum How {
    Bar(ProgressBar),
    Plain { last: Option<(Instant, f64)> },
    Json,
    None,
}

/// The output. Clones share it.
#[derive(Clone, Debug)]
pub struct Output {
    json: bool,
    language: Language,
    how: Arc<Mutex<How>>,
    /// Shown again at the end.
    warnings: Arc<Mutex<Vec<Sentence>>>,
}

/// A line of progress.
#[derive(Debug, Clone)]
pub struct Line {
    pub done: u64,
    pub total: u64,
    pub text: Sentence,
    /// The `--json` message.
    pub status: Value,
}

fn terminal_is_plain() -> bool {
    let narrow =
        std::env::var("COLUMNS").ok().and_then(|text| text.parse::<u32>().ok()).is_some_and(|n| n < 60);
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    narrow || dumb || !std::io::stderr().is_terminal()
}

impl Output {
    pub fn new(json: bool, progress: ShowProgress) -> Self {
        let how = match progress {
            ShowProgress::Auto if json => How::Json,
            ShowProgress::Auto if terminal_is_plain() => How::Plain { last: None },
            ShowProgress::Auto | ShowProgress::Bar => {
                let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
                let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"]
                    .iter()
                    .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()))
                    .is_some_and(|text| text.to_lowercase().contains("utf"));
                let template = "{wide_msg}\n[{bar:40}] {percent:>3} %";
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(if utf8 { style } else { style.progress_chars("#>-") });
                }
                How::Bar(bar)
            }
            ShowProgress::Plain => How::Plain { last: None },
            ShowProgress::Json => How::Json,
            ShowProgress::None => How::None,
        };
        Self { json, language: Language::default(), how: Arc::new(Mutex::new(how)), warnings: Arc::default() }
    }

    /// The same output in this language.
    #[must_use]
    pub fn speaking(self, language: Language) -> Self {
        Self { language, ..self }
    }

    pub fn language(&self) -> Language {
        self.language
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Writes around the progress bar. (Its own `println` loses lines where standard error is no terminal.)
    fn around_bar(&self, write: impl FnOnce()) {
        let how = self.how.lock().unwrap_or_else(PoisonError::into_inner);
        if let How::Bar(bar) = &*how { bar.suspend(write) } else { write() }
    }

    /// Writes to standard error. If that is closed, the work goes on.
    fn tell(&self, text: &str) {
        self.around_bar(|| drop(writeln!(std::io::stderr(), "{}", visible(text))));
    }

    fn line(&self, text: &str) {
        self.around_bar(|| {
            let mut out = std::io::stdout().lock();
            // The reader closed the pipe: the work goes on.
            drop(writeln!(out, "{text}").and_then(|()| out.flush()));
        });
    }

    /// Writes one object of `--json`, of this type.
    pub fn message(&self, kind: &str, value: &Value) {
        if self.json {
            let mut message = Map::new();
            message.insert("schema".to_owned(), SCHEMA.into());
            message.insert("message_type".to_owned(), kind.into());
            if let Value::Object(fields) = value {
                message.extend(fields.clone());
            }
            self.line(&Value::Object(message).to_string());
        }
    }

    /// A part of the result: text for people, in their language, or an object for scripts.
    pub fn result(&self, kind: &str, value: &Value, text: impl FnOnce(Language) -> String) {
        if self.json {
            self.message(kind, value);
        } else {
            self.line(&visible(&text(self.language)));
        }
    }

    /// A whole document: exactly these bytes, so that it can be compared. A terminal also gets a line's end, and no
    /// characters that it would obey.
    pub fn document(&self, text: &str) {
        if std::io::stdout().is_terminal() {
            return self.line(&visible(text));
        }
        self.around_bar(|| {
            let mut out = std::io::stdout().lock();
            // The reader closed the pipe: it has read enough.
            drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
        });
    }

    /// Writes a message beside the result, in the language.
    pub fn say(&self, response: &Sentence) {
        self.tell(&response.text(self.language));
    }

    /// Writes a text that has no language.
    pub fn put(&self, text: &str) {
        self.tell(text);
    }

    /// A warning: shown at once, and again at the end.
    pub fn warn(&self, warning: Sentence) {
        self.message("warning", &json!({ "message": warning.to_string() }));
        self.say(&Sentence::Warning { text: Box::new(warning.clone()) });
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }

    pub fn warnings(&self) -> usize {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Repeats the warnings at the end, because they may have scrolled away.
    pub fn remind(&self) {
        let warnings = std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner));
        if warnings.len() > 1 {
            self.say(&Sentence::WarningsAgain { count: warnings.len() });
            for warning in warnings {
                self.say(&Sentence::WarningAgain { text: Box::new(warning) });
            }
        }
    }

    pub fn progress(&self, line: &Line, force: bool) {
        let mut how = self.how.lock().unwrap_or_else(PoisonError::into_inner);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = if line.total == 0 { 1.0 } else { line.done as f64 / line.total as f64 };
        match &mut *how {
            How::Bar(bar) => {
                bar.set_length(line.total.max(1));
                bar.set_position(line.done);
                bar.set_message(line.text.text(self.language));
            }
            How::Plain { last } => {
                let due = last.is_none_or(|(when, at)| when.elapsed() >= LINES && share - at >= 0.05);
                if due || force {
                    *last = Some((Instant::now(), share));
                    let now =
                        soonshop_domain::clock::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
                    drop(writeln!(std::io::stderr(), "{now} {}", line.text.text(self.language)));
                }
            }
            How::Json if self.json => {
                drop(how);
                self.message("status", &line.status);
            }
            How::Json | How::None => {}
        }
    }

    /// Removes the progress bar.
    pub fn finish(&self) {
        let how = self.how.lock().unwrap_or_else(PoisonError::into_inner);
        if let How::Bar(bar) = &*how {
            bar.finish_and_clear();
        }
    }

    /// The writer for log lines.
    pub fn log_writer(&self) -> LogWriter {
        LogWriter(self.clone())
    }
}

/// Writes log lines around the progress bar.
#[derive(Clone)]
pub struct LogWriter(Output);

impl std::io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // An error is ignored: the subscriber would report it on standard error, too.
        self.0.around_bar(|| drop(std::io::stderr().lock().write_all(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        drop(std::io::stderr().flush());
        Ok(())
    }
}
