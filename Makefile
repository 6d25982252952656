# The verbs of this project. A person without make finds the same commands in README.md.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_WAIT_POLICY ?= PASSIVE
PYTEST := $(BIN)/python -m pytest -q
PARALLEL := -n auto --maxprocesses 4 --dist worksteal

.PHONY: setup demo label-setup test test-label test-deploy test-fast bad-inputs bench-smoke lint types format bundle-check docs release clean

$(VENV)/.installed: requirements.lock pyproject.toml
	@echo "installing PyTorch, MONAI and the rest into $(VENV): some minutes, without a word"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -r requirements.lock
	$(BIN)/pip install --quiet --no-deps -e .
	touch $@

$(VENV)/.tested: $(VENV)/.installed requirements-test.lock
	$(BIN)/pip install --quiet -r requirements-test.lock
	touch $@

$(VENV)/.documented: $(VENV)/.installed requirements-docs.lock
	$(BIN)/pip install --quiet -r requirements-docs.lock
	touch $@

# An environment of its own, laid over the first: what that has is not installed again.
$(VENV)-label/.installed: $(VENV)/.installed requirements-label.lock
	$(PYTHON) -m venv $(VENV)-label
	$(BIN)/python -c "import site; print(f'import site; site.addsitedir({site.getsitepackages()[0]!r})')" \
		> $$($(VENV)-label/bin/python -c "import site; print(site.getsitepackages()[0])")/base.pth
	$(VENV)-label/bin/pip install --quiet --no-deps -r requirements-label.lock
	touch $@

# The same for MONAI Deploy. It is a part of MONAI's package: MONAI is installed beside it once more.
$(VENV)-deploy/.installed: $(VENV)/.installed requirements-deploy.lock
	$(PYTHON) -m venv $(VENV)-deploy
	$(BIN)/python -c "import site; print(f'import site; site.addsitedir({site.getsitepackages()[0]!r})')" \
		> $$($(VENV)-deploy/bin/python -c "import site; print(site.getsitepackages()[0])")/base.pth
	$(VENV)-deploy/bin/pip install --quiet --no-deps --ignore-installed -r requirements-deploy.lock
	touch $@

setup: $(VENV)/.installed     ## environment with the pinned dependencies

demo: $(VENV)/.installed      ## phantom, train, evaluate, predict: the result in a few minutes
	PATH="$(abspath $(BIN)):$$PATH" sh demo.sh

test: export OMP_NUM_THREADS ?= 1
test: $(VENV)/.tested         ## lint, types and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) $(PARALLEL)

label-setup: $(VENV)-label/.installed  ## environment of the MONAI Label app, beside the first

test-label: $(VENV)-label/.installed $(VENV)/.tested  ## the MONAI Label app: server, training, browser
	$(VENV)-label/bin/python -m pytest -q tests/label

test-deploy: $(VENV)-deploy/.installed $(VENV)/.tested  ## a packed bundle as an app of MONAI Deploy
	ulimit -s 32768 && $(VENV)-deploy/bin/python -m pytest -q tests/bundles/test_deploy_app.py

test-fast: $(VENV)/.tested    ## the tests that train nothing
	$(PYTEST) $(PARALLEL) -m "not slow"

bad-inputs: $(VENV)/.tested   ## the catalogue of bad inputs: tried / held, by area
	$(PYTEST) $(PARALLEL) -m bad_input

bench-smoke: $(VENV)/.tested  ## every benchmark at a tiny size: it runs, its ways agree
	PYTHONPATH=. $(BIN)/python benchmarks/smoke.py

lint: $(VENV)/.tested         ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.tested        ## strict types
	$(BIN)/mypy

format: $(VENV)/.tested       ## rewrite to style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bundle-check: $(VENV)/.tested ## contract and smoke tests of one bundle: make bundle-check NAME=...
	$(PYTEST) tests/bundles -k "$(NAME)"

docs: $(VENV)/.documented     ## site/: docstrings, pages and pictures of every transformation
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

release: $(VENV)/.installed   ## dist/: wheel, a zip a bundle, checksums; docs/release.md
	test -z "$$(git status --porcelain)" || { echo "release: commit or stash changes first"; exit 1; }
	test -z "$$(git ls-files --others --ignored --exclude-standard bundles | grep /models/)" || \
		{ echo "release: move the models away that are not part of git"; exit 1; }
	rm -rf dist build && mkdir dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/pip wheel --quiet --no-deps -w dist .
	$(BIN)/python -W ignore -m common pack bundles/*/ --output dist
	cd dist && sha256sum * > SHA256SUMS

clean:                        ## forget the demo and the environment
	rm -rf $(VENV) $(VENV)-label $(VENV)-deploy demo
