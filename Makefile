# Every target builds .venv by itself if it is missing or older than requirements.lock and pyproject.toml.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help serve test train check bench bench-peers stress soak fuzz audit profile rules lock clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(INSTALLED) ## Serve the newest version in the model store; the released model if it is empty
	@$(BIN)/python -m trainer release
	@exec $(BIN)/python -m service

test: $(INSTALLED) ## Run the tests; no network, no data set, about 4 minutes
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -rs

train: $(INSTALLED) ## Train on MNIST and publish the next version
	$(BIN)/python -m trainer train

check: $(INSTALLED) ## Check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(INSTALLED) ## Measure the service under load (Linux, wrk); BENCH="--quick" to see that it runs
	$(BIN)/python -m benchmarks service $(BENCH)

bench-peers: $(INSTALLED) ## Measure other model servers beside it; builds an environment for each in build/
	$(BIN)/python -m benchmarks peers $(BENCH)

stress: $(INSTALLED) ## Load the service and break things: what it promises, with figures (Linux); 10 minutes
	$(BIN)/python -m benchmarks.stress $(STRESS)

soak: $(INSTALLED) ## Half an hour of mixed load with a fault every 20 s (Linux); writes build/soak.md; SOAK="--minutes 3"
	$(BIN)/python -m benchmarks.soak $(SOAK)

ATHERIS := build/fuzz/atheris-3.0.0
fuzz: $(INSTALLED) ## Make up bodies and pictures that reach ever more of the code (Linux, 20 minutes); FUZZ="--seconds 60"
	@[ -d $(ATHERIS) ] || $(BIN)/pip install --quiet --disable-pip-version-check --target $(ATHERIS) $(subst -,==,$(notdir $(ATHERIS)))
	PYTHONPATH=$(ATHERIS) $(BIN)/python -m tests.fuzz $(FUZZ)

PIP_AUDIT := 2.10.1
audit: ## Ask PyPI what is known against the locked packages; says so where it cannot be asked
	@[ -x build/pip-audit-$(PIP_AUDIT)/bin/pip-audit ] || { $(PYTHON) -m venv --clear build/pip-audit-$(PIP_AUDIT) && \
	  build/pip-audit-$(PIP_AUDIT)/bin/pip install --quiet --disable-pip-version-check pip-audit==$(PIP_AUDIT); }
	@build/pip-audit-$(PIP_AUDIT)/bin/python -m tests.deploy.audit requirements.lock deploy/requirements-*.lock

profile: $(INSTALLED) ## Show which functions the service spends its time in under load
	$(BIN)/python -m benchmarks profile $(BENCH)

RULES := deploy/prometheus/rules
KUBERNETES_RULES := deploy/kubernetes/monitoring/prometheusrule.yaml
rules: ## Write Prometheus' rules once more in the form that Kubernetes takes them
	{ printf '%s\n' '# Made by `make rules` from $(RULES); do not edit.' 'apiVersion: monitoring.coreos.com/v1' \
	    'kind: PrometheusRule' 'metadata:' '  name: digits' '  namespace: digits' 'spec:' '  groups:'; \
	  cat $(RULES)/objectives.yml $(RULES)/alerts.yml | sed -n 's/^  /    /p'; } > $(KUBERNETES_RULES)

lock: $(INSTALLED) ## Resolve the dependencies anew into requirements.lock, and the images' tools into their own
	$(PYTHON) -m venv $(VENV)/uv && $(VENV)/uv/bin/pip install --quiet uv
	{ echo '# Every package Digits installs, pinned with hashes; made by `make lock`, installed by every other target.'; \
	  $(VENV)/uv/bin/uv pip compile pyproject.toml --quiet --universal --generate-hashes --all-extras \
	    --python-version 3.11 --no-header --upgrade; } > requirements.lock.new
	mv requirements.lock.new requirements.lock
	for tool in uv cyclonedx-bom; do \
	  { echo '# For deploy/Dockerfile alone, pinned with hashes; made by `make lock`.'; \
	    echo $$tool | $(VENV)/uv/bin/uv pip compile - --quiet --universal --generate-hashes \
	      --python-version 3.12 --no-header --no-annotate --no-config; } > deploy/requirements-$$tool.lock.new \
	    && mv deploy/requirements-$$tool.lock.new deploy/requirements-$$tool.lock || exit 1; \
	done

clean: ## Remove everything that make and the tools built; the model store stays
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find service trainer benchmarks tests -name __pycache__ -prune -exec rm -rf {} +

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "Digits needs Python 3.11, 3.12 or 3.13; name one with: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "Building $(VENV) (once, some minutes) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
