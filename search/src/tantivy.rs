//! Search in folders of this process, with Tantivy.
//!
//! One writer per index, created with the first change. A commit contains documents and checkpoint together, so after
//! a kill the index matches its checkpoint. All work is done outside the async threads.

mod collect;
mod private;
mod schema;

use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use soonshop_private_files as private_files;
use tantivy::collector::Count;
use tantivy::indexer::IndexWriterOptions;
use tantivy::{Index, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, TantivyError};

use self::collect::{Names, Ranked};
use self::private::PrivateDirectory;
use self::schema::Fields;
use crate::cursor::{Cursor, Key};
use crate::markup::visible_name;
use crate::parsed_query::{Matching, ParsedQuery};
use crate::{Change, Error, Page, Query, Search, TooLarge, highlight, indexed};

const BACKEND: &str = "tantivy";
/// A file that a check writes and removes again.
const TRIAL: &str = ".written-by-a-check";
/// The minimum of Tantivy; it is freed after every commit.
const WRITER_MEMORY: usize = 15_000_000;

pub(crate) fn connect(folder: &str) -> Result<Arc<dyn Search>, Error> {
    let refused = |reason: &str| Error::Address { reason: reason.to_owned() };
    if folder.is_empty() {
        return Err(refused("name a folder, such as tantivy://data/search"));
    }
    if folder.contains(['?', '#']) {
        return Err(refused("a folder has no options"));
    }
    let path = PathBuf::from(folder);
    private::narrow_all(&path);
    Ok(Arc::new(Tantivy(Arc::new(Folder { path, open: Mutex::default() }))))
}

struct Tantivy(Arc<Folder>);

struct Folder {
    path: PathBuf,
    open: Mutex<HashMap<String, Arc<Opened>>>,
}

struct Opened {
    path: PathBuf,
    index: Index,
    fields: Fields,
    reader: IndexReader,
    /// Name, size and time of every file, when all were last found whole.
    whole: Mutex<Vec<Stamp>>,
    /// Held during a whole change: reading the stored versions, writing, and committing.
    writer: Mutex<Option<IndexWriter>>,
}

/// The name of a file, its size, and when it was last written.
type Stamp = (PathBuf, u64, std::time::SystemTime);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Data left by a panic is either valid or dropped by its next user.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused(path: &std::path::Path, error: &dyn std::fmt::Display) -> Error {
    let path = path.display();
    let reason =
        format!("the index in {path}: {error}. If it is damaged, delete that folder: it will be rebuilt");
    Error::Refused { backend: BACKEND, reason }
}

impl Folder {
    fn path_of(&self, index: &str) -> Result<PathBuf, Error> {
        if indexed::is_index_name(index) {
            Ok(self.path.join(index))
        } else {
            let reason = format!("{index:?} is no name for an index: a to z, 0 to 9 and _");
            Err(Error::Refused { backend: BACKEND, reason })
        }
    }

    fn opened(&self, index: &str, make: bool) -> Result<Arc<Opened>, Error> {
        let path = self.path_of(index)?;
        let mut open = lock(&self.open);
        // Tantivy writes this file last: without it the index was never complete, or was removed.
        let there = path.join("meta.json").exists();
        match open.get(index) {
            Some(opened) if there => return Ok(opened.clone()),
            // Its folder was removed by hand: what is still open would never see the new one.
            Some(_) => drop(open.remove(index)),
            None => {}
        }
        if !there && !make {
            return Err(Error::NoIndex(index.to_owned()));
        }
        let opened = Opened::open(path.clone()).map_err(|error| refused(&path, &error))?;
        let opened = Arc::new(opened);
        open.insert(index.to_owned(), opened.clone());
        Ok(opened)
    }

    fn remove(&self, index: &str) -> Result<(), Error> {
        let path = self.path_of(index)?;
        let mut open = lock(&self.open);
        if let Some(opened) = open.remove(index) {
            // Waits for a running change. Readers keep their open files.
            lock(&opened.writer).take();
        }
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(refused(&path, &error)),
            _ => Ok(()),
        }
    }
}

