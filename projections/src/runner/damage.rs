//! Events with a personal value that cannot be opened. A few are accidents; many mean that the key store was lost.

use std::collections::VecDeque;

use soonshop_event_log::{Content, Entry, Error, Stopped};

/// More damaged events than this among so many positions are no accident. (A page that is read from the log is judged the
/// same way; what comes from the bus comes one by one.)
const MOST_DAMAGED: usize = 3;
const DAMAGED_WITHIN: i64 = 1_000;

/// The last positions with a value that could not be opened.
#[derive(Default)]
pub(super) struct Damage(VecDeque<i64>);

impl Damage {
    /// Counts those among the entries of these types; an error where they are too many.
    pub(super) fn count(&mut self, entries: &[Entry], follows: &[&str]) -> Result<(), Stopped> {
        for entry in entries.iter().filter(|entry| follows.contains(&&*entry.aggregate_type)) {
            if matches!(entry.content, Content::Damaged(..))
                && self.0.back().is_none_or(|last| *last < entry.position)
            {
                self.0.push_back(entry.position);
                self.0.retain(|position| *position > entry.position - DAMAGED_WITHIN);
            }
        }
        let count = self.0.len();
        if count > MOST_DAMAGED { Err(Stopped::Log(Error::KeyStoreLost { count })) } else { Ok(()) }
    }
}
