//! Passwords: their rule, and their hashes. Hashing costs memory and time on purpose, so few are hashed at once, off the
//! threads that answer requests; the others wait in a queue that has an end.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZero;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use argon2::password_hash::{Output, ParamsString, PasswordHash, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use unicode_normalization::UnicodeNormalization as _;

use crate::rule::{LEAST, MOST};
use crate::{BadPassword, Error, breached};

/// How many passwords may wait for their turn, in all and of one network.
const QUEUE: usize = 64;
const QUEUE_OF_ONE: usize = 4;

/// A password as somebody typed it, in NFC. It is in no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

impl Password {
    /// One to compare with a hash, which may break the rule.
    pub fn typed(text: &str) -> Self {
        Self(text.nfc().collect())
    }

    /// A new one, by the rule.
    pub fn new(text: &str) -> Result<Self, Error> {
        let password = Self::typed(text);
        let length = password.0.chars().count();
        if length < LEAST {
            return Err(BadPassword::TooShort.into());
        }
        if length > MOST {
            return Err(BadPassword::TooLong.into());
        }
        if password.0.chars().any(char::is_control) {
            return Err(BadPassword::Control.into());
        }
        if breached::is_known(&password.0).map_err(Error::internal)? {
            return Err(BadPassword::Breached.into());
        }
        Ok(password)
    }
}

/// Letters and digits that look like no others.
pub(crate) const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A random password for somebody who will type it once: 100 bits, in letters and digits that look like no others.
pub fn generate() -> Result<String, Error> {
    let mut bytes = [0; 20];
    random(&mut bytes)?;
    let letters = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    let groups: Vec<String> =
        letters.collect::<Vec<_>>().chunks(5).map(|five| five.iter().collect()).collect();
    Ok(groups.join("-"))
}

pub(crate) fn random(bytes: &mut [u8]) -> Result<(), Error> {
    SystemRandom::new().fill(bytes).map_err(|_| Error::internal("no random numbers are available"))
}

/// The cost of a hash: parameters of argon2id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    pub memory_kib: u32,
    pub passes: u32,
}

impl Default for Cost {
    /// As OWASP recommends.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2 }
    }
}

impl Cost {
    fn hash(self, password: &Password, memory: &mut Memory) -> Result<String, Error> {
        let mut salt = [0; 16];
        random(&mut salt)?;
        let params = Params::new(self.memory_kib, self.passes, 1, None).map_err(Error::internal)?;
        let output = memory.hash(password, &salt, (Version::V0x13, &params))?;
        let salt = SaltString::encode_b64(&salt).map_err(Error::internal)?;
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&params).map_err(Error::internal)?,
            salt: Some(salt.as_salt()),
            hash: Some(output),
        };
        Ok(hash.to_string())
    }
}

/// The memory that hashes are computed in. It is kept: taking 19 MiB from the system for each hash costs a sixth of its time.
#[derive(Default)]
struct Memory(Vec<Block>);

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    fn hash(
        &mut self,
        password: &Password,
        salt: &[u8],
        (version, params): (Version, &Params),
    ) -> Result<Output, Error> {
        let blocks = params.block_count();
        if self.0.len() < blocks {
            self.0.resize(blocks, Block::new());
        }
        let argon2 = Argon2::new(Algorithm::Argon2id, version, params.clone());
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let mut output = vec![0; length];
        argon2
            .hash_password_into_with_memory(password.0.as_bytes(), salt, &mut output, &mut self.0[..blocks])
            .map_err(Error::internal)?;
        Output::new(&output).map_err(Error::internal)
    }

    /// Whether the password has this hash, in whatever time the hash was made to cost.
    fn verify(&mut self, password: &Password, hash: &PasswordHash<'_>) -> Result<bool, Error> {
        let unreadable = || Error::internal("a stored hash cannot be read");
        let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else { return Err(unreadable()) };
        if hash.algorithm != Algorithm::Argon2id.ident() {
            return Err(unreadable());
        }
        let version = hash.version.map_or(Ok(Version::V0x13), Version::try_from).map_err(Error::internal)?;
        let params = Params::try_from(hash).map_err(Error::internal)?;
        let mut decoded = [0; 64];
        let salt = salt.decode_b64(&mut decoded).map_err(Error::internal)?;
        // Two outputs are compared in constant time.
        Ok(self.hash(password, salt, (version, &params))? == expected)
    }
}

/// Whether a password is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verified {
    Wrong,
    Right {
        /// A hash of today's cost, where the stored one has another.
        better: Option<String>,
    },
}

/// A password that waits for its turn.
#[derive(Debug, Default)]
struct Queue {
    all: usize,
    of: HashMap<String, usize>,
}

