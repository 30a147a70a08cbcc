#include "reconcile/hypervisor.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/id.h"
#include "base/log.h"
#include "reconcile/hosts.h"
#include "reconcile/kinds.h"
#include "reconcile/queue.h"
#include "store/hosts_seen.h"
#include "store/images_used.h"
#include "store/instances_waiting.h"

#include <string.h>

#define TRIAL_LONGEST_S 60

/* Everything of ours on one libvirt host, read before the rows: what is made after a row was
 * written is never taken for a leftover. */
typedef struct {
    const char *uri;
    GPtrArray *domains; /* HyperListed */
    char **volumes;
    char **guest_files;
    GHashTable *addresses; /* mac -> ip */
    GHashTable *living;    /* instance id -> LivingInstance */
    GHashTable *images;    /* ids of images that are kept */
} Look;

static void look_clear(Look *look)
{
    g_clear_pointer(&look->domains, g_ptr_array_unref);
    g_strfreev(look->volumes);
    g_strfreev(look->guest_files);
    g_clear_pointer(&look->addresses, g_hash_table_unref);
    g_clear_pointer(&look->living, g_hash_table_unref);
    g_clear_pointer(&look->images, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Look, look_clear)

static gboolean look_take(World *world, Hyper *hyper, Look *look, GError **error)
{
    if (!hyper_ensure(hyper, error) || !(look->domains = hyper_list(hyper, error)) ||
        !(look->volumes = hyper_volumes(hyper, FALSE, error)) ||
        !(look->guest_files = hyper_volumes(hyper, TRUE, error)) ||
        !(look->addresses = hyper_addresses(hyper, error)))
        return FALSE;
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, error);
    return tx && (look->living = instances_living(tx, error)) &&
           (look->images = images_kept(tx, error));
}

/* A trial of KVM that may still be running is left alone. */
static gboolean trial_is_young(const char *name)
{
    gint64 began_s;

    if (!g_str_has_prefix(name, HYPER_TRIAL_PREFIX))
        return FALSE;
    began_s = g_ascii_strtoll(name + strlen(HYPER_TRIAL_PREFIX), NULL, 10);
    return clock_now_us() / CLOCK_SECOND_US - began_s < TRIAL_LONGEST_S;
}

static gboolean remove_domain(Hyper *hyper, const HyperListed *domain, GError **error)
{
    log_warn(domain->name, "removing a domain that no instance owns");
    return hyper_destroy(hyper, domain->uuid, error) && hyper_undefine(hyper, domain->uuid, error);
}

static gboolean sweep_domains(Hyper *hyper, const Look *look, GError **error)
{
    for (guint n = 0; n < look->domains->len; n++) {
        const HyperListed *domain = look->domains->pdata[n];
        if (!g_hash_table_contains(look->living, domain->name) && !trial_is_young(domain->name) &&
            !remove_domain(hyper, domain, error))
            return FALSE;
    }
    return TRUE;
}

gboolean hypervisor_end_strays(World *world, Hyper *hyper, GError **error)
{
    g_auto(Look) look = { .uri = hyper_uri(hyper), .domains = hyper_list(hyper, error) };
    g_autoptr(DbTx) tx = look.domains ? db_begin(world->region, DB_MODE_READ, error) : NULL;

    return tx && (look.living = instances_living(tx, error)) && sweep_domains(hyper, &look, error);
}

static gboolean volume_is_needed(const Look *look, const char *volume)
{
    g_autofree char *owner = g_strndup(volume, strcspn(volume, "."));

    if (trial_is_young(volume))
        return TRUE;
    if (id_is_ec2(owner, "i"))
        return g_hash_table_contains(look->living, owner);
    if (id_is_ec2(owner, "ami"))
        return g_hash_table_contains(look->images, owner);
    return !g_str_has_prefix(volume, HYPER_TRIAL_PREFIX); /* nobody's name of ours: not touched */
}

