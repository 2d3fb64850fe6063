//! Events with a personal value that cannot be decrypted. A few are accidents; many mean that the key store was lost.

use std::collections::VecDeque;

use soonshop_event_log::{Content, Entry, Error, Stopped};

/// More damaged events than this among so many positions are no accident. (A page of the log is checked the same way;
/// events from the bus come one by one.)
const MOST_DAMAGED: usize = 3;
const DAMAGED_WITHIN: i64 = 1_000;

/// The positions of the last events with a value that cannot be decrypted.
#[derive(Default)]
pub(super) struct Damage(VecDeque<i64>);

impl Damage {
    /// Counts the damaged events of these types; an error if there are too many.
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
