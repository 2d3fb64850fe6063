//! Process managers: they send commands of their own when something has happened. Each is a pure function of the state
//! of one instance and one input (an event, a refusal of one of its commands, or a timeout). It returns commands to
//! send and timeouts to set.
//!
//! To add one: implement [`ProcessManager`] in a file of its own and add it to [`all`](crate::process_managers::all). A reactor
//! runs every process of that list with a checkpoint, a lease, instances and timeouts of its own. It knows them as
//! [`Process`]: states and tasks are JSON there, as they are stored.

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{Command, Event, ids};

/// An input of a process manager.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<'a, T: ?Sized> {
    /// Something has happened in the stream.
    Event { stream: Uuid, event: &'a Event },
    /// One of its own commands was refused; the slug says why.
    Refused { task: &'a T, slug: &'a str },
    /// A timeout of the instance has passed: the one of this name.
    TimedOut { name: &'a str },
}

/// A timeout to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// One of [`TIMEOUTS`](ProcessManager::TIMEOUTS).
    pub name: &'static str,
    pub seconds: i64,
}

impl Wake {
    /// After so many days of 24 hours.
    pub fn in_days(name: &'static str, days: u16) -> Self {
        Self { name, seconds: i64::from(days) * 24 * 60 * 60 }
    }
}

/// The reaction to an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction<T> {
    /// The commands of this instance that have not been sent are dropped first.
    pub drop_unsent: bool,
    /// To send, in this order.
    pub tasks: Vec<T>,
    /// Timeouts to set. Each replaces the one of its name, and leaves those of other names alone.
    pub wake_after: Vec<Wake>,
    /// Timeouts to cancel, by their names; before others are set.
    pub stop_waiting: Vec<&'static str>,
    /// A refusal means that the world is not as the process planned, and that it cannot mend this: the refused command is
    /// kept as a failure, until somebody has looked at it.
    pub failed: bool,
}

impl<T> Default for Reaction<T> {
    fn default() -> Self {
        Self {
            drop_unsent: false,
            tasks: Vec::new(),
            wake_after: Vec::new(),
            stop_waiting: Vec::new(),
            failed: false,
        }
    }
}

/// A command as it is sent. A task of several has them done in one append, or not at all: they are on different streams,
/// at most four, and the first gives the append its command type.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// `<type>.<command>`, such as `stock.reserve`: stored beside the events that it leads to.
    pub command_type: &'static str,
    /// The stream of the aggregate.
    pub stream: Uuid,
    pub command: Command,
}

