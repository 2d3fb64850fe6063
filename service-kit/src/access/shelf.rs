//! Keys in memory: for tests of whoever takes requests, which need no database for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;

use super::{ApiKey, Begun, Keys, Known, Role, Secret, Unavailable};

/// Keys, sessions, and how often they were asked for and told of.
#[derive(Default)]
pub struct Shelf {
    keys: Mutex<Vec<(String, Known)>>,
    sessions: Mutex<Vec<Begun>>,
    asked: Mutex<u32>,
    used: Mutex<Vec<Uuid>>,
    /// While set, nothing can be looked up.
    pub away: AtomicBool,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    /// Makes a key of that role, changed before it is put away; `None` where there are no random numbers.
    pub fn add(&self, role: Role, change: impl FnOnce(&mut Known)) -> Option<(ApiKey, Uuid)> {
        let id = Uuid::new_v4();
        let key = ApiKey::generate(id)?;
        let mut known = Known {
            id,
            hash: Secret::new(&key.hash()),
            role,
            expires_at: None,
            revoked: false,
            used_at: None,
        };
        change(&mut known);
        held(&self.keys).push((key.prefix().to_owned(), known));
        Some((key, id))
    }

    /// Changes what is kept of a key.
    pub fn change(&self, id: Uuid, change: impl FnOnce(&mut Known)) {
        if let Some((_, known)) = held(&self.keys).iter_mut().find(|(_, known)| known.id == id) {
            change(known);
        }
    }

    /// How often a key was looked up.
    pub fn asked(&self) -> u32 {
        *held(&self.asked)
    }

    /// The keys that were used, as often as it was told.
    pub fn used(&self) -> Vec<Uuid> {
        held(&self.used).clone()
    }

    fn here(&self) -> Result<(), Unavailable> {
        if self.away.load(Ordering::Relaxed) { Err(Unavailable("away".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl Keys for Shelf {
    async fn find(&self, prefix: &str) -> Result<Option<Known>, Unavailable> {
        *held(&self.asked) += 1;
        self.here()?;
        Ok(held(&self.keys).iter().find(|(known, _)| known == prefix).map(|(_, known)| known.clone()))
    }

    async fn used(&self, id: Uuid) -> Result<(), Unavailable> {
        held(&self.used).push(id);
        Ok(())
    }

    async fn begin(&self, session: &Begun) -> Result<(), Unavailable> {
        self.here()?;
        held(&self.sessions).push(session.clone());
        Ok(())
    }

    async fn session(&self, hash: [u8; 32]) -> Result<Option<Begun>, Unavailable> {
        self.here()?;
        let found = held(&self.sessions).iter().find(|one| one.hash == hash).cloned();
        let keys = held(&self.keys);
        let now = |id| keys.iter().find(|(_, known)| known.id == id).map(|(_, known)| known.clone());
        Ok(found.map(|one| Begun { key: one.key.as_ref().and_then(|known| now(known.id)), ..one }))
    }

    async fn end(&self, hash: [u8; 32]) -> Result<(), Unavailable> {
        held(&self.sessions).retain(|one| one.hash != hash);
        Ok(())
    }
}
