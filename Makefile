# Two commands do everything: `make run` and `make test`. The rest is for those who change the code.

.PHONY: help run test test-az static soak lint format bench bench-sidecar bench-catalog bench-promql bench-tsdb differential simulate fuzz peers

help:            ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## */\t/' | expand -t 16

run:             ## build and start everything on this machine (RUN_ARGS are given to `remora up`)
	cargo run --release --bin remora -- up $(RUN_ARGS)

test: peers      ## every test: units, properties, conformance, end to end with real peers
	cargo test --workspace --quiet

test-az:         ## the real az, other Azure clients and bad input against a real `remora up` (installs az into target/az once)
	@scripts/test-az $(CASES)

differential:    ## random queries against a Prometheus of the version that ours follows, built from its sources once, for SECONDS (600) from SEED; CARRIED=1: over a copy of our directory
	@scripts/reference-prometheus
	cargo run --quiet -p differential -- --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED)) $(if $(CARRIED),--carried) $(if $(PROGRAM),--program $(PROGRAM))

simulate:        ## databases on a faulty disk, new seeds on all processors for SECONDS (600); what fails prints the seed that repeats it
	cargo run --quiet -p simulator -- --seconds $(or $(SECONDS),600)

soak: peers      ## the faults of `make test` for longer: see scripts/soak for how long
	@scripts/soak

static:          ## remora-sidecar as one file without libraries, in target/static, for images and machines
	@scripts/static-build

peers:           ## fetch the programs that tests run beside ours (cached in target/peers)
	@scripts/peers

lint:            ## formatting and lints, as CI checks them
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings

format:          ## format the code
	cargo fmt --all

bench:           ## figures of docs/SPECIFICATION.md against the peers, in one run each (release build)
	@scripts/peers prometheus victoria-metrics nginx
	cargo build --release --workspace
	cargo run --release --bin bench -- all

bench-sidecar:   ## the sidecar's figures alone: pass-through and durable queue against nginx (release build)
	@scripts/peers nginx
	cargo build --release -p bench -p sidecar
	cargo run --release -p bench -- proxy
	cargo run --release -p bench -- sidecar

bench-tsdb:      ## the database's figures: CPU, memory, disk, start after a kill, against VictoriaMetrics and Prometheus; BENCH_ARGS="--only disk" for a part (release build)
	@scripts/peers prometheus victoria-metrics
	cargo build --release -p bench -p remora
	cargo run --release -p bench -- tsdb $(BENCH_ARGS)

bench-promql:    ## queries: dashboards and single ones against VictoriaMetrics and Prometheus; BENCH_ARGS="--only wide --verbose" for a part (release build)
	@scripts/peers prometheus victoria-metrics
	cargo build --release -p bench -p remora
	cargo run --release -p bench -- promql $(BENCH_ARGS)

bench-catalog:   ## what the catalogue costs: decisions on writes, start, pages of lists, active series (release build)
	cargo build --release -p bench -p remora
	cargo run --release -p bench -- catalog

fuzz:            ## each fuzz target for a minute (needs a nightly toolchain and cargo-fuzz)
	@cd fuzz && for target in $$(cargo +nightly fuzz list); do \
	  mkdir -p target/found/$$target && \
	  cargo +nightly fuzz run $$target target/found/$$target corpus/$$target -- -max_total_time=$${SECONDS_EACH:-60} || exit 1; \
	done
