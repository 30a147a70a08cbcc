#include "region.h"
#include "base/clock.h"
#include "drivers/hyper.h"

#include <glib/gstdio.h>
#include <stdarg.h>
#include <string.h>

gboolean test_libvirt_answers(const char *uri)
{
    HyperSettings settings = { "none", "none", "none", "10.0.0.0/24" };
    g_autoptr(Hyper) hyper = hyper_open(uri, &settings, NULL, NULL, NULL);

    return hyper != NULL;
}

static void replace(char **text, char *with)
{
    g_free(*text);
    *text = with;
}

static void fill_config(TestRegion *r, guint number)
{
    Config *c = r->config;

    replace(&c->name, g_strdup_printf("hyper%u", number));
    replace(&c->bridge, g_strdup_printf("hyper%u", number));
    replace(&c->network_cidr, g_strdup_printf("10.201.%u.0/24", number));
    replace(&c->identity_dsn, g_strdup(r->db->identity_dsn));
    replace(&c->region_dsn, g_strdup(r->db->region_dsn));
    replace(&c->region, g_strdup("home-1"));
    replace(&c->advertise, g_strdup_printf("10.201.%u.1", number));
    c->reconcile_workers = 3;
    c->sweep_seconds = 1;
}

TestRegion *test_region_new(const char *uri, guint number)
{
    TestRegion *r = g_new0(TestRegion, 1);
    g_autofree char *install =
        g_strdup_printf("UPDATE installation SET value ="
                        " 'be870000-0000-4000-8000-%012u' WHERE name = 'install_uuid'", number);

    r->db = test_db_new();
    r->root = g_dir_make_tmp("berth-region-XXXXXX", NULL);
    r->uri = g_strdup(uri);
    r->config = config_for_root(r->root, NULL);
    memset(r->key, 7, sizeof r->key);
    fill_config(r, number);
    g_free(test_db_sql(r->db->identity_dsn,
                       "INSERT INTO accounts (account_id, name, is_admin)"
                       " VALUES ('" TEST_ACCOUNT "', 'test', true)"));
    test_region_do(r, "%s", install);
    test_region_do(r, "INSERT INTO zones (zone_name, zone_id) VALUES ('" TEST_ZONE "', 'ho1-az1')");
    test_region_do(r, "INSERT INTO hosts (host_id, zone_name, uri) VALUES"
                      " ('" TEST_HOST "', '" TEST_ZONE "', '%s')", uri);
    test_region_do(r, "INSERT INTO reservations (reservation_id, account_id) VALUES"
                      " ('r-00000000000000001', '" TEST_ACCOUNT "')");
    return r;
}

static Hyper *open_hyper(TestRegion *r, HyperSettings *settings, char **install)
{
    g_autoptr(GError) error = NULL;

    *install = test_region_ask(r, "SELECT value FROM installation WHERE name = 'install_uuid'");
    *settings = (HyperSettings){ r->config->name, *install, r->config->bridge,
                                 r->config->network_cidr };
    Hyper *hyper = hyper_open(r->uri, settings, NULL, NULL, &error);
    if (!hyper)
        g_error("%s", error->message);
    return hyper;
}

static void remove_tree(const char *path)
{
    const char *argv[] = { "rm", "-rf", "--", path, NULL };

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
}

static void remove_from_libvirt(TestRegion *r)
{
    g_autofree char *install = NULL;
    g_autoptr(GError) error = NULL;
    HyperSettings settings;
    g_autoptr(Hyper) hyper = open_hyper(r, &settings, &install);
    g_autoptr(GPtrArray) list = hyper_list(hyper, &error);

    for (guint i = 0; list && i < list->len; i++) {
        const HyperListed *domain = list->pdata[i];
        hyper_destroy(hyper, domain->uuid, NULL);
        hyper_undefine(hyper, domain->uuid, NULL);
    }
    if (!hyper_remove(hyper, &error))
        g_printerr("%s\n", error->message);
}

void test_region_free(TestRegion *r)
{
    remove_from_libvirt(r);
    remove_tree(r->root);
    config_free(r->config);
    test_db_free(r->db);
    g_free(r->root);
    g_free(r->uri);
    g_free(r);
}

void test_region_image(TestRegion *r, const char *image_id, const char *location)
{
    test_region_do(r, "INSERT INTO images (image_id, account_id, name, architecture, ssh_user,"
                      " location, snapshot_id) VALUES ('%s', '" TEST_ACCOUNT "', '%s', 'x86_64',"
                      " 'admin', '%s', '%s-snapshot')", image_id, image_id, location, image_id);
    test_region_do(r, "SELECT pg_notify('berth_wake', 'image:%s')", image_id);
}

