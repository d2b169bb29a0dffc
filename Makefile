# Everything the project can do from a fresh clone. `make help` lists the targets.
# Installs go into .venv and .toolchain and nowhere else. They are redone when the files that pin them change.

SHELL := bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DELETE_ON_ERROR:
.NOTPARALLEL:

# the first Python of the right version; or say `make PYTHON=/path/to/python3.12`
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c '$(SUPPORTED)' 2>/dev/null && { echo "$$p"; exit; }; done; echo python3)

ROOT := $(CURDIR)
VENV := .venv
BIN := $(VENV)/bin
TOOLCHAIN := .toolchain
PINS := scripts/toolchain
EXTRAS := dev,devchain,brownie,models,audit

export PATH := $(ROOT)/$(TOOLCHAIN)/bin:$(ROOT)/$(BIN):$(PATH)
export SOLCX_BINARY_PATH := $(ROOT)/$(TOOLCHAIN)/solcx
export FOUNDRY_CONFIG := $(ROOT)/$(PINS)/foundry.toml
export PIP_CACHE_DIR := $(ROOT)/$(TOOLCHAIN)/pip-cache
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PYTHONNOUSERSITE := 1
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

# The mark of a finished install is written last, so an interrupted install is done again.
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
ANVIL := $(TOOLCHAIN)/.installed-anvil
TOOLS := $(TOOLCHAIN)/.installed-all
EZKL := $(TOOLCHAIN)/ezkl/.installed
NETWORKS ?= A,B,C,M512
SEED ?= 1

PIP := $(BIN)/python -m pip install --quiet --quiet --no-build-isolation --constraint $(PINS)/constraints.txt
PYTHON_PINS := pyproject.toml $(PINS)/constraints.txt
NODE_PINS := scripts/bootstrap.py $(wildcard $(PINS)/package*.json) $(PINS)/solc_shim.cjs

# Until every folder exists: skip what has nothing to run. In CI nothing is skipped.
define needs
if [ ! -e $(1) ]; then echo "$(1) does not exist yet: nothing to run"; [ -z "$$CI" ]; exit; fi
endef

##@ Run

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(RUNTIME) $(ANVIL) ## the main job, end to end, on a chain and machines of its own
	@$(BIN)/python scripts/demo.py

.PHONY: bench-gas
bench-gas: $(RUNTIME) $(ANVIL) ## what each transaction costs
	@$(BIN)/python bench/gas.py

.PHONY: bench-proof
bench-proof: $(RUNTIME) $(ANVIL) $(EZKL) ## proofs beside EZKL's: NETWORKS=A,B,C,M512 (M1792 needs 20 GB)
	@$(BIN)/python bench/proof.py --networks $(NETWORKS)

.PHONY: bench-worker
bench-worker: $(RUNTIME) $(ANVIL) ## what an idle worker uses, and how long a job takes
	@$(BIN)/python bench/worker.py

.PHONY: bench-enclave
bench-enclave: $(RUNTIME) ## what an enclave costs per job, per megabyte of a sealed model, and at its start (Linux)
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python bench/enclave.py

.PHONY: bench-economics
bench-economics: $(RUNTIME) ## lazy and colluding workers against every level, coalitions against the draw
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python bench/economics.py

##@ Check

STEPS := lint artifacts-check test-unit test-forge test-contracts test-integration slither
LOGS := $(TOOLCHAIN)/logs

.PHONY: test
test: $(DEV) $(TOOLS) ## all of the checks below, in order; what CI runs
	@set -o pipefail; rm -rf $(LOGS); mkdir -p $(LOGS); summary=; \
	for step in $(STEPS); do \
		printf '\n=== %s\n' "$$step"; begin=$$SECONDS; \
		$(MAKE) "$$step" 2>&1 </dev/null | tee $(LOGS)/$$step.log || \
			{ printf '\nmake test: %s failed (to repeat it: make %s)\n' "$$step" "$$step"; exit 1; }; \
		summary+=$$(printf '  %-17s %4d s' "$$step" $$((SECONDS - begin)))$$'\n'; \
	done; \
	printf '\n=== summary\n%s' "$$summary"; \
	sed -n 's/^Ran [0-9]* test suites* in .*/&/p' $(LOGS)/test-forge.log; \
	grep -hE '^=+ .*(passed|failed|skipped).* in [0-9.]+s.* =+$$' $(LOGS)/test-*.log || true; \
	echo "make test: everything passed in $$SECONDS s"

.PHONY: lint
lint: $(DEV) $(TOOLS) ## ruff, mypy --strict, the import order, forge fmt
	ruff check .
	ruff format --check .
	@$(call needs,offchain/cloister); set -x; mypy
	@$(call needs,offchain/cloister/domain); set -x; lint-imports
	forge fmt --check --root . contracts $(wildcard tests/forge)

.PHONY: artifacts-check
artifacts-check: $(DEV) $(TOOLS) ## the committed artifacts are what the contracts compile to
	@$(BIN)/python scripts/export_artifacts.py --check

