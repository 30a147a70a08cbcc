# images: container images of the agent and of the demonstration's web server, the machine image
AGENT_ARCHIVE := $(BUILD)/berth-agent.tar
WEB_ARCHIVE   := $(BUILD)/web.tar
IMAGE_DIR     := $(BUILD)/images/ecs-optimized

.PHONY: container-images machine-image
all: container-images
container-images: $(AGENT_ARCHIVE) $(WEB_ARCHIVE)

$(AGENT_ARCHIVE): $(BUILD)/berth-agent images/agent-image.sh images/container-archive.sh
	$(Q)images/agent-image.sh $< $@

$(WEB_ARCHIVE): images/web/build.sh images/web/start images/container-archive.sh
	$(Q)images/web/build.sh $@

# build.sh decides itself whether anything must be done.
machine-image: $(AGENT_ARCHIVE)
	$(Q)images/build.sh --agent $(AGENT_ARCHIVE) ecs-optimized $(IMAGE_DIR)

# The pause container's program: without a C library, and carried in the agent (agent/pause.c).
PAUSE_CFLAGS := -std=gnu17 -Os $(WARN) -static -nostdlib -ffreestanding -fno-stack-protector \
    -fno-asynchronous-unwind-tables -Wl,--build-id=none -Wl,-z,noseparate-code -s

$(BUILD)/pause: images/pause/pause.c
	@mkdir -p $(@D)
	@$(if $(V),,echo "  LINK    $@")
	$(Q)$(CC) $(PAUSE_CFLAGS) -o $@ $<

$(BUILD)/gen/agent/pause_program.h: $(BUILD)/pause
	@mkdir -p $(@D)
	$(Q){ echo 'static const unsigned char pause_program[] = {'; \
		od -An -v -tx1 $< | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'; echo '};'; } >$@

$(BUILD)/src/agent/pause.o: $(BUILD)/gen/agent/pause_program.h
