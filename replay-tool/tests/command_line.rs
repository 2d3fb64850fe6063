//! The command line before anything is connected.

use std::process::Command;

fn replay_tool(args: &[&str]) -> (Option<i32>, String, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_replay-tool")).args(args).output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is UTF-8");
    (ran.status.code(), text(ran.stdout), text(ran.stderr))
}

#[test]
fn help_and_manual_name_every_exit_code() {
    let (code, help, _) = replay_tool(&["--help"]);
    assert_eq!(code, Some(0));
    let (code, manual, _) = replay_tool(&["man"]);
    assert_eq!(code, Some(0));
    for text in [&help, &manual] {
        for number in ["0", "1", "2", "3", "4", "5", "6", "69", "75", "124", "130"] {
            assert!(text.split(|c: char| !c.is_ascii_digit()).any(|word| word == number), "{number}: {text}");
        }
    }
}

#[test]
fn completion_scripts_are_written() {
    let (code, script, _) = replay_tool(&["completions", "bash"]);
    assert_eq!(code, Some(0));
    assert!(script.contains("rollback"));
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    for args in [
        &["fly"][..],
        &["rebuild"],
        &["diff", "order", "x", "yesterday"],
        &["deploy", "orders", "--rollback-if", "x"],
    ] {
        let (code, out, message) = replay_tool(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {message}");
    }
}

#[test]
fn a_missing_shop_is_reported_in_one_sentence() {
    let (code, _, message) = replay_tool(&["list", "--store", "sqlite:///nowhere/at/all"]);
    assert_eq!((code, message.lines().count()), (Some(2), 1), "{message}");
    assert!(message.contains("--store"), "{message}");
}

/// A pipe whose reader was closed.
fn closed() -> std::process::Stdio {
    let (reader, writer) = std::io::pipe().expect("there is a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn a_closed_pipe_does_not_end_the_work() {
    let tool = || Command::new(env!("CARGO_BIN_EXE_replay-tool"));
    for args in [&["completions", "bash"][..], &["man"]] {
        let status = tool().args(args).stdout(closed()).status().expect("the binary runs");
        assert_eq!(status.code(), Some(0), "{args:?}");
    }
    let mut list = tool();
    list.args(["list", "--json", "--store", "sqlite:///nowhere/at/all"]).stdout(closed()).stderr(closed());
    assert_eq!(list.status().expect("the binary runs").code(), Some(2));
}

#[test]
fn nothing_is_created_in_a_folder_without_a_shop() {
    let folder = std::env::temp_dir().join(format!("no-shop-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("there is no such folder yet");
    let (code, _, message) = replay_tool(&["list", "--store", &format!("sqlite://{}", folder.display())]);
    let left = std::fs::read_dir(&folder).expect("it is there").count();
    std::fs::remove_dir_all(&folder).expect("it can be removed");
    assert_eq!((code, left), (Some(2), 0), "{message}");
}
