//! Four processes write, are killed with -9 and restarted, and their connections are cut; two followers read along.
//! No event is skipped, doubled, out of order or lost, and no command is done twice. `TORTURE_SECONDS` sets the
//! duration.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use soonshop_domain::inventory::Stock;
use soonshop_domain::user::User;
use soonshop_domain::{Metadata, ids};
use soonshop_event_log::{Checkpoint, Database, DatabaseLocation, Entry, Error, EventLog, KeyStore};
use soonshop_event_store::{EventStore, ExecuteError, Executed, KeyMaker};
use sqlx::Executor as _;
use tokio::time::Instant;
use uuid::Uuid;

use crate::fixture::{Fixture, context_of, masters, receive, register};

const WRITERS: usize = 4;
const TASKS: usize = 8;
/// So many users want so few addresses that most are taken.
const ADDRESSES: u64 = 40;

/// Random numbers that need be neither good nor secret.
struct Dice(u64);

impl Dice {
    fn seeded() -> Self {
        Self(u64::from_le_bytes(ids::new().as_bytes()[8..].try_into().unwrap()) | 1)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// The intention of a writer, on one line of its file: `<command> <what> <stream> <address>`.
#[derive(Debug, Clone, PartialEq)]
struct Intent {
    command: Uuid,
    what: String,
    stream: Uuid,
    address: u64,
}

impl Intent {
    fn parse(line: &str) -> Self {
        let [command, what, stream, address] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line:?}")
        };
        Self {
            command: command.parse().unwrap(),
            what: what.to_owned(),
            stream: stream.parse().unwrap(),
            address: address.parse().unwrap(),
        }
    }

    fn line(&self) -> String {
        format!("{} {} {} {}\n", self.command, self.what, self.stream, self.address)
    }

    fn random(dice: &mut Dice, own: Uuid, shared: Uuid) -> Self {
        let command = ids::new();
        let (what, stream) = match dice.roll(10) {
            0..=4 => ("receive", own),
            5..=7 => ("receive", shared),
            _ => ("register", ids::stream_of(command)),
        };
        Self { command, what: what.to_owned(), stream, address: dice.roll(ADDRESSES) }
    }

    /// Sends it until it is answered: with positions, or that the address is taken.
    async fn send(&self, store: &EventStore) -> String {
        loop {
            let context = context_of(self.command);
            let outcome = if self.what == "receive" {
                store.execute::<Stock>(self.stream, receive(1), context).await.map_err(refusal)
            } else {
                let command = register(self.stream, &format!("user{}@example.org", self.address));
                store.execute::<User>(self.stream, command, context).await.map_err(refusal)
            };
            match outcome {
                Ok(Executed { answer, .. }) => {
                    return format!(
                        "{} {} {}\n",
                        self.command,
                        answer.first_position.unwrap(),
                        answer.version.unwrap()
                    );
                }
                Err(Refusal::Taken) => return format!("{} taken\n", self.command),
                Err(Refusal::Later) => tokio::task::yield_now().await,
                Err(Refusal::Wrong(error)) => panic!("{self:?}: {error}"),
            }
        }
    }
}

enum Refusal {
    Taken,
    Later,
    Wrong(String),
}

fn refusal<E: std::fmt::Display>(error: ExecuteError<E>) -> Refusal {
    match error {
        ExecuteError::Taken { .. } => Refusal::Taken,
        ExecuteError::Unavailable(_) => Refusal::Later,
        error => Refusal::Wrong(error.to_string()),
    }
}

fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    // A line that was cut off was never acknowledged.
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// Appends durably: a kill leaves whole lines, and at most the start of one more.
struct Journal(Mutex<std::fs::File>);

impl Journal {
    fn open(file: &Path) -> Self {
        let whole: String = lines(file).into_iter().map(|line| line + "\n").collect();
        // In one step: a kill here loses nothing.
        let fresh = file.with_extension("fresh");
        std::fs::write(&fresh, whole).unwrap();
        std::fs::rename(&fresh, file).unwrap();
        Self(Mutex::new(std::fs::OpenOptions::new().append(true).open(file).unwrap()))
    }

