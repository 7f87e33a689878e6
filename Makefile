# `make demo` and `make test` are enough; everything else is a part of them or a longer run of one.
# Written for GNU make and bash. scripts/setup says what is installed, and when.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# What a run may be told:  make kill KILLS=1000
KILLS ?= 200
FUZZ_SECONDS ?= 10
STORM_SECONDS ?= 60
LEAK_TRIPS ?= 1000000

# Generated examples are the same ones each time, so that a failure is of the change at hand, unless SLIPRING_RANDOM is set.
ifeq ($(SLIPRING_RANDOM),)
export PROPTEST_RNG_SEED ?= 1
endif
LOOM_PREEMPTIONS ?= 3
LOOM_ORDERS ?= 1
BENCH_ARGS ?=
BENCH_FEATURES ?= peers
DEMO_ARGS ?=
PYTHON ?= python3

export PYTHON
# rustup writes here and leaves PATH to the login shell.
export PATH := $(PATH):$(HOME)/.cargo/bin
# One interpreter for every build of the Python binding, so that none undoes another's work.
export PYO3_PYTHON := $(CURDIR)/.venv/bin/python
# Elixir needs to be told that names are UTF-8.
export LC_ALL := C.UTF-8
# Read by the tests that kill processes and by loom.
export SLIPRING_KILLS = $(KILLS)
export LOOM_MAX_PREEMPTIONS = $(LOOM_PREEMPTIONS)
export SLIPRING_LOOM_ORDERS = $(LOOM_ORDERS)

crates := -p slipring -p slipring-codec -p slipring-frames -p slipring-benches -p slipring-storm
# A test that hangs says where, and ends.
pytest := .venv/bin/python -m pytest -q -o faulthandler_timeout=300 -o faulthandler_exit_on_timeout=true
# Two commands on two cores: the first one's output, then the other's.
beside := .venv/bin/python scripts/beside
say = @printf '\n== %s\n'

.PHONY: help setup demo test lint test-rust loom test-python test-beam test-cross kill storm storm-worker embed-host leaks fuzz fuzz-if-possible asan asan-if-possible bench-ring bench-codec bench-grow deny clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@printf '\n  variables: KILLS=%s STORM_SECONDS=%s FUZZ_SECONDS=%s LEAK_TRIPS=%s LOOM_PREEMPTIONS=%s LOOM_ORDERS=%s BENCH_ARGS= BENCH_FEATURES=%s DEMO_ARGS= PYTHON=%s\n' \
	  '$(KILLS)' '$(STORM_SECONDS)' '$(FUZZ_SECONDS)' '$(LEAK_TRIPS)' '$(LOOM_PREEMPTIONS)' '$(LOOM_ORDERS)' '$(BENCH_FEATURES)' '$(PYTHON)'

setup: ## install what is missing, build both bindings
	@scripts/setup

demo: setup ## hillshade of a real elevation model: Python, Elixir and back
	@exec scripts/demo $(DEMO_ARGS)

# The cheap checks first; processes that are killed and fuzzing last.
test: setup lint test-rust loom test-python test-beam test-cross asan-if-possible fuzz-if-possible ## everything that CI runs
	$(say) 'All passed'

lint: setup ## formatting, clippy, compiler warnings
	@scripts/setup lint
	$(say) 'Formatting and lints'
	@cargo fmt --all -- --check
	@cargo clippy -q --workspace --all-targets -- -D warnings
	@cd bindings/beam && mix format --check-formatted && mix compile --all-warnings --warnings-as-errors
	@cd demo/hillshade && mix format --check-formatted && mix compile --warnings-as-errors

test-rust: ## the crates, doc tests and a short kill test included
	$(say) 'Rust: unit, integration and kill tests'
	@if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --no-fail-fast $(crates); \
	  else cargo test --no-fail-fast $(crates) --lib --bins --tests --examples; fi
	$(say) 'Rust: doc tests'
	@cargo test -q --doc $(crates)

