#include "reconcile/instance_scripts.h"

/* The assembler takes the files as they are; paths are from the top folder, where make runs. */
#define EMBED(name, path)                                                                          \
    __asm__(".pushsection .rodata\n.global " #name "\n" #name ":\n.incbin \"" path                 \
            "\"\n.byte 0\n.popsection\n")

EMBED(script_probe, "provisioning/instance/probe.sh");
EMBED(script_place, "provisioning/instance/place.sh");
EMBED(script_start, "provisioning/instance/start.sh");
EMBED(file_agent_run, "images/ecs-optimized/root/usr/lib/berth/agent-run");
EMBED(file_agent_container, "images/ecs-optimized/root/usr/lib/berth/agent-container.json");
EMBED(file_agent_unit, "images/ecs-optimized/root/etc/systemd/system/berth-agent.service");
