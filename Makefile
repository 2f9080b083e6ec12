# make demo        the example site on http://127.0.0.1:5000
# make test        the whole test suite, with its coverage; ARGS=tests/test_guard.py: that file alone
# make test-fast   most tests, in under a minute; they need no root, browser, Redis or npm
# Each sets up what it needs, in .venv and build and, for the browser tests, from Debian's packages.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JSAPI := build/jsapi
PORT ?= 5000
# One process for each core; one that is done takes tests over from one that is busy.
PARALLEL := --numprocesses auto --dist worksteal

.PHONY: demo test test-fast check bench system-packages clean
.DEFAULT_GOAL := test

demo: $(VENV)/.demo
	$(BIN)/flask --app examples.site run --port $(PORT)

test: $(VENV)/.test $(JSAPI)/dingtalk.open.js system-packages
	$(BIN)/pytest $(or $(ARGS),$(PARALLEL) --cov --cov-report=term-missing)

test-fast: $(VENV)/.test
	$(BIN)/pytest $(PARALLEL) -m "not browser and not redis and not npm and not docs" $(ARGS)

# Everything that is not a test: style, types, the order of the layers.
check: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.check
	for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script || exit 1; done

$(VENV)/.created:
	./tools/create-venv "$(PYTHON)" "$(VENV)"
	touch $@

$(VENV)/.demo: $(VENV)/.created setup.py
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.test: $(VENV)/.created setup.py
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

$(VENV)/.check: $(VENV)/.created setup.py
	$(BIN)/pip install --quiet --editable '.[test,check,bench]'
	touch $@

# DingTalk's own JSAPI library, for the tests of what runs inside its client.
$(JSAPI)/dingtalk.open.js: $(VENV)/.test tools/bundle-jsapi $(wildcard tests/jsapi/*.js*)
	./tools/bundle-jsapi $(BIN) $(JSAPI)

# A browser with Chinese fonts, and a Redis for the tests of server-side sessions.
system-packages:
	./tools/install-debian-packages chromium:/usr/bin/chromium redis-server:/usr/bin/redis-server \
		fonts-noto-cjk:/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage
