/* StartInstances, StopInstances, RebootInstances, TerminateInstances: what is wanted. */
#include "handlers/admission.h"
#include "handlers/ec2_common.h"
#include "handlers/instance_json.h"
#include "handlers/table.h"
#include "base/clock.h"
#include "base/errors.h"
#include "store/history.h"
#include "store/instances.h"

typedef struct {
    const char *verb;   /* "start": of history and of refusals */
    const char *past;   /* "started" */
    const char *member; /* of the answer */
    InstanceDesire desired;
    guint from;    /* states from which it does something: bits by state_bit */
    guint already; /* states in which there is nothing to do */
} Change;

#define BIT(state) (1u << ((guint)(state) / 16))

static const Change start = { "start",
                              "started",
                              "StartingInstances",
                              DESIRE_RUNNING,
                              BIT(INSTANCE_STOPPED),
                              BIT(INSTANCE_PENDING) | BIT(INSTANCE_RUNNING) };
static const Change stop = { "stop",
                             "stopped",
                             "StoppingInstances",
                             DESIRE_STOPPED,
                             BIT(INSTANCE_RUNNING),
                             BIT(INSTANCE_STOPPING) | BIT(INSTANCE_STOPPED) };
static const Change terminate = { "terminate",
                                  "terminated",
                                  "TerminatingInstances",
                                  DESIRE_TERMINATED,
                                  BIT(INSTANCE_PENDING) | BIT(INSTANCE_RUNNING) |
                                      BIT(INSTANCE_STOPPING) | BIT(INSTANCE_STOPPED),
                                  BIT(INSTANCE_SHUTTING_DOWN) | BIT(INSTANCE_TERMINATED) };

/* The instances of the request, locked; ids malformed or unknown fail the call as a whole. */
static GPtrArray *instances_asked(Request *rq, GError **error)
{
    g_autofree const char **ids = request_strings(rq, "InstanceIds");

    if (!ids) {
        ec2_missing("InstanceId", error);
        return NULL;
    }
    if (!ec2_check_instance_ids(ids, error))
        return NULL;
    return instances_get(rq->tx, rq->account_id, ids, TRUE, error);
}

static gboolean refuse_state(const Instance *i, const char *past, GError **error)
{
    return fail(error, INCORRECT_INSTANCE_STATE,
                "The instance '%s' is not in a state from which it can be %s.", i->id, past);
}

/* "User initiated (2026-01-31 12:00:00 GMT)" for what ends a run, "" for what begins one. */
static char *transition_reason(const Request *rq, InstanceDesire desired)
{
    char at[CLOCK_ISO_SIZE];

    if (desired == DESIRE_RUNNING)
        return g_strdup("");
    clock_iso_s(rq->now_us, at);
    return g_strdup_printf("User initiated (%.10s %.8s GMT)", at, at + 11);
}

static gboolean note(Request *rq, const char *const *ids, const char *verb, GError **error)
{
    g_autofree char *what = g_strdup_printf("%s asked for by %s (request %s)", verb,
                                            rq->identity->principal_arn, rq->request_id);

    return history_add_all(rq->tx, "instance", ids, what, error);
}

/* The instances in which the change does something, which it may do. */
static GPtrArray *instances_to_change(const Change *change, const GPtrArray *all, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new();

    for (guint n = 0; n < all->len; n++) {
        Instance *i = all->pdata[n];
        guint bit = BIT(instance_state(i));
        if (change->desired == DESIRE_TERMINATED && i->disable_api_termination &&
            (bit & change->from))
            return fail_null(error, OPERATION_NOT_PERMITTED,
                             "The instance '%s' may not be terminated. Modify its"
                             " 'disableApiTermination' instance attribute and try again.",
                             i->id);
        if (!(bit & (change->from | change->already))) {
            refuse_state(i, change->past, error);
            return NULL;
        }
        if (bit & change->from)
            g_ptr_array_add(list, i);
    }
    return g_steal_pointer(&list);
}

static const char **ids_of(const GPtrArray *list)
{
    const char **ids = g_new0(const char *, list->len + 1);

    for (guint n = 0; n < list->len; n++)
        ids[n] = ((Instance *)list->pdata[n])->id;
    return ids;
}

static gboolean change_write(Request *rq, const Change *change, const GPtrArray *list,
                             GError **error)
{
    g_autofree char *reason = transition_reason(rq, change->desired);
    g_autofree const char **ids = ids_of(list);

    if (list->len == 0)
        return TRUE;
    return instances_desire(rq->tx, ids, change->desired, reason, error) &&
           note(rq, ids, change->verb, error);
}

/* The state that the row has once the change is written. */
static InstanceState state_after(const Change *change, GPtrArray *changed, Instance *i)
{
    if (g_ptr_array_find(changed, i, NULL)) {
        i->desired = change->desired;
        i->generation++;
    }
    return instance_state(i);
}

static json_t *change_run(Request *rq, const Change *change, GError **error)
{
    g_autoptr(GPtrArray) all = instances_asked(rq, error);
    g_autoptr(GPtrArray) changed = all ? instances_to_change(change, all, error) : NULL;
    json_auto_t *items = json_array();

    if (!changed || (change->desired == DESIRE_RUNNING && changed->len > 0 &&
                     !admission_readmit(rq, changed, error)))
        return NULL;
    if (!change_write(rq, change, changed, error))
        return NULL;
    for (guint n = 0; n < all->len; n++) {
        Instance *i = all->pdata[n];
        InstanceState before = instance_state(i);
        json_array_append_new(items,
                              state_change_json(i->id, before, state_after(change, changed, i)));
    }
    return json_pack("{s:O}", change->member, items);
}

/* Admits again what holds nothing, then asks for it to run. */
json_t *start_instances(Request *rq, GError **error)
{
    if (!EC2_ONLY(rq, error, "InstanceIds"))
        return NULL;
    return change_run(rq, &start, error);
}

json_t *stop_instances(Request *rq, GError **error)
{
    if (!EC2_ONLY(rq, error, "InstanceIds", "Hibernate", "Force"))
        return NULL;
    if (request_bool(rq, "Hibernate", FALSE) || request_bool(rq, "Force", FALSE))
        return fail_null(error, UNSUPPORTED, "The parameter %s is not supported here",
                         request_bool(rq, "Force", FALSE) ? "Force" : "Hibernate");
    return change_run(rq, &stop, error);
}

json_t *terminate_instances(Request *rq, GError **error)
{
    if (!EC2_ONLY(rq, error, "InstanceIds"))
        return NULL;
    return change_run(rq, &terminate, error);
}

json_t *reboot_instances(Request *rq, GError **error)
{
    g_autoptr(GPtrArray) all =
        EC2_ONLY(rq, error, "InstanceIds") ? instances_asked(rq, error) : NULL;

    if (!all)
        return NULL;
    for (guint n = 0; n < all->len; n++)
        if (instance_state(all->pdata[n]) != INSTANCE_RUNNING) {
            refuse_state(all->pdata[n], "rebooted", error);
            return NULL;
        }
    g_autofree const char **ids = ids_of(all);
    if (!instances_ask_reboot(rq->tx, ids, error) || !note(rq, ids, "reboot", error))
        return NULL;
    return json_object();
}
