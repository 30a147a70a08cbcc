/*
 * The steps of hosts, images and instances against real libvirt, with guests that boot nothing:
 * every desired state is reached from every other, and what somebody else does is seen.
 */
#include "../lib/region.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define URI   "qemu:///system"
#define IMAGE "ami-00000000000000001"
#define FIRST 11 /* instances: their numbers */
#define LAST  17

static TestRegion *region;
static GPtrArray *ending; /* ids that are to end, which is looked at later */
static Reconciler *reconciler;

#define assert_wait(seconds, expected, ...)                                                        \
    g_assert_true(test_region_wait(region, seconds, expected, __VA_ARGS__))

static void virsh(const char *verb, const char *object, const char *flag)
{
    const char *argv[] = { "virsh", "-q", "-c", URI, verb, object, flag, NULL };
    g_autofree char *err = NULL;
    int status = -1;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL,
                 NULL, NULL, &err, &status, NULL);
    if (status != 0)
        g_error("virsh %s %s: %s", verb, object, err);
}

static void desire(const char *id, const char *desired)
{
    test_region_do(region, "UPDATE instances SET desired = '%s', generation = generation + 1"
                   " WHERE instance_id = '%s'", desired, id);
    test_region_do(region, "SELECT pg_notify('berth_wake', 'instance:%s')", id);
}

/* All are launched with the first: libvirt takes seconds for each, while tests go on. */
static char *launch(guint number)
{
    static char *ids[LAST - FIRST + 1];

    for (guint n = FIRST; !ids[LAST - FIRST] && n <= LAST; n++)
        ids[n - FIRST] = test_region_instance(region, IMAGE, n, 64);
    assert_wait(60, "running", "SELECT seen FROM instances WHERE instance_id = '%s'",
                ids[number - FIRST]);
    return g_strdup(ids[number - FIRST]);
}

static void assert_terminated(const char *id)
{
    assert_wait(30, "t", "SELECT terminated_at IS NOT NULL FROM instances WHERE instance_id = '%s'", id);
}

static void end(const char *id)
{
    desire(id, "terminated");
    g_ptr_array_add(ending, g_strdup(id));
}

/* How its address's lease begins in what test_region_left tells. */
static char *address_of(const char *id)
{
    return test_region_ask(region, "SELECT 'address ' || mac FROM instances WHERE instance_id = '%s'", id);
}

static void test_host_comes_up(void)
{
    assert_wait(30, "up", "SELECT state FROM hosts");
    assert_wait(1, "t", "SELECT vcpus > 0 AND memory_mib > 512 AND accelerator IS NOT NULL"
                " AND hostname <> '' FROM hosts");
}

static void test_image_is_imported(void)
{
    g_autofree char *disk = test_region_empty_disk(region);

    test_region_image(region, IMAGE, disk);
    assert_wait(10, "available", "SELECT state FROM images WHERE image_id = '" IMAGE "'");
    assert_wait(1, "raw 1048576", "SELECT disk_format || ' ' || virtual_bytes FROM images");
}

static void test_bad_image_is_refused(void)
{
    g_autofree char *path = g_build_filename(region->root, "bad.qcow2", NULL);
    char head[512] = "QFI\xfb\0\0\0\3\0\0\0\0\0\0\2\0\0\0\0\5";

    g_file_set_contents(path, head, sizeof head, NULL);
    test_region_image(region, "ami-00000000000000bad", path);
    assert_wait(10, "failed", "SELECT state FROM images WHERE image_id LIKE '%%bad'");
    assert_wait(1, "t", "SELECT fault LIKE '%%backing file%%' FROM images WHERE image_id LIKE '%%bad'");
}

static void test_life(void)
{
    g_autofree char *id = launch(11);
    g_autofree char *address = address_of(id);

    desire(id, "stopped");
    /* nothing in the guest listens to ACPI: cut the power as somebody with patience would */
    assert_wait(10, "1", "SELECT count(*) FROM history WHERE what LIKE 'asked to shut%%'");
    test_region_do(region, "UPDATE history SET at = at - interval '2 minutes'");
    assert_wait(30, "off", "SELECT seen FROM instances WHERE instance_id = '%s'", id);
    assert_wait(5, "t", "SELECT seen_generation = generation FROM instances WHERE instance_id = '%s'", id);
    desire(id, "running");
    assert_wait(30, "running", "SELECT seen FROM instances WHERE instance_id = '%s'", id);
    desire(id, "terminated");
    assert_terminated(id);
    g_autofree char *left = test_region_left(region);
    g_assert_null(strstr(left, id));
    g_assert_null(strstr(left, address));
}

