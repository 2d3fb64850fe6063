//! The description of the API, and the tables of the documentation, against the code.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use soonshop::Role;
use soonshop::serve::{default_port, openapi, openapi_file};
use soonshop_domain::context::CONTEXTS;
use soonshop_service_kit::access::{Owner, Permission};

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

/// A query that everybody may send and only a customer gets an answer to.
const OF_CUSTOMERS_ALONE: &str = "/claimable-orders";

const OAUTH_METADATA: &str = "/.well-known/oauth-authorization-server";

/// Whether clients of OAuth ask here, which get the errors of OAuth.
fn is_of_oauth(path: &str) -> bool {
    path.starts_with("/oauth/")
}

/// Whether people or clients sign in here: these endpoints are no commands and no queries, and have tables of their own.
fn is_of_accounts(path: &str) -> bool {
    path.starts_with("/auth/") || path.starts_with("/.well-known/") || is_of_oauth(path)
}

/// The operations that are commands or queries.
fn of_tables(document: &Value) -> Vec<(String, &Value)> {
    let all = operations(document).into_iter();
    all.filter(|(what, _)| !is_of_accounts(what.split_once(' ').unwrap().1)).collect()
}

#[test]
fn api_md_lists_every_endpoint_of_accounts() {
    let of_clients = |path: &str| is_of_oauth(path) || path == OAUTH_METADATA;
    lists_endpoints("\n## Signing in", |path| is_of_accounts(path) && !of_clients(path));
    lists_endpoints("\n## Clients of OAuth", of_clients);
}

/// Compares the table below this heading with the endpoints of these paths.
fn lists_endpoints(heading: &str, is_there: impl Fn(&str) -> bool) {
    let document = serde_json::to_value(openapi(Role::CommandApi)).unwrap();
    let described: Vec<_> = operations(&document)
        .into_iter()
        .filter(|(what, _)| is_there(what.split_once(' ').unwrap().1))
        .map(|(what, operation)| {
            let session =
                if operation["security"] == serde_json::json!([{}]) { "" } else { "an access token" };
            (what, session, operation["summary"].as_str().unwrap().to_lowercase())
        })
        .collect();
    let rows = described.iter().map(|(what, session, summary)| {
        (what.clone(), format!("| `{what}` | {summary} | {session} |").replace("|  |", "| |"))
    });
    add_rows("api.md", heading, rows);
    let documented = table("api.md", heading);
    let documented: BTreeSet<_> =
        documented.into_iter().map(|(what, cells)| format!("{what}: {}", cells[1])).collect();
    let described: BTreeSet<_> =
        described.into_iter().map(|(what, session, _)| format!("{what}: {session}")).collect();
    assert_eq!(
        documented, described,
        "the table below{heading} in docs/api.md differs: UPDATE_DOCS=1 adds rows"
    );
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
        let paths = of_role["paths"].as_object().unwrap().iter();
        let mut paths = paths.filter(|(path, _)| !is_of_accounts(path));
        let one_side = paths.all(|(_, path)| path[method].is_null());
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

/// Tests that change a page of the documentation.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// `UPDATE_DOCS=1` adds the rows that a table lacks, at its end.
fn add_rows(page: &str, heading: &str, rows: impl Iterator<Item = (String, String)>) {
    if std::env::var_os("UPDATE_DOCS").is_none() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let documented = table(page, heading);
    let missing: String =
        rows.filter(|(key, _)| !documented.contains_key(key)).map(|(_, row)| row + "\n").collect();
    let text = std::fs::read_to_string(docs(page)).unwrap();
    let begin = text.find(heading).unwrap();
    let first = begin + text[begin..].find("\n|").unwrap() + 1;
    let end = text[first..].find("\n\n").map_or(text.len(), |at| first + at + 1);
    std::fs::write(docs(page), format!("{}{missing}{}", &text[..end], &text[end..])).unwrap();
}

#[test]
fn deployment_md_lists_the_contexts_and_their_ports() {
    let heading = "`--contexts` narrows";
    let expected: BTreeMap<_, _> = CONTEXTS
        .iter()
        .map(|context| {
            let port = context.port.map_or_else(|| "that of its role".to_owned(), |port| port.to_string());
            (context.name.to_owned(), vec![port, context.about.to_owned()])
        })
        .collect();
    let rows = expected.iter();
    let rows =
        rows.map(|(name, cells)| (name.clone(), format!("| `{name}` | {} | {} |", cells[0], cells[1])));
    add_rows("deployment.md", heading, rows);
    let documented = table("deployment.md", heading);
    assert_eq!(
        documented, expected,
        "the table in docs/deployment.md and domain/src/context.rs differ: UPDATE_DOCS=1 adds rows"
    );
    for context in CONTEXTS {
        let alone = BTreeSet::from([context.name.to_owned()]);
        assert_eq!(default_port(Role::All, &alone), context.port.unwrap_or(8000), "{}", context.name);
    }
    let two = BTreeSet::from(["user".to_owned(), "order".to_owned()]);
    assert_eq!(default_port(Role::QueryApi, &two), 8020);
}

#[test]
fn api_md_lists_every_command_with_its_permission_and_its_key() {
    let heading = "\n## Commands";
    let document = serde_json::to_value(openapi(Role::CommandApi)).unwrap();
    let described: Vec<_> = of_tables(&document)
        .into_iter()
        .map(|(what, operation)| {
            let permission = operation["description"].as_str().unwrap().split('`').nth(1).unwrap();
            let parameters = operation["parameters"].as_array().unwrap();
            let key = parameters.iter().find(|parameter| parameter["name"] == "Idempotency-Key").unwrap();
            let key = if key["required"] == true { "required" } else { "" };
            let of = operation["x-of"].as_str().unwrap();
            (what, permission, key, of, operation["summary"].as_str().unwrap().to_lowercase())
        })
        .collect();
    let rows = described.iter().map(|(what, permission, key, of, summary)| {
        (what.clone(), format!("| `{what}` | {summary} | `{permission}` | {key} | `{of}` |"))
    });
    add_rows("api.md", heading, rows);
    let documented: BTreeSet<_> = table("api.md", heading)
        .into_iter()
        .map(|(what, cells)| format!("{what}: {} {} {}", cells[1], cells[2], cells[3]))
        .collect();
    let described: BTreeSet<_> = described
        .into_iter()
        .map(|(what, permission, key, of, _)| format!("{what}: {permission} {key} {of}"))
        .collect();
    assert_eq!(
        documented, described,
        "the table of commands in docs/api.md and the rows in command-api differ: UPDATE_DOCS=1 adds rows"
    );
}

#[test]
fn api_md_has_the_table_of_permissions_and_roles() {
    use soonshop_service_kit::access::Role;
    let names: Vec<_> = Role::ALL.iter().map(ToString::to_string).collect();
    let head = format!("| permission | allows to | {} |", names.join(" | "));
    let rows = Permission::ALL.into_iter().map(|permission| {
        let cells = Role::ALL.map(|role| if role.may(permission) { " yes |" } else { " |" });
        format!("| `{permission}` | {} |{}", permission.about(), cells.concat())
    });
    let line = format!("|{}", "---|".repeat(names.len() + 2));
    let made: String = [head, line].into_iter().chain(rows).map(|row| row + "\n").collect();
    let text = std::fs::read_to_string(docs("api.md")).unwrap();
    let begin = text.find("| permission | allows to |").unwrap();
    let end = begin + text[begin..].find("\n\n").unwrap() + 1;
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        std::fs::write(docs("api.md"), format!("{}{made}{}", &text[..begin], &text[end..])).unwrap();
        return;
    }
    assert_eq!(
        text[begin..end],
        made,
        "the table in docs/api.md differs from the code: UPDATE_DOCS=1 renews it"
    );
}