    fn add(&self, line: &str, sync: bool) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).unwrap();
        if sync {
            file.sync_data().unwrap();
        }
    }
}

/// One writing process: this test, started by the one below with its environment. It first finishes the commands of
/// its killed predecessor; with `TORTURE_DRAIN` that is all it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of `no_command_is_lost_or_done_twice_under_kills`"]
async fn torture_writer() {
    let variable = |name| std::env::var(name).unwrap();
    let folder = PathBuf::from(variable("TORTURE_FOLDER"));
    let (own, shared) =
        (variable("TORTURE_OWN").parse().unwrap(), variable("TORTURE_SHARED").parse().unwrap());
    let database = Database::new(DatabaseLocation::parse(&variable("TORTURE_URL")).unwrap());
    let keys = KeyMaker::new(KeyStore::new(database.namespace("keys").unwrap(), masters(7)));
    let store = EventStore::open(&database, keys).unwrap();
    let (intents, answers) = (folder.join("intents"), folder.join("answers"));
    let answered: HashSet<_> = lines(&answers).iter().map(|line| line[..36].to_owned()).collect();
    let unfinished: Vec<_> = lines(&intents)
        .iter()
        .map(|line| Intent::parse(line))
        .filter(|intent| !answered.contains(&intent.command.to_string()))
        .collect();
    let (intents, answers) = (Arc::new(Journal::open(&intents)), Arc::new(Journal::open(&answers)));
    for intent in unfinished {
        answers.add(&intent.send(&store).await, true);
    }
    if std::env::var("TORTURE_DRAIN").is_ok() {
        return;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let (store, intents, answers) = (store.clone(), Arc::clone(&intents), Arc::clone(&answers));
        tasks.spawn(async move {
            let mut dice = Dice::seeded();
            loop {
                let intent = Intent::random(&mut dice, own, shared);
                intents.add(&intent.line(), false);
                answers.add(&intent.send(&store).await, true);
            }
        });
    }
    // Until it is killed; a task that ends has failed.
    tasks.join_next().await.unwrap().unwrap();
}

/// One of the writing processes, restarted again and again.
struct Writer {
    folder: tempfile::TempDir,
    own: Uuid,
    child: Option<Child>,
}

