# make run      build the gateway, write a first configuration if there is none, run it (as root)
# make test     all tests: cargo test, then real clients in network namespaces (as root)
# make demo     a gateway, a private host, an L2TP/IPsec and an IKEv2 client in network namespaces: connect, ping, end (as root)
# make interop  the real clients only; ROWS="ikev2-nat uml" chooses rows, ARGS="--keep" passes options
# make bench    inner loops, then tunnels side by side (as root)
# make fuzz   every fuzz target for SECONDS=60
# make lint     formatting, clippy, documentation

SHELL := /bin/bash
CARGO ?= cargo
CONFIG ?= run/cygnet.toml
NAME ?=
SECONDS ?= 60
ROWS ?=
ARGS ?=

.PHONY: run build test demo interop bench fuzz lint packages

build:
	$(CARGO) build --release --locked -p cygnet-server

run: build
	CONFIG=$(CONFIG) NAME=$(NAME) scripts/run-gateway

packages:
	interop/install-packages.sh

test:
	scripts/test-all

demo: packages build
	CYGNET=$(CURDIR)/target/release/cygnet interop/demo.sh

interop: packages build
	$(CARGO) run --release --locked -q -p cygnet-interop -- --cygnet target/release/cygnet $(ARGS) $(ROWS)

bench: packages
	$(CARGO) bench --locked -p cygnet-benches --benches
	$(CARGO) build --release --locked -p cygnet-server -p cygnet-benches --bins
	python3 benches/throughput

fuzz:
	SECONDS_EACH=$(SECONDS) scripts/fuzz-all

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --workspace --no-deps --locked
