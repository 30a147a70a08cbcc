#include "base/errors.h"
#include "cli/client.h"
#include "cli/process.h"
#include "cli/sweep.h"
#include "cli/ui.h"
#include "cli/up.h"
#include "cli/verbs.h"

#include <string.h>

/* -- the admin account and the profile of whoever called us */
/* The value of "NAME=..." among lines; NULL when there is none. Caller frees. */
static char *line_value(char **lines, const char *name)
{
    gsize length = strlen(name);

    for (; *lines; lines++)
        if (strncmp(*lines, name, length) == 0 && (*lines)[length] == '=')
            return g_strdup(*lines + length + 1);
    return NULL;
}

gboolean up_account(Up *up, GError **error)
{
    g_autofree char *berthd = install_program("berthd", error);
    const char *const argv[] = { berthd,           "--config", up->config->file,
                                 "--create-admin", "admin",    NULL };
    g_autofree char *said = NULL;
    g_autoptr(Profile) p = g_new0(Profile, 1);
    gboolean changed = FALSE;

    if (!berthd || !process_run(argv, NULL, &said, error))
        return FALSE;
    g_auto(GStrv) lines = g_strsplit(said, "\n", -1);
    g_autofree char *account = line_value(lines, "account_id");
    p->access_key_id = line_value(lines, "aws_access_key_id");
    p->secret = line_value(lines, "aws_secret_access_key");
    if (!account || !p->access_key_id || !p->secret)
        return fail(error, COMMAND, "berthd --create-admin did not print the admin's keys");
    p->folder = profile_folder(up->cli, error);
    p->name = g_strdup("berth");
    p->endpoint = g_strdup(up->in->endpoint);
    p->region = g_strdup(up->config->region);
    p->ca_file = g_strdup(up->in->ca_cert);
    if (!p->folder || !profile_save(p, &changed, error))
        return FALSE;
    up_found(up, "%s, keys in %s", account, p->folder);
    if (changed)
        up_did(up, "%s, wrote its keys to %s", account, p->folder);
    return TRUE;
}

/* -- zones and hosts */
static const json_t *find_by(const json_t *list, const char *key, const char *value)
{
    const json_t *item;
    size_t n;

    json_array_foreach(list, n, item) if (g_strcmp0(json_string_value(json_object_get(item, key)),
                                                    value) == 0) return item;
    return NULL;
}

static gboolean zone_up(Up *up, const json_t *zones, const char *zone, GError **error)
{
    if (find_by(zones, "ZoneName", zone))
        return TRUE;
    up->changed = TRUE;
    json_auto_t *made =
        client_call(up->cli, "berth", "CreateZone", json_pack("{s:s}", "ZoneName", zone), error);
    return made != NULL;
}

static gboolean host_up(Up *up, const json_t *hosts, const char *zone, guint share, GError **error)
{
    const json_t *host;
    size_t n;

    /* an administrator's own hosts, or one removed on purpose, are left as they are */
    json_array_foreach(hosts, n,
                       host) if (g_strcmp0(json_string_value(json_object_get(host, "ZoneName")),
                                           zone) == 0) return TRUE;
    up->changed = TRUE;
    json_auto_t *made = client_call(up->cli, "berth", "AddHost",
                                    json_pack("{s:s, s:s, s:i}", "Uri", up->config->libvirt_uri,
                                              "ZoneName", zone, "SharePercent", (int)share),
                                    error);
    return made != NULL;
}

gboolean up_zones(Up *up, GError **error)
{
    g_auto(GStrv) names = g_strsplit_set(up->config->zones, ", ", -1);
    json_auto_t *zones = client_call(up->cli, "berth", "DescribeZones", NULL, error);
    json_auto_t *hosts = zones ? client_call(up->cli, "berth", "DescribeHosts", NULL, error) : NULL;
    guint count = 0;

    if (!hosts)
        return FALSE;
    for (char **zone = names; *zone; zone++)
        count += **zone != '\0';
    for (char **zone = names; *zone; zone++) {
        if (!**zone)
            continue;
        if (!zone_up(up, json_object_get(zones, "Zones"), *zone, error) ||
            !host_up(up, json_object_get(hosts, "Hosts"), *zone, 100 / MAX(count, 1), error))
            return FALSE;
    }
    up_found(up, "%s", up->config->zones);
    return TRUE;
}

typedef struct {
    Up *up;
    json_t *hosts; /* as they were seen last */
    GError *error;
} HostsWait;

/* This machine's own must work; of others it is enough to know that they do not. */
static gboolean host_is_needed(const HostsWait *wait, const json_t *host)
{
    return strcmp(verb_text(host, "Uri"), wait->up->config->libvirt_uri) == 0;
}

static gboolean host_is_settled(const HostsWait *wait, const json_t *host)
{
    const char *health = verb_text(host, "Health");

    return strcmp(health, "OK") == 0 ||
           (strcmp(health, "DOWN") == 0 && !host_is_needed(wait, host));
}

/* Whether every host was checked and is well; ends the wait on an error too. */
static gboolean hosts_settled(gpointer user)
{
    HostsWait *wait = user;
    const json_t *host;
    size_t n;

    json_decref(wait->hosts);
    wait->hosts = client_call(wait->up->cli, "berth", "DescribeHosts", NULL, &wait->error);
    if (!wait->hosts)
        return TRUE;
    json_array_foreach(json_object_get(wait->hosts, "Hosts"), n, host)
    {
        if (host_is_settled(wait, host))
            continue;
        wait->up->changed = TRUE;
        ui_step_progress("%s: %s", verb_text(host, "ZoneName"), verb_text(host, "Detail"));
        return FALSE;
    }
    return TRUE;
}

gboolean up_hosts(Up *up, GError **error)
{
    HostsWait wait = { .up = up };
    gboolean settled = process_wait(hosts_settled, &wait, 120000);
    json_auto_t *hosts = wait.hosts;
    const json_t *list = json_object_get(hosts, "Hosts"), *host = json_array_get(list, 0);
    size_t n, well = 0;

    if (wait.error) {
        g_propagate_error(error, wait.error);
        return FALSE;
    }
    json_array_foreach(list, n, host)
    {
        gboolean ok = strcmp(verb_text(host, "Health"), "OK") == 0;
        if (!settled && !ok && host_is_needed(&wait, host))
            return fail(error, COMMAND, "host %s of zone %s is not well: %s",
                        verb_text(host, "Uri"), verb_text(host, "ZoneName"),
                        verb_text(host, "Detail"));
        well += ok;
    }
    g_autoptr(GPtrArray) uris = g_ptr_array_new();
    json_array_foreach(list, n, host) g_ptr_array_add(uris, (gpointer)verb_text(host, "Uri"));
    g_ptr_array_add(uris, NULL);
    host = json_array_get(list, 0);
    up_found(up, "%zu of %zu well, guests run %s", well, json_array_size(list),
             json_is_true(json_object_get(host, "Accelerated"))
                 ? "under KVM"
                 : "emulated (KVM does not work here)");
    return sweep_remember(up->in, (const char *const *)uris->pdata, error);
}