# Optimised, since a model runs thousands of times; checks stay in; no link-time work for one run.
loom: ## every interleaving of the ring's algorithms, within the preemption bound
	$(say) 'Models (loom, at most $(LOOM_PREEMPTIONS) preemptions; $(LOOM_ORDERS) with all orders of reads)'
	@RUSTFLAGS="$${RUSTFLAGS:-} --cfg slipring_loom" CARGO_TARGET_DIR=target/loom \
	  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true \
	  cargo test --release -p slipring --lib

# The first half takes about as long as what is left.
python_half := $(foreach part,json_ pandas table,$(wildcard bindings/python/tests/test_$(part)*.py))
python_rest := $(filter-out $(python_half),$(wildcard bindings/python/tests/test_*.py))

test-python: setup ## the Python package
	$(say) 'Python package'
	@$(beside) "$(pytest) -p no:cacheprovider $(python_half)" "$(pytest) -p no:cacheprovider $(python_rest)"

test-beam: setup ## the Elixir library
	$(say) 'Elixir library'
	@cd bindings/beam && mix test </dev/null
	@cd demo/hillshade && mix test </dev/null

test-cross: setup storm-worker embed-host ## what crosses languages and processes
	$(say) 'Across languages and processes'
	@$(pytest) tests

kill: KILLS := $(if $(filter command% environment%,$(origin KILLS)),$(KILLS),300)
kill: ## kill -9 at random moments, 300 times
	$(say) 'Kill test, $(KILLS) kills'
	@cargo test --release -p slipring --test death -- --nocapture

storm-worker:
	@cargo build -q --release -p slipring-storm

embed-host:
	@cargo build -q -p slipring-embed

storm: setup storm-worker ## kill, stop and replace processes of all languages on rings of each mode, for STORM_SECONDS
	$(say) 'Storm, $(STORM_SECONDS) s'
	@.venv/bin/python tests/storm/storm.py --seconds $(STORM_SECONDS)

leaks: setup ## LEAK_TRIPS round trips in Python and in Elixir, after which references and memory are what they were
	$(say) 'Leaks, $(LEAK_TRIPS) trips in Python'
	@.venv/bin/python tests/leaks/leaks.py --trips $(LEAK_TRIPS)
	$(say) 'Leaks, $(LEAK_TRIPS) trips in Elixir'
	@elixir -pa bindings/beam/_build/dev/lib/slipring/ebin tests/leaks/leaks.exs --trips $(LEAK_TRIPS)

fuzz: setup ## everything that parses bytes (nightly, cargo-fuzz)
	$(say) 'Fuzzing, $(FUZZ_SECONDS) s a target'
	@scripts/fuzz $(FUZZ_SECONDS)

fuzz-if-possible: setup
	$(say) 'Fuzzing, $(FUZZ_SECONDS) s a target'
	@SEED=$${SEED-$(if $(SLIPRING_RANDOM),,1)} scripts/fuzz $(FUZZ_SECONDS) || { status=$$?; [ $$status = 3 ] || exit $$status; echo 'THE CRATES WERE NOT FUZZED: see above'; }

# What goes through raw calls of the interpreter, and what reads tables that others may change: two halves that take about as long.
checked_files := json_alike json_reading json_writing json_suite json_numbers json_floats json_frames json tables table_parts table_records \
  table_streams table_hostile table_given table_nested arrow_shapes schemas evolution
checked_more := pandas values registered selection dtypes \
  dataclass dataclass_analysis dataclass_classes dataclass_errors dataclass_frames dataclass_numbers dataclass_options dataclass_oracles \
  dataclass_tables dataclass_tags dataclass_untyped dataclass_whole