static gboolean sweep_volumes(Hyper *hyper, const Look *look, GError **error)
{
    for (char **volume = look->volumes; *volume; volume++) {
        if (volume_is_needed(look, *volume) || g_str_has_suffix(*volume, ".ok"))
            continue; /* a marker goes with its volume */
        log_info(*volume, "deleting a volume that is not needed any more");
        if (!hyper_volume_delete(hyper, *volume, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean sweep_guest_files(Hyper *hyper, const Look *look, GError **error)
{
    for (char **file = look->guest_files; *file; file++) {
        g_autofree char *owner = g_strndup(*file, strcspn(*file, "."));
        if (!g_hash_table_contains(look->living, owner) && !trial_is_young(owner) &&
            !hyper_guest_files_delete(hyper, owner, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean sweep_addresses(Hyper *hyper, const Look *look, GError **error)
{
    g_autoptr(GHashTable) owned = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTableIter each;
    gpointer key, value;

    g_hash_table_add(owned, (gpointer)HYPER_GATEWAY_MAC);
    g_hash_table_iter_init(&each, look->living);
    while (g_hash_table_iter_next(&each, &key, &value))
        g_hash_table_add(owned, ((LivingInstance *)value)->mac);
    g_hash_table_iter_init(&each, look->addresses);
    while (g_hash_table_iter_next(&each, &key, &value))
        if (!g_hash_table_contains(owned, key) && !hyper_address_remove(hyper, key, error))
            return FALSE;
    return TRUE;
}

static const char *state_as_seen(DomainState state)
{
    return state == DOMAIN_RUNNING ? "running" : "off";
}

/* Instances whose domain is not as it was last seen. */
static void wake_changed(World *world, const Look *look)
{
    g_autoptr(GHashTable) states = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTableIter each;
    gpointer key, value;

    for (guint n = 0; n < look->domains->len; n++) {
        HyperListed *domain = look->domains->pdata[n];
        g_hash_table_insert(states, domain->name, (gpointer)state_as_seen(domain->state));
    }
    g_hash_table_iter_init(&each, look->living);
    while (g_hash_table_iter_next(&each, &key, &value)) {
        const LivingInstance *living = value;
        const char *state = g_hash_table_lookup(states, living->id);
        const char *seen = strcmp(living->seen, "halted") == 0 ? "off" : living->seen;
        if (strcmp(living->uri, look->uri) == 0 && strcmp(state ? state : "absent", seen) != 0)
            wake_push(world->wakes, "instance", living->id);
    }
}

/* The host rows of a connection learn by their own steps that it broke, or is there again. */
static void wake_hosts(World *world, const char *uri, gboolean all)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, &error);

    if (!tx || !hosts_wake_uri(tx, uri, all, &error) || !db_commit(g_steal_pointer(&tx), &error))
        log_warn(uri, "%s", error->message);
}

gboolean hypervisor_is_due(World *world, const char *uri)
{
    return !host_pool_watches(world->hosts, uri);
}

StepResult hypervisor_step(World *world, const char *uri, gint64 *ret_again_ms G_GNUC_UNUSED,
                           GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(Hyper) hyper = host_pool_get(world->hosts, uri, &cause);
    g_auto(Look) look = { .uri = uri };

    wake_hosts(world, uri, hyper == NULL);
    if (error_is(cause, ERROR_HOST_UNREACHABLE))
        return STEP_SETTLED; /* the host's step looks for it from now on, and then asks for this */
    if (!hyper) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return STEP_FAILED;
    }
    if (!look_take(world, hyper, &look, error))
        return STEP_FAILED;
    wake_changed(world, &look);
    if (!sweep_domains(hyper, &look, error) || !sweep_volumes(hyper, &look, error) ||
        !sweep_guest_files(hyper, &look, error) || !sweep_addresses(hyper, &look, error))
        return STEP_FAILED;
    return STEP_SETTLED;
}
