//! Files and folders that only their owner may read: they hold personal values, keys and tokens. Every crate that
//! writes files uses this one.
//!
//! New files and folders are made with their mode. A wider mode of one that is there is narrowed, and a line says so. A
//! mode that cannot be changed (another owner, a file system without modes) is reported and left: the shop goes on.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The mode of a new folder.
const FOLDER: u32 = 0o700;
/// The mode of a new file.
const FILE: u32 = 0o600;
/// The rights of everybody but the owner.
const OTHERS: u32 = 0o077;
/// Set on a folder for everybody, such as `/tmp`.
const STICKY: u32 = 0o1000;
/// The files that SQLite makes beside a file, with the mode of that file.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Makes the folder, and those above it that are missing. A folder that is there keeps its mode: it may be anybody's.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER).create(folder)
}

/// Makes a folder for data of the shop alone, or narrows it. A folder for everybody, such as `/tmp`, stays as it is.
pub fn data_folder(folder: &Path) -> io::Result<()> {
    make_folder(folder)?;
    if is_for_everybody(folder)? {
        tracing::warn!(
            folder = %folder.display(),
            "the data is in a folder for everybody: give it a folder of its own, with mode 700"
        );
    } else {
        narrow(folder);
    }
    Ok(())
}

/// Whether it is a folder for everybody, such as `/tmp`.
pub fn is_for_everybody(folder: &Path) -> io::Result<bool> {
    Ok(fs::metadata(folder)?.mode() & STICKY != 0)
}

/// Narrows a SQLite file and the files beside it, those that are there, and says so once.
pub fn narrow_database(file: &Path) {
    narrow_together(file, database_files(file));
}

/// Like [`narrow_database`], for files that SQLite made just now, without a line about them.
pub fn close_new_database(file: &Path) {
    for path in database_files(file) {
        // A mode that cannot be changed was reported when the database was opened.
        drop(take_away(&path));
    }
}

/// Makes an empty SQLite file if it is missing, so that SQLite makes none with another mode, and narrows one that is
/// there.
pub fn make_database(file: &Path) -> io::Result<()> {
    match open_new(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => narrow_database(file),
        made => drop(made?),
    }
    Ok(())
}

fn database_files(file: &Path) -> impl Iterator<Item = PathBuf> {
    BESIDE.into_iter().map(|ending| {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    })
}

/// Makes a file that must not be there yet.
pub fn open_new(file: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(FILE).open(file)
}

/// Makes a file, or empties one that is there and narrows it. A symbolic link is refused: somebody else may have put it
/// there, and what it leads to would be overwritten.
pub fn create(file: &Path) -> io::Result<File> {
    open(OpenOptions::new().write(true).create(true).truncate(true).custom_flags(NO_LINK), file)
}

/// Makes a file to write at its end, or narrows one that is there. A symbolic link is refused, as in [`create`].
pub fn append(file: &Path) -> io::Result<File> {
    open(OpenOptions::new().append(true).create(true).custom_flags(NO_LINK), file)
}

/// The flag of the system not to follow a symbolic link.
const NO_LINK: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// Whether this is a symbolic link, wherever it leads to.
pub fn is_link(file: &Path) -> bool {
    fs::symlink_metadata(file).is_ok_and(|there| there.is_symlink())
}

/// Makes a file to be locked, or narrows one that is there: whoever can open it could hold its lock.
pub fn lock_file(file: &Path) -> io::Result<File> {
    open(OpenOptions::new().write(true).create(true).truncate(false), file)
}

fn open(options: &mut OpenOptions, file: &Path) -> io::Result<File> {
    let opened = options.mode(FILE).open(file)?;
    // A pipe or a terminal has its own rights.
    if opened.metadata()?.is_file() {
        narrow(file);
    }
    Ok(opened)
}

/// Takes away what others may do with a file or folder, if it is there, and says so.
pub fn narrow(path: &Path) {
    narrow_together(path, [path]);
}

/// Like [`narrow`], for the files and folders that belong to this one, with one line about all of them.
pub fn narrow_together<P: AsRef<Path>>(path: &Path, all: impl IntoIterator<Item = P>) {
    say(path, all.into_iter().map(|one| take_away(one.as_ref())));
}

/// One line for all files that belong to this one.
fn say(path: &Path, outcomes: impl IntoIterator<Item = io::Result<Option<u32>>>) {
    let path = path.display();
    let (mut was, mut failed) = (None, None);
    for outcome in outcomes {
        match outcome {
            Ok(mode) => was = was.or(mode),
            Err(error) => failed = Some(error),
        }
    }
    if let Some(error) = failed {
        tracing::warn!(%path, %error, "others can read this, and its mode cannot be changed: change its owner or place");
    } else if let Some(mode) = was {
        let was = format!("{mode:03o}");
        tracing::warn!(%path, was, "others could read this: only its owner can, from now on");
    }
}

