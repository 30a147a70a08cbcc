# fuzzing: tests/fuzz/fuzz_NAME.c is a libFuzzer target, tests/fuzz/seeds/NAME/ its first inputs.
#   make fuzz                       builds all of them with clang, below build-fuzz
#   make tests                      links each with replay.c: its seeds, and a second of changed ones
#   make fuzz-run FUZZ_SECONDS=20   runs each of them that long; a finding is kept in build-fuzz/found
FUZZ_SECONDS ?= 20
FUZZ_BIN := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))

ifneq ($(FUZZ),)
CFLAGS += -fsanitize=fuzzer-no-link
endif

$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(foreach r,$(TEST_ROOMS),$(call lib,$(r)))
	$(call link,$^) -fsanitize=fuzzer

FUZZ_TEST := $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/tests/fuzz/test_%,$(wildcard tests/fuzz/fuzz_*.c))
$(BUILD)/tests/fuzz/test_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/replay.o $(foreach r,$(TEST_ROOMS),$(call lib,$(r)))
	$(call link,$^)
tests: $(FUZZ_TEST)

.PHONY: fuzz fuzz-run fuzz-bin
fuzz-bin: $(FUZZ_BIN)
fuzz:
	$(Q)$(MAKE) --no-print-directory CC=$(if $(findstring ccache,$(CC)),'ccache clang',clang) \
		SAN=address,undefined BUILD=build-fuzz FUZZ=1 fuzz-bin
fuzz-run: fuzz
	$(Q)tests/fuzz/run.sh build-fuzz $(FUZZ_SECONDS)
