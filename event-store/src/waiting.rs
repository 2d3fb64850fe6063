//! Waiting for a database that is away, and no longer than a command has time.

use std::time::Duration;

use tokio::time::Instant;

use crate::appender::Outcome;
use crate::command::{Executed, PATIENCE};
use crate::{AppendError, ExecuteError};

/// How long after its deadline a command is given up: code that knows the cause of the delay may report it first.
const GRACE: Duration = Duration::from_millis(200);

/// The first pause before the database is asked again.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// A database may hang in any query; the command may still be executed. If it is cut off at any point, the next
/// command on the slot notices the wrong state.
pub(crate) async fn in_time<E>(
    deadline: Instant,
    work: impl Future<Output = Result<Executed, ExecuteError<E>>>,
) -> Result<Executed, ExecuteError<E>> {
    let late = || Err(ExecuteError::Unavailable("the event store did not answer in time".to_owned()));
    tokio::time::timeout_at(deadline + GRACE, work).await.unwrap_or_else(|_| late())
}

/// Waits a little longer each time if the database is down and there is time; otherwise returns the error.
pub(crate) async fn wait<E>(
    error: ExecuteError<E>,
    pause: &mut Duration,
    deadline: Instant,
) -> Result<(), ExecuteError<E>> {
    if !matches!(error, ExecuteError::Unavailable(_)) || Instant::now() + *pause >= deadline {
        return Err(error);
    }
    pass(pause).await;
    Ok(())
}

/// Waits, and makes the next pause longer.
pub(crate) async fn pass(pause: &mut Duration) {
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(Duration::from_millis(500));
}

/// Reads before a command are repeated while the database is down, for as long as a command waits.
pub(crate) struct Patience {
    deadline: Instant,
    pause: Duration,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self { deadline: Instant::now() + PATIENCE, pause: FIRST_PAUSE }
    }

    /// Waits, or returns the error if waiting does not help.
    pub(crate) async fn again<E>(&mut self, error: ExecuteError<E>) -> Result<(), ExecuteError<E>> {
        wait(error, &mut self.pause, self.deadline).await
    }
}

pub(crate) async fn received(
    outcome: tokio::sync::oneshot::Receiver<Result<Outcome, AppendError>>,
) -> Result<Outcome, AppendError> {
    outcome.await.unwrap_or_else(|_| Err(AppendError::Unavailable("the process is stopping".to_owned())))
}