/// Takes away what others may do with a file or folder, if it is there. The mode before, where it was wider.
pub fn take_away(path: &Path) -> io::Result<Option<u32>> {
    let mode = match fs::metadata(path) {
        Ok(found) => found.mode() & 0o7777,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if mode & OTHERS == 0 {
        return Ok(None);
    }
    fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS))?;
    Ok(Some(mode))
}

/// Why a file with a secret cannot be used.
#[derive(Debug)]
pub enum Unusable {
    /// It cannot be opened.
    Unopened(io::Error),
    /// Others can read it: which file, and what to do.
    Exposed(String),
}

/// Opens a file with a secret; refuses one that others can read.
pub fn open_secret(file: &Path) -> Result<File, Unusable> {
    let opened = File::open(file).map_err(Unusable::Unopened)?;
    match exposed(file, &opened).map_err(Unusable::Unopened)? {
        Some(why) => Err(Unusable::Exposed(why)),
        None => Ok(opened),
    }
}

/// Why a file with a secret must not be used, if others can read it. A file of another owner may be readable by our
/// group, as mounted secrets are.
fn exposed(path: &Path, opened: &File) -> io::Result<Option<String>> {
    let found = opened.metadata()?;
    let mode = found.mode() & 0o777;
    let given_by_group = mode & OTHERS == 0o040 && me().is_some_and(|me| me != found.uid());
    if mode & OTHERS == 0 || given_by_group || !found.is_file() {
        return Ok(None);
    }
    let path = path.display();
    Ok(Some(format!("{path}: other users can read it (mode {mode:03o}): run `chmod 600 {path}`")))
}

/// The user of this process, where the system says so.
fn me() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|found| found.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn widen(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn place() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        widen(place.path(), 0o755);
        place
    }

    #[test]
    fn a_new_folder_and_those_above_it_are_closed_to_others() {
        let place = place();
        let deep = place.path().join("a/b");
        data_folder(&deep).unwrap();
        assert_eq!((mode(&deep), mode(&place.path().join("a"))), (0o700, 0o700));
        assert_eq!(mode(place.path()), 0o755, "a folder that was there is not ours");
    }

    #[test]
    fn a_wider_folder_is_narrowed_and_one_for_everybody_stays() {
        let place = place();
        data_folder(place.path()).unwrap();
        assert_eq!(mode(place.path()), 0o700);
        widen(place.path(), 0o1777);
        data_folder(place.path()).unwrap();
        assert_eq!(mode(place.path()), 0o1777);
    }

    #[test]
    fn new_files_are_closed_and_wider_ones_are_narrowed() {
        let place = place();
        let path = place.path().join("file");
        for make in [open_new, create, append, lock_file] {
            drop(make(&path).unwrap());
            assert_eq!(mode(&path), 0o600);
            fs::remove_file(&path).unwrap();
        }
        for reopen in [append, lock_file, create] {
            fs::write(&path, "kept").unwrap();
            widen(&path, 0o664);
            drop(reopen(&path).unwrap());
            assert_eq!(mode(&path), 0o600);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "", "`create` empties it");
        assert!(open_new(&path).is_err());
    }

    #[test]
    fn nothing_is_written_through_a_symbolic_link() {
        let place = place();
        let (target, link) = (place.path().join("target"), place.path().join("link"));
        for there in [true, false] {
            drop(fs::remove_file(&link));
            if there {
                fs::write(&target, "kept").unwrap();
            } else {
                fs::remove_file(&target).unwrap();
            }
            std::os::unix::fs::symlink(&target, &link).unwrap();
            for make in [open_new, create, append] {
                assert!(make(&link).is_err(), "{there}");
            }
            assert!(is_link(&link) && !is_link(&target));
            assert_eq!(fs::read_to_string(&target).ok().as_deref(), there.then_some("kept"));
        }
    }

    #[test]
    fn a_database_is_narrowed_with_the_files_beside_it() {
        let place = place();
        let file = place.path().join("log.sqlite");
        make_database(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
        for path in database_files(&file) {
            fs::write(&path, "").unwrap();
            widen(&path, 0o644);
        }
        make_database(&file).unwrap();
        assert!(database_files(&file).all(|path| mode(&path) == 0o600));
    }

    #[test]
    fn a_secret_that_others_can_read_is_named_with_the_remedy() {
        let place = place();
        let path = place.path().join("master.key");
        assert!(matches!(open_secret(&path), Err(Unusable::Unopened(_))), "there is none");
        drop(open_new(&path).unwrap());
        assert!(open_secret(&path).is_ok());
        for wide in [0o604, 0o640, 0o660, 0o644, 0o601] {
            widen(&path, wide);
            let Err(Unusable::Exposed(why)) = open_secret(&path) else { panic!("mode {wide:o} is refused") };
            assert!(why.contains(&format!("run `chmod 600 {}`", path.display())), "{why}");
        }
    }
}
