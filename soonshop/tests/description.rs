//! The description of the API, and the tables of the documentation, against the code.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use soonshop::Role;
use soonshop::serve::{default_port, openapi, openapi_file};
use soonshop_domain::context::CONTEXTS;

fn docs(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).join(name)
}

#[test]
fn openapi_json_in_the_repository_is_what_the_code_describes() {
    let (file, described) = (docs("openapi.json"), openapi_file().unwrap());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&file, &described).unwrap();
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = there.lines().zip(described.lines()).position(|(there, described)| there != described);
    assert!(
        there == described,
        "docs/openapi.json is not what the code describes, from line {} on. Look at the difference; if it is meant, renew \
         the file: `UPDATE_OPENAPI=1 cargo test -p soonshop --test description`, or `soonshop openapi > docs/openapi.json`",
        differs.map_or_else(|| there.lines().count().min(described.lines().count()) + 1, |line| line + 1)
    );
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            found.push((format!("{} {path}", method.to_uppercase()), operation));
        }
    }
    found
}

#[test]
fn the_description_is_complete_and_its_tags_are_contexts() {
    let document: Value = serde_json::from_str(&openapi_file().unwrap()).unwrap();
    let contexts: Vec<_> = CONTEXTS.iter().map(|context| (context.name, context.about)).collect();
    let tags = document["tags"].as_array().unwrap().iter();
    let tags: Vec<_> =
        tags.map(|tag| (tag["name"].as_str().unwrap(), tag["description"].as_str().unwrap())).collect();
    assert_eq!(tags, contexts, "every context has operations, in the order of the table");
    let mut names = BTreeSet::new();
    for (what, operation) in operations(&document) {
        let tag = operation["tags"][0].as_str().unwrap();
        assert!(contexts.iter().any(|(name, _)| *name == tag), "{what} is of `{tag}`, which is no context");
        assert!(
            names.insert(operation["operationId"].as_str().unwrap()),
            "{what}: its operationId is used twice"
        );
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "nothing is at {reference}");
    }
    assert_eq!(openapi_file().unwrap(), openapi_file().unwrap());
    for (role, method) in [(Role::CommandApi, "get"), (Role::QueryApi, "put")] {
        let of_role = serde_json::to_value(openapi(role)).unwrap();
        let one_side = of_role["paths"].as_object().unwrap().values().all(|path| path[method].is_null());
        assert!(one_side, "{role:?} does not describe what it does not answer");
    }
}

/// The rows of a Markdown table whose first cell is code: the other cells, by that code.
fn table(page: &str, heading: &str) -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(docs(page)).unwrap();
    let (_, rest) = text.split_once(heading).unwrap_or_else(|| panic!("{page} has no {heading:?}"));
    let rows =
        rest.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = rows.skip(2).map(|row| {
        let inner = row.trim_start_matches('|').trim_end().trim_end_matches('|');
        inner.split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>()
    });
    cells.map(|mut cells| (cells.remove(0), cells)).collect()
}

#[test]
fn deployment_md_lists_the_contexts_and_their_ports() {
    let documented = table("deployment.md", "`--contexts` narrows");
    let expected: BTreeMap<_, _> = CONTEXTS
        .iter()
        .map(|context| {
            let port = context.port.map_or_else(|| "that of its role".to_owned(), |port| port.to_string());
            (context.name.to_owned(), vec![port, context.about.to_owned()])
        })
        .collect();
    assert_eq!(documented, expected, "the table in docs/deployment.md and domain/src/context.rs differ");
    for context in CONTEXTS {
        let alone = BTreeSet::from([context.name.to_owned()]);
        assert_eq!(default_port(Role::All, &alone), context.port.unwrap_or(8000), "{}", context.name);
    }
    let two = BTreeSet::from(["user".to_owned(), "order".to_owned()]);
    assert_eq!(default_port(Role::QueryApi, &two), 8020);
}

#[test]
fn api_md_lists_every_command_with_its_permission_and_its_key() {
    let documented: BTreeSet<_> = table("api.md", "\n## Commands")
        .into_iter()
        .map(|(what, cells)| format!("{what}: {} {}", cells[1], cells[2]).trim_end().to_owned())
        .collect();
    let document = serde_json::to_value(openapi(Role::CommandApi)).unwrap();
    let described: BTreeSet<_> = operations(&document)
        .into_iter()
        .map(|(what, operation)| {
            let permission = operation["description"].as_str().unwrap().split('`').nth(1).unwrap();
            let parameters = operation["parameters"].as_array().unwrap();
            let key = parameters.iter().find(|parameter| parameter["name"] == "Idempotency-Key").unwrap();
            let key = if key["required"] == true { "required" } else { "" };
            format!("{what}: {permission} {key}").trim_end().to_owned()
        })
        .collect();
    assert_eq!(
        documented, described,
        "the table of commands in docs/api.md and the rows in command-api differ"
    );
}
