//! Progress while it runs: a bar on a terminal, else a line now and then.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const STYLE: &str = "{msg:<28} {wide_bar} {pos}/{len} rows  {per_sec}  {eta} ";

pub(super) struct Progress {
    bar: ProgressBar,
    /// If standard error is not a terminal.
    lines: bool,
}

impl Progress {
    pub(super) fn new(rows: u64, quiet: bool) -> Self {
        let draws = !quiet && std::io::stderr().is_terminal();
        let target = if draws { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(rows), target);
        if let Ok(style) = ProgressStyle::with_template(STYLE) {
            bar.set_style(style);
        }
        if draws {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar, lines: !quiet && !draws }
    }

    /// Sets the current step.
    pub(super) fn doing(&self, what: String) {
        if self.lines {
            eprintln!("{what}");
        }
        self.bar.set_message(what);
    }

    pub(super) fn rows(&self, rows: usize) {
        self.bar.inc(u64::try_from(rows).unwrap_or(0));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
