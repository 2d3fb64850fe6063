//! The events of one stream. A short history is kept in memory; a longer one is read again, page by page, where it is
//! needed again, so that what it costs in memory does not grow with it.

use std::sync::Arc;
use std::time::Duration;
use std::vec::IntoIter;

use soonshop_domain::QueryError;
use soonshop_event_log::history::{self, PageSize};
use soonshop_event_log::{EventLog, RecordedEvent};
use tokio::runtime::Handle;

/// The bytes of the events that are kept in memory, as they are stored.
pub const KEPT_BYTES: usize = 8 << 20;

/// The version, position and time of an event, known without reading it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventPlace {
    pub(crate) version: i64,
    pub(crate) position: i64,
    /// In microseconds since 1970.
    pub(crate) recorded_at: i64,
}

/// The events of one stream, in order.
pub(crate) struct Events {
    log: EventLog,
    kind: String,
    id: String,
    places: Vec<EventPlace>,
    /// `None`: they are too long.
    kept: Option<Vec<Arc<RecordedEvent>>>,
}

impl Events {
    /// Reads the places of all events, and keeps the events themselves if they have no more than `most` bytes.
    pub(crate) async fn read(
        log: &EventLog,
        kind: &str,
        id: String,
        most: usize,
    ) -> Result<Self, QueryError> {
        let (mut places, mut kept, mut bytes) = (Vec::<EventPlace>::new(), Some(Vec::new()), 0_usize);
        let mut size = PageSize::default();
        loop {
            let version = places.last().map_or(0, |place| place.version);
            let rows = log.stream(kind, &id, version, size.events()).await?;
            let last = size.is_last(&rows);
            bytes = bytes.saturating_add(size.next(&rows));
            places.extend(rows.iter().map(|row| EventPlace {
                version: row.sequence,
                position: row.position,
                recorded_at: row.recorded_at.timestamp_micros(),
            }));
            if bytes > most {
                kept = None;
            }
            if let Some(kept) = &mut kept {
                kept.extend(history::decode(log, rows).await?);
            }
            if last {
                return Ok(Self { log: log.clone(), kind: kind.to_owned(), id, places, kept });
            }
        }
    }

    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn places(&self) -> &[EventPlace] {
        &self.places
    }

    /// An event, if it is kept.
    pub(crate) fn kept(&self, version: i64) -> Option<&RecordedEvent> {
        let event = self.kept.iter().flatten().find(|event| event.version == version);
        event.map(|event| &**event)
    }

    /// All events up to this version. Those that are not in memory are read from the log, and the thread waits for them:
    /// call it on a blocking thread, never on one that answers requests.
    pub(crate) fn up_to(
        &self,
        version: i64,
    ) -> Box<dyn Iterator<Item = Result<Arc<RecordedEvent>, QueryError>> + '_> {
        match &self.kept {
            Some(kept) => Box::new(
                kept.iter()
                    .take_while(move |event| event.version <= version)
                    .map(|event| Ok(Arc::clone(event))),
            ),
            None => Box::new(Reading {
                events: self,
                upto: version.min(self.places.last().map_or(0, |place| place.version)),
                version: 0,
                page: Vec::new().into_iter(),
                size: PageSize::default(),
            }),
        }
    }
}

const MISSING: &str = "events of this history that were there a moment ago are missing from the log: check it with \
                       `replay-tool check`";

/// Reads events page by page.
struct Reading<'e> {
    events: &'e Events,
    upto: i64,
    /// The last one that was given.
    version: i64,
    page: IntoIter<Arc<RecordedEvent>>,
    size: PageSize,
}

impl Reading<'_> {
    fn read(&mut self) -> Result<(), QueryError> {
        let Events { log, kind, id, .. } = self.events;
        let most = self.size.events().min(self.upto - self.version);
        let size = &mut self.size;
        let page = Handle::current().block_on(async {
            let rows = log.stream(kind, id, self.version, most).await?;
            // A stream only grows: what was counted a moment ago is missing now.
            if rows.is_empty() {
                return Err(QueryError::unavailable("history-unreadable", MISSING, Duration::from_secs(1)));
            }
            size.next(&rows);
            history::decode(log, rows).await
        });
        self.page = page?.into_iter();
        Ok(())
    }
}

impl Iterator for Reading<'_> {
    type Item = Result<Arc<RecordedEvent>, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0
            && self.version < self.upto
            && let Err(error) = self.read()
        {
            self.version = self.upto;
            return Some(Err(error));
        }
        let event = self.page.next()?;
        self.version = event.version;
        Some(Ok(event))
    }
}