/// Hashes passwords, a bounded number at once.
#[derive(Debug, Clone)]
pub(crate) struct Hasher {
    cost: Cost,
    turns: Arc<Semaphore>,
    queue: Arc<Mutex<Queue>>,
    /// Verified where there is no hash, so that it takes as long.
    dummy: Arc<OnceLock<String>>,
    /// As many as there were turns at once.
    memory: Arc<Mutex<Vec<Memory>>>,
}

/// A place in the queue, given back when it is dropped.
struct Place {
    queue: Arc<Mutex<Queue>>,
    network: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.all -= 1;
        if let Some(own) = queue.of.get_mut(&self.network) {
            *own -= 1;
            if *own == 0 {
                queue.of.remove(&self.network);
            }
        }
    }
}

impl Hasher {
    /// On half of the processors, and at least on one.
    pub(crate) fn new(cost: Cost) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let turns = Arc::new(Semaphore::new((processors / 2).max(1)));
        Self { cost, turns, queue: Arc::default(), dummy: Arc::default(), memory: Arc::default() }
    }

    fn place(&self, network: &str) -> Result<Place, Error> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let own = queue.of.get(network).copied().unwrap_or(0);
        if queue.all >= QUEUE || own >= QUEUE_OF_ONE {
            return Err(Error::Busy);
        }
        queue.all += 1;
        queue.of.insert(network.to_owned(), own + 1);
        Ok(Place { queue: Arc::clone(&self.queue), network: network.to_owned() })
    }

    async fn turn(&self, network: &str) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() {
            return Ok(turn);
        }
        let _place = self.place(network)?;
        Arc::clone(&self.turns).acquire_owned().await.map_err(Error::internal)
    }

    async fn work<T: Send + 'static>(
        &self,
        network: &str,
        work: impl FnOnce(&mut Memory) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.turn(network).await?;
        let all = Arc::clone(&self.memory);
        // The turn is given back when the work is done, also where nobody waits for it any more.
        let worked = tokio::task::spawn_blocking(move || {
            let kept = || all.lock().unwrap_or_else(PoisonError::into_inner);
            let mut memory = kept().pop().unwrap_or_default();
            let done = work(&mut memory);
            kept().push(memory);
            drop(turn);
            done
        });
        worked.await.map_err(Error::internal)?
    }

    /// The hash of a new password, for somebody of that network.
    pub(crate) async fn hash(&self, password: Password, network: &str) -> Result<String, Error> {
        let cost = self.cost;
        self.work(network, move |memory| cost.hash(&password, memory)).await
    }

    /// Compares a password with a stored hash. Without one it takes as long, and is wrong.
    pub(crate) async fn verify(
        &self,
        password: Password,
        stored: Option<String>,
        network: &str,
    ) -> Result<Verified, Error> {
        let (cost, dummy) = (self.cost, Arc::clone(&self.dummy));
        self.work(network, move |memory| {
            if stored.is_none() && dummy.get().is_none() {
                drop(dummy.set(cost.hash(&Password::typed(&generate()?), memory)?));
            }
            let text = stored.as_deref().or_else(|| dummy.get().map(String::as_str)).unwrap_or_default();
            let hash =
                PasswordHash::new(text).map_err(|_| Error::internal("a stored hash cannot be read"))?;
            let right = memory.verify(&password, &hash)?;
            if !right || stored.is_none() {
                return Ok(Verified::Wrong);
            }
            let old = Params::try_from(&hash).map_err(Error::internal)?;
            let same = (old.m_cost(), old.t_cost(), old.p_cost()) == (cost.memory_kib, cost.passes, 1);
            let better = if same { None } else { Some(cost.hash(&password, memory)?) };
            Ok(Verified::Right { better })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cheap, so that many tests can hash.
    const CHEAP: Cost = Cost { memory_kib: 64, passes: 1 };

    fn refused(text: &str) -> Option<BadPassword> {
        match Password::new(text) {
            Ok(_) => None,
            Err(Error::Password(why)) => Some(why),
            Err(other) => panic!("{other}"),
        }
    }

    /// I31.
    #[test]
    fn a_password_has_8_to_128_characters_of_any_kind_and_is_none_of_the_common_ones() {
        let long = "🐢".repeat(MOST);
        for good in [
            "8 letters",
            "q7#kP2vv",
            &long,
            "пароль-длинный",
            "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}",
        ] {
            assert_eq!(refused(good), None, "{good}");
        }
        for (bad, why) in [
            ("", BadPassword::TooShort),
            ("short7!", BadPassword::TooShort),
            // Seven after NFC.
            ("e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}", BadPassword::TooShort),
            (&format!("{long}x"), BadPassword::TooLong),
            ("with\0zero-inside", BadPassword::Control),
            ("two\nlines-of-it", BadPassword::Control),
            ("Password", BadPassword::Breached),
            ("123456789", BadPassword::Breached),
        ] {
            assert_eq!(refused(bad), Some(why), "{bad}");
        }
        assert_eq!(format!("{:?}", Password::typed("secret")), "Password");
    }

    /// I31.
    #[tokio::test]
    async fn every_character_of_a_long_password_counts_and_its_composition_does_not() {
        let hasher = Hasher::new(CHEAP);
        let long = "🐢".repeat(MOST - 1);
        let stored = hasher.hash(Password::new(&format!("{long}é")).unwrap(), "").await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored}");
        let right = Verified::Right { better: None };
        for (typed, expected) in [
            (format!("{long}é"), right.clone()),
            (format!("{long}e\u{301}"), right),
            (format!("{long}e"), Verified::Wrong),
            (format!("{long}éx"), Verified::Wrong),
            (long, Verified::Wrong),
        ] {
            let found = hasher.verify(Password::typed(&typed), Some(stored.clone()), "").await.unwrap();
            assert_eq!(found, expected);
        }
        assert_eq!(hasher.verify(Password::typed("any"), None, "").await.unwrap(), Verified::Wrong);
    }

    #[tokio::test]
    async fn a_hash_of_the_reference_implementation_is_verified_in_memory_that_was_used_before() {
        // Of its `test.c`.
        let stored = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let hasher = Hasher::new(CHEAP);
        for _ in 0..2 {
            for (typed, is_right) in [("password", true), ("Password", false)] {
                let found = hasher.verify(Password::typed(typed), Some(stored.to_owned()), "").await.unwrap();
                assert_eq!(matches!(found, Verified::Right { .. }), is_right, "{typed}");
            }
        }
        assert_eq!(hasher.memory.lock().unwrap().len(), 1, "one after the other they need it once");
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_made_anew_when_its_password_is_known() {
        let (cheap, dear) = (Hasher::new(CHEAP), Hasher::new(Cost { passes: 2, ..CHEAP }));
        let password = Password::typed("correct horse");
        let stored = cheap.hash(password.clone(), "").await.unwrap();
        let Verified::Right { better: Some(better) } =
            dear.verify(password.clone(), Some(stored.clone()), "").await.unwrap()
        else {
            panic!("no better hash")
        };
        assert!(better.contains("m=64,t=2,p=1"), "{better}");
        assert_eq!(dear.verify(password, Some(better), "").await.unwrap(), Verified::Right { better: None });
        assert_eq!(dear.verify(Password::typed("wrong"), Some(stored), "").await.unwrap(), Verified::Wrong);
    }

    #[tokio::test]
    async fn who_comes_when_the_queue_is_full_is_refused_and_one_network_has_four_places_of_it() {
        let hasher = Hasher::new(CHEAP);
        let all = u32::try_from(hasher.turns.available_permits()).unwrap();
        let turns = Arc::clone(&hasher.turns).acquire_many_owned(all).await.unwrap();
        let waiting: Vec<_> = (0..QUEUE)
            .map(|number| {
                let hasher = hasher.clone();
                let network = format!("network {}", number / QUEUE_OF_ONE);
                tokio::spawn(async move { hasher.hash(Password::typed("x"), &network).await })
            })
            .collect();
        // Each has its place before anything is asked.
        while hasher.queue.lock().unwrap().all < QUEUE {
            tokio::task::yield_now().await;
        }
        for network in ["network 0", "another"] {
            let refused = hasher.hash(Password::typed("x"), network).await;
            assert!(matches!(refused, Err(Error::Busy)), "{network}");
        }
        drop(turns);
        for one in waiting {
            one.await.unwrap().unwrap();
        }
        assert!(hasher.queue.lock().unwrap().of.is_empty(), "everybody gave their place back");
        // One network alone never fills it.
        let turns = Arc::clone(&hasher.turns).acquire_many_owned(all).await.unwrap();
        let own: Vec<_> = (0..QUEUE_OF_ONE).map(|_| hasher.place("one").unwrap()).collect();
        assert!(matches!(hasher.hash(Password::typed("x"), "one").await, Err(Error::Busy)));
        assert!(hasher.place("other").is_ok());
        drop((turns, own));
    }

    #[test]
    fn a_generated_password_is_good_and_another_one_each_time() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 23, "{one}");
        assert_eq!(refused(&one), None);
    }
}
