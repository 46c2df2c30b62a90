# Everything goes through one Cargo profile (release), so that RocksDB and libp2p are compiled once.
SHELL := /bin/bash
export PATH := $(HOME)/.cargo/bin:$(PATH)
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
LONJA := $(TARGET_DIR)/release/lonja
ARGS ?=

.PHONY: help setup build devnet test lint format tools contracts sim torment bench clean

help: ## What can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Install what a build needs and this machine lacks
	@.ci/setup

build: setup ## Build the node
	cargo build --release --locked -p lonja

devnet: build ## Run 4 validators and a regular node on this machine (ARGS="--validators 7 --reset ...")
	$(LONJA) devnet $(ARGS)

# Everything in one build, so that no feature differs and nothing is compiled twice among those who need it.
.PHONY: workspace
workspace: setup
	cargo build --release --locked --workspace --bins --tests

test: workspace ## Run every test
	cargo test --release --locked --workspace

lint: setup ## Formatting and clippy, as reviewers expect them
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings

format: ## Format the code
	cargo fmt --all

tools: workspace ## Drive a devnet with ethers, viem, web3.js, web3.py, Hardhat, cast and forge
	LONJA=$(abspath $(LONJA)) tests/tools/run

contracts: ## Compile the registry's contracts anew, compare with the committed artifacts, and run their tests
	@tests/tools/install
	genesis/contracts/check

sim: setup ## Run the simulator: make sim ARGS="--seeds 10000"
	cargo run --release --locked -p lonja-tests --bin simulate -- $(ARGS)

torment: build ## Kill real nodes and flip bytes of their files: make torment ARGS="kill --times 200"
	cargo run --release --locked -p lonja-tests --bin torment -- $(ARGS)

bench: build ## Measure the standard cases: 4 validators, 1 regular node, this machine (about ten minutes)
	cargo run --release --locked -p lonja-benches -- standard --devnet $(LONJA) $(ARGS)

clean: ## Remove build output
	cargo clean
