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
