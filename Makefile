# make help             this list
# make demo             the example site on http://127.0.0.1:5000, or another port if that one is taken; PORT=8000: there
# make test             the whole test suite; ARGS=tests/test_guard.py: that file alone; COVERAGE=1: fails if too little is run
# make screenshots      all pages on one sheet, build/screenshots/index.html, and the pictures of the READMEs
# make test-fast        most tests, in under a minute; they need no root, browser, Redis or npm
# make check            style, sentences, types and layers: everything that is not a test
# make docs             the documentation site in both languages, build/docs/index.html
# make docs-messages    take new sentences into docs/locales, where the Chinese texts are
# make bench            the measurements in benchmarks
# make rush             a thousand people sign in within 30 s, while DingTalk throttles
# make under-pressure   provoke what breaks a sign-in; fails if anything does
# make comparison       try what the table of the READMEs says of other libraries; ARGS=--check: without recording it
# make release-dry-run  build sdist and wheel into dist, check both, sign in through the wheel
# make clean            remove what the others made
# Each sets up what it needs, in .venv and build and, for the browser tests, from Debian's packages.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JSAPI := build/jsapi
AXE := build/axe
PORT ?= 5000
# One process more than there are cores; one that is done takes tests over from one that is busy.
PARALLEL := --numprocesses auto --dist worksteal

.PHONY: demo test test-fast check docs bench rush under-pressure system-packages clean
.DEFAULT_GOAL := help

.PHONY: help
help:
	@sed -n 's/^# \(make .*\)/\1/p' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.demo
	$(BIN)/python -m examples $(PORT)

test: $(VENV)/.ecosystem $(JSAPI)/dingtalk.open.js $(AXE)/axe.min.js system-packages
	$(BIN)/pytest $(or $(ARGS),$(PARALLEL) $(if $(COVERAGE),--cov --cov-report=term-missing))

test-fast: $(VENV)/.test
	$(BIN)/pytest $(PARALLEL) -m "not browser and not redis and not npm and not docs and not slow" \
		$(patsubst %,--ignore tests/%,docs ecosystem visual) $(ARGS)

SCRIPTS := $(addprefix .ci/,run oldest other-pythons wheel) $(wildcard tools/*)
check: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/shellcheck $(SCRIPTS)
	$(BIN)/python .ci/check_prose.py
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

# A warning is an error; the translations come from docs/locales.
docs: $(VENV)/.docs
	$(BIN)/python docs/build.py build/docs

# After a change of an English page: says which sentences want a translation.
.PHONY: docs-messages
docs-messages: $(VENV)/.docs
	$(BIN)/python docs/catalogues.py

bench: $(VENV)/.check
	for name in cookie guard sign_in start; do $(BIN)/python benchmarks/$$name.py || exit 1; done

# A thousand people sign in within 30 s; ARGS="--people 50 --seconds 2" is a small one.
rush: $(VENV)/.check
	$(BIN)/python benchmarks/rush.py $(ARGS)

# Fails if anything breaks.
under-pressure: $(VENV)/.check
	$(BIN)/python benchmarks/under_pressure.py

# In an environment that has the versions of the table.
.PHONY: comparison
comparison: build/comparison/.created
	./tools/install-debian-packages redis-server:/usr/bin/redis-server
	build/comparison/bin/python benchmarks/comparison/run.py $(ARGS)

build/comparison/.created: benchmarks/comparison/requirements.txt setup.py
	./tools/create-venv "$(PYTHON)" build/comparison
	build/comparison/bin/pip install --quiet --requirement $< --editable .
	touch $@

.PHONY: screenshots
screenshots: $(VENV)/.test $(AXE)/axe.min.js system-packages
	rm -rf build/screenshots && mkdir -p build/screenshots
	SCREENSHOTS=build/screenshots $(BIN)/pytest $(PARALLEL) tests/visual/test_pages.py -k test_page_can_be
	$(BIN)/python -m tests.visual.sheet build/screenshots

.PHONY: release-dry-run
release-dry-run: $(VENV)/.check
	BIN=$(BIN) PYTHON=$(PYTHON) .ci/wheel dist

$(VENV)/.created:
	./tools/create-venv "$(PYTHON)" "$(VENV)"
	touch $@

$(VENV)/.demo: $(VENV)/.created setup.py
	$(BIN)/pip install --quiet --editable '.[redis]'
	touch $@

$(VENV)/.test: $(VENV)/.created setup.py
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

$(VENV)/.ecosystem: $(VENV)/.test
	$(BIN)/pip install --quiet --editable '.[test,docs,ecosystem]'
	touch $@

$(VENV)/.check: $(VENV)/.test
	$(BIN)/pip install --quiet --editable '.[check,bench,docs]'
	touch $@

$(VENV)/.docs: $(VENV)/.created setup.py
	$(BIN)/pip install --quiet --editable '.[docs,redis]'
	touch $@

# DingTalk's own JSAPI library, for the tests of what runs inside its client.
$(JSAPI)/dingtalk.open.js: $(VENV)/.test tools/bundle-jsapi $(wildcard tests/jsapi/*.js*)
	./tools/bundle-jsapi $(BIN) $(JSAPI)

# What finds barriers for people with disabilities in the pages.
$(AXE)/axe.min.js: $(VENV)/.test tools/fetch-axe $(wildcard tests/axe/*.json)
	./tools/fetch-axe $(BIN) $(AXE)

# A browser with Chinese fonts, a Redis for the tests of server-side sessions, and what the documentation runs.
system-packages:
	./tools/install-debian-packages chromium:/usr/bin/chromium redis-server:/usr/bin/redis-server \
		nginx:/usr/sbin/nginx curl:/usr/bin/curl \
		fonts-noto-cjk:/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage
