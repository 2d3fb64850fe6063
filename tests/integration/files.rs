//! Files of the shop are closed to other users of the machine.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::{Client, binary, built, eventually, free_port};

/// The rights of everybody but the owner.
const OTHERS: u32 = 0o077;
/// The user that nothing belongs to.
const NOBODY: u32 = 65_534;

/// A program of the shop in this folder, with its data where it puts it itself, under the usual umask.
fn program(path: &Path, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "umask 022; exec \"$0\" \"$@\""]).arg(path).args(args).current_dir(folder);
    command.stdin(Stdio::null());
    command
}

fn run(path: &Path, folder: &Path, args: &[&str]) -> Output {
    program(path, folder, args).output().unwrap()
}

fn succeeds(path: &Path, folder: &Path, args: &[&str]) -> String {
    let done = run(path, folder, args);
    let message = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{args:?}: {message}");
    message
}

/// A folder that everybody may enter.
fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    set_mode(folder.path(), 0o755);
    folder
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Every folder and file below it.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

fn assert_closed(folder: &Path) -> Vec<PathBuf> {
    let found = below(folder);
    for path in &found {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(path), expected, "{}", path.display());
    }
    found
}

struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The shop in that folder, until it is dropped.
async fn served(folder: &Path) -> (Served, Client) {
    let listen = format!("127.0.0.1:{}", free_port());
    let process =
        program(&binary(), folder, &["serve", "--listen", &listen, "--log", "warn"]).spawn().unwrap();
    let process = Served(process);
    let token = fs::read_to_string(folder.join("data/operator.token")).unwrap();
    let client = Client::new(&format!("http://{listen}"), token.trim());
    eventually("the shop answers", Duration::from_mins(1), async || {
        let answer = client.try_send(Method::GET, "/health/ready", None, &[]).await;
        answer.is_ok_and(|answer| answer.status.is_success())
    })
    .await;
    (process, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_file_of_the_embedded_shop_is_readable_by_its_owner_alone() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let place = place();
    let (folder, data) = (place.path(), place.path().join("data"));
    succeeds(&binary(), folder, &["migrate"]);
    let (process, client) = served(folder).await;
    let (_, position) = client.product("MUG", "A mug", 500, 3).await;
    client.post("/users", &json!({"name": "Ada", "email": "ada@example.org"})).await.expect(201);
    let order = json!({"lines": [{"sku": "MUG", "quantity": 1}], "country": "France",
        "contact": {"name": "Ada", "address": "1 Road"}});
    client.post("/orders", &order).await.expect(201);
    let seen = [("event-position", position.as_str()), ("prefer", "wait=30")];
    client.send(Method::GET, "/products/search?q=mug", None, &seen).await.expect(200);
    // While it runs, so that the files beside the databases are there.
    let found = assert_closed(&data);
    let there = |ending: &str| found.iter().any(|path| path.to_string_lossy().ends_with(ending));
    for ending in ["log.sqlite", "log.sqlite-wal", "log.sqlite-shm", "log.lock", "meta.json", "master.key"] {
        assert!(there(ending), "{ending} is not there: {found:?}");
    }
    assert_eq!(mode(&data), 0o700);
    drop(process);

    // And what is written by hand.
    succeeds(&binary(), folder, &["seals", "export", "sealed.ndjson"]);
    let export = ["export", "--format", "csv", "--out", "trail.csv"];
    succeeds(&built("replay-tool"), folder, &export);
    for file in below(folder).iter().filter(|path| !path.starts_with(&data)) {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    assert!(folder.join("sealed.ndjson").exists() && folder.join("trail.csv").exists());
}

#[test]
fn an_export_is_not_written_through_a_symbolic_link_and_says_so_in_both_languages() {
    let place = place();
    let folder = place.path();
    succeeds(&binary(), folder, &["migrate"]);
    let kept = folder.join("kept");
    for link in ["trail.csv", "trail.csv.manifest.json", "manifest.json", "tool.log"] {
        fs::write(&kept, "kept").unwrap();
        std::os::unix::fs::symlink(&kept, folder.join(link)).unwrap();
        let mut args = vec!["export", "--format", "csv", "--out", "trail.csv"];
        match link {
            "manifest.json" => args.extend(["--manifest", link]),
            "tool.log" => args.extend(["--log-file", link]),
            _ => {}
        }
        for (lang, says) in [("en", "is a symbolic link"), ("zh-CN", "是符号链接")] {
            let done = run(&built("replay-tool"), folder, &[&args[..], &["--lang", lang]].concat());
            let message = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.code(), Some(2), "{link}: {message}");
            assert!(message.contains(says) && message.contains(link), "{link}: {message}");
        }
        assert_eq!(fs::read_to_string(&kept).unwrap(), "kept", "{link}");
        fs::remove_file(folder.join(link)).unwrap();
    }
    // A file that is there is written anew.
    for _ in 0..2 {
        succeeds(&built("replay-tool"), folder, &["export", "--format", "csv", "--out", "trail.csv"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_others_could_read_is_closed_at_the_start_and_a_line_says_so() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let place = place();
    let (folder, data) = (place.path(), place.path().join("data"));
    succeeds(&binary(), folder, &["migrate"]);
    drop(served(folder).await);
    // As an earlier release made them.
    for path in below(&data) {
        if !path.ends_with("master.key") {
            set_mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
        }
    }
    set_mode(&data, 0o755);
    let message = succeeds(&binary(), folder, &["migrate"]);
    assert!(message.contains("others could read this") && message.contains("log.sqlite"), "{message}");
    drop(served(folder).await);
    assert_closed(&data);
    assert_eq!(mode(&data), 0o700);
    let message = succeeds(&binary(), folder, &["migrate"]);
    assert!(!message.contains("others could read"), "it is said once: {message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_key_that_others_can_read_is_refused_with_the_remedy() {
    let place = place();
    let folder = place.path();
    succeeds(&binary(), folder, &["migrate"]);
    let key = folder.join("data/master.key");
    for wide in [0o644, 0o640, 0o604] {
        set_mode(&key, wide);
        for args in [&["migrate"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let refused = run(&binary(), folder, args);
            let message = String::from_utf8_lossy(&refused.stderr);
            assert!(!refused.status.success(), "{wide:o} {args:?}");
            assert!(message.contains("run `chmod 600 data/master.key`"), "{wide:o} {args:?}: {message}");
        }
        assert_eq!(mode(&key), wide, "it is not narrowed silently: others may have read it");
    }
    set_mode(&key, 0o600);
    succeeds(&binary(), folder, &["migrate"]);
}

/// As root it is tried by another user; otherwise the modes must say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_user_can_neither_read_the_data_nor_hold_its_lock() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let place = place();
    let (folder, data) = (place.path(), place.path().join("data"));
    succeeds(&binary(), folder, &["migrate"]);
    if fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        let tries = |script: &str| {
            let mut other = Command::new("sh");
            other.args(["-c", script]).current_dir(folder).uid(NOBODY).gid(NOBODY);
            other.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
        };
        assert!(tries("cd . && ls -d data"), "the folder around it is open");
        for script in
            ["exec 9<data/log.lock", "exec 9<data/log.sqlite", "ls data", "cat data/rm_users_1.sqlite"]
        {
            assert!(!tries(script), "{script}");
        }
        // Nor in a folder that could not be narrowed.
        set_mode(&data, 0o755);
        for path in below(&data) {
            if path.is_file() {
                let script = format!("exec 9<'{}'", path.display());
                assert!(!tries(&script), "{script}");
            }
        }
    }
    assert!(below(&data).iter().all(|path| mode(path) & OTHERS == 0));
    drop(served(folder).await);
}
