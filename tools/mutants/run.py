#!/usr/bin/env python3
"""Tries the mutants of cargo-mutants, and lists those that no test notices.

  run.py [CRATE[/FILE]]...     domain, event-log, event-store, projections; all by default. A file: domain/src/text.rs
  run.py --list …              only the mutants, and why some cannot be tried

All but domain need POSTGRES_URL; without it, what only PostgreSQL's tests notice is listed too. The mutants are compiled
all at once, each behind a switch, in a copy of the tree. Each test runs once alone, and says which mutants it reaches;
then each mutant is tried with the tests that reach it, the quickest first, until one fails or does not end. So a mutant
takes seconds, where cargo-mutants alone compiles each. What cannot be compiled is left out, as cargo-mutants does.

The results: target/mutants/CRATE.txt.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rewrite import File, at_fault  # noqa: E402
from switches import COPY, ROOT, build, cargo, copy, fail, seed, tests_of, unit_suites  # noqa: E402

OUT = ROOT / "target" / "mutants"

# The suites that are to notice the mutants of a crate.
SUITES = {
    "domain": ["units_domain", "decisions", "properties", "fulfilment_model"],
    "event-log": ["units_event_log", "store"],
    "event-store": ["units_event_store", "store"],
    "projections": ["units_projections", "projections"],
}

# Tests that do not end within so many times their own time, and so many seconds, have noticed the mutant.
TIMES, SECONDS = 5, 20

# Mutants at the same time. Tests wait for timers and servers more than they compute.
TOGETHER = int(os.environ.get("TOGETHER", "4"))

SWITCH = """
#[allow(missing_docs)]
pub mod broken {
    use std::io::Write as _;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    static TRIED: LazyLock<usize> =
        LazyLock::new(|| std::env::var("MUTANT").ok().and_then(|number| number.parse().ok()).unwrap_or(0));
    static REACHED: LazyLock<Option<std::fs::File>> = LazyLock::new(|| {
        let file = std::env::var("MUTANTS_REACHED").ok()?;
        std::fs::OpenOptions::new().append(true).create(true).open(file).ok()
    });
    static SEEN: [AtomicBool; 20000] = [const { AtomicBool::new(false) }; 20000];