.PHONY: test-unit
test-unit: $(DEV) $(TOOLS) ## Python; where a chain is needed, one of its own
	@$(call needs,tests/unit); OMP_NUM_THREADS=1 pytest -n 2 --dist worksteal tests/unit

.PHONY: test-forge
test-forge: $(TOOLS) ## Solidity: unit tests, fuzzing, invariants
	@$(call needs,tests/forge); set -o pipefail; forge test --root . | tee $(TOOLCHAIN)/forge.log; \
	grep -q '^Ran [0-9]* test suite' $(TOOLCHAIN)/forge.log || { echo "tests/forge holds no test"; exit 1; }

.PHONY: test-contracts
test-contracts: $(DEV) $(TOOLS) ## the contracts from Python, with Brownie
	@$(call needs,tests/contracts/pytest.ini); mkdir -p $(TOOLCHAIN)/brownie; brownie test tests/contracts

.PHONY: test-integration
test-integration: $(DEV) $(TOOLS) ## workers and clients against a chain
	@$(call needs,tests/integration); OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile tests/integration

.PHONY: fuzz-proofs
fuzz-proofs: $(DEV) ## 100,000 damaged proofs, and every lie before the reference too: SEED=1
	@$(BIN)/python tests/unit/proving/mutations.py --count 100000 --seed $(SEED)
	MATRIX_REFERENCE=all pytest tests/unit/proving/test_dishonest_provers.py -k reference_verify

.PHONY: slither
slither: $(DEV) $(TOOLS) ## static analysis of the contracts
	@scripts/slither.sh

##@ Maintain

.PHONY: install
install: $(DEV) $(TOOLS) ## install every tool into .venv and .toolchain

.PHONY: fmt
fmt: $(DEV) $(TOOLS) ## format Python and Solidity
	ruff check --fix-only --quiet .
	ruff format .
	forge fmt --root . contracts $(wildcard tests/forge)

.PHONY: artifacts
artifacts: $(DEV) $(TOOLS) ## compile the contracts and rewrite the committed artifacts
	@$(BIN)/python scripts/export_artifacts.py

.PHONY: vectors
vectors: $(DEV) ## prove the vectors of tests/vectors/proofs again
	@$(BIN)/python scripts/proof_vectors.py

.PHONY: models-check
models-check: $(DEV) ## train and package the models again, and compare with the committed ones
	@$(BIN)/python scripts/train_models.py --check

.PHONY: constraints
constraints: $(DEV) ## write the versions of .venv to the constraints file
	@$(PINS)/freeze.sh $(BIN)/python > $(PINS)/constraints.tmp
	@mv $(PINS)/constraints.tmp $(PINS)/constraints.txt

.PHONY: clean
clean: ## remove build output and caches, keep what was installed
	rm -rf $(TOOLCHAIN)/{forge,forge.log,brownie,slither,logs} build dist
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find offchain scripts tests bench models -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

.PHONY: distclean
distclean: clean ## remove what was installed, too
	rm -rf $(VENV) $(TOOLCHAIN)

# ---------------------------------------------------------------- installs

# A .venv without its mark was cut short and may hold half a package that looks whole: start over.
$(RUNTIME): $(PYTHON_PINS)
	@$(PINS)/check_tools.sh $(PYTHON)
	@echo "installing the runtime into $(VENV) (PyTorch included: a minute or two the first time)"
	@[ -e $@ ] || rm -rf $(VENV)
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@rm -f $@
	@$(PIP) pip setuptools wheel
	@$(PIP) --editable .
	@touch $@

$(DEV): $(RUNTIME)
	@echo "installing the tests and tools into $(VENV) (a minute the first time)"
	@rm -f $(RUNTIME) $@
	@$(PIP) --editable '.[$(EXTRAS)]'
	@BROWNIE_NOCOMPILE=1 $(PIP) --no-deps --no-binary eth-brownie eth-brownie
	@touch $(RUNTIME) $@

$(ANVIL): $(NODE_PINS)
	@$(PINS)/check_tools.sh $(PYTHON)
	@echo "installing anvil into $(TOOLCHAIN)"
	@rm -f $@; mkdir -p $(@D)
	@$(PYTHON) scripts/bootstrap.py --only anvil
	@touch $@

$(TOOLS): $(NODE_PINS) | $(DEV)
	@$(PINS)/check_tools.sh $(PYTHON)
	@echo "installing anvil, forge, solc and OpenZeppelin into $(TOOLCHAIN)"
	@rm -f $@; mkdir -p $(@D)
	@$(BIN)/python scripts/bootstrap.py
	@touch $@ $(ANVIL)

# EZKL pins other versions of what we use, so it lives apart.
$(EZKL): bench/ezkl/requirements.txt bench/ezkl/package.json
	@echo "installing EZKL into $(@D) (for comparison only)"
	@rm -rf $(@D); $(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --quiet -r bench/ezkl/requirements.txt
	@cp bench/ezkl/package.json $(@D)/
	@npm_config_cache=$(ROOT)/$(TOOLCHAIN)/npm-cache npm install --prefix $(@D) --ignore-scripts --no-package-lock \
		--no-audit --no-fund --loglevel=error
	@touch $@