#[test]
fn api_md_says_what_each_kind_of_thing_is() {
    let documented: BTreeSet<_> = table("api.md", "**Whose things.**").into_keys().collect();
    assert_eq!(documented, Owner::all().map(|of| of.to_string()).collect());
}

#[test]
fn every_command_describes_the_owner_of_the_things_it_touches() {
    let document: Value = serde_json::from_str(&openapi_file().unwrap()).unwrap();
    for (what, operation) in of_tables(&document) {
        let of = Owner::all().find(|of| operation["x-of"] == of.as_ref());
        assert_eq!(of.is_some(), !what.starts_with("GET "), "{what}");
        if let Some(of) = of {
            let message = operation["description"].as_str().unwrap();
            assert!(
                message.starts_with("Needs the permission `") && message.ends_with(of.about()),
                "{what}: {message}"
            );
        }
    }
}

#[test]
fn api_md_lists_every_query() {
    let heading = "\n## Queries";
    let document = serde_json::to_value(soonshop_query_api::http::openapi()).unwrap();
    let described: Vec<_> = operations(&document)
        .into_iter()
        .map(|(what, operation)| {
            let names = operation["parameters"].as_array().into_iter().flatten();
            let names = names.filter(|parameter| parameter["in"] == "query");
            let names = names.map(|parameter| parameter["name"].as_str().unwrap());
            let names = names.filter(|name| !["limit", "after", "as_of"].contains(name));
            let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
            let summary = operation["summary"].as_str().unwrap().to_lowercase();
            (what.clone(), format!("| `{what}` | {summary} | {} |", names.join(", ")).replace("|  |", "| |"))
        })
        .collect();
    add_rows("api.md", heading, described.iter().cloned());
    let documented = table("api.md", heading);
    let missing: Vec<_> =
        described.iter().map(|(what, _)| what).filter(|what| !documented.contains_key(*what)).collect();
    assert!(
        missing.is_empty(),
        "the table of queries in docs/api.md lacks {missing:?}: UPDATE_DOCS=1 adds them"
    );
}