# Those left out fill a stack, which the sanitizer's frames don't fit, ...
checked_less := small_stack or (test_dataclass_whole and depth_has)
# ... look at the process' memory, in which the sanitizer keeps what was freed, ...
checked_less += or (test_values and nothing_leaks)
# ... or take seven to twenty seconds each: to make much of little, or to compute by the same code as one in eight of them.
checked_less += or elements_that_nobody_paid_for or columns_of_nothing or honest_columns or can_be_interrupted or (hard_doubles and not [0])
checked_tests = scripts/asan-python -m pytest -q -p no:cacheprovider $(1:%=bindings/python/tests/test_%.py) -k 'not ($(checked_less))'
checked_fuzz := scripts/asan-python tests/fuzz/python_json.py $(FUZZ_SECONDS) target/fuzz/found $(if $(SLIPRING_RANDOM),,--seed 1)
checked_bindings = $(beside) "$(call checked_tests,$(checked_files)) && $(checked_fuzz)" "scripts/asan-beam && $(call checked_tests,$(checked_more))"

asan: setup ## the crates and both bindings' codecs under the address sanitizer (nightly)
	$(say) 'Address sanitizer'
	@RUSTFLAGS="$${RUSTFLAGS:-} -Zsanitizer=address" CARGO_TARGET_DIR=target/asan \
	  cargo +nightly test -p slipring -p slipring-codec --lib --tests \
	  --target "$$(rustc -vV | sed -n 's/^host: //p')"
	@RUSTFLAGS="$${RUSTFLAGS:-} -Zsanitizer=address" CARGO_TARGET_DIR=target/asan \
	  cargo +nightly test -p slipring-frames --test frames --test tables --test schemas \
	  --target "$$(rustc -vV | sed -n 's/^host: //p')"
	@$(checked_bindings)

# The unit tests alone: the others fork, and their children leave without a look at leaks.
asan-if-possible: setup
	$(say) 'Address sanitizer, unit tests and the codecs of the bindings'
	@if cargo +nightly --version >/dev/null 2>&1; then \
	  RUSTFLAGS="$${RUSTFLAGS:-} -Zsanitizer=address" CARGO_TARGET_DIR=target/asan \
	  cargo +nightly test -q -p slipring -p slipring-codec --lib --target "$$(rustc -vV | sed -n 's/^host: //p')" && \
	  $(checked_bindings); \
	  else echo 'NOT RUN: there is no nightly toolchain'; fi

bench-ring: setup ## the ring beside its peers; writes target/bench/
	@scripts/setup bench
	$(say) 'Ring benchmarks'
	@cargo run --release -p slipring-benches --features $(BENCH_FEATURES) --bin ring -- $(BENCH_ARGS)

bench-codec: setup ## encoding and decoding beside their peers; writes target/bench/codec.json
	@scripts/setup bench
	$(say) 'Codec benchmarks'
	@mkdir -p target/bench
	@elixir -pa bindings/beam/_build/dev/lib/slipring/ebin benches/beam/codec.exs >target/bench/codec-more.jsonl
	@elixir -pa bindings/beam/_build/dev/lib/slipring/ebin benches/beam/tables.exs >>target/bench/codec-more.jsonl
	@elixir -pa bindings/beam/_build/dev/lib/slipring/ebin benches/beam/small_map.exs >>target/bench/codec-more.jsonl
	@cargo run -q --release -p slipring-benches --bin tables >>target/bench/codec-more.jsonl
	@.venv/bin/python benches/python/codec.py --more target/bench/codec-more.jsonl $(BENCH_ARGS)
	@.venv/bin/python benches/python/dataclass.py

bench-grow: ## how the ring grows with ends, sizes and what is held; writes target/bench/
	$(say) 'Growth'
	@cargo run --release -p slipring-benches --bin ring -- --grow --rounds 3 $(BENCH_ARGS)

deny: ## licences, advisories and sources of the dependencies (cargo-deny)
	@cargo deny check

clean: ## remove everything that was built; .venv and the fuzzing corpus with it
	rm -rf target .venv bindings/beam/_build bindings/beam/priv demo/hillshade/_build bindings/python/python/slipring/*.so
