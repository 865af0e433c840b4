# The commands of this repository. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c

ARGS ?=

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

.PHONY: setup
setup: ## Say what is missing here, and install what the tests need (root on Debian)
	@scripts/setup

.PHONY: playground
playground: ## A whole cluster on this machine with a load: ARGS="--seconds 90 --chaos", ARGS=--help
	@scripts/setup --check
	@cargo build -p pd-server -p store -p pd-client -p tests --bin pd-server --bin store --bin pd-ctl --bin playground
	@target/debug/playground $(ARGS)

.PHONY: test
test: setup lint ## What the gate runs: lint, formatting, all tests
	@# Programs first: the integration tests start them as real processes.
	cargo build --workspace --bins
	@# Everything that needs no cluster runs in parallel; whole clusters run one test at a time, two cores carry no more.
	@if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --no-fail-fast --workspace --exclude tests; \
	  cargo test --doc --workspace --exclude tests; \
	  cargo nextest run --no-fail-fast -p tests --test-threads 1; \
	else \
	  cargo test --no-fail-fast --workspace --exclude tests; \
	  cargo test --no-fail-fast -p tests -- --test-threads=1; \
	fi

.PHONY: lint
lint: ## Formatting and clippy, without changing anything
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	scripts/lint-ui

.PHONY: fmt
fmt: ## Format everything
	cargo fmt --all

.PHONY: bench
bench: ## Measure the hot paths; prints a table and writes target/bench.json
	cargo build --release -p pd-server -p tests --bin pd-server --bin bench
	@target/release/bench $(ARGS)
