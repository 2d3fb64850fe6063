//! `soonshop.example.env` holds every setting of the command line, with its default, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use soonshop::connections::HEADING;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A setting: the flag, and its default (empty without one).
type Setting = (String, String);

/// The settings of a command and of those below it, by the name of the variable.
fn defined(command: &clap::Command, settings: &mut BTreeMap<String, Setting>) {
    for argument in command.get_arguments() {
        let Some(name) = argument.get_env() else { continue };
        let flag = argument.get_long().expect("a setting is a flag, too").to_owned();
        let default: Vec<_> =
            argument.get_default_values().iter().map(|value| value.to_str().unwrap()).collect();
        settings.insert(name.to_str().unwrap().to_owned(), (flag, default.join(",")));
    }
    for below in command.get_subcommands() {
        defined(below, settings);
    }
}

/// The settings of the file. Each is a comment that begins with the flag, then `#NAME=DEFAULT`.
fn documented() -> BTreeMap<String, Setting> {
    let text = std::fs::read_to_string(Path::new(ROOT).join("soonshop.example.env")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut settings = BTreeMap::new();
    for pair in lines.windows(2) {
        let setting = pair[1].trim_start_matches('#').trim_start();
        let Some((name, default)) = setting.strip_prefix("SOONSHOP_").and_then(|rest| rest.split_once('='))
        else {
            continue;
        };
        assert!(
            pair[1].starts_with('#'),
            "{name} is not commented out: copied as it is, the file sets nothing"
        );
        let flag = pair[0].strip_prefix("# --").and_then(|rest| rest.split([':', ' ']).next());
        let flag = flag.unwrap_or_else(|| panic!("the line before {name} is not `# --flag: description`"));
        assert!(pair[0].split_once(": ").is_some_and(|(_, what)| !what.is_empty()), "{}", pair[0]);
        let known = settings.insert(format!("SOONSHOP_{name}"), (flag.to_owned(), default.to_owned()));
        assert!(known.is_none(), "{name} is given twice");
    }
    settings
}

#[test]
fn the_example_holds_every_setting_with_its_default_and_no_other() {
    let mut settings = BTreeMap::new();
    defined(&crate::Cli::command(), &mut settings);
    assert!(settings.len() >= 17, "{settings:?}");
    assert_eq!(documented(), settings, "left: soonshop.example.env; right: the command line");
}

#[test]
fn connections_md_lists_every_setting_of_connections_with_its_variable() {
    let command = crate::Cli::command();
    let settings = command.get_arguments().filter(|one| one.get_help_heading() == Some(HEADING));
    let settings: BTreeSet<_> = settings
        .map(|one| format!("| `--{}` | `{}` |", one.get_long().unwrap(), one.get_env().unwrap().display()))
        .collect();
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/connections.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `--"));
    let listed: BTreeSet<_> =
        rows.map(|row| row.split(" | ").take(2).collect::<Vec<_>>().join(" | ") + " |").collect();
    assert_eq!(listed, settings, "left: docs/connections.md; right: the command line");
}

/// Also of the other programs.
#[test]
fn every_variable_that_the_sources_read_is_in_the_example() {
    let documented = documented();
    let mut folders: Vec<PathBuf> = std::fs::read_dir(ROOT)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("src"))
        .filter(|folder| folder.is_dir())
        .collect();
    let mut names = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let after = text.split("env = \"").skip(1).filter_map(|rest| rest.split('"').next());
                names.extend(after.map(str::to_owned));
            }
        }
    }
    assert!(names.len() >= documented.len(), "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !documented.contains_key(*name)).collect();
    assert!(missing.is_empty(), "not in soonshop.example.env: {missing:?}");
}
