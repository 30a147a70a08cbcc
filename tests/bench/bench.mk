# benchmarks: print figures, never pass or fail; bounded in time
BENCH_SRC := $(wildcard tests/bench/*.c)
BENCH_BIN := $(patsubst %.c,$(BUILD)/%,$(BENCH_SRC))

.PHONY: bench
bench: programs $(BENCH_BIN)
	$(Q)for b in $(foreach b,$(BENCH_BIN),$(if $(findstring /bench_,$b),$b)); do echo "== $${b##*/}"; $$b || exit 1; done
	$(Q)echo "== api"; /usr/bin/python3 tests/bench/api.py
	$(Q)echo "== agents"; /usr/bin/python3 tests/bench/agents.py
	$(Q)echo "== agent"; /usr/bin/python3 tests/bench/agent.py
	$(Q)echo "== docker"; /usr/bin/python3 tests/bench/docker.py
