/*
 * reconcile/instance_scripts.h - what is run and placed on instances, from provisioning/instance
 * and the machine image's own files, as NUL-terminated texts
 */
#pragma once

extern const char script_probe[];
extern const char script_place[];
extern const char script_start[];
extern const char file_agent_run[];       /* /usr/lib/berth/agent-run */
extern const char file_agent_container[]; /* /usr/lib/berth/agent-container.json */
extern const char file_agent_unit[];      /* /etc/systemd/system/berth-agent.service */
