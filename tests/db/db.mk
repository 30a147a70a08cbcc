# its own driver stands in libvirt's place: what needs the real one (tests/lib/region.c) is left out
$(BUILD)/tests/db/test_hosts: $(BUILD)/tests/db/test_hosts.o $(BUILD)/tests/lib/pg.o \
    $(foreach r,$(TEST_ROOMS),$(call lib,$(r)))
	$(call link,$^)
