#include "cli/groups.h"

#include <stddef.h>

static const Command *const tables[] = {
    up_commands,
    env_commands,
    NULL,
};

const Command *const *commands_tables(void)
{
    return tables;
}
