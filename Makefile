# The contributor's menu. Everything that a target needs and the machine lacks is installed by it (Debian, Ubuntu).

RUN_PACKAGES  = build-essential cmake pkg-config libopus-dev libssl-dev espeak-ng libmp3lame0
TEST_PACKAGES = $(RUN_PACKAGES) sip-tester baresip-core sox sipvicious openssl kamailio kamailio-tls-modules postgresql \
	ffmpeg chromium libbcg729-0 python3-venv python3-dev asterisk-core-sounds-en-wav asterisk-core-sounds-en-g722 asterisk-core-sounds-es-wav \
	asterisk-core-sounds-fr-wav \
	asterisk-core-sounds-it-wav asterisk-core-sounds-ru-wav
SUDO = $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: run test check fmt lint licences bench proof packages-run packages-test

run: packages-run ## build, and start a server on the embedded defaults
	cargo run --release -- run

test: packages-test lint licences ## everything: lints, unit, simulated, and the real binary against real peers
	cargo test --locked --no-run
	RUST_TEST_THREADS=4 cargo test --locked --lib --test alloc
	python3 docs/tools/real_programs.py
	PROGRAM=target/debug/switchhook PHASES=fuzzing EXAMPLES=6 SEED=1 python3 docs/tools/schema.py

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet

licences: ## every dependency's licence is one that we allow
	python3 docs/tools/licences.py

bench: packages-test ## the figures that the README quotes
	cargo bench --locked

proof: packages-test ## the same suites at full size; writes docs/proof.md
	python3 docs/tools/proof.py

packages-run:
	@$(call install,$(RUN_PACKAGES))

packages-test:
	@$(call install,$(TEST_PACKAGES))

# Asks dpkg first, so that a machine that has all of them needs no network and no root.
define install
	missing=$$(for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
		command -v apt-get >/dev/null || { echo "please install: $$missing"; exit 1; }; \
		echo "installing:" $$missing; \
		$(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
endef
