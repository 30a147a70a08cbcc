/*
 * cli/machine.h - machines reached by the user's own ssh: instances of ours, and external ones
 *
 * Every word that goes to the far side is quoted for its shell; scripts are fixed texts. A host key
 * that is not known beforehand is refused: that of an instance is told by its hypervisor, that of
 * an external machine stands in the user's known_hosts. Callers own results.
 * Errors: COMMAND; those of client.h.
 */
#pragma once

#include "cli/command.h"

#include <jansson.h>

/* What ssh must be told of an external machine; file names may be NULL: as ssh does by itself. */
typedef struct {
    const char *address, *user;
    gint64 port;
    const char *identity, *known_hosts;
} MachineWay;

/* "ssh" and its words up to the destination. A terminal is asked for when tty is set. */
GPtrArray *machine_ssh(const MachineWay *way, gboolean tty);
/* The same for an instance of ours, which is waited for until it has told its host keys
 * (cli/ssh.c). */
GPtrArray *machine_ssh_instance(Cli *cli, const char *instance_id, gboolean tty, GError **error);
/* The same for either: external is the member "External" of an answer, or NULL. */
GPtrArray *machine_ssh_to(Cli *cli, const char *instance_id, const json_t *external, gboolean tty,
                          GError **error);

/* The program that makes the agent's address reachable for containers: FOLDER/agent-run there. */
extern const char machine_agent_run[];

/* Ends argv with a run of docker there, as root where the user may not use its socket. One that is
 * watched reads nothing, and ends when the input of argv does. words ends with NULL. */
void machine_add_docker(GPtrArray *argv, const char *socket, gboolean watched,
                        const char *const *words);

/* Runs agent.sh there; *ret_output may be NULL. Takes argv. */
gboolean machine_agent(GPtrArray *argv, const char *verb, const char *socket, const char *folder,
                       char **ret_output, GError **error);
/* Text for machine_place: one file. */
void machine_add_file(GString *files, const char *path, const char *mode, const char *bytes,
                      gsize length);
/* Places files there by place.sh. Takes argv; wipes and takes files. */
gboolean machine_place(GPtrArray *argv, GString *files, GError **error);

/* Which identity and known_hosts an external machine was made with, for later calls. */
gboolean machine_remember(Cli *cli, const char *instance_id, const MachineWay *way, GError **error);
void machine_forget(Cli *cli, const char *instance_id);
