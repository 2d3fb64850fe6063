#!/usr/bin/env python3
"""Breaks the rules of docs/database.md on purpose, one at a time, and expects their tests to fail.

  run.py [NAME...]     the breaks whose names begin so; all by default. Without POSTGRES_URL those on SQLite only
  run.py --check       only that every break of rules.toml still fits the code; needs no compiler
  run.py --table       the table of docs/testing.md

All breaks are compiled once, each behind a switch, in a copy of the tree under target/rules. The tests run first with
no rule broken, and must pass. A test that does not end within LIMIT seconds has failed.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from switches import ROOT, build, copy, fail, seed, tests_of as all_tests, unit_suites  # noqa: E402

LIMIT = 240

# Added to each crate with a switch.
SWITCH = """
pub mod broken {
    pub fn rule(name: &str) -> bool {
        std::env::var("BROKEN_RULE").is_ok_and(|rule| rule == name)
    }

    pub fn sql(text: &str) -> String {
        let (mut text, mut number) = (text.to_owned(), 0);
        while let (Ok(old), Ok(new)) =
            (std::env::var(format!("BROKEN_SQL_{number}")), std::env::var(format!("BROKEN_SQL_{number}_NEW")))
        {
            text = text.replace(&old, &new);
            number += 1;
        }
        text
    }

    pub fn text(text: &'static str) -> &'static str {
        if std::env::var("BROKEN_SQL_0").is_ok() { Box::leak(sql(text).into_boxed_str()) } else { text }
    }
}
"""

# Where SQL passes: file, and what is replaced there, as often as it occurs.
SQL = [
    ("migrations/src/lib.rs", r"self\.(postgres|sqlite)\.replace\(", r"crate::broken::sql(self.\1).replace("),
    ("event-log/src/database.rs", r"sql\.replace\('@'", r"crate::broken::sql(sql).replace('@'"),
    ("event-store/src/sqlite.rs", r"sqlx::query\((sql|[A-Z]+)\)", r"sqlx::query(crate::broken::text(\1))"),
]


def breaks():
    with open(ROOT / "tools" / "rules" / "rules.toml", "rb") as file:
        return tomllib.load(file)["break"]


def compiled(source):
    """Rust's literals over several lines, as they are compiled."""
    return re.sub(r"\\\n\s*", "", source)


def once(text, part, where):
    if text.count(part) != 1:
        fail(f"{where}: it occurs {text.count(part)} times, and should once: {part}")
    return text.index(part)


def place(text, code, name):
    """The span that the break replaces."""
    where = f"{name} no longer fits {code['file']}"
    if "within" not in code:
        start = once(text, code["old"], where)
    else:
        outer = once(text, code["within"], where)
        if code["old"] not in code["within"]:
            fail(f"{where}: {code['old']}")
        start = outer + code["within"].rindex(code["old"])
    return start, start + len(code["old"])


def switched(text, edits):
    """The source with every edit behind its switch; edits of one span are alternatives."""
    spans = {}
    for span, name, new in edits:
        spans.setdefault(span, []).append((name, new))
    ordered = sorted(spans)
    for before, after in zip(ordered, ordered[1:]):
        if after[0] < before[1]:
            fail(f"two breaks overlap: {spans[before]} and {spans[after]}")
    for start, end in reversed(ordered):
        old = text[start:end]
        arms = " else ".join(f'if crate::broken::rule("{name}") {{ {new} }}' for name, new in spans[(start, end)])
        whole = f"{arms} else {{ {old} }}"
        text = text[:start] + (whole if old.endswith(";") else f"({whole})") + text[end:]
    return text


def changed_files(rules):
    """Each file of the copy that differs from ours, with its text."""
    edits, files = {}, {}
    for rule in rules:
        for code in rule.get("code", []):
            text = (ROOT / code["file"]).read_text()
            span = place(text, code, rule["name"])
            edits.setdefault(code["file"], []).append((span, rule["name"], code["new"]))
        statements = [compiled((ROOT / file).read_text()) for file in sql_files()]
        for old, _ in rule.get("sql", []):
            if sum(text.count(old) for text in statements) == 0:
                fail(f"{rule['name']} no longer fits: no SQL has {old}")
    for file, list_of_edits in edits.items():
        files[file] = switched((ROOT / file).read_text(), list_of_edits)
    for file, pattern, new in SQL:
        text, count = re.subn(pattern, new, files.get(file) or (ROOT / file).read_text())
        if count == 0:
            fail(f"no SQL passes through {file} any more")
        files[file] = text
    files |= unit_suites()
    for crate in {file.split("/")[0] for file in files}:
        lib = f"{crate}/src/lib.rs"
        text = files.get(lib) or (ROOT / lib).read_text()
        files[lib] = "#![allow(unused_parens)]\n" + text + SWITCH
    return files


def sql_files():
    migrations = (ROOT / "migrations" / "src" / "sql").glob("*.sql")
    sources = [(ROOT / crate / "src").rglob("*.rs") for crate in ("event-store", "event-log", "projections", "workers")]
    return [*migrations, *(file for files in sources for file in files)]


def suite_of(rule):
    return rule.get("suite", "store")


def backend(test):
    for name in ("sqlite", "postgres"):
        if f"::{name}::" in test or test.endswith(f"_on_{name}"):
            return name
    return None


def tests_of(rule, every):
    """The tests that must fail, in all variants that can run here."""
    found = []
    for name in rule["tests"]:
        variants = [
            test for test in every
            if test.split("::")[-1] in (name, f"{name}_on_sqlite", f"{name}_on_postgres")
        ]
        if not variants:
            fail(f"{rule['name']}: there is no test {name}")
        for test in variants:
            on = backend(test) or rule.get("on", "postgres")
            if on == rule.get("on", on) and (on == "sqlite" or "POSTGRES_URL" in os.environ):
                found.append(test)
    return found


def run(program, tests, variables, limit=LIMIT):
    """The tests that failed."""
    executable, folder = program
    command = [executable, "--exact", *tests]
    environment = {**os.environ, **variables}
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=limit, env=environment)
        output = done.stdout
    except subprocess.TimeoutExpired as expired:
        output = (expired.stdout or b"").decode()
    passed = set(re.findall(r"^test (\S+) \.\.\. ok$", output, re.MULTILINE))
    return [test for test in tests if test not in passed]


