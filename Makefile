# One command per purpose; `make` lists them. Works as root and as any other user.

PYTHON ?= python3
BASE ?= build/bench-base.json

export PATH := $(PATH):/usr/sbin:/sbin

VENV := .venv
PY := $(VENV)/bin/python
PYTEST := $(PY) -m pytest --quiet
STAMP := $(VENV)/.installed
SOURCES := $(wildcard rovy testnet tests examples)
ISOLATED := testnet/isolated

# Tool and the package that brings it.
TOOLS := ip:iproute2 tc:iproute2 ping:iputils-ping unshare:util-linux nsenter:util-linux \
	setpriv:util-linux ps:procps pgrep:procps nft:nftables traceroute:traceroute mtr:mtr-tiny \
	tracepath:iputils-tracepath iperf3:iperf3 sshd:openssh-server curl:curl

# Root and CI have all that the tests need, so there a skipped test is a failed one.
STRICT := $(or $(CI),$(filter 0,$(shell id -u)))
NO_SKIPS := $(if $(STRICT),--no-skips)

.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help venv deps check format test unit system sim sim-quick sim-small hundred fuzz soak bench \
	bench-compare demo coverage clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target text; do printf '%-22s %s\n' "$$target" "$$text"; done

venv: $(STAMP) ## make the virtual environment in .venv (PYTHON=python3)

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'venv: $(PYTHON) is missing or older than Python 3.11;' \
			'name a newer one with PYTHON=' >&2; exit 1; }
	@[ -x $(PY) ] || { echo 'venv: creating $(VENV)'; $(PYTHON) -m venv $(VENV); } || { \
		rm -rf $(VENV); echo 'venv: python3-venv may be missing' >&2; exit 1; }
	@echo "venv: installing $$(grep -c == requirements.lock) packages, about half a minute"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@echo 'venv: installing rovy'
	@PYTHONWARNINGS=ignore $(PY) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# What is installed starts no service, now or later: of sshd the tests want the program alone.
deps: ## install the network tools that are missing (needs root, else says what to run)
	@missing=; for pair in $(TOOLS); do \
		command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; \
	done; \
	missing=$$(printf '%s\n' $$missing | sort -u | xargs); \
	[ -n "$$missing" ] || exit 0; \
	if ! command -v apt-get >/dev/null; then \
		echo "deps: install these with your package manager: $$missing" >&2; exit 1; \
	elif [ "$$(id -u)" != 0 ]; then \
		echo "deps: run this as root: apt-get install $$missing" >&2; exit 1; \
	fi; \
	echo "deps: installing $$missing"; \
	policy=/usr/sbin/policy-rc.d; \
	if [ ! -e $$policy ]; then \
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT; trap 'exit 1' HUP INT TERM; \
		printf '#!/bin/sh\nexit 101\n' >$$policy && chmod 755 $$policy; \
	fi; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
		--no-install-recommends $$missing >/dev/null || exit 1; \
	case " $$missing " in *' openssh-server '*) \
		{ update-rc.d ssh disable; systemctl disable ssh.socket; } >/dev/null 2>&1 || true; \
	esac

check: venv ## format, lint and types
	@echo 'check: ruff'
	@$(PY) -m ruff format --check --quiet $(SOURCES) || { \
		echo 'check: `make format` rewrites the files that differ' >&2; exit 1; }
	@$(PY) -m ruff check --quiet $(SOURCES)
	@echo 'check: mypy --strict'
	@$(PY) -m mypy --strict --no-error-summary

format: venv ## rewrite the sources in the one format
	@$(PY) -m ruff check --quiet --fix-only $(SOURCES)
	@$(PY) -m ruff format $(SOURCES)

test: deps check unit sim-quick sim-small system ## everything that must pass before a merge

unit: venv ## unit tests
	@echo 'unit:'
	@$(PYTEST) $(NO_SKIPS) tests/unit

sim-quick: venv
	@echo 'sim: the quick part'
	@$(PYTEST) $(NO_SKIPS) -m 'not slow' tests/sim

sim-small: venv ## networks in virtual time against the goals, at a size for five minutes
	@echo 'sim: the small networks'
	@$(PY) -m testnet.sim --small --json build/sim-small.json

sim: venv ## all simulations, and the goals at full size (ARGS='--rows start --seed 7')
	@$(PYTEST) $(NO_SKIPS) --capture=no --timeout=0 tests/sim
	@$(PY) -m testnet.sim $(ARGS)

system: venv ## tests with real sockets and daemons in network namespaces
	@echo 'system:'
	@if $(ISOLATED) true; then \
		$(ISOLATED) $(PY) -m pytest --quiet $(NO_SKIPS) tests/system; \
	elif [ -n '$(STRICT)' ]; then \
		echo 'system: cannot run, see above' >&2; exit 1; \
	else \
		echo 'system: LEFT OUT, no test of tests/system has run; see above' >&2; \
	fi

hundred: deps venv ## a hundred real daemons with maps of sixteen (ARGS='--nodes 30')
	@$(ISOLATED) $(PY) -m testnet.hundred $(ARGS)

fuzz: venv ## feed hostile input to parsers and nodes (ARGS='--minutes 60 --seed x')
	@$(PY) -m tests.fuzz $(ARGS)

soak: deps venv ## run a network of real daemons under change (ARGS='--minutes 30')
	@$(ISOLATED) $(PY) -m testnet.soak $(ARGS)

bench: deps venv ## measure; the results go to build/bench.json
	@mkdir -p build
	@$(PY) -m tests.bench

bench-compare: deps venv ## measure and compare with BASE=file
	@[ -f '$(BASE)' ] || { echo 'bench-compare: no file $(BASE); give BASE=file' >&2; exit 1; }
	@mkdir -p build
	@$(PY) -m tests.bench --compare '$(BASE)'

demo: deps venv ## a small network of real daemons, step by step
	@$(ISOLATED) $(PY) -m testnet.demo || { status=$$?; \
		[ $$status != 77 ] || echo 'demo: did not run: it needs namespaces for its' \
			'daemons, see above; `make unit` and `make sim` run without' >&2; \
		exit $$status; }

coverage: venv ## branch coverage of the unit and simulated tests, HTML in build/coverage
	@mkdir -p build/coverage
	@$(PY) -m coverage run -m pytest --quiet -m 'not slow' $(wildcard tests/unit tests/sim)
	@$(PY) -m coverage html --quiet
	@$(PY) -m coverage report

clean: ## remove what was built, .venv included
	@rm -rf $(VENV) build dist *.egg-info native/target .hypothesis
	@find rovy testnet tests examples -name __pycache__ -type d -prune -exec rm -rf {} + \
		2>/dev/null || true
	@find rovy -name '*.so' -delete