impl Writer {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), own: ids::new(), child: None }
    }

    fn start(&mut self, url: &str, shared: Uuid, drain: bool) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "torture::torture_writer", "--ignored", "--nocapture", "--quiet"])
            .env("TORTURE_URL", url)
            .env("TORTURE_FOLDER", self.folder.path())
            .env("TORTURE_OWN", self.own.to_string())
            .env("TORTURE_SHARED", shared.to_string())
            .stdout(Stdio::null());
        if drain {
            command.env("TORTURE_DRAIN", "1");
        }
        self.child = Some(command.spawn().unwrap());
    }

    /// SIGKILL. The process must still run: if it ended by itself, it has failed.
    fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(ended.is_none(), "a writer ended by itself: {ended:?}");
    }

    fn lines(&self, file: &str) -> Vec<String> {
        lines(&self.folder.path().join(file))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Follows until `end` is announced as the last position; returns everything it saw, in order.
async fn follow(
    log: EventLog,
    page: i64,
    mut end: tokio::sync::watch::Receiver<Option<i64>>,
) -> Vec<(i64, Uuid)> {
    let (mut checkpoint, mut seen) = (Checkpoint::start(), Vec::new());
    while end.borrow_and_update().is_none_or(|end| checkpoint.position < end) {
        match log.read_after("a follower", &checkpoint, page).await {
            Ok(entries) => {
                checkpoint = entries.last().map_or(checkpoint, Entry::checkpoint);
                seen.extend(entries.into_iter().map(|entry| (entry.position, entry.event_id)));
            }
            // Its connection was cut.
            Err(Error::Unavailable(_) | Error::Keys(_)) => {}
            Err(error) => panic!("{error}"),
        }
        tokio::task::yield_now().await;
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_is_lost_or_done_twice_under_kills() {
    let seconds = std::env::var("TORTURE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    let shop = Fixture::postgres().await;
    let (url, shared) = (shop.url(), ids::new());
    let (last, end) = tokio::sync::watch::channel(None);
    let followers: Vec<_> = [7, 500].map(|page| tokio::spawn(follow(shop.log(), page, end.clone()))).into();
    let mut writers: Vec<_> = (0..WRITERS).map(|_| Writer::new()).collect();
    for writer in &mut writers {
        writer.start(&url, shared, false);
    }

    let mut dice = Dice::seeded();
    let mut scissors = shop.raw().await;
    let (mut kills, mut cuts) = (0, 0);
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20 + dice.roll(100))).await;
        let application = if dice.roll(4) == 0 { "soonshop" } else { "soonshop-appender" };
        let cut = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = '{application}' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1"
        );
        cuts += scissors.execute(cut.as_str()).await.unwrap().rows_affected();
        if dice.roll(6) == 0 {
            let writer = &mut writers[usize::try_from(dice.roll(4)).unwrap()];
            writer.kill();
            writer.start(&url, shared, false);
            kills += 1;
        }
    }
    for writer in &mut writers {
        writer.kill();
        writer.start(&url, shared, true);
    }
    for writer in &mut writers {
        let mut child = writer.child.take().unwrap();
        let ended = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
        assert!(ended.success(), "begun commands could not be finished: {ended}");
    }

    // Positions and sequences without gaps, times that never decrease.
    let events = shop.events().await;
    last.send(Some(i64::try_from(events.len()).unwrap())).unwrap();
    let stored: Vec<_> = events.iter().map(|event| (event.position, event.event_id)).collect();
    for follower in followers {
        assert!(follower.await.unwrap() == stored, "a follower saw other events, or in another order");
    }

    let mut by_command = HashMap::new();
    for event in &events {
        let metadata: Metadata = serde_json::from_str(&event.metadata).unwrap();
        let twice = by_command.insert(metadata.command_id.unwrap(), (event.position, event.sequence));
        assert!(twice.is_none(), "the command of position {} was done twice", event.position);
    }
    let (mut answered, mut taken) = (0, 0);
    for writer in &writers {
        let answers: HashMap<Uuid, String> = writer
            .lines("answers")
            .iter()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(command, answer)| (command.parse().unwrap(), answer.to_owned()))
            .collect();
        let intents: HashSet<_> =
            writer.lines("intents").iter().map(|line| Intent::parse(line).command).collect();
        assert_eq!(answers.keys().copied().collect::<HashSet<_>>(), intents, "everything begun was answered");
        for (command, answer) in answers {
            if answer == "taken" {
                taken += 1;
                assert!(!by_command.contains_key(&command), "done, and answered as taken");
            } else {
                answered += 1;
                let (position, version) = by_command[&command];
                assert_eq!(answer, format!("{position} {version}"), "acknowledged as something else");
            }
        }
    }
    assert_eq!(answered, events.len(), "no command was done that was not requested");
    let records = shop.number("log", "SELECT count(*) FROM @commands").await;
    assert_eq!(usize::try_from(records).unwrap(), events.len());
    // Every address has one owner, who is registered with it.
    let users = events.iter().filter(|event| event.event_type == "UserRegistered").count();
    let claims = shop.number("log", "SELECT count(*) FROM @claims").await;
    assert_eq!(usize::try_from(claims).unwrap(), users);
    assert!(users <= usize::try_from(ADDRESSES).unwrap());
    eprintln!(
        "{} events, {answered} commands acknowledged, {taken} taken, {kills} kills, {cuts} connections cut, {seconds} s",
        events.len()
    );
}