/// A process manager. Later releases read its stored state and tasks, so their shapes never change.
pub trait ProcessManager: Send + Sync + 'static {
    /// The state of one instance. It holds ids, numbers and codes, and no personal values.
    type State: Default + Serialize + DeserializeOwned;
    /// A command to send, in its stored form.
    type Task: Serialize + DeserializeOwned;

    /// Its name: part of its command ids, of its checkpoint, and of `system:<name>`, as which it acts. For ever.
    const NAME: &'static str;

    /// The aggregate types whose events it reads.
    const FOLLOWS: &'static [&'static str];

    /// The values that [`step`](Self::step) may return.
    const STEPS: &'static [&'static str];

    /// The names of its timeouts: they are stored. An instance has at most one of each. The first is the one that a
    /// release before timeouts had names has set, and its id is derived without a name; so it stays the first for ever.
    const TIMEOUTS: &'static [&'static str] = &[];

    /// Whether it reacts to all that ever happened when it is new to a log, and not only to what comes next: for a process
    /// without which what it follows cannot go on.
    const FROM_THE_BEGINNING: bool = false;

    /// Whether it is to run.
    fn is_on(&self) -> bool {
        true
    }

    /// The instance of an event of that stream; `None`: no instance.
    fn instance(&self, stream: Uuid, event: &Event) -> Option<String>;

    /// The reaction to an input.
    fn react(&self, state: &mut Self::State, input: Input<'_, Self::Task>) -> Reaction<Self::Task>;

    /// A stable name of the command's purpose, and the natural key of its target: parts of the command's id.
    fn purpose(task: &Self::Task) -> (&'static str, String);

    /// The command of a task, or its one to four commands; `None`: the instance's name is not one of this process.
    fn targets(instance: &str, task: Self::Task) -> Option<Vec<Target>>;

    /// The step of the instance.
    fn step(state: &Self::State) -> &'static str;

    /// The aggregate that the instance is about: its type and id.
    fn subject(instance: &str) -> Option<(&'static str, Uuid)>;
}

/// A stored state or task of a process cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {what} of an instance of {process} cannot be read: {reason}")]
pub struct Unreadable {
    pub process: &'static str,
    /// `state`, `command` or `timeout`.
    pub what: &'static str,
    pub reason: String,
}

/// A process manager with states and tasks in JSON, as they are stored. A reactor runs it.
pub trait Process: Send + Sync {
    /// See [`ProcessManager::NAME`].
    fn name(&self) -> &'static str;

    /// See [`ProcessManager::FOLLOWS`].
    fn follows(&self) -> &'static [&'static str];

    /// See [`ProcessManager::STEPS`].
    fn steps(&self) -> &'static [&'static str];

    /// See [`ProcessManager::TIMEOUTS`].
    fn timeouts(&self) -> &'static [&'static str];

    /// See [`ProcessManager::FROM_THE_BEGINNING`].
    fn starts_at_the_beginning(&self) -> bool;

    /// Whether it is to run.
    fn is_on(&self) -> bool;

    /// The instance of an event of that stream.
    fn instance(&self, stream: Uuid, event: &Event) -> Option<String>;

    /// The state of a new instance.
    fn initial(&self) -> Result<String, Unreadable>;

    /// The new state and the reaction after an input.
    fn react(&self, state: &str, input: Input<'_, str>) -> Result<(String, Reaction<String>), Unreadable>;

    /// The commands of a task, and their one id: the same input gives the same id, however often it is read.
    fn command(&self, instance: &str, input: Uuid, task: &str) -> Result<(Uuid, Vec<Target>), Unreadable>;

    /// The purpose of a task and its target: `reserve`, `2`.
    fn purpose(&self, task: &str) -> Result<(&'static str, String), Unreadable>;

    /// The step of an instance in that state.
    fn step(&self, state: &str) -> Result<&'static str, Unreadable>;

    /// The aggregate that the instance is about: its type and id.
    fn subject(&self, instance: &str) -> Option<(&'static str, Uuid)>;
}

fn unreadable<P: ProcessManager>(what: &'static str, reason: impl ToString) -> Unreadable {
    Unreadable { process: P::NAME, what, reason: reason.to_string() }
}

fn state<P: ProcessManager>(stored: &str) -> Result<P::State, Unreadable> {
    serde_json::from_str(stored).map_err(|error| unreadable::<P>("state", error))
}

fn task<P: ProcessManager>(stored: &str) -> Result<P::Task, Unreadable> {
    serde_json::from_str(stored).map_err(|error| unreadable::<P>("command", error))
}

/// The timeout of that name. One that this release does not know was set by a newer one, which will go on with it.
fn declared<P: ProcessManager>(name: &str) -> Result<&'static str, Unreadable> {
    let unknown = || unreadable::<P>("timeout", format!("it has no timeout {name:?}"));
    P::TIMEOUTS.iter().copied().find(|known| *known == name).ok_or_else(unknown)
}

/// The id of a timeout: derived from the input that set it, and, unless it is the first of its process, from its name.
pub fn timeout_id(process: &dyn Process, input: Uuid, name: &str) -> Uuid {
    let input = input.to_string();
    if process.timeouts().first() == Some(&name) {
        return ids::derived(ids::PROCESSES, &["timeout", &input]);
    }
    ids::derived(ids::PROCESSES, &["timeout", &input, name])
}

/// The id of a command of a process: derived from its name, the instance, the input, the purpose and the natural key of
/// its target.
pub fn command_id(process: &str, instance: &str, input: Uuid, (purpose, target): (&str, &str)) -> Uuid {
    ids::derived(ids::PROCESSES, &[process, instance, &input.to_string(), purpose, target])
}

impl<P: ProcessManager> Process for P {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn follows(&self) -> &'static [&'static str] {
        P::FOLLOWS
    }

    fn steps(&self) -> &'static [&'static str] {
        P::STEPS
    }

    fn timeouts(&self) -> &'static [&'static str] {
        P::TIMEOUTS
    }

    fn starts_at_the_beginning(&self) -> bool {
        P::FROM_THE_BEGINNING
    }

    fn is_on(&self) -> bool {
        ProcessManager::is_on(self)
    }

    fn instance(&self, stream: Uuid, event: &Event) -> Option<String> {
        ProcessManager::instance(self, stream, event)
    }

    fn initial(&self) -> Result<String, Unreadable> {
        serde_json::to_string(&P::State::default()).map_err(|error| unreadable::<P>("state", error))
    }

    fn react(&self, stored: &str, input: Input<'_, str>) -> Result<(String, Reaction<String>), Unreadable> {
        let mut state = state::<P>(stored)?;
        let reaction = match input {
            Input::Event { stream, event } => {
                ProcessManager::react(self, &mut state, Input::Event { stream, event })
            }
            Input::Refused { task: stored, slug } => {
                let refused = task::<P>(stored)?;
                ProcessManager::react(self, &mut state, Input::Refused { task: &refused, slug })
            }
            Input::TimedOut { name } => {
                let name = declared::<P>(name)?;
                ProcessManager::react(self, &mut state, Input::TimedOut { name })
            }
        };
        let Reaction { drop_unsent, tasks, wake_after, stop_waiting, failed } = reaction;
        for name in wake_after.iter().map(|wake| wake.name).chain(stop_waiting.iter().copied()) {
            declared::<P>(name)?;
        }
        let tasks = tasks.iter().map(serde_json::to_string).collect::<Result<_, _>>();
        let tasks = tasks.map_err(|error| unreadable::<P>("command", error))?;
        let state = serde_json::to_string(&state).map_err(|error| unreadable::<P>("state", error))?;
        Ok((state, Reaction { drop_unsent, tasks, wake_after, stop_waiting, failed }))
    }

    fn command(&self, instance: &str, input: Uuid, stored: &str) -> Result<(Uuid, Vec<Target>), Unreadable> {
        let task = task::<P>(stored)?;
        let (purpose, key) = P::purpose(&task);
        let id = command_id(P::NAME, instance, input, (purpose, &key));
        let none = || unreadable::<P>("command", format!("{instance:?} is no instance of this process"));
        Ok((id, P::targets(instance, task).ok_or_else(none)?))
    }

    fn purpose(&self, stored: &str) -> Result<(&'static str, String), Unreadable> {
        Ok(P::purpose(&task::<P>(stored)?))
    }

    fn step(&self, stored: &str) -> Result<&'static str, Unreadable> {
        Ok(P::step(&state::<P>(stored)?))
    }

    fn subject(&self, instance: &str) -> Option<(&'static str, Uuid)> {
        P::subject(instance)
    }
}
