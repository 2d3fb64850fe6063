# `make help` lists what there is. `make dev` needs nothing but Rust; `make test` brings its own servers.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: install-dev hooks dev context migrate build test test-fast test-lean test-context test-browser screenshots test-import torture oversell rules mutants attack fuzz format lint health-check db-setup db-reset bench profile help

CARGO ?= cargo
SOONSHOP = $(CARGO) run --quiet --package soonshop --bin soonshop --
WITH = tests/services/with.sh
# Where the toolchain of rust-toolchain.toml is installed under another name.
TOOLCHAIN := $(shell tools/toolchain.sh)
ifneq ($(TOOLCHAIN),)
export RUSTUP_TOOLCHAIN ?= $(TOOLCHAIN)
endif
# The features of `make dev`: none that needs a server.
LEAN = --package soonshop --package soonshop-bus --package soonshop-cache --package soonshop-search --no-default-features
# Where `make health-check` asks.
URL ?= http://127.0.0.1:8000
# How long `make torture` goes on.
SECONDS ?= 60
# With which requests `make fuzz` begins, and for how long it goes on: empty, as long as in `make test`.
SEED ?= 1
MINUTES ?=
# With which random moments `make oversell` kills.
SEEDS ?= 1 2 3
# The files that `make db-reset` removes.
DATA ?= data

help: ## What there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install-dev: ## What developing needs: components, dependencies, tools, servers for tests
	tools/toolchain.sh --link
	$(CARGO) fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	$(CARGO) clippy --version >/dev/null 2>&1 || rustup component add clippy
	$(CARGO) fetch --locked
	tools/lint.sh install
	tests/fuzz/run.sh --install
	tests/services/services.sh install

hooks: ## Check before each commit: formatting, spelling, clippy of the crates that changed
	tools/lint.sh install
	git config core.hooksPath .githooks

dev: ## The whole shop in one process, with nothing installed: migrated, seeded, all roles
	$(CARGO) run --package soonshop --bin soonshop --profile quick --no-default-features -- dev

context: ## A new context that compiles and has its tests (NAME=loyalty)
	CARGO='$(CARGO)' tools/context.sh '$(NAME)'

build: ## Everything, for release
	$(CARGO) build --release --workspace --locked

migrate: ## Bring the databases up to date
	$(SOONSHOP) migrate

db-setup: migrate ## The same: a database that is not there is made

db-reset: ## Remove data/ (asks first; FORCE=1 does not) and begin anew
	@if [[ "$(FORCE)" != 1 ]]; then \
	  [[ -t 0 ]] || { echo 'db-reset removes $(DATA)/: say FORCE=1 where nobody can be asked' >&2; exit 1; }; \
	  read -r -p 'Remove $(CURDIR)/$(DATA) with everything in it? [y/N] ' answer; \
	  [[ "$$answer" == [yY]* ]] || { echo 'nothing was removed' >&2; exit 1; }; \
	fi
	rm -rf -- '$(DATA)'
	$(SOONSHOP) migrate

health-check: ## Is a running shop ready? (URL=…)
	@curl --silent --show-error --fail-with-body --max-time 5 '$(URL)/health/ready' && echo

test: ## Every test (but the whole import), also in a browser and by the fuzzer, on real servers that are started for it
	$(WITH) --before '$(CARGO) test --workspace --no-run && e2e/run.sh --install && tests/fuzz/run.sh --install' \
	  bash -c 'rc=0; export RUST_TEST_THREADS=$${RUST_TEST_THREADS:-6}; \
	    $(CARGO) test --workspace --no-fail-fast -- --skip attacks:: || rc=$$?; \
	    $(CARGO) test --workspace --test integration attacks:: || rc=1; \
	    log=$$(mktemp); tests/fuzz/run.sh >"$$log" 2>&1 & fuzz=$$!; \
	    e2e/run.sh || rc=1; wait "$$fuzz" || rc=1; cat "$$log"; rm -f "$$log"; exit $$rc'

test-fast: ## The tests that need no server, in less than two minutes once everything is built
	CARGO='$(CARGO)' tools/test-fast.sh

test-browser: ## The tests in a browser alone, each on every shop
	SERVICES='postgres rabbitmq elasticsearch' $(WITH) --before '$(CARGO) build --workspace && e2e/run.sh --install' \
	  env E2E_EVERYWHERE=1 e2e/run.sh $(FILES)

screenshots: ## Pictures of the pages, for the documentation
	SERVICES=postgres $(WITH) --before '$(CARGO) build --workspace && e2e/run.sh --install' e2e/run.sh --screenshots

test-import: ## The import of the whole data set on every set of backends, optimised
	$(WITH) --before '$(CARGO) test --release --package soonshop-tests --test integration --no-run' \
	  $(CARGO) test --release --package soonshop-tests --test integration import_of_the_whole_file -- --ignored --nocapture

torture: ## Kill writers and cut their connections at random, for SECONDS
	TORTURE_SECONDS=$(SECONDS) $(WITH) --before '$(CARGO) test --package soonshop-event-store --test store --no-run' \
	  $(CARGO) test --package soonshop-event-store --test store torture -- --nocapture

oversell: ## 1,000 buyers of 100 units on four processes that are killed, once for each of SEEDS
	SERVICES='postgres redis rabbitmq elasticsearch' $(WITH) --before '$(CARGO) test --workspace --test integration --no-run' \
	  bash -c 'for seed in $(SEEDS); do echo "seed $$seed"; SALE=4/1000/100 SEED=$$seed $(CARGO) test --workspace --test integration \
	    -- --exact processes::processes_that_are_killed_sell_each_unit_once_and_are_paid_for_it | tee /dev/stderr | \
	    grep -q "^test result: ok. 1 passed" || exit 1; done'

rules: ## Break the rules of docs/database.md on purpose, one at a time: their tests must fail (NAMES='A6 C8')
	SERVICES=postgres $(WITH) env CARGO='$(CARGO)' tools/rules/run.py $(NAMES)

mutants: ## Change the code in one place at a time, and list what no test notices (CRATES=domain)
	SERVICES='postgres redis elasticsearch' $(WITH) tools/mutants.sh $(CRATES)

attack: ## Attacks by many clients: the memory of a process, and how much slower a bystander gets
	$(CARGO) build --release --workspace
	ATTACK=1 $(CARGO) test --release --workspace --test integration no_attack_takes -- --nocapture

fuzz: ## The API against its description, as guest, support and admin (SEED=7 MINUTES=30)
	$(CARGO) build --workspace
	SEED='$(SEED)' MINUTES='$(MINUTES)' tests/fuzz/run.sh

bench: ## The figures, each with its baseline
	$(WITH) --before '$(CARGO) build --release --workspace && $(CARGO) bench --workspace --bench bench --bench search --no-run' \
	  $(CARGO) bench --workspace --bench bench --bench search

profile: ## What an order costs, by step, and a flame graph (needs perf)
	tools/profile.py

test-lean: ## That a build without the adapters of servers says which of them it lacks
	$(CARGO) test --profile quick $(LEAN) --test built_in

test-context: ## That a new context is green at once, and that each edit which it needs is missed
	CARGO='$(CARGO)' tools/test-context.sh

format: ## Format the code
	CARGO='$(CARGO)' tools/format.sh

lint: ## Formatting, clippy, documentation, dependencies and spelling, as strict as the build server
	CARGO='$(CARGO)' tools/format.sh --check
	tools/test-fast.sh --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy $(LEAN) --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps
	tools/lint.sh
