# make demo: a sample night from a fresh machine.  make test: everything that needs no server.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := build/demo

.PHONY: help demo test test-long test-postgresql databases check golden docs bench bench-full memory fuzz state-machine neighbours \
	crash crash-sample verify-bytes races protections sbom format wheel-demo clean
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

$(STAMP): requirements-dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## Adjudicate the sample night into build/demo
	@rm -rf $(DEMO) && mkdir -p $(DEMO)/inbox
	@for case in fixtures/claims/*/; do \
		for claim in $${case}claim.*; do \
			cp $$claim $(DEMO)/inbox/$$(basename $$case).$${claim##*.} || exit 1; done; done
	@$(BIN)/adjudicate reference load fixtures/reference --db sqlite:///$(DEMO)/adjudicator.db
	@$(BIN)/adjudicate run $(DEMO)/inbox --db sqlite:///$(DEMO)/adjudicator.db --out $(DEMO)/out \
		--business-date 2025-11-15
	@for report in eop in-process register; do echo; \
		$(BIN)/adjudicate report $$report --db sqlite:///$(DEMO)/adjudicator.db \
			--out $(DEMO)/out || exit 1; done

test: $(STAMP) ## Run the tests (four to five minutes on two cores)
	$(BIN)/python -m pytest -m "not long" -n 2 --dist loadfile

test-long: $(STAMP) ## Run the longer tests: against plain models, of damaged bytes, crashes
	$(BIN)/python -m pytest -m long -n 2 --dist worksteal

test-postgresql: $(STAMP) ## Run what needs PostgreSQL, on a server of its own (or the one named)
	$(BIN)/python -m tests.postgresql $(BIN)/python -m pytest -m postgresql -n 2 --dist worksteal

databases: $(STAMP) ## 10,000 claims on SQLite and PostgreSQL, 50 races of two runs on each
	$(BIN)/python -m tests.postgresql --on-disk $(BIN)/python -m tests.two_databases \
		--claims 10000 --races 50

golden: $(STAMP) ## Write the cases' expected files anew; read the difference
	$(BIN)/python -m tests.case_tools

docs: $(STAMP) ## Write the generated pages of docs/ anew
	$(BIN)/python -m tests.docs
	@$(BIN)/python -m tests.corpus || true

check: $(STAMP) ## Lint, types, format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: $(STAMP) ## Measure against pyx12 in the same run; writes build/bench.json
	@mkdir -p build
	$(BIN)/python -m tests.bench --out build/bench.json

bench-full: $(STAMP) ## One night of a million claims: time, memory, sizes; writes build/bench-full.json
	$(BIN)/python -m tests.bench_full --out build/bench-full.json

memory: $(STAMP) ## Measure check's and run's memory against the size of a night
	@mkdir -p build
	$(BIN)/python -m tests.memory --out build/memory.json

fuzz: $(STAMP) ## Damaged segments and files against pyx12, ten times what the tests take
	FUZZ_SEGMENTS=200000 FUZZ_FILES=4000 FUZZ_BYTES=1 $(BIN)/python -m pytest \
		tests/test_syntax.py tests/test_fuzz.py tests/test_envelope.py tests/test_acks.py -n 2 --dist worksteal

state-machine: $(STAMP) ## 300 histories of 12 nights against the plain model; FROM=101 goes on from there
	$(BIN)/python -m tests.state_machine --from $(or $(FROM),1)

neighbours: $(STAMP) ## One bad claim beside 9,999 good ones: the same decisions and 835s
	NEIGHBOURS=9999 $(BIN)/python -m pytest tests/test_neighbours.py -n 2 --dist worksteal

crash: $(STAMP) ## Faults at every writing call of a night, and a full disk; goes on where it was stopped
	$(BIN)/python -m tests.crash
	$(BIN)/python -m tests.crash --claims 200 --points 200
	ROOMS="$$(seq -s ' ' 8 16 376)" $(BIN)/python -m pytest tests/test_crash.py

crash-sample: $(STAMP) ## Sixty of those faults
	$(BIN)/python -m tests.crash --points 60

verify-bytes: $(STAMP) ## 2,000 changes of one byte in published files: verify finds all
	VERIFY_BYTES=2000 $(BIN)/python -m pytest tests/test_verify.py -k changed_byte

races: $(STAMP) ## Fifty times two runs at once
	RACES=50 $(BIN)/python -m pytest tests/test_run_ledger.py -k two_runs -n 2

protections: $(STAMP) ## Take out each protection in a copy: its tests must fail
	$(BIN)/python -m tests.postgresql $(BIN)/python -m tests.protections

sbom: ## What the program is made of: build/sbom.json, CycloneDX
	@mkdir -p build
	$(PYTHON) -m tests.sbom --out build/sbom.json

wheel-demo: $(STAMP) ## Run the demo from the built wheel, outside the checkout
	@rm -rf build/wheel && mkdir -p build/wheel
	$(BIN)/python -m hatchling build -t wheel -d build/wheel
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	build/wheel/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps build/wheel/*.whl
	@fixtures/demo/run-from-wheel.sh build/wheel/venv/bin/adjudicate

clean: ## Remove what was built
	rm -rf build $(VENV)
