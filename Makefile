# Every target sets up what it needs: the environment is made once, and again when its lock or pyproject.toml changes.
.PHONY: demo test lint ui bench lab soak sbom lock clean
PYTHON ?= python3.12
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
export DAGSTER_DISABLE_TELEMETRY := 1

demo: $(READY)  ## the sample, against its planted truth; then a model's own samples, against what it was trained on
	$(BIN)/raisonne run
	@$(BIN)/python data/check_truth.py
	$(BIN)/python -m tests.lab demo

test: $(READY)  ## two workers more than cores: many tests wait for processes
	$(BIN)/python -m pytest --numprocesses $$(($$(nproc) + 2)) --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: $(READY)
	$(BIN)/raisonne ui

bench: $(READY)  ## ONLY=hamming for one group
	@$(BIN)/python -m tests.benchmarks $(ONLY)

.PHONY: docs
docs: $(READY)  ## the pages that are generated, then the site, into build/docs; it checks every link
	for page in data_dictionary settings_reference commands facts; do $(BIN)/python docs/generate/$$page.py || exit 1; done
	$(BIN)/python -m tests.file_cases
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

lab: $(READY)  ## two models with known training sets, hours on 2 cores; STEP=train for one step, resumable; PUBLISH=1: docs/
	$(BIN)/python -m tests.lab $(or $(STEP),all) --recipe "$(or $(RECIPE),small)" $(if $(filter 1,$(PUBLISH)),--publish)

soak: $(READY)  ## an hour of kills, full disks and odd files beside readers; MINUTES=10 for less, SEED=1 for the same again
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED))

sbom: $(READY)  ## dist/sbom.cdx.json, CycloneDX: every package of the lock, with its version and hashes; the same each time
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-file dist/sbom.cdx.json \
	  requirements.lock

lock: $(READY)  ## after changing dependencies
	$(BIN)/uv pip compile --quiet --universal --python-version 3.12 --generate-hashes --no-strip-extras --no-header \
	  --extra sscd --extra serve --extra download --extra ray --extra k8s --extra formats --extra lance --extra bench --extra dev --output-file requirements.lock pyproject.toml

$(READY): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf $(VENV) data/warehouse
