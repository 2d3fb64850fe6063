//! Turns the outcome of an append into the answer for the caller.

use soonshop_domain::{Classified, ErrorKind};
use tokio::time::Instant;

use crate::appender::{Expected, Outcome};
use crate::command::{CommandContext, Executed};
use crate::draft::bare;
use crate::kind::OutcomeKind;
use crate::waiting::received;
use crate::{AppendError, EventStore, ExecuteError};

/// The next step after a refusal that was not final.
pub(crate) enum Refused {
    /// The command was executed before.
    Known(Executed),
    /// It was based on events that are not in the log: decide again.
    Again(Result<Outcome, AppendError>),
}

/// A refusal as a record keeps it; [`EventStore::settle`] reads it back.
fn refusal(slug: &str, sentence: &impl std::fmt::Display) -> String {
    serde_json::json!([slug, sentence.to_string()]).to_string()
}

impl EventStore {
    /// A refusal is checked like an append: on the current state, and only if the command was not done before.
    pub(crate) async fn refuse<E: Classified>(
        &self,
        error: ExecuteError<E>,
        streams: Vec<Expected>,
        context: &CommandContext,
    ) -> Result<Refused, ExecuteError<E>> {
        let mut request = bare(context, streams);
        if let (ExecuteError::Rejected(rejection), true) = (&error, context.record) {
            request.answer.kind = OutcomeKind::Refused(rejection.kind());
            request.answer.detail = Some(refusal(rejection.as_ref(), rejection));
        } else {
            request.record = false;
        }
        match received(self.appender.submit(request)).await {
            Ok(Outcome::Done(_)) => Err(error),
            outcome => {
                let settled = self.settle(outcome.clone(), context).await?;
                Ok(settled.map_or(Refused::Again(outcome), Refused::Known))
            }
        }
    }

    /// The answer to the caller. `None`: decide again.
    pub(crate) async fn settle<E: std::fmt::Display>(
        &self,
        outcome: Result<Outcome, AppendError>,
        context: &CommandContext,
    ) -> Result<Option<Executed>, ExecuteError<E>> {
        let outcome = match outcome {
            Ok(Outcome::Claimed { scope, owner }) if context.record => {
                let taken = ExecuteError::Taken { scope, owner };
                let mut request = bare(context, Vec::new());
                request.answer.kind = OutcomeKind::Refused(ErrorKind::Conflict);
                request.answer.detail = Some(refusal("taken", &taken));
                match received(self.appender.submit(request)).await {
                    Ok(Outcome::Done(_)) => return Err(taken),
                    outcome => outcome,
                }
            }
            outcome => outcome,
        };
        match outcome {
            Ok(Outcome::Done(answer)) => Ok(Some(Executed { answer, repeated: false })),
            Ok(Outcome::Known { fingerprint, .. }) if !context.is_recorded_as(&fingerprint) => {
                Err(ExecuteError::IdReused)
            }
            Ok(Outcome::Known { answer, .. }) if answer.kind.is_refusal() => {
                let detail = answer.detail.unwrap_or_default();
                let (slug, sentence) = serde_json::from_str(&detail).unwrap_or_default();
                Err(ExecuteError::RejectedBefore { slug, sentence })
            }
            Ok(Outcome::Known { answer, .. }) => Ok(Some(Executed { answer, repeated: true })),
            Ok(Outcome::Claimed { scope, owner }) => Err(ExecuteError::Taken { scope, owner }),
            Ok(Outcome::Version { .. } | Outcome::Behind) if Instant::now() < context.deadline => Ok(None),
            Ok(Outcome::Version { .. } | Outcome::Behind) => {
                Err(ExecuteError::Unavailable("other writers were always faster on this stream".to_owned()))
            }
            Err(AppendError::ClaimKeysChanged) if Instant::now() < context.deadline => {
                self.keys.forget_hmac().await;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}
