//! Folders and files of an index that only their owner may read. Tantivy makes files that everybody may read, so each
//! one is narrowed as it is made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use soonshop_private_files::{is_for_everybody, narrow_together, take_away};
use tantivy::directory::error::{DeleteError, LockError, OpenDirectoryError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    Directory, DirectoryLock, FileHandle, Lock, MmapDirectory, WatchCallback, WatchHandle, WritePtr,
};

/// Narrows every index in this folder, if it is there. Called when the program starts, before an index is opened.
pub(super) fn narrow_all(folder: &Path) {
    if let Err(error) = narrow_each(folder) {
        tracing::warn!(folder = %folder.display(), %error, "the modes of the indexes cannot be looked at");
    }
}

fn narrow_each(folder: &Path) -> io::Result<()> {
    if !folder.try_exists()? {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.join("meta.json").exists() {
            narrow(&path)?;
        }
    }
    Ok(())
}

/// Narrows the folder of an index, every file in it, and the folder of all indexes, and says so. A mode that cannot be
/// changed is reported and left.
pub(super) fn narrow(folder: &Path) -> io::Result<()> {
    let mut paths = vec![folder.to_owned()];
    let above = folder.parent().filter(|above| is_for_everybody(above).is_ok_and(|everybody| !everybody));
    paths.extend(above.map(Path::to_owned));
    for entry in fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    narrow_together(folder, paths);
    Ok(())
}

/// The folder of an index whose files are closed to others.
#[derive(Debug, Clone)]
pub(super) struct PrivateDirectory {
    path: PathBuf,
    inner: MmapDirectory,
}

impl PrivateDirectory {
    pub(super) fn open(path: &Path) -> Result<Self, OpenDirectoryError> {
        Ok(Self { path: path.to_owned(), inner: MmapDirectory::open(path)? })
    }

    /// A file system without modes was reported when the index was opened.
    fn close(&self, file: &Path) {
        if let Err(error) = take_away(&self.path.join(file)) {
            tracing::debug!(file = %file.display(), %error, "the mode of a file of the index cannot be changed");
        }
    }
}

impl Directory for PrivateDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.inner.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.inner.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    /// The file is narrowed while it is empty.
    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let writer = self.inner.open_write(path)?;
        self.close(path);
        Ok(writer)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.inner.atomic_read(path)
    }

    /// It is a temporary file, which only its owner may read, until it is renamed.
    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.inner.atomic_write(path, data)?;
        self.close(path);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.inner.sync_directory()
    }

    /// Anybody who can open the file could hold its lock.
    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        let held = self.inner.acquire_lock(lock)?;
        self.close(&lock.filepath);
        Ok(held)
    }

    fn watch(&self, watch_callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.inner.watch(watch_callback)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use soonshop_private_files::make_folder;
    use tantivy::schema::{STORED, Schema, TEXT};
    use tantivy::{Index, IndexSettings, doc};

    use super::*;

    fn modes(folder: &Path) -> Vec<(PathBuf, u32)> {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.map(|path| (path.clone(), fs::metadata(path).unwrap().mode() & 0o777)).collect()
    }

    #[test]
    fn every_file_of_an_index_is_closed_to_others_also_one_that_was_not() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("search/goods");
        make_folder(&folder).unwrap();
        let mut schema = Schema::builder();
        let name = schema.add_text_field("name", TEXT | STORED);
        let made = PrivateDirectory::open(&folder).unwrap();
        let index = Index::create(made, schema.build(), IndexSettings::default()).unwrap();
        let mut writer = index.writer_with_num_threads::<tantivy::TantivyDocument>(1, 15_000_000).unwrap();
        writer.add_document(doc!(name => "mug")).unwrap();
        writer.commit().unwrap();
        writer.wait_merging_threads().unwrap();
        assert!(modes(&folder).len() > 3, "{:?}", modes(&folder));
        assert!(modes(&folder).iter().all(|(_, mode)| *mode == 0o600), "{:?}", modes(&folder));
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(folder.parent().unwrap()).unwrap().mode() & 0o777, 0o700);

        for folder in [folder.as_path(), folder.parent().unwrap()] {
            fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        for (path, _) in modes(&folder) {
            fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        }
        narrow_all(folder.parent().unwrap());
        assert!(modes(&folder).iter().all(|(_, mode)| *mode == 0o600), "{:?}", modes(&folder));
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(folder.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    }
}
