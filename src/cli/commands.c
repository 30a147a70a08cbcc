#include "cli/groups.h"

#include <stddef.h>

/* In the order of help. */
static const Command *const tables[] = {
    up_commands,
    down_commands,
    destroy_commands,
    status_commands,
    why_commands,
    env_commands,
    where_commands,
    who_commands,
    image_commands,
    key_commands,
    instance_commands,
    ssh_commands,
    cluster_commands,
    task_commands,
    service_commands,
    session_commands,
    logs_commands,
    top_commands,
    endpoint_commands,
    agent_commands,
    secret_commands,
    registry_commands,
    NULL,
};

const Command *const *commands_tables(void)
{
    return tables;
}
