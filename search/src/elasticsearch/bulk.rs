//! Writing many documents at once, in requests as large as the server takes.

use std::sync::atomic::{AtomicUsize, Ordering};

use elasticsearch::http::Method;

use super::client::{BACKEND, Client, Tries, WRITE, failed, refused};
use super::requests;
use crate::{Change, Error, TooLarge, indexed};

/// Servers refuse requests above 100 MB, and are fastest far below that. A proxy may take much less.
pub(super) const MOST_BYTES: usize = 4 << 20;

/// Every server takes this much: one that does not takes nothing.
const LEAST_BYTES: usize = 8 << 10;

/// Requests stay at least this large, since small ones are slow: only what is refused is halved further.
const LEARNED_BYTES: usize = 256 << 10;

/// The status of a request that is too large.
const TOO_LARGE: u16 = 413;

/// A change as lines of a bulk request.
struct Write<'a> {
    change: &'a Change,
    lines: String,
}

/// The server's answer to a bulk request.
enum Outcome {
    Written,
    TooLarge,
}

fn bytes(writes: &[Write<'_>]) -> usize {
    writes.iter().map(|write| write.lines.len()).sum()
}

/// The writes of an index.
pub(super) struct Bulk<'a> {
    pub(super) client: &'a Client,
    pub(super) index: &'a str,
    pub(super) alias: String,
    /// The size of a request, lowered where the server takes less.
    pub(super) most: &'a AtomicUsize,
}

impl Bulk<'_> {
    /// Writes the last change of each id, and returns those that are too large for a request of their own.
    pub(super) async fn write(&self, changes: &[Change]) -> Result<Vec<TooLarge>, Error> {
        let mut too_large = Vec::new();
        let mut writes: Vec<Write<'_>> = Vec::new();
        for change in indexed::latest(changes) {
            let mut lines = String::new();
            requests::write(change, &mut lines);
            let most = self.most.load(Ordering::Relaxed);
            if !writes.is_empty() && bytes(&writes) + lines.len() > most {
                self.halved(&writes, &mut too_large).await?;
                writes.clear();
            }
            writes.push(Write { change, lines });
        }
        self.halved(&writes, &mut too_large).await?;
        if !too_large.is_empty() {
            // An older version must not be found with what is no longer true.
            let mut lines = String::new();
            for TooLarge { id, version, .. } in &too_large {
                requests::write(&Change::Delete { id: id.clone(), version: *version }, &mut lines);
            }
            self.send(&lines).await?;
        }
        Ok(too_large)
    }

    /// Sends the writes, in halves if they are too large together, and so on.
    async fn halved(&self, writes: &[Write<'_>], too_large: &mut Vec<TooLarge>) -> Result<(), Error> {
        let mut waiting = vec![writes];
        while let Some(writes) = waiting.pop() {
            let lines: String = writes.iter().map(|write| write.lines.as_str()).collect();
            let size = lines.len();
            let outcome = match self.send(&lines).await {
                // A proxy may close the connection instead of answering: the server is there, this request fails.
                Err(Error::Unreachable { .. }) if writes.len() > 1 && self.client.ping().await.is_ok() => {
                    Outcome::TooLarge
                }
                other => other?,
            };
            match (outcome, writes) {
                (Outcome::Written, _) | (_, []) => {}
                (Outcome::TooLarge, [Write { change, .. }]) => {
                    let reason = format!(
                        "{BACKEND}, or a proxy before it, refused {id} as too large: its request has {size} bytes. \
                         Shorten its description, or raise the limit (http.max_content_length of the server, \
                         client_max_body_size of nginx)",
                        id = change.id(),
                    );
                    if size < LEAST_BYTES {
                        return Err(refused(format!("index {}: {reason}", self.index)));
                    }
                    let (id, version) = (change.id().to_owned(), change.version());
                    too_large.push(TooLarge { id, version, reason });
                }
                (Outcome::TooLarge, several) => {
                    let (first, second) = several.split_at(several.len() / 2);
                    self.most.fetch_min((size / 2).max(LEARNED_BYTES), Ordering::Relaxed);
                    waiting.extend([second, first]);
                }
            }
        }
        Ok(())
    }

    /// Sends one request.
    async fn send(&self, body: &str) -> Result<Outcome, Error> {
        if body.is_empty() {
            return Ok(Outcome::Written);
        }
        let path = format!(
            "{}/_bulk?require_alias=true&filter_path=errors,items.*.status,items.*.error,items.*._id",
            self.alias
        );
        let mut tries = Tries::new();
        loop {
            let answer = self.client.call(Method::Post, &path, Some(body.to_owned()), WRITE).await?;
            if answer.status == TOO_LARGE {
                return Ok(Outcome::TooLarge);
            }
            if answer.status != 200 {
                return Err(failed(self.index, &answer));
            }
            let mut busy = None;
            for item in answer.body["items"].as_array().into_iter().flatten().map(|item| &item["index"]) {
                let id = item["_id"].as_str().unwrap_or_default();
                let reason = || {
                    let error = &item["error"];
                    format!("index {}, document {id}: {} {}", self.index, error["type"], error["reason"])
                };
                match item["status"].as_u64() {
                    // 409: a newer version is there.
                    Some(200 | 201 | 409) => {}
                    Some(404) => return Err(Error::NoIndex(self.index.to_owned())),
                    Some(429 | 502..=504) => busy = Some(reason()),
                    _ => return Err(refused(reason())),
                }
            }
            // Writes that succeeded are skipped, or written again unchanged.
            match busy {
                None if answer.body["errors"].is_boolean() => return Ok(Outcome::Written),
                None => return Err(refused(format!("index {}: a bulk answer without items", self.index))),
                Some(reason) if !tries.again().await => {
                    return Err(Error::Unreachable { backend: BACKEND, reason });
                }
                Some(_) => {}
            }
        }
    }
}
