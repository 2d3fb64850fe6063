//! The reasons that people gave in their own words beside their commands. Each is shown to its writer, and in a reveal;
//! everybody else sees that there is one.

use soonshop_domain::{Actor, QueryError};
use soonshop_event_log::{EventLog, note};
use soonshop_projections::operations;

use crate::redactor::{Redacted, Visibility};
use crate::trail::Step;

/// A reason that is long enough to be one.
pub(crate) fn given(text: &str) -> Result<&str, QueryError> {
    let too_short = || {
        QueryError::parameter("reason", "give a reason of at least three characters").because("short-reason")
    };
    operations::reason(text).ok_or_else(too_short)
}

/// Fills in the reasons of these events, as far as this actor may see them.
pub(crate) async fn read(
    log: &EventLog,
    steps: &mut [Step],
    actor: &Actor,
    visibility: Visibility,
) -> Result<(), QueryError> {
    let caller = actor.to_string();
    let (mut of, mut notes) = (Vec::new(), Vec::new());
    for (index, step) in steps.iter_mut().enumerate() {
        if let Some(stored) = step.stored_note.take() {
            of.push(index);
            notes.push(stored);
        }
    }
    for (at, why) in note::read(log.keys(), &mut notes).await? {
        tracing::warn!(position = steps[of[at]].position, why, "the reason of a command cannot be decrypted");
    }
    for (index, note) in of.into_iter().zip(notes) {
        let step = &mut steps[index];
        let is_own = step.actor.as_ref() == Some(&caller);
        let is_shown = visibility == Visibility::Revealed || is_own || note.text.is_erased();
        step.reason_note = Some(if is_shown { Redacted::note(&note.text) } else { Redacted::masked() });
    }
    Ok(())
}
