//! Entries in Redis, seen by every process.
//!
//! A key holds a number, and maybe a value: an entry with its position, or only a floor. Every change is one script
//! that compares the number, so an old value never wins, in whatever order puts and invalidations arrive.
//!
//! A space has an epoch, a random text drawn when it is first used and part of its keys' names. A space that was
//! dropped, or lost with the server's memory, gets another epoch: no earlier entry is found again, and a process that
//! sees the epoch change stores nothing for a minute, because the floors are lost and its reads under way may be
//! older than them.
//!
//! Use a server of its own, or at least the `maxmemory-policy` `noeviction` or `allkeys-lru`: the policy
//! `volatile-ttl` evicts floors first.

pub(crate) mod rates;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{
    Client, ClientTlsConfig, Cmd, ConnectionInfo, FromRedisValue, IntoConnectionInfo, RedisResult, Script,
    ScriptInvocation, TlsCertificates,
};
use async_trait::async_trait;
use bytes::Bytes;
use soonshop_certificates::ServerTls;
use uuid::Uuid;

use crate::port::{Cache, ENTRY_LIFE, Entry, Error, FLOOR_LIFE, refused};

/// The longest wait for the server. A read that would wait longer is faster without the cache.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long a failed server is left alone, so that not every read waits for it to fail.
const REST: Duration = Duration::from_millis(250);
/// The epoch outlives every entry under it.
const EPOCH_LIFE: Duration = Duration::from_hours(48);
/// How many keys one script changes: a server runs one script at a time.
const BATCH: usize = 500;
/// Width of the number: positions in decimal, shifted to be positive, so that they compare as text, exactly.
const DIGITS: usize = 20;

/// The space's epoch, drawn if it has none.
const EPOCH: &str = r"
redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if ARGV[3] then redis.call('HSET', KEYS[1], 'checkpoint', ARGV[3]) end
return redis.call('HGET', KEYS[1], 'epoch')
";

/// 1: stored. 0: refused. -1: the space now has another epoch.
const PUT: &str = r"
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return -1 end
local there = redis.call('GETRANGE', KEYS[2], 0, 19)
if there ~= '' and there > string.sub(ARGV[2], 1, 20) then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
";

/// Replaces only an older number: an entry read at the floor or later already has the change. In both cases the
/// number is kept as long as a floor.
const INVALIDATE: &str = r"
redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local epoch = redis.call('HGET', KEYS[1], 'epoch')
for n = 6, #ARGV do
  local name = ARGV[5] .. epoch .. ':' .. ARGV[n]
  local there = redis.call('GETRANGE', name, 0, 19)
  if there == '' or there < ARGV[3] then
    redis.call('SET', name, ARGV[3], 'PX', ARGV[4])
  elseif redis.call('PTTL', name) < tonumber(ARGV[4]) then
    redis.call('PEXPIRE', name, ARGV[4])
  end
end
return epoch
";

/// Does everything that a cache does, on a key that is gone afterwards: stores, reads, drops.
const EXAMINE: &str = r"
redis.call('SET', KEYS[1], ARGV[1], 'PX', 5000)
local there = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return there == ARGV[1] and 1 or 0
";

pub(crate) struct Redis {
    address: ConnectionInfo,
    tls: ServerTls,
    prefix: String,
    link: Mutex<Link>,
    spaces: Mutex<HashMap<String, SpaceState>>,
    epoch: Script,
    put: Script,
    invalidate: Script,
    examine: Script,
}

/// The connection with its number, so that a failure of an old connection does not drop a new one.
#[derive(Default)]
struct Link {
    number: u64,
    manager: Option<ConnectionManager>,
    rest: Option<(Instant, String)>,
}

/// The state of a space in this process: nothing yet, or the epoch that it saw.
#[derive(Default)]
struct SpaceState {
    epoch: Option<String>,
    closed_until: Option<Instant>,
}

