# Every target sets up what it needs: the environment is made once, and again when its lock or pyproject.toml changes.
.PHONY: demo test lint ui bench lab soak sbom lock clean
# PYTHON=… chooses the interpreter of a new environment; else the first of these that will do, else uv's.
PYTHON  ?=
PYTHONS := python3.12 python3.13 python3.14 python3
FITS    := import ensurepip, sys; sys.exit(not (3, 12) <= sys.version_info[:2] <= (3, 14))
TELL    := import importlib.util as u, sys; v = sys.version.split()[0]; print(v if u.find_spec("ensurepip") else v + " without venv")
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
export DAGSTER_DISABLE_TELEMETRY := 1
# else every process of the tests would compile the same modules
unexport PYTHONDONTWRITEBYTECODE

demo: $(READY)  ## the sample, against its planted truth; then a model's own samples, against what it was trained on
	@$(BIN)/python -m data.demo

test: $(READY)  ## ALL=1: also what takes long. Two workers more than cores: many tests wait for processes
	$(BIN)/python -m pytest $(if $(ALL),,-m "not thorough") --numprocesses $$(($$(nproc) + 2)) --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: $(READY)
	$(BIN)/raisonne ui

bench: $(READY)  ## ONLY=hamming for one group, ONLY="scale --figure commit_growth" for one figure
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
	$(BIN)/python -m cyclonedx_py requirements --pyproject pyproject.toml --output-reproducible --output-file dist/sbom.cdx.json \
	  requirements.lock

lock: $(READY)  ## after changing dependencies
	$(BIN)/uv pip compile --quiet --universal --python-version 3.12 --generate-hashes --no-strip-extras --no-header \
	  --extra sscd --extra serve --extra download --extra ray --extra k8s --extra formats --extra lance --extra lake --extra c2pa --extra atlas --extra bench --extra dev --output-file requirements.lock pyproject.toml

$(BIN)/python:  # only what runs counts: a version manager's command may stand for a Python that is not there
	@for each in $(or $(PYTHON),$(PYTHONS)); do "$$each" -c '$(FITS)' >/dev/null 2>&1 && exec "$$each" -m venv $(VENV); done; \
	test -z "$(PYTHON)" && command -v uv >/dev/null && uv venv --quiet --seed --python '>=3.12,<3.15' $(VENV) && exit; \
	for each in $(or $(PYTHON),$(PYTHONS)); do \
	  version=$$("$$each" -c '$(TELL)' 2>/dev/null) && found="$$found$${found:+, }$$each is $$version"; \
	done; \
	echo "Raisonné needs Python 3.12, 3.13 or 3.14 with venv; found: $${found:-none}. Install one (Debian, Ubuntu:" \
	  "apt install python3 python3-venv; anywhere: uv), or name yours, as in make PYTHON=/opt/python3.13/bin/python3" >&2; exit 1

$(READY): requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock || { echo "if a package could not be" \
	  "built: that takes a C++ compiler and Python's headers (Debian, Ubuntu: apt install g++ python3-dev)" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf $(VENV) data/warehouse
