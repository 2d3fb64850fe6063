//! docs/database.md names, for every rule, a test that exists; and so does every break of a rule in tools/rules, which
//! docs/testing.md lists.

use std::collections::BTreeSet;
use std::path::Path;

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The names of all functions in the crates' sources and tests.
fn functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders: Vec<_> =
        children(Path::new(WORKSPACE)).filter(|path| path.join("Cargo.toml").exists()).collect();
    while let Some(folder) = folders.pop() {
        for path in children(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let after = text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
                names.extend(after.map(str::to_owned));
            }
        }
    }
    names
}

fn children(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> + use<> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())
}

/// The names in backquotes, of those that can be a function's.
fn named(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|name| {
            name.contains('_')
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
        .collect()
}

/// `| A1 | the rule | what holds it |`: the first and the last cell, of the rows that have a number.
fn rule(line: &str) -> Option<(&str, &str)> {
    let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
    let [id, .., held] = cells[..] else { return None };
    let (letter, number) = id.split_at_checked(1)?;
    let numbered = letter.chars().all(|c| c.is_ascii_uppercase()) && number.parse::<u32>().is_ok();
    numbered.then_some((id, held))
}

#[test]
fn database_md_names_no_test_that_is_not_there() {
    let page = std::fs::read_to_string(Path::new(WORKSPACE).join("docs/database.md")).unwrap();
    let functions = functions();
    let rules: Vec<_> = page.lines().filter_map(rule).collect();
    assert!(rules.len() > 100, "{} rules were found", rules.len());
    for (id, held) in rules {
        let names = named(held);
        for name in &names {
            assert!(functions.contains(*name), "{id} is held by {name}, which is nowhere in the sources");
        }
        assert!(
            !names.is_empty() || held.contains("no test yet"),
            "{id} names no test, and does not say that there is none"
        );
    }
}

#[test]
fn every_break_of_a_rule_names_tests_that_are_there_and_is_listed() {
    let read = |file: &str| std::fs::read_to_string(Path::new(WORKSPACE).join(file)).unwrap();
    let (breaks, page) = (read("tools/rules/rules.toml"), read("docs/testing.md"));
    let functions = functions();
    let mut count = 0;
    for one in breaks.split("[[break]]").skip(1) {
        let quoted = |text: &str| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let line = |key: &str| one.lines().find_map(|line| line.strip_prefix(key)).map(quoted).unwrap();
        let (name, how) = (&line("name = ")[0], &line("how = ")[0]);
        let (_, tests) = one.split_once("tests = [").unwrap();
        let tests = quoted(tests.split(']').next().unwrap());
        assert!(!tests.is_empty(), "{name} names no test");
        for test in &tests {
            let in_all_variants = [test.clone(), format!("{test}_on_sqlite")];
            assert!(
                in_all_variants.iter().any(|one| functions.contains(one)),
                "{name}: there is no test {test}"
            );
        }
        let tests = tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join(", ");
        let listed = |line: &str| line.contains(how.as_str()) && line.contains(&tests);
        assert!(page.lines().any(listed), "{name} is not in docs/testing.md: run tools/rules/run.py --table");
        count += 1;
    }
    assert!(count > 100, "{count} breaks were found");
}
