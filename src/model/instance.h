/*
 * model/instance.h - the instance: its facts, and the rule that turns them into a state and an act
 *
 * A state is never stored: it is looked up from what is wanted and what is seen. A guest that
 * powers itself off is seen HALTED with the generation at which that happened, and counts as
 * wanted STOPPED (or TERMINATED, by its shutdown behaviour) until a later generation.
 * Memory is MiB, volumes GiB, times UTC microseconds (0: never).
 * Source: EC2 API Reference "Instance", "InstanceState"; User Guide "Instance lifecycle".
 */
#pragma once

#include <glib.h>

typedef enum { DESIRE_RUNNING, DESIRE_STOPPED, DESIRE_TERMINATED, DESIRE__COUNT } InstanceDesire;

typedef enum {
    SEEN_ABSENT, /* no domain */
    SEEN_OFF,    /* a domain that is shut off */
    SEEN_RUNNING,
    SEEN_HALTED, /* shut off by its own guest */
    SEEN__COUNT
} InstanceSeen;

typedef enum {
    ACT_NONE,
    ACT_DEFINE, /* volumes, seed, domain */
    ACT_START,
    ACT_SHUTDOWN, /* politely, then by force */
    ACT_REBOOT,
    ACT_DESTROY,
    ACT_UNDEFINE, /* domain and volumes */
    ACT__COUNT
} InstanceAct;

/* What clients read; the values are EC2's state codes. */
typedef enum {
    INSTANCE_PENDING = 0,
    INSTANCE_RUNNING = 16,
    INSTANCE_SHUTTING_DOWN = 32,
    INSTANCE_TERMINATED = 48,
    INSTANCE_STOPPING = 64,
    INSTANCE_STOPPED = 80,
} InstanceState;

typedef struct {
    InstanceState state;
    InstanceAct act;
} InstanceRule;

/* Rows of the rule: what is wanted, or that a fault ends the instance. */
#define INSTANCE_ROW_FAULT  DESIRE__COUNT
#define INSTANCE_ROW__COUNT (DESIRE__COUNT + 1)
extern const InstanceRule instance_rules[INSTANCE_ROW__COUNT][SEEN__COUNT];

/* A row of table "instances" with what its image adds. User data is read apart: it may be large. */
typedef struct {
    char *id;
    char *account_id;
    char *reservation_id;
    gint launch_index;
    char *image_id;
    char *architecture; /* of the image */
    char *ssh_user;     /* of the image */
    char *instance_type;
    gint vcpus;
    gint memory_mib;
    char *key_name;
    char *public_key; /* one OpenSSH line */
    char *zone_name;
    char *host_id;
    char *subnet_id;
    char *private_ip;
    char *mac;
    char *domain_uuid;
    char *eni_id;
    char *root_volume_id;
    gint root_volume_gib;
    char *root_device_name;
    char *instance_profile;
    char *client_token;
    char *details; /* JSON text: given back, never decided on */
    gint64 launched_us;
    /* wanted */
    InstanceDesire desired;
    gint64 generation;
    gint64 reboot_generation;
    gboolean disable_api_termination;
    gboolean shutdown_terminates;
    char *transition_reason;
    /* seen */
    InstanceSeen seen;
    gint64 seen_generation;
    gint64 rebooted_generation;
    gboolean ever_defined;
    char *fault;
    char *fault_message;
    char *host_keys;
    gint64 host_keys_us;
    gint64 reachable_us;
    gint64 seen_us;
    gint64 terminated_us;
} Instance;

void instance_free(Instance *instance);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Instance, instance_free)

/* Row of the rule that holds for these facts: what is wanted once a halt counts, or the fault. */
guint instance_row(const Instance *i);
/* The cell of the rule; static. */
const InstanceRule *instance_rule(const Instance *i);
/* Whether a reboot was asked for and is not over. */
gboolean instance_reboots(const Instance *i);
/* What clients read: the cell's state; terminated only once that is recorded, or by a fault;
 * running all through a reboot. */
InstanceState instance_state(const Instance *i);
/* The next act, a reboot that is asked for included. */
InstanceAct instance_act(const Instance *i);
/* Whether it holds processors and memory of its host: all but one that has settled as stopped, or
 * has ended. store/instances.h says the same in SQL. */
gboolean instance_holds(const Instance *i);

/* "pending", "shutting-down" ... static. */
const char *instance_state_name(InstanceState state);

/* Columns and enums: "running" <-> DESIRE_RUNNING and so on; the texts of the tables' CHECKs.
 * An unknown text gives the COUNT. */
const char *instance_desire_name(InstanceDesire desire);
InstanceDesire instance_desire_from(const char *name);
const char *instance_seen_name(InstanceSeen seen);
InstanceSeen instance_seen_from(const char *name);
/* "define" ...; "nothing" for ACT_NONE; static. */
const char *instance_act_name(InstanceAct act);