static void reboot(const char *id, const char *asked)
{
    test_region_do(region, "UPDATE instances SET generation = generation + 1,"
                   " reboot_generation = generation + 1 WHERE instance_id = '%s'", id);
    test_region_do(region, "SELECT pg_notify('berth_wake', 'instance:%s')", id);
    assert_wait(10, asked, "SELECT count(*) FROM history WHERE object_id = '%s'"
                " AND what LIKE 'asked to reboot%%'", id);
    assert_wait(1, "t", "SELECT rebooted_generation < reboot_generation FROM instances"
                " WHERE instance_id = '%s'", id);
}

/* The process of the domain; the same one after a reset, another after a start. */
static char *process_of(const char *id)
{
    g_autofree char *file = g_strdup_printf("/run/libvirt/qemu/%s-%s.pid", region->config->name, id);
    char *pid = NULL;

    g_assert_true(g_file_get_contents(file, &pid, NULL, NULL));
    return pid;
}

static void test_reboot(void)
{
    g_autofree char *id = launch(17);
    g_autofree char *domain = g_strjoin("-", region->config->name, id, NULL);
    g_autofree char *first = process_of(id);

    /* nothing in the guest listens to ACPI: past the grace it is reset */
    reboot(id, "1");
    test_region_do(region, "UPDATE history SET at = at - interval '%d seconds' WHERE object_id = '%s'",
                   (int)region->config->reboot_seconds - 30, id);
    g_usleep(2500000); /* a look at it meanwhile must not reset it: nothing to wait for */
    assert_wait(1, "t", "SELECT rebooted_generation < reboot_generation FROM instances"
                " WHERE instance_id = '%s'", id);
    test_region_do(region, "UPDATE history SET at = at - interval '1 minute' WHERE object_id = '%s'", id);
    assert_wait(30, "t", "SELECT rebooted_generation = generation AND seen_generation = generation"
                " AND seen = 'running' FROM instances WHERE instance_id = '%s'", id);
    g_autofree char *reset = process_of(id);
    g_assert_cmpstr(reset, ==, first);
    assert_wait(1, "1", "SELECT count(*) FROM history WHERE object_id = '%s' AND what = 'boots again'", id);
    /* one that goes down, here by another hand, is started once and has not halted */
    reboot(id, "2");
    virsh("destroy", domain, NULL);
    assert_wait(30, "t", "SELECT rebooted_generation = generation AND seen_generation = generation"
                " AND seen = 'running' FROM instances WHERE instance_id = '%s'", id);
    g_autofree char *started = process_of(id);
    g_assert_cmpstr(started, !=, first);
    assert_wait(1, "0", "SELECT count(*) FROM history WHERE object_id = '%s' AND what LIKE '%%halted%%'", id);
    end(id);
}

static void test_console_is_served(void)
{
    g_autofree char *id = launch(15);

    test_region_do(region, "INSERT INTO console_output (instance_id) VALUES ('%s')", id);
    test_region_do(region, "SELECT pg_notify('berth_wake', 'instance:%s')", id);
    assert_wait(10, "t", "SELECT served = wanted AND output IS NOT NULL AND at IS NOT NULL"
                " FROM console_output WHERE instance_id = '%s'", id);
    test_region_do(region, "UPDATE console_output SET output = NULL WHERE instance_id = '%s'", id);
    desire(id, "terminated");
    assert_terminated(id);
    assert_wait(1, "t", "SELECT output IS NOT NULL FROM console_output WHERE instance_id = '%s'", id);
}

/* sshd's port answers at the guest's address, and its host key's file has a line: as booted. */
static void test_seed_goes_after_first_boot(void)
{
    g_autofree char *id = launch(16);
    g_autofree char *ip = test_region_ask(region, "SELECT host(private_ip) FROM instances"
                                          " WHERE instance_id = '%s'", id);
    g_autofree char *file = g_strdup_printf("/var/lib/libvirt/images/%s-console/%s.hostkey",
                                            region->config->name, id);
    g_autofree char *add = g_strdup_printf("ip address add %s/32 dev lo", ip);
    g_autofree char *del = g_strdup_printf("ip address del %s/32 dev lo", ip);
    g_autofree char *before = test_region_left(region);
    g_autofree char *seed = g_strconcat(id, ".seed.iso", NULL);
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = g_htons(22) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_nonnull(strstr(before, seed));
    g_assert_cmpint(system(add), ==, 0);
    g_assert_cmpint(inet_pton(AF_INET, ip, &here.sin_addr), ==, 1);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&here, sizeof here), ==, 0);
    g_assert_cmpint(listen(fd, 5), ==, 0);
    g_assert_true(g_file_set_contents(file, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6"
                                            "UOoqKLsabgH5C9okWi0dh2l9GKJl\n", -1, NULL));
    assert_wait(20, "t", "SELECT reachable_at IS NOT NULL AND host_keys IS NOT NULL FROM instances"
                " WHERE instance_id = '%s'", id);
    close(fd);
    g_assert_cmpint(system(del), ==, 0);
    g_autofree char *after = test_region_left(region);
    g_assert_null(strstr(after, seed));
    desire(id, "stopped");
    assert_wait(10, "t", "SELECT count(*) > 0 FROM history WHERE object_id = '%s'"
                " AND what LIKE 'asked to shut%%'", id);
    test_region_do(region, "UPDATE history SET at = at - interval '2 minutes'");
    assert_wait(30, "off", "SELECT seen FROM instances WHERE instance_id = '%s'", id);
    desire(id, "running"); /* and boots without it */
    assert_wait(30, "running", "SELECT seen FROM instances WHERE instance_id = '%s'", id);
    end(id);
}