/// Each change under these locks is a single step, so data left by a panic is valid.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unreachable(reason: impl ToString) -> Error {
    Error::Unreachable { backend: "redis", reason: reason.to_string() }
}

fn digits(position: i64) -> String {
    format!("{:0DIGITS$}", i128::from(position) - i128::from(i64::MIN))
}

fn position(digits: &[u8]) -> Option<i64> {
    let number: i128 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    i64::try_from(number + i128::from(i64::MIN)).ok()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn new_epoch() -> String {
    Uuid::new_v4().simple().to_string()
}

impl Redis {
    pub(crate) fn new(url: &str) -> Result<Self, Error> {
        let mut parsed = url::Url::parse(url).map_err(|error| refused(url, error.to_string()))?;
        if !parsed.has_host() {
            return Err(refused(url, "it names no host".to_owned()));
        }
        let instead = (parsed.scheme() != "rediss").then_some("give rediss:// instead of redis://");
        let tls = ServerTls::take_usable(&mut parsed, instead);
        let tls = tls.map_err(|reason| refused(url, reason.to_string()))?;
        let mut prefix = String::new();
        for (name, value) in parsed.query_pairs() {
            match &*name {
                "prefix" => prefix = value.into_owned(),
                "protocol" => {}
                _ => return Err(refused(url, format!("the parameter {name:?} is not known"))),
            }
        }
        let others: Vec<(String, String)> = parsed
            .query_pairs()
            .filter(|(name, _)| name != "prefix")
            .map(|(n, v)| (n.into(), v.into()))
            .collect();
        parsed.set_query(None);
        if !others.is_empty() {
            parsed.query_pairs_mut().extend_pairs(others);
        }
        let address = parsed.as_str().into_connection_info();
        let address = address.map_err(|error| refused(url, error.to_string()))?;
        Client::open(address.clone()).map_err(|error| refused(url, error.to_string()))?;
        Ok(Self {
            address,
            tls,
            prefix,
            link: Mutex::default(),
            spaces: Mutex::default(),
            epoch: Script::new(EPOCH),
            put: Script::new(PUT),
            invalidate: Script::new(INVALIDATE),
            examine: Script::new(EXAMINE),
        })
    }

    /// A client with the files of TLS as they are now. An address that names none asks for nothing.
    fn client(&self) -> Result<Client, Error> {
        let address = self.address.clone();
        if !self.tls.is_given() {
            return Client::open(address).map_err(unreachable);
        }
        let pem = self.tls.read().map_err(|error| unreachable(error.of_server()))?;
        let client_tls = pem.own.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
        let files = TlsCertificates { client_tls, root_cert: pem.ca };
        Client::build_with_tls(address, files).map_err(unreachable)
    }

    /// The connection, opened on first use, because that needs a runtime.
    fn link(&self, rested: bool) -> Result<(u64, ConnectionManager), Error> {
        let mut link = lock(&self.link);
        if let Some((end, reason)) = &link.rest
            && !rested
            && Instant::now() < *end
        {
            return Err(unreachable(reason));
        }
        if let Some(manager) = &link.manager {
            return Ok((link.number, manager.clone()));
        }
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let manager = self.client().and_then(|client| {
            ConnectionManager::new_lazy_with_config(client, config).map_err(unreachable)
        })?;
        link.number += 1;
        link.manager = Some(manager.clone());
        Ok((link.number, manager))
    }

    /// Runs `work` within [`PATIENCE`]. A connection that failed or did not answer is dropped, even if it seems
    /// alive: a host that vanished never reports an error.
    async fn run<T, F>(&self, rested: bool, work: impl FnOnce(ConnectionManager) -> F) -> Result<T, Error>
    where
        F: Future<Output = RedisResult<T>> + Send,
    {
        let (number, manager) = self.link(rested)?;
        let (reason, broken) = match tokio::time::timeout(PATIENCE, work(manager)).await {
            Ok(Ok(value)) => {
                lock(&self.link).rest = None;
                return Ok(value);
            }
            Ok(Err(error)) => {
                let broken = error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error();
                (error.to_string(), broken)
            }
            Err(_) => (format!("no answer within {} ms", PATIENCE.as_millis()), true),
        };
        let mut link = lock(&self.link);
        if broken && link.number == number {
            link.manager = None;
        }
        link.rest = Some((Instant::now() + REST, reason.clone()));
        Err(unreachable(reason))
    }

    async fn script<T: FromRedisValue + Send>(&self, call: &ScriptInvocation<'_>) -> Result<T, Error> {
        self.run(false, |mut manager| async move { call.invoke_async(&mut manager).await }).await
    }

    async fn command<T: FromRedisValue + Send>(&self, rested: bool, command: &Cmd) -> Result<T, Error> {
        self.run(rested, |mut manager| async move { command.query_async(&mut manager).await }).await
    }

    /// The key of the space itself. It ends with a colon, so no space's key is a prefix of another's.
    fn meta(&self, space: &str) -> String {
        format!("{}{}", self.prefix, space.replace('%', "%25").replace(':', "%3A"))
    }

    /// The prefix of the names of its keys.
    fn base(&self, space: &str) -> String {
        format!("{}:", self.meta(space))
    }

    fn known(&self, space: &str) -> Option<String> {
        lock(&self.spaces).entry(space.to_owned()).or_default().epoch.clone()
    }

    /// Remembers the epoch; if it replaces another one, the space is closed for a while.
    fn learn(&self, space: &str, epoch: &str) {
        let mut spaces = lock(&self.spaces);
        let known = spaces.entry(space.to_owned()).or_default();
        if known.epoch.as_deref() == Some(epoch) {
            return;
        }
        if known.epoch.is_some() {
            tracing::info!(space, "the cache was dropped or lost; nothing is stored in it for a minute");
            known.closed_until = Some(Instant::now() + FLOOR_LIFE);
        }
        known.epoch = Some(epoch.to_owned());
    }

    fn closed(&self, space: &str) -> bool {
        let spaces = lock(&self.spaces);
        spaces.get(space).and_then(|known| known.closed_until).is_some_and(|end| Instant::now() < end)
    }

    /// Gets the space's epoch, and stores the checkpoint with it if there is one.
    async fn open(&self, space: &str, checkpoint: Option<&str>) -> Result<String, Error> {
        let mut call = self.epoch.key(self.meta(space));
        call.arg(new_epoch()).arg(milliseconds(EPOCH_LIFE));
        if let Some(checkpoint) = checkpoint {
            call.arg(checkpoint);
        }
        let epoch: String = self.script(&call).await?;
        self.learn(space, &epoch);
        Ok(epoch)
    }
}

#[async_trait]
impl Cache for Redis {
    fn backend(&self) -> &'static str {
        "redis"
    }

    fn shared(&self) -> bool {
        true
    }

    async fn ping(&self) -> Result<(), Error> {
        self.command(true, &::redis::cmd("PING")).await
    }

    async fn examine(&self) -> Result<(), Error> {
        let value = new_epoch();
        let mut call = self.examine.key(format!("{}health:{value}", self.prefix));
        call.arg(value);
        // Also while the server is left alone after a failure: this is how it is noticed that it works again.
        let asked = |mut manager| async move { call.invoke_async::<i64>(&mut manager).await };
        match self.run(true, asked).await? {
            1 => Ok(()),
            _ => Err(unreachable("an entry that was stored just now was not there")),
        }
    }

    async fn get(&self, space: &str, key: &str) -> Result<Option<Entry>, Error> {
        let seen = match self.known(space) {
            Some(epoch) => epoch,
            None => match self.open(space, None).await {
                Ok(epoch) => epoch,
                Err(error) => {
                    // This read goes on without an epoch, so any epoch that comes next counts as a change.
                    lock(&self.spaces).entry(space.to_owned()).or_default().epoch.get_or_insert_default();
                    return Err(error);
                }
            },
        };
        let mut both = ::redis::pipe();
        both.hget(self.meta(space), "epoch").get(format!("{}{seen}:{key}", self.base(space)));
        let (epoch, bytes): (Option<String>, Option<Vec<u8>>) =
            self.run(false, |mut manager| async move { both.query_async(&mut manager).await }).await?;
        if epoch.as_deref() != Some(&seen) {
            self.open(space, None).await?;
            return Ok(None);
        }
        let Some(bytes) = bytes.map(Bytes::from).filter(|bytes| bytes.len() > DIGITS) else {
            return Ok(None);
        };
        // One byte follows the number, so that an empty value is not taken for a floor.
        Ok(position(&bytes[..DIGITS]).map(|position| Entry { value: bytes.slice(DIGITS + 1..), position }))
    }

    async fn put(&self, space: &str, key: &str, entry: Entry) -> Result<bool, Error> {
        let epoch = match self.known(space) {
            Some(epoch) => epoch,
            None => self.open(space, None).await?,
        };
        if self.closed(space) {
            return Ok(false);
        }
        let mut value = digits(entry.position).into_bytes();
        value.push(b'=');
        value.extend_from_slice(&entry.value);
        let mut call = self.put.key(self.meta(space));
        call.key(format!("{}{epoch}:{key}", self.base(space)));
        call.arg(epoch).arg(value).arg(milliseconds(ENTRY_LIFE)).arg(milliseconds(EPOCH_LIFE));
        let stored: i64 = self.script(&call).await?;
        if stored < 0 {
            self.open(space, None).await?;
        }
        Ok(stored == 1)
    }

    async fn invalidate(&self, space: &str, keys: &[String], floor: i64) -> Result<(), Error> {
        for batch in keys.chunks(BATCH) {
            let mut call = self.invalidate.key(self.meta(space));
            call.arg(new_epoch()).arg(milliseconds(EPOCH_LIFE)).arg(digits(floor));
            call.arg(milliseconds(FLOOR_LIFE)).arg(self.base(space)).arg(batch);
            let epoch: String = self.script(&call).await?;
            self.learn(space, &epoch);
        }
        Ok(())
    }

    async fn checkpoint(&self, space: &str) -> Result<Option<String>, Error> {
        self.command(false, ::redis::cmd("HGET").arg(self.meta(space)).arg("checkpoint")).await
    }

    async fn set_checkpoint(&self, space: &str, checkpoint: &str) -> Result<(), Error> {
        self.open(space, Some(checkpoint)).await.map(|_| ())
    }

    async fn drop_space(&self, space: &str) -> Result<(), Error> {
        self.command::<()>(false, ::redis::cmd("DEL").arg(self.meta(space))).await?;
        // They are unreachable already; this frees their memory, and removes personal values.
        let pattern = format!("{}*", escaped(&self.base(space)));
        let mut cursor = 0_u64;
        loop {
            let mut scan = ::redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(1_000);
            let (next, keys): (u64, Vec<Vec<u8>>) = self.command(false, &scan).await?;
            if !keys.is_empty() {
                self.command::<()>(false, ::redis::cmd("UNLINK").arg(&keys)).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}

/// The text as a Redis pattern that matches only itself.
fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '^' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_compare_as_text_and_read_back() {
        let order = [i64::MIN, -1, 0, 1, 9, 10, 1 << 53, (1 << 53) + 1, i64::MAX];
        for pair in order.windows(2) {
            assert!(digits(pair[0]) < digits(pair[1]));
        }
        for n in order {
            assert_eq!(digits(n).len(), DIGITS);
            assert_eq!(position(digits(n).as_bytes()), Some(n));
        }
    }

    #[test]
    fn a_pattern_matches_its_own_text_only() {
        assert_eq!(escaped("a*b[c]\\"), "a\\*b\\[c\\]\\\\");
    }
}
