"""A copy of the tree in which code is changed behind switches: compiled once, run many times. `tools/rules/run.py` and
`tools/mutants/run.py` use it."""

import filecmp
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPY = ROOT / "target" / "rules" / "tree"
# Of its own: a crate of the copy counts for cargo as the same crate of the tree.
TARGET = ROOT / "target" / "rules" / "target"

# Crates whose unit tests are a suite of their own in the copy, such as `units_event_log`: among the unit tests of all
# crates, theirs could not be built alone with the workspace's features.
UNITS = ["domain", "event-log", "event-store", "projections", "workers"]


def fail(message):
    sys.exit(f"{Path(sys.argv[0]).parent.name}: {message}")


def unit_suites():
    """The manifests of the copy that have their crate's unit tests as a suite."""
    files = {}
    for crate in UNITS:
        suite = f'\n[[test]]\nname = "units_{crate.replace("-", "_")}"\npath = "src/lib.rs"\n'
        files[f"{crate}/Cargo.toml"] = (ROOT / crate / "Cargo.toml").read_text() + suite
    return files


def copy(changed):
    """Brings the copy up to date; `changed` has the texts of the files that differ. What did not change keeps its time,
    so that it is not compiled again."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )
    names = {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    for name in names:
        source, target = ROOT / name, COPY / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name in changed:
            if not target.exists() or target.read_text() != changed[name]:
                target.write_text(changed[name])
        elif not target.exists() or not filecmp.cmp(source, target, shallow=False):
            shutil.copy(source, target)
    for target in [*COPY.rglob("*.rs"), *COPY.rglob("*.sql")]:
        if str(target.relative_to(COPY)) not in names:
            target.unlink()


def seed():
    """Takes over what was compiled of others' crates: as links, which take no room."""
    ours = ROOT / "target" / "debug"
    for folder in ("deps", ".fingerprint", "build"):
        for source in (ours / folder).rglob("*"):
            target = TARGET / "debug" / source.relative_to(ours)
            if "soonshop" not in str(target.relative_to(TARGET)) and source.is_file() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(source, target)


def cargo(arguments):
    """Runs cargo in the copy; its messages, and whether it succeeded."""
    command = [*os.environ.get("CARGO", "cargo").split(), *arguments]
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET)}
    done = subprocess.run(command, cwd=COPY, stdout=subprocess.PIPE, text=True, env=environment)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], done.returncode == 0


def build(suites):
    """The program of each suite, and the folder that it runs in."""
    arguments = ["test", "--workspace", "--locked", "--no-run", "--message-format", "json-render-diagnostics"]
    for suite in suites:
        arguments += ["--test", suite]
    messages, succeeded = cargo(arguments)
    if not succeeded:
        fail("the copy does not compile")
    programs = {}
    for message in messages:
        if message.get("executable") and message["target"]["name"] in suites:
            programs[message["target"]["name"]] = (message["executable"], Path(message["manifest_path"]).parent)
    return programs


def tests_of(program, folder):
    """The names of the tests of a suite."""
    listed = subprocess.run([program, "--list"], check=True, capture_output=True, text=True, cwd=folder)
    return [line.removesuffix(": test") for line in listed.stdout.splitlines() if line.endswith(": test")]