static void test_power_cut_is_told(void)
{
    g_autofree char *id = launch(12);
    g_autofree char *domain = g_strjoin("-", region->config->name, id, NULL);

    virsh("destroy", domain, NULL);
    assert_wait(10, "halted", "SELECT seen FROM instances WHERE instance_id = '%s'", id);
    assert_wait(1, "t", "SELECT transition_reason LIKE '%%not by Berth%%' FROM instances"
                " WHERE instance_id = '%s'", id);
    desire(id, "running");
    assert_wait(30, "running", "SELECT seen FROM instances WHERE instance_id = '%s'", id);
    end(id);
}

static void test_lost_domain_ends_instance(void)
{
    g_autofree char *id = launch(13);
    g_autofree char *domain = g_strjoin("-", region->config->name, id, NULL);

    virsh("undefine", domain, NULL); /* it is transient from now on */
    virsh("destroy", domain, NULL);
    assert_wait(15, "Server.InternalError", "SELECT fault FROM instances WHERE instance_id = '%s'", id);
    assert_wait(15, "t", "SELECT terminated_at IS NOT NULL AND fault_message LIKE '%%vanished%%'"
                " FROM instances WHERE instance_id = '%s'", id);
    g_autofree char *left = test_region_left(region);
    g_assert_null(strstr(left, id));
}

static void test_all_have_ended(void)
{
    for (guint n = 0; n < ending->len; n++)
        assert_terminated(ending->pdata[n]);
    g_autofree char *left = test_region_left(region);
    g_assert_null(strstr(left, "domain"));
    g_assert_null(strstr(left, "address"));
}

static void test_leftover_is_removed(void)
{
    g_autofree char *id = launch(14);
    g_autofree char *address = address_of(id);

    /* its row goes, as if a restored backup did not know it */
    test_region_do(region, "DELETE FROM instances WHERE instance_id = '%s'", id);
    test_region_do(region, "SELECT pg_notify('berth_wake', 'hypervisor:" URI "')");
    for (int i = 0; i < 100; i++) {
        g_autofree char *left = test_region_left(region);
        if (!strstr(left, id) && !strstr(left, address))
            return;
        g_usleep(100000);
    }
    g_assert_not_reached();
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;

    g_test_init(&argc, &argv, NULL);
    if (!test_libvirt_answers(URI)) {
        g_print("1..0 # SKIP no libvirt at " URI "\n");
        return 0;
    }
    test_pg_init();
    ending = g_ptr_array_new_with_free_func(g_free);
    region = test_region_new(URI, 101);
    reconciler = reconcile_start(region->config, region->key, &error);
    g_assert_no_error(error);
    g_test_add_func("/host/comes up with its facts", test_host_comes_up);
    g_test_add_func("/image/raw file is imported", test_image_is_imported);
    g_test_add_func("/image/backing file is refused", test_bad_image_is_refused);
    g_test_add_func("/instance/runs, stops, starts, terminates", test_life);
    g_test_add_func("/instance/reboots by itself, or is reset", test_reboot);
    g_test_add_func("/instance/console is served, and kept to the end", test_console_is_served);
    g_test_add_func("/instance/seed disk goes after the first boot", test_seed_goes_after_first_boot);
    g_test_add_func("/instance/power cut behind our back is told", test_power_cut_is_told);
    g_test_add_func("/instance/lost domain ends it", test_lost_domain_ends_instance);
    g_test_add_func("/instance/domain without a row is removed", test_leftover_is_removed);
    g_test_add_func("/instance/nothing is left of those that ended", test_all_have_ended);
    int status = g_test_run();
    reconcile_stop(reconciler);
    test_region_free(region);
    g_ptr_array_unref(ending);
    return status;
}