#[test]
fn a_name_of_a_schema_means_one_schema() {
    let of = |api: utoipa::openapi::OpenApi| {
        serde_json::to_value(api).unwrap()["components"]["schemas"].as_object().unwrap().clone()
    };
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    for part in [
        of(soonshop_command_api::openapi()),
        of(soonshop_query_api::http::openapi()),
        of(soonshop_audit_web::http::openapi()),
    ] {
        for (name, schema) in part {
            let other = all.insert(name.clone(), schema.clone());
            assert!(other.is_none_or(|other| other == schema), "two schemas are called {name}");
        }
    }
}

#[test]
fn every_operation_lists_the_statuses_that_it_can_answer() {
    let document: Value = serde_json::from_str(&openapi_file().unwrap()).unwrap();
    for (what, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        let statuses: BTreeSet<_> = responses.keys().map(String::as_str).collect();
        assert!(!statuses.contains("default"), "{what} says nothing of its refusals");
        for always in ["400", "401", "413", "500", "503"] {
            assert!(statuses.contains(always), "{what} lacks {always}");
        }
        let (method, path) = what.split_once(' ').unwrap();
        let security = operation["security"].as_array().unwrap();
        assert!(!security.is_empty(), "{what} says nothing of keys");
        let (accounts, oauth) = (is_of_accounts(path), is_of_oauth(path));
        let command = !(method == "GET" || path.starts_with("/api/audit") || accounts);
        let body = operation.get("requestBody").is_some();
        let by_id = ["{id}", "{order}", "{position}", "/processes/", "/views/"]
            .iter()
            .any(|part| path.contains(part));
        // A checkout names its cart in the body.
        let by_id = by_id || (method == "POST" && path.starts_with("/checkouts"));
        let expected = [
            (
                "403",
                command
                    || method == "POST" && !oauth
                    || !security.contains(&serde_json::json!({}))
                    || path == OF_CUSTOMERS_ALONE,
            ),
            ("404", by_id || method == "GET" && path.contains('{') || path == OAUTH_METADATA),
            ("412", command),
            ("415", body && !oauth),
            ("422", command || accounts && body && !oauth),
            ("428", command && ["PUT", "DELETE"].contains(&method)),
        ];
        for (status, listed) in expected {
            assert_eq!(statuses.contains(status), listed, "{what}: {status}");
        }
        for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
            let shared = response["$ref"].as_str().map(|at| document.pointer(&at[1..]).unwrap());
            let content = &shared.unwrap_or(response)["content"];
            let (kind, schema) = if oauth {
                ("application/json", "OAuthError")
            } else {
                ("application/problem+json", "Problem")
            };
            let refusal = &content[kind]["schema"]["$ref"];
            assert_eq!(refusal, &format!("#/components/schemas/{schema}"), "{what} {status}");
        }
    }
}

#[test]
fn what_can_be_null_is_described_so() {
    let document: Value = serde_json::from_str(&openapi_file().unwrap()).unwrap();
    let or_null = serde_json::json!(["string", "null"]);
    let (mut lists, mut reports) = (0, 0);
    for (what, operation) in operations(&document) {
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        let required = |schema: &Value, name: &str| {
            schema["required"].as_array().unwrap().iter().any(|required| required == name)
        };
        if schema["properties"]["next"].is_object() {
            lists += 1;
            assert_eq!(schema["properties"]["next"]["type"], or_null, "{what}");
            assert!(required(schema, "next"), "{what}");
        }
        let row = &schema["properties"]["rows"]["items"];
        if row.is_object() {
            reports += 1;
            for name in ["period", "key"] {
                assert_eq!(row["properties"][name]["type"], or_null, "{what} {name}");
                assert!(required(row, name), "{what} {name}");
            }
        }
    }
    assert!(lists >= 5 && reports >= 4, "{lists} lists, {reports} reports");
}

#[test]
fn files_and_streams_are_described_with_their_media_types() {
    let document: Value = serde_json::from_str(&openapi_file().unwrap()).unwrap();
    for (path, media_type) in [
        ("/api/audit/export.csv", "text/csv"),
        ("/api/audit/export.ndjson", "application/x-ndjson"),
        ("/api/audit/operations/export.csv", "text/csv"),
        ("/api/audit/operations/export.ndjson", "application/x-ndjson"),
        ("/api/audit/stream", "text/event-stream"),
    ] {
        let content = document["paths"][path]["get"]["responses"]["200"]["content"].as_object().unwrap();
        let types: Vec<_> = content.keys().collect();
        assert_eq!(types, [media_type], "{path}");
    }
}

#[test]
fn no_format_of_a_number_is_narrower_than_its_limits() {
    fn walk(value: &Value, at: &str) {
        if value["format"] == "int32" {
            let most = value["maximum"].as_i64().unwrap_or_default();
            assert!(most <= i64::from(i32::MAX), "{at}: up to {most}");
            assert!(value["minimum"].as_i64().is_none_or(|least| least < 0), "{at} has no sign");
        }
        for (name, inner) in value.as_object().into_iter().flatten() {
            walk(inner, &format!("{at}/{name}"));
        }
        for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
            walk(inner, &format!("{at}/{index}"));
        }
    }
    walk(&serde_json::from_str(&openapi_file().unwrap()).unwrap(), "");
}