impl Opened {
    fn open(path: PathBuf) -> Result<Self, TantivyError> {
        let (schema, fields) = schema::schema();
        let index = if path.join("meta.json").exists() {
            private::narrow(&path)?;
            Index::open(PrivateDirectory::open(&path)?)?
        } else {
            private_files::make_folder(&path)?;
            private::narrow(&path)?;
            Index::create(PrivateDirectory::open(&path)?, schema.clone(), IndexSettings::default())?
        };
        if index.schema() != schema {
            return Err(TantivyError::SchemaError("it was made by another version of SoonShop".to_owned()));
        }
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { path, index, fields, reader, whole: Mutex::default(), writer: Mutex::new(None) })
    }

    fn apply(&self, changes: &[Change], checkpoint: &str) -> Result<(), TantivyError> {
        let mut guard = lock(&self.writer);
        // Taken out, so that a failed change leaves no half-written documents for the next commit.
        let mut writer = match guard.take() {
            Some(writer) => writer,
            None => self.writer()?,
        };
        let searcher = self.reader.searcher();
        for change in indexed::latest(changes) {
            let there = schema::version(&searcher, &self.fields, change.id())?;
            if there.is_some_and(|version| version > change.version()) {
                continue;
            }
            if there.is_some() {
                writer.delete_term(self.fields.id_term(change.id()));
            }
            writer.add_document(self.fields.document(change)?)?;
        }
        let mut commit = writer.prepare_commit()?;
        commit.set_payload(checkpoint);
        commit.commit()?;
        self.reader.reload()?;
        *guard = Some(writer);
        Ok(())
    }

    /// The files of the index, with their lengths and when they were changed.
    fn files(&self) -> Result<Vec<Stamp>, TantivyError> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            match entry.metadata() {
                _ if entry.file_name() == TRIAL => {}
                Ok(facts) => files.push((entry.path(), facts.len(), facts.modified()?)),
                // A merge removed it just now.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        files.sort();
        Ok(files)
    }

    /// Reads all files again if one has changed since they were last found whole, and writes one beside them.
    fn examine(&self) -> Result<(), TantivyError> {
        let files = self.files()?;
        let mut whole = lock(&self.whole);
        if *whole != files {
            // Opened anew: what is open already may be a file that is not the one in the folder any more.
            let damaged = match Index::open_in_dir(&self.path)?.validate_checksum() {
                Ok(damaged) => damaged,
                // A commit or a merge changed the files meanwhile: the next look reads those that are there then.
                Err(_) if self.files()? != files => return Ok(()),
                Err(error) => return Err(error),
            };
            if let Some(file) = damaged.iter().min() {
                let reason = format!("{} is damaged", file.display());
                return Err(TantivyError::SystemError(reason));
            }
            *whole = files;
        }
        drop(whole);
        self.reader.searcher().search(&tantivy::query::AllQuery, &tantivy::collector::Count)?;
        let file = self.path.join(TRIAL);
        private_files::create(&file)?.write_all(b"written by a check")?;
        std::fs::remove_file(&file)?;
        Ok(())
    }

    fn writer(&self) -> Result<IndexWriter, TantivyError> {
        let options = IndexWriterOptions::builder()
            .memory_budget_per_thread(WRITER_MEMORY)
            .num_worker_threads(1)
            .num_merge_threads(1)
            .build();
        self.index.writer_with_options(options)
    }

    fn search(&self, query: &Query, after: Option<Cursor>) -> Result<Page, TantivyError> {
        let expected = ParsedQuery::of(&query.text);
        let searcher = self.reader.searcher();
        let mut matching = after.as_ref().map_or(Matching::AsTyped, Cursor::matching);
        let first = after.is_none();
        let collector = Ranked::new(query, after);
        let all = |matching| self.fields.query(query, expected.condition(matching));
        let mut found = searcher.search(&all(matching)?, &collector)?;
        // Filters are left out: a text that is somewhere as it was typed is typed right.
        if first && found.total == 0 && expected.forgives() {
            let anywhere = self.fields.query(&Query::default(), expected.condition(Matching::AsTyped))?;
            if searcher.search(&anywhere, &Count)? == 0 {
                matching = Matching::WithTypos;
                found = searcher.search(&all(matching)?, &collector)?;
            }
        }
        let mut hits = Vec::with_capacity(found.hits.len());
        let mut next = None;
        for found in found.hits {
            let document = self.fields.stored(&searcher, found.address)?;
            if hits.len() + 1 == indexed::limit(query) && found.more {
                let key = Key::of(&document, query, found.score);
                next = Some(Cursor::encode(query, key, &document.id, matching));
            }
            hits.push(highlight::hit(document, &expected, matching));
        }
        let fuzzy = matching == Matching::WithTypos && found.total > 0;
        let (facets, more_values) = (found.facets, found.more_values);
        Ok(Page { hits, total: found.total, fuzzy, facets, more_values, next })
    }

    fn suggest(&self, prefix: &str, most: usize) -> Result<Vec<String>, TantivyError> {
        let searcher = self.reader.searcher();
        let query = self.fields.starts_with(prefix);
        let addresses = searcher.search(&query, &Names { prefix: prefix.to_owned(), most })?;
        let name = |address| Ok(visible_name(&self.fields.stored(&searcher, address)?.name).into_owned());
        addresses.into_iter().map(name).collect()
    }
}