char *test_region_empty_disk(TestRegion *r)
{
    char *path = g_build_filename(r->root, "empty.raw", NULL);
    g_autofree char *zeros = g_malloc0(1 << 20);

    g_file_set_contents(path, zeros, 1 << 20, NULL);
    return path;
}

char *test_region_instance(TestRegion *r, const char *image_id, guint number, guint memory_mib)
{
    char *id = g_strdup_printf("i-%017u", number);
    g_auto(GStrv) octets = g_strsplit(r->config->network_cidr, ".", 4);

    test_region_do(r,
                   "INSERT INTO instances (instance_id, account_id, reservation_id, launch_index,"
                   " image_id, instance_type, vcpus, memory_mib, zone_name, host_id, subnet_id,"
                   " private_ip, mac, domain_uuid, eni_id, root_volume_id, root_volume_gib,"
                   " root_device_name) VALUES ('%s', '" TEST_ACCOUNT "', 'r-00000000000000001',"
                   " %u, '%s', 't2.nano', 1, %u, '" TEST_ZONE "', '" TEST_HOST "', 'subnet-1',"
                   " '10.201.%s.%u', '06:be:c9:00:%02x:%02x', 'ec2b0000-0000-4000-8000-%s%08u',"
                   " 'eni-%u', 'vol-%u', 1, '/dev/vda')",
                   id, number, image_id, memory_mib, octets[2], number,
                   (guint)g_ascii_strtoull(octets[2], NULL, 10), number, "be87", number, number,
                   number);
    test_region_do(r, "SELECT pg_notify('berth_wake', 'instance:%s')", id);
    return id;
}

char *test_region_ask(TestRegion *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *sql = g_strdup_vprintf(format, args);
    va_end(args);
    char *answer = test_db_sql(r->db->region_dsn, sql);
    return answer ? answer : g_strdup("");
}

void test_region_do(TestRegion *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *sql = g_strdup_vprintf(format, args);
    va_end(args);
    g_free(test_db_sql(r->db->region_dsn, sql));
}

gboolean test_region_wait(TestRegion *r, guint seconds, const char *expected, const char *format,
                          ...)
{
    gint64 deadline_ms = clock_mono_ms() + seconds * 1000;
    va_list args;

    va_start(args, format);
    g_autofree char *sql = g_strdup_vprintf(format, args);
    va_end(args);
    for (;;) {
        g_autofree char *answer = test_region_ask(r, "%s", sql);
        if (strcmp(answer, expected) == 0)
            return TRUE;
        if (clock_mono_ms() > deadline_ms) {
            g_autofree char *retries = test_region_ask(
                r, "SELECT string_agg(kind || ' ' || object_id || ': ' || last_error, '; ')"
                   " FROM retries");
            g_test_message("\"%s\" is \"%s\" after %u s, not \"%s\"; retries: %s", sql, answer,
                           seconds, expected, retries);
            return FALSE;
        }
        g_usleep(50000);
    }
}

static void add_names(GString *out, const char *what, char **names)
{
    for (char **name = names; name && *name; name++)
        g_string_append_printf(out, "%s %s\n", what, *name);
}

char *test_region_left(TestRegion *r)
{
    g_autofree char *install = NULL;
    HyperSettings settings;
    g_autoptr(Hyper) hyper = open_hyper(r, &settings, &install);
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GPtrArray) list = hyper_list(hyper, NULL);
    g_auto(GStrv) volumes = hyper_volumes(hyper, FALSE, NULL);
    g_auto(GStrv) files = hyper_volumes(hyper, TRUE, NULL);
    g_autoptr(GHashTable) addresses = hyper_addresses(hyper, NULL);
    GHashTableIter each;
    gpointer mac;

    for (guint i = 0; list && i < list->len; i++)
        g_string_append_printf(out, "domain %s\n", ((HyperListed *)list->pdata[i])->name);
    add_names(out, "volume", volumes);
    add_names(out, "file", files);
    if (addresses)
        g_hash_table_iter_init(&each, addresses);
    while (addresses && g_hash_table_iter_next(&each, &mac, NULL))
        if (strcmp(mac, HYPER_GATEWAY_MAC) != 0)
            g_string_append_printf(out, "address %s\n", (char *)mac);
    return g_string_free(g_steal_pointer(&out), FALSE);
}