    pub fn mutant(number: usize) -> bool {
        if let Some(mut file) = REACHED.as_ref()
            && !SEEN[number].swap(true, Ordering::Relaxed)
        {
            let _ = file.write_all(format!("{number}\\n").as_bytes());
        }
        *TRIED == number
    }
}
"""


def listed(crate):
    """The mutants of a crate, as cargo-mutants lists them."""
    command = ["cargo", "mutants", "--list", "--json", "--package", f"soonshop-{crate}"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def name_of(mutant):
    start = mutant["span"]["start"]
    return f"{mutant['file']}:{start['line']}:{start['column']}: {mutant['name'].split(': ', 1)[-1]}"


class Mutants:
    """The mutants of one crate, with the sources that hold them."""

    def __init__(self, crate, only):
        self.crate = crate
        chosen = [mutant for mutant in listed(crate) if not only or mutant["file"] in only]
        self.all = dict(enumerate(chosen, 1))
        self.files, self.left_out = {}, {}
        for name in sorted({mutant["file"] for mutant in chosen}):
            of_file = {number: mutant for number, mutant in self.all.items() if mutant["file"] == name}
            self.files[name] = File((ROOT / name).read_bytes(), of_file)
            self.left_out |= self.files[name].left_out

    def sources(self):
        """The files of the copy that differ from ours."""
        texts = {name: file.switched(self.left_out) for name, file in self.files.items()}
        lib = f"{self.crate}/src/lib.rs"
        text = texts.get(lib) or (ROOT / lib).read_text()
        return {**texts, lib: f"#![allow(warnings)]\n{text}{SWITCH}", **unit_suites()}

    def compile(self):
        """Leaves out what the compiler refuses, until it refuses nothing."""
        while True:
            texts = self.sources()
            copy(texts)
            suite = f"units_{self.crate.replace('-', '_')}"
            messages, succeeded = cargo([
                "check", "--quiet", "--workspace", "--locked", "--test", suite, "--message-format", "json",
            ])
            if succeeded:
                return
            refused = self.refused(messages, texts)
            if not refused:
                errors = [message["message"]["rendered"] for message in messages if message.get("message")]
                fail("the copy does not compile:\n" + "\n".join(errors[:3]))
            for number, why in refused.items():
                self.left_out[number] = f"not compiled: {why}"
            print(f"mutants: {len(refused)} of {self.crate} cannot be compiled", flush=True)

    def refused(self, messages, texts):
        found = {}
        for message in messages:
            diagnosis = message.get("message") or {}
            if diagnosis.get("level") != "error":
                continue
            for place in diagnosis["spans"]:
                if place["is_primary"] and place["file_name"] in texts:
                    around = at_fault(texts[place["file_name"]], place["line_start"])
                    if around:
                        found[around[0]] = diagnosis["message"].split("\n")[0]
        return found


def run(program, folder, tests, variables, seconds):
    """The test that failed first, `""` if one did not end, or None if all pass."""
    command = [program, "--exact", "--test-threads", "4", *tests]
    child = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, **variables, "RUST_BACKTRACE": "0"}, start_new_session=True,
    )
    failed = []

    def end():
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def watch():
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            end()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(watch)
        for line in child.stdout:
            if line.startswith("test ") and "FAILED" in line:
                failed.append(line.split()[1])
                end()
    child.wait()
    if failed or child.returncode == 0:
        return failed[0] if failed else None
    # It did not end, or it ended outside of a test: an abort.
    return ""


class Suites:
    """The programs of the tests, and which mutants each test reaches."""

    def __init__(self, names):
        self.programs = build(names)
        self.reached = {}
        self.took = {}
        with tempfile.TemporaryDirectory() as folder:
            for suite in names:
                tests = [test for test in tests_of(*self.programs[suite]) if not self.needs_more(test)]
                with ThreadPoolExecutor(TOGETHER) as pool:
                    alone = lambda test: self.alone(suite, test, Path(folder))  # noqa: E731
                    red = [test for test, passes in zip(tests, pool.map(alone, tests)) if not passes]
                if red:
                    fail(f"with no mutant these fail: {', '.join(red)}")
                print(f"mutants: {len(tests)} tests of {suite} pass with no mutant", flush=True)

    @staticmethod
    def needs_more(test):
        return "::postgres::" in test and "POSTGRES_URL" not in os.environ

    def alone(self, suite, test, folder):
        file = folder / hashlib.sha256(f"{suite} {test}".encode()).hexdigest()
        begun = time.monotonic()
        passes = run(*self.programs[suite], [test], {"MUTANTS_REACHED": str(file)}, 600) is None
        self.took[suite, test] = time.monotonic() - begun
        for number in set(file.read_text().split()) if file.exists() else ():
            self.reached.setdefault(int(number), []).append((suite, test))
        return passes

    def is_noticed_by(self, suite, names, number, seconds):
        while True:
            red = run(*self.programs[suite], names, {"MUTANT": str(number)}, seconds)
            if red is None:
                return False
            # What fails without the mutant as well has not noticed it; nor has what takes as long on a busy machine.
            if run(*self.programs[suite], [red] if red else names, {}, seconds) is None:
                return True
            seconds *= 2

    def notice(self, number):
        """Whether a test that reaches the mutant fails with it."""
        tests = sorted(self.reached.get(number, []), key=self.took.get)
        # Few tests first: most mutants are noticed by the first that reaches them.
        size = 3
        while tests:
            now, tests = tests[:size], tests[size:]
            for suite in dict.fromkeys(suite for suite, _ in now):
                names = [test for of, test in now if of == suite]
                seconds = SECONDS + TIMES * sum(self.took[suite, name] for name in names)
                if self.is_noticed_by(suite, names, number, seconds):
                    return True
            size *= 3
        return False


def tried(crate, only):
    mutants = Mutants(crate, only)
    mutants.compile()
    suites = Suites(SUITES[crate])
    numbers = [number for number in mutants.all if number not in mutants.left_out]
    with ThreadPoolExecutor(TOGETHER) as pool:
        results = {}
        for number, noticed in zip(numbers, pool.map(suites.notice, numbers)):
            results[number] = noticed
            if not noticed:
                why = "no test notices it" if suites.reached.get(number) else "no test reaches it"
                print(f"MISSED {name_of(mutants.all[number])}   ({why})", flush=True)
            if len(results) % 50 == 0:
                print(f"mutants: {len(results)} of {len(numbers)}", flush=True)
    missed = [number for number, noticed in results.items() if not noticed]
    OUT.mkdir(parents=True, exist_ok=True)
    lines = [f"missed {name_of(mutants.all[number])}" for number in missed]
    lines += [f"left out {name_of(mutants.all[number])}: {why}" for number, why in sorted(mutants.left_out.items())]
    (OUT / f"{crate}.txt").write_text("\n".join(lines) + "\n")
    print(
        f"mutants: {crate}: {len(mutants.all)}, {len(numbers) - len(missed)} noticed, {len(missed)} missed, "
        f"{len(mutants.left_out)} left out", flush=True,
    )
    return missed


def main():
    arguments = sys.argv[1:]
    only_list = "--list" in arguments
    wanted = [argument for argument in arguments if not argument.startswith("-")] or list(SUITES)
    crates = {}
    for argument in wanted:
        crate, _, file = argument.partition("/")
        if crate not in SUITES:
            fail(f"{crate} has no mutants; there are {', '.join(SUITES)}")
        crates.setdefault(crate, []).extend([argument] if file else [])
    missed = []
    seed()
    for crate, only in crates.items():
        if only_list:
            mutants = Mutants(crate, only)
            for number, mutant in mutants.all.items():
                print(name_of(mutant), mutants.left_out.get(number, ""))
        else:
            missed += tried(crate, only)
    if missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