impl Tantivy {
    /// Works on an existing index outside the async threads. Some kinds of damage cause a panic here.
    async fn with<T: Send + 'static>(
        &self,
        index: &str,
        work: impl FnOnce(&Opened) -> Result<T, TantivyError> + Send + 'static,
    ) -> Result<T, Error> {
        let index = index.to_owned();
        self.off(move |folder| {
            let opened = folder.opened(&index, false)?;
            let work = std::panic::AssertUnwindSafe(|| work(&opened));
            match std::panic::catch_unwind(work) {
                Ok(done) => done.map_err(|error| refused(&opened.path, &error)),
                Err(_) => Err(refused(&opened.path, &"it cannot be read")),
            }
        })
        .await
    }

    async fn off<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let folder = self.0.clone();
        match tokio::task::spawn_blocking(move || work(&folder)).await {
            Ok(done) => done,
            Err(error) => Err(refused(&self.0.path, &error)),
        }
    }
}

#[async_trait]
impl Search for Tantivy {
    fn backend(&self) -> &'static str {
        BACKEND
    }

    async fn ping(&self) -> Result<(), Error> {
        self.off(|folder| {
            private_files::make_folder(&folder.path).map_err(|error| Error::Unreachable {
                backend: BACKEND,
                reason: format!("folder {}: {error}", folder.path.display()),
            })
        })
        .await
    }

    async fn examine(&self, index: &str) -> Result<(), Error> {
        self.with(index, Opened::examine).await
    }

    async fn create(&self, index: &str) -> Result<(), Error> {
        let index = index.to_owned();
        self.off(move |folder| folder.opened(&index, true).map(drop)).await
    }

    async fn remove(&self, index: &str) -> Result<(), Error> {
        let index = index.to_owned();
        self.off(move |folder| folder.remove(&index)).await
    }

    async fn checkpoint(&self, index: &str) -> Result<Option<String>, Error> {
        match self.with(index, |opened| Ok(opened.index.load_metas()?.payload)).await {
            Err(Error::NoIndex(_)) => Ok(None),
            other => other,
        }
    }

    async fn apply(&self, index: &str, changes: &[Change], checkpoint: &str) -> Result<Vec<TooLarge>, Error> {
        let (changes, checkpoint) = (changes.to_vec(), checkpoint.to_owned());
        self.with(index, move |opened| opened.apply(&changes, &checkpoint)).await?;
        // A file takes documents of every size.
        Ok(Vec::new())
    }

    async fn let_go(&self, index: &str) -> Result<(), Error> {
        // Waits for a running change.
        let writer = self.with(index, |opened| Ok(lock(&opened.writer).take())).await;
        match writer {
            Ok(_) | Err(Error::NoIndex(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn refresh(&self, index: &str) -> Result<(), Error> {
        self.with(index, |opened| opened.reader.reload()).await
    }

    async fn search(&self, index: &str, query: &Query) -> Result<Page, Error> {
        let after = Cursor::of(query)?;
        let query = query.clone();
        self.with(index, move |opened| opened.search(&query, after)).await
    }

    async fn suggest(&self, index: &str, prefix: &str, most: usize) -> Result<Vec<String>, Error> {
        let prefix = indexed::prefix(prefix);
        let most = most.min(100);
        self.with(index, move |opened| {
            if prefix.is_empty() || most == 0 { Ok(Vec::new()) } else { opened.suggest(&prefix, most) }
        })
        .await
    }
}
