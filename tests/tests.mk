# tests: a file tests/KIND/test_NAME.c is a TAP program, tests/KIND/NAME.t a TAP script
TEST_KINDS  := unit db driver crash
TEST_SRC    := $(foreach k,$(TEST_KINDS),$(wildcard tests/$(k)/test_*.c))
TEST_BIN    := $(patsubst %.c,$(BUILD)/%,$(TEST_SRC))
TEST_LIB    := $(call obj,$(wildcard tests/lib/*.c))
TEST_ROOMS  := server handlers reconcile agent cli drivers store wire model catalog shape base

$(BUILD)/tests/%.o: CFLAGS += -Itests
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TEST_LIB) $(foreach r,$(TEST_ROOMS),$(call lib,$(r)))
	$(call link,$^)

.SECONDARY:
.PHONY: tests
tests: $(TEST_BIN)

KINDS ?=
.PHONY: check lint format
check: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) programs tests container-images WERROR=1
	$(Q)BUILD=$(BUILD) tests/check.sh $(KINDS)
lint:
	$(Q)BUILD=$(BUILD) tests/lint/lint.sh
format:
	$(Q)clang-format -i $$(git ls-files 'src/*.c' 'src/*.h')

-include $(wildcard tests/*/*.mk)