def table(rules):
    print("| rule | broken | test that fails |\n|---|---|---|")
    for rule in rules:
        only = {"sqlite": " (SQLite)", "postgres": " (PostgreSQL)"}.get(rule.get("on"), "")
        tests = ", ".join(f"`{test}`" for test in rule["tests"])
        print(f"| {rule['name'].split('-')[0]} | {rule['how']}{only} | {tests} |")


def main():
    arguments = sys.argv[1:]
    rules = breaks()
    if arguments == ["--table"]:
        return table(rules)
    if arguments == ["--check"]:
        changed_files(rules)
        return print(f"rules: {len(rules)} breaks fit the code")
    if any(argument.startswith("-") for argument in arguments):
        return print(__doc__)
    chosen = [rule for rule in rules if not arguments or any(rule["name"].startswith(name) for name in arguments)]
    copy(changed_files(rules))
    seed()
    suites = sorted({suite_of(rule) for rule in chosen})
    programs = build(suites)
    if "POSTGRES_URL" not in os.environ:
        print("rules: POSTGRES_URL is not set: only the tests on SQLite run", flush=True)
    every = {}
    for suite in suites:
        program, folder = programs[suite]
        every[suite] = all_tests(program, folder)
        wanted = sorted({
            test for rule in chosen if suite_of(rule) == suite for test in tests_of(rule, every[suite])
        })
        red = run(programs[suite], wanted, {}, 10 * LIMIT) if wanted else []
        if red:
            fail(f"with no rule broken these fail: {', '.join(red)}")
        print(f"rules: {len(wanted)} tests of {suite} pass with no rule broken", flush=True)
    missed = []
    for rule in chosen:
        tests = tests_of(rule, every[suite_of(rule)])
        if not tests:
            continue
        variables = {"BROKEN_RULE": rule["name"]}
        for number, (old, new) in enumerate(rule.get("sql", [])):
            variables |= {f"BROKEN_SQL_{number}": old, f"BROKEN_SQL_{number}_NEW": new}
        failed = run(programs[suite_of(rule)], tests, variables)
        green = [test for test in tests if test not in failed]
        print(f"{'red ' if not green else 'GREEN'} {rule['name']}: {rule['how']}", flush=True)
        for test in green:
            print(f"        {test} passes", flush=True)
        if green:
            missed.append(rule["name"])
    if missed:
        fail(f"broken, and not noticed by all of their tests: {', '.join(missed)}")


main()
