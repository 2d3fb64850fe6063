#!/usr/bin/env python3
"""What a placed and confirmed order costs: the shares of processor time, by step, and a flame graph.

  profile.py [SECONDS]    of one round (5); the benchmark has five

Records `BENCH_ONLY=orders` with perf, and writes target/profile/orders.svg. It needs perf (Debian: linux-perf) with the
right to read what the kernel does (root, or kernel.perf_event_paranoid = 1). The threads of SQLite have the names of
their files. The version of inferno, which draws the graph, is pinned here.
"""

import collections
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "target" / "profile"
TOOLS = Path(os.environ.get("LINT_TOOLS", Path.home() / ".cache" / "soonshop" / "tools"))
INFERNO = "0.12.8"

# The first step whose pattern is found in the thread and the functions of a sample counts.
STEPS = [
    ("the benchmark's own client", r"reqwest|bench::"),
    ("SQLite: the log (append, and reading it)", r"^db-log"),
    ("SQLite: what process managers keep", r"^db-process"),
    ("SQLite: read model of the audit trail", r"^db-rm_audit"),
    ("SQLite: other read models", r"^db-rm_"),
    ("SQLite: other files", r"^db-"),
    ("search index", r"tantivy|soonshop_search|^segment_|^merge_"),
    ("appender: batch, JSON, answers", r"soonshop_event_store::(appender|sqlite)"),
    ("process managers: react and send", r"soonshop_workers::reactor"),
    ("read models: fold and write", r"soonshop_projections"),
    ("relay and bus", r"soonshop_workers::relay|soonshop_bus"),
    ("sealer", r"sealer|seal::"),
    ("HTTP: decide and append", r"soonshop_command_api|soonshop_event_store"),
    ("HTTP: connection, head, body, routing", r"hyper|axum|tower|soonshop_service_kit"),
    ("the runtime: waking, waiting, timers", r"tokio"),
]


def bench() -> str:
    build = ["cargo", "bench", "--workspace", "--bench", "bench", "--no-run", "--message-format=json"]
    lines = subprocess.run(build, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    made = [json.loads(line) for line in lines if line.startswith("{")]
    return next(one["executable"] for one in made if one.get("executable") and one["target"]["name"] == "bench")


def inferno() -> str:
    program = TOOLS / "bin" / "inferno-flamegraph"
    if not program.exists():
        print(f"profile: compiling inferno {INFERNO}", file=sys.stderr)
        install = ["cargo", "install", "--quiet", "--locked", "--root", str(TOOLS), "inferno", "--version", INFERNO]
        subprocess.run(install, check=True)
    return str(program)


def record(seconds: str) -> collections.Counter:
    """The samples of one run: each is a thread's name and its functions, outermost first."""
    data = OUT / "perf.data"
    env = {**os.environ, "BENCH_ONLY": "orders", "BENCH_SECONDS": seconds}
    perf = ["perf", "record", "--quiet", "-F", "199", "--call-graph", "dwarf,16384", "-o", str(data), "--", bench()]
    subprocess.run([*perf, "--bench"], cwd=ROOT / "tests", env=env, check=True)
    script = ["perf", "script", "-i", str(data), "-F", "comm,tid,ip,sym", "--no-inline"]
    text = subprocess.run(script, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    samples = collections.Counter()
    for sample in text.split("\n\n"):
        thread, *frames = sample.strip("\n").split("\n")
        names = [re.sub(r"^\s*[0-9a-f]+ ", "", frame) for frame in frames]
        if thread:
            comm = re.sub(r"\s+\d+\s*$", "", thread).strip()
            samples[(comm, *reversed(names))] += 1
    return samples


def step(sample: tuple[str, ...]) -> str:
    text = " ".join(sample)
    return next((name for name, pattern in STEPS if re.search(pattern, text)), "other")


def main() -> None:
    if not shutil.which("perf"):
        sys.exit("profile: perf is missing: sudo apt-get install linux-perf")
    OUT.mkdir(parents=True, exist_ok=True)
    samples = record(sys.argv[1] if len(sys.argv) > 1 else "5")
    total, shares = samples.total(), collections.Counter()
    for sample, count in samples.items():
        shares[step(sample)] += count
    print("\n| step | share of processor time |\n|---|---|")
    for name, count in shares.most_common():
        print(f"| {name} | {100 * count / total:.1f} % |")
    folded = "".join(f"{';'.join(sample)} {count}\n" for sample, count in samples.items())
    drawing = [inferno(), "--title", "Orders of one line, embedded", "--minwidth", "0.4", "--hash"]
    graph = subprocess.run(drawing, input=folded, check=True, capture_output=True, text=True).stdout
    (OUT / "orders.svg").write_text(graph)
    print(f"\n{total} samples; the flame graph is in {(OUT / 'orders.svg').relative_to(ROOT)}")


if __name__ == "__main__":
    main()
