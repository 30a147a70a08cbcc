# Berth: sudo make demo | sudo make check | make | make lint | make bench | make fuzz | make install
# One non-recursive makefile; everything it makes lies below $(BUILD). V=1 shows commands,
# SAN=address,undefined builds with sanitizers, WERROR=1 (CI) makes warnings errors.

SAN   ?=
BUILD ?= build$(if $(SAN),-san)
V     ?=
Q     := $(if $(V),,@)
CC    ?= gcc
DESTDIR ?=
PREFIX  ?= /usr
VERSION := $(shell cat VERSION 2>/dev/null || echo 0)

PACKAGES := glib-2.0 jansson libpq libvirt libssh2 libcurl libmicrohttpd libxml-2.0 libcrypto libssl
HAVE     := $(shell pkg-config --exists $(PACKAGES) 2>/dev/null && echo yes)
ifeq ($(HAVE),yes)
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES))
PKG_LIBS   := $(shell pkg-config --libs $(PACKAGES)) -lwslay
endif

WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla $(if $(WERROR),-Werror)
OPT    ?= -O2
CFLAGS += -std=gnu17 -g $(OPT) -fstack-protector-strong -D_GNU_SOURCE -D_FORTIFY_SOURCE=2 -ffunction-sections -fdata-sections
CFLAGS += $(WARN) -Isrc -I$(BUILD)/gen -DBERTH_VERSION='"$(VERSION)"' $(PKG_CFLAGS)
LDFLAGS += -Wl,--as-needed -Wl,--gc-sections -Wl,-z,relro,-z,now -pthread
ifneq ($(SAN),)
CFLAGS  += -fsanitize=$(SAN) -fno-omit-frame-pointer -U_FORTIFY_SOURCE -O1
LDFLAGS += -fsanitize=$(SAN)
endif

ROOMS := base shape catalog model wire store drivers handlers reconcile server agent cli
src    = $(wildcard src/$(1)/*.c)
obj    = $(patsubst %.c,$(BUILD)/%.o,$(1))

BERTHD_ROOMS := server handlers reconcile drivers store wire model catalog shape base
AGENT_ROOMS  := agent drivers wire model shape base
CLI_ROOMS    := cli drivers store wire model catalog shape base
lib    = $(BUILD)/lib$(1).a

PROGRAMS := $(BUILD)/berthd $(BUILD)/berth $(BUILD)/berth-agent

.PHONY: all programs
all: programs
programs: $(PROGRAMS)

# ---- shapes: read by our own tool from the models that python3-botocore installs
MODELS   := /usr/lib/python3/dist-packages/botocore/data
include src/modelc/modelc.mk
include src/store/store.mk

# ---- objects and one archive a room (a program takes from it only what it calls)
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@$(if $(V),,echo "  CC      $<")
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

define ROOM
$(BUILD)/lib$(1).a: $(call obj,$(call src,$(1))) $(GEN_OBJ_$(1))
	@mkdir -p $$(@D)
	$$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call ROOM,$(r))))

link = @$(if $(V),,echo "  LINK    $@") ; $(if $(V),set -x;) $(CC) $(LDFLAGS) -o $@ -Wl,--start-group $(1) -Wl,--end-group $(PKG_LIBS) -lm

# The agent shares its machine with what it runs: of TLS and JSON it takes in only what it calls, as
# private copies of whole libraries would cost it more memory than all it does. Sanitizers see
# shared libraries better.
AGENT_LIBS = $(if $(SAN),-lssl -lcrypto -ljansson,-l:libssl.a -l:libcrypto.a -l:libjansson.a) -lglib-2.0 -lwslay
link_agent = @$(if $(V),,echo "  LINK    $@") ; $(if $(V),set -x;) $(CC) $(LDFLAGS) -o $@ -Wl,--start-group $(1) -Wl,--end-group $(AGENT_LIBS) -lm

$(BUILD)/berthd: $(foreach r,$(BERTHD_ROOMS),$(call lib,$(r)))
	$(call link,$^)
$(BUILD)/berth: $(foreach r,$(CLI_ROOMS),$(call lib,$(r)))
	$(call link,$^)
$(BUILD)/berth-agent: $(foreach r,$(AGENT_ROOMS),$(call lib,$(r)))
	$(call link_agent,$^)

# what goes to instances is taken into the program as it is (.incbin), which -MMD does not see
$(BUILD)/src/reconcile/instance_scripts.o: $(wildcard provisioning/instance/*.sh) \
    $(wildcard images/ecs-optimized/root/usr/lib/berth/agent-*) \
    images/ecs-optimized/root/etc/systemd/system/berth-agent.service

include tests/tests.mk
-include $(wildcard images/images.mk provisioning/provisioning.mk contrib/contrib.mk)

# ---- set-up: Debian packages only; nothing else in this project installs anything
.PHONY: deps deps-test
deps:
	$(Q)provisioning/packages.sh build run
deps-test:
	$(Q)provisioning/packages.sh build run test

.PHONY: clean
clean:
	rm -rf build build-*

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
