//! A projector that fails at given positions, and one of a later version.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use soonshop_event_log::RecordedEvent;
use soonshop_projections::projector::{Documents, Failure, TableOf};
use soonshop_projections::texts::Texts;
use soonshop_projections::{PersonalColumns, Projector, Unit, Wants};

pub(crate) struct UnreliableProjector {
    inner: Arc<dyn Projector>,
    version: i32,
    /// The positions at which it fails.
    pub(crate) fails: Mutex<BTreeSet<i64>>,
}

impl UnreliableProjector {
    pub(crate) fn new(inner: impl Projector, fails: impl IntoIterator<Item = i64>) -> Arc<Self> {
        let version = inner.version();
        Arc::new(Self { inner: Arc::new(inner), version, fails: Mutex::new(fails.into_iter().collect()) })
    }

    pub(crate) fn of_version(inner: impl Projector, version: i32) -> Arc<Self> {
        Arc::new(Self { inner: Arc::new(inner), version, fails: Mutex::default() })
    }

    pub(crate) fn cure(&self) {
        self.fails.lock().unwrap().clear();
    }
}

impl Projector for UnreliableProjector {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn version(&self) -> i32 {
        self.version
    }

    fn shape(&self) -> i32 {
        self.inner.shape()
    }

    fn follows(&self) -> &'static [&'static str] {
        self.inner.follows()
    }

    fn tables(&self) -> Vec<Box<dyn TableOf>> {
        self.inner.tables()
    }

    fn indexes(&self) -> &'static [&'static str] {
        self.inner.indexes()
    }

    fn texts(&self) -> Option<Box<dyn Texts>> {
        self.inner.texts()
    }

    fn only_adds(&self) -> bool {
        self.inner.only_adds()
    }

    fn wants(&self, event: &RecordedEvent, wants: &mut Wants) {
        self.inner.wants(event, wants);
    }

    fn project(&self, event: &RecordedEvent, unit: &mut Unit) -> Result<(), Failure> {
        // Changes made before the failure must not stay.
        self.inner.project(event, unit)?;
        if self.fails.lock().unwrap().contains(&event.position) {
            return Err(Failure("it is in a mood".to_owned()));
        }
        Ok(())
    }

    fn personal(&self) -> &'static [PersonalColumns] {
        self.inner.personal()
    }

    fn documents(&self) -> Option<Box<dyn Documents>> {
        self.inner.documents()
    }
}
