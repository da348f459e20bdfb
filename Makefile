# SPDX-License-Identifier: Apache-2.0
#
# The only door: `make help`. Meson and ninja do the building (scripts/build), into
# build/<variant>/ for the variants release debug asan tsan fuzz cov.

VARIANT ?= release
DESTDIR ?=
PREFIX  ?= /usr/local
T       ?=
SEEDS   ?= 5000
FROM    ?= 1

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

help:            ## this list
	@echo "mango: TCP in user space for other processes"
	@echo
	@sed -n 's/^\([a-z][a-z0-9-]*\):[^#]*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
		awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'
	@echo
	@echo "  VARIANT=release|debug|asan|tsan|fuzz|cov   what 'make build' builds (release)"
	@echo "  T=PATTERN                                  what 'make test' runs: part of a suite's name"
	@echo "  JOBS=N                                     parallel jobs (all cores)"

deps:            ## install the Debian packages that are missing (root)
	@scripts/deps

build: deps      ## build VARIANT into build/VARIANT/
	@scripts/build $(VARIANT)

all: deps        ## build every variant
	@scripts/build release debug asan tsan fuzz cov

test: deps       ## everything needed, then all tests; last line: N passed, N failed, N skipped
	@scripts/build $$(scripts/run-tests --print-variants $(if $(T),-k '$(T)'))
	@scripts/run-tests $(if $(T),-k '$(T)')

check: lint      ## before a commit: lint, then the unit tests
	@scripts/build $$(scripts/run-tests --print-variants -k unit)
	@scripts/run-tests -k unit

lint: deps       ## layers, format, headers, shell, cppcheck, clang-tidy, globals, symbols
	@scripts/lint

format: deps     ## rewrite the C files in the house style
	@scripts/lint-format --fix

tidy: deps       ## clang-tidy alone
	@scripts/lint-tidy

sim: deps        ## the simulator: SEEDS seeds (5000) from FROM (1) on
	@scripts/build release
	@build/release/test/sim/sim --seeds $(SEEDS) --from $(FROM)

sim-table: deps  ## write test/sim/table.txt anew, after a wanted change of behaviour
	@scripts/build release
	@build/release/test/sim/sim --table >test/sim/table.txt
	@git diff --stat -- test/sim/table.txt

fuzz: deps       ## build the fuzz targets and run each for FUZZ_SECONDS (30)
	@scripts/build fuzz
	@scripts/fuzz

e2e: deps        ## the end-to-end suites alone (root)
	@scripts/build $$(scripts/run-tests --print-variants -k e2e)
	@scripts/run-tests -k e2e

apps: deps       ## real programs on mangod, the long form
	@scripts/build release
	@for t in test/apps/[a-z]*.py; do [ -x "$$t" ] || continue; echo "== $$t"; "$$t" --long || exit 1; done

interop: deps    ## every mood of the kernel's TCP over every bad path, half an hour (root)
	@scripts/build release
	@test/e2e/interop.py --long

bench: deps      ## measure mango beside the kernel's TCP, then real servers on both (root)
	@scripts/build release
	@scripts/bench
	@scripts/bench-apps

bench-path: deps ## the same over paths with a rate, a delay and loss (root)
	@scripts/build release
	@scripts/bench-path

cov: deps        ## coverage of the cores by unit tests and simulator
	@scripts/build cov
	@scripts/cov

docs: deps       ## generate docs/config.md and check the links of the documentation
	@scripts/build release
	@scripts/docs

demo: deps       ## the main job: mangod, an echo server on libmango, a Linux client (root)
	@scripts/build release
	@scripts/demo

install: deps    ## build release and install it under PREFIX (/usr/local), honours DESTDIR
	@scripts/build release
	@meson configure build/release -Dprefix=$(PREFIX)
	@DESTDIR=$(DESTDIR) meson install -C build/release
	@[ -n "$(DESTDIR)" ] || ldconfig

clean:           ## remove build/
	rm -rf build

.PHONY: help deps build all test check lint format tidy sim fuzz e2e apps interop bench bench-path cov docs demo install clean
