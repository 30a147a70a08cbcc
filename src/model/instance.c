#include "model/instance.h"

#include <string.h>

const InstanceRule instance_rules[INSTANCE_ROW__COUNT][SEEN__COUNT] = {
    [DESIRE_RUNNING] = {
        [SEEN_ABSENT]  = { INSTANCE_PENDING, ACT_DEFINE },
        [SEEN_OFF]     = { INSTANCE_PENDING, ACT_START },
        [SEEN_HALTED]  = { INSTANCE_PENDING, ACT_START },
        [SEEN_RUNNING] = { INSTANCE_RUNNING, ACT_NONE },
    },
    [DESIRE_STOPPED] = {
        [SEEN_ABSENT]  = { INSTANCE_STOPPED, ACT_DEFINE },
        [SEEN_OFF]     = { INSTANCE_STOPPED, ACT_NONE },
        [SEEN_HALTED]  = { INSTANCE_STOPPED, ACT_NONE },
        [SEEN_RUNNING] = { INSTANCE_STOPPING, ACT_SHUTDOWN },
    },
    [DESIRE_TERMINATED] = {
        [SEEN_ABSENT]  = { INSTANCE_TERMINATED, ACT_NONE },
        [SEEN_OFF]     = { INSTANCE_SHUTTING_DOWN, ACT_UNDEFINE },
        [SEEN_HALTED]  = { INSTANCE_SHUTTING_DOWN, ACT_UNDEFINE },
        [SEEN_RUNNING] = { INSTANCE_SHUTTING_DOWN, ACT_DESTROY },
    },
    [INSTANCE_ROW_FAULT] = {
        [SEEN_ABSENT]  = { INSTANCE_TERMINATED, ACT_NONE },
        [SEEN_OFF]     = { INSTANCE_TERMINATED, ACT_UNDEFINE },
        [SEEN_HALTED]  = { INSTANCE_TERMINATED, ACT_UNDEFINE },
        [SEEN_RUNNING] = { INSTANCE_TERMINATED, ACT_DESTROY },
    },
};

static const char *const desire_names[DESIRE__COUNT] = { "running", "stopped", "terminated" };
static const char *const seen_names[SEEN__COUNT] = { "absent", "off", "running", "halted" };
static const char *const act_names[ACT__COUNT] = { "nothing", "define",  "start",   "shut down",
                                                   "reboot",  "destroy", "undefine" };

void instance_free(Instance *i)
{
    if (!i)
        return;
    char *texts[] = { i->id,
                      i->account_id,
                      i->reservation_id,
                      i->image_id,
                      i->architecture,
                      i->ssh_user,
                      i->instance_type,
                      i->key_name,
                      i->public_key,
                      i->zone_name,
                      i->host_id,
                      i->subnet_id,
                      i->private_ip,
                      i->mac,
                      i->domain_uuid,
                      i->eni_id,
                      i->root_volume_id,
                      i->root_device_name,
                      i->instance_profile,
                      i->client_token,
                      i->details,
                      i->transition_reason,
                      i->fault,
                      i->fault_message,
                      i->host_keys };
    for (gsize n = 0; n < G_N_ELEMENTS(texts); n++)
        g_free(texts[n]);
    g_free(i);
}

static gboolean halt_counts(const Instance *i)
{
    return i->seen == SEEN_HALTED && i->seen_generation >= i->generation;
}

guint instance_row(const Instance *i)
{
    if (i->fault)
        return INSTANCE_ROW_FAULT;
    if (i->desired == DESIRE_RUNNING && halt_counts(i))
        return i->shutdown_terminates ? DESIRE_TERMINATED : DESIRE_STOPPED;
    return i->desired;
}

const InstanceRule *instance_rule(const Instance *i)
{
    return &instance_rules[instance_row(i)][i->seen];
}

gboolean instance_reboots(const Instance *i)
{
    return i->reboot_generation > i->rebooted_generation;
}

/* It is off on its way through a reboot, started already or not. */
static gboolean between_boots(const Instance *i)
{
    return i->seen == SEEN_OFF && i->reboot_generation == i->generation &&
           i->seen_generation < i->generation;
}

InstanceState instance_state(const Instance *i)
{
    InstanceState state = instance_rule(i)->state;

    if (i->terminated_us)
        return INSTANCE_TERMINATED;
    if (state == INSTANCE_PENDING && between_boots(i))
        return INSTANCE_RUNNING;
    /* Ended is what has been seen to the end, so that a state never goes back. */
    return state == INSTANCE_TERMINATED && !i->fault ? INSTANCE_SHUTTING_DOWN : state;
}

InstanceAct instance_act(const Instance *i)
{
    const InstanceRule *rule = instance_rule(i);

    if (rule->state == INSTANCE_RUNNING && instance_reboots(i))
        return ACT_REBOOT;
    return rule->act;
}

gboolean instance_holds(const Instance *i)
{
    if (i->terminated_us)
        return FALSE;
    if (i->seen == SEEN_RUNNING || i->seen_generation < i->generation)
        return TRUE;
    return i->desired != DESIRE_STOPPED && i->seen != SEEN_HALTED;
}

const char *instance_state_name(InstanceState state)
{
    switch (state) {
    case INSTANCE_PENDING:
        return "pending";
    case INSTANCE_RUNNING:
        return "running";
    case INSTANCE_SHUTTING_DOWN:
        return "shutting-down";
    case INSTANCE_TERMINATED:
        return "terminated";
    case INSTANCE_STOPPING:
        return "stopping";
    case INSTANCE_STOPPED:
        return "stopped";
    }
    g_assert_not_reached();
}

static guint name_index(const char *const *names, guint count, const char *name)
{
    guint n = 0;

    while (n < count && g_strcmp0(names[n], name) != 0)
        n++;
    return n;
}

const char *instance_desire_name(InstanceDesire desire)
{
    return desire_names[desire];
}

InstanceDesire instance_desire_from(const char *name)
{
    return name_index(desire_names, DESIRE__COUNT, name);
}

const char *instance_seen_name(InstanceSeen seen)
{
    return seen_names[seen];
}

InstanceSeen instance_seen_from(const char *name)
{
    return name_index(seen_names, SEEN__COUNT, name);
}

const char *instance_act_name(InstanceAct act)
{
    return act_names[act];
}
