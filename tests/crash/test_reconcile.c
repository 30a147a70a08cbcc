/*
 * The steps of hosts, images and instances are killed at each of their fault points in turn, on
 * real libvirt; a new process goes on, reaches what is wanted, and leaves nothing behind.
 */
#include "../lib/region.h"
#include "base/clock.h"
#include "base/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define URI       "qemu:///system"
#define KILLED_MS 20000

static TestRegion *region;
static char *self, *config_file, *trace_file, *disk;
static guint journeys;

/* ---- the process that is killed */

static G_GNUC_NORETURN void child_main(const char *file)
{
    g_autoptr(GError) error = NULL;
    guint8 key[CRYPTO_KEY_SIZE];
    g_autoptr(Config) config = config_load(file, &error);

    fault_init();
    memset(key, 7, sizeof key);
    if (!config || !reconcile_start(config, key, &error))
        g_error("%s", error->message);
    for (;;)
        pause();
}

static pid_t child_start(const char *variable, const char *value)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
        if (variable)
            setenv(variable, value, 1);
        execl(self, self, "--child", config_file, NULL);
        _exit(127);
    }
    g_assert_cmpint(pid, >, 0);
    return pid;
}

static void child_end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* ---- a journey: an image, an instance that runs, its end */

static gboolean reached(pid_t *pid, const char *expected, const char *sql)
{
    gint64 deadline_ms = clock_mono_ms() + KILLED_MS;

    while (clock_mono_ms() < deadline_ms) {
        g_autofree char *answer = test_region_ask(region, "%s", sql);
        if (strcmp(answer, expected) == 0)
            return TRUE;
        if (waitpid(*pid, NULL, WNOHANG) == *pid)
            *pid = child_start(NULL, NULL);
        g_usleep(20000);
    }
    return test_region_wait(region, 1, expected, "%s", sql);
}

static guint count_lines(const char *text, const char *prefix)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint count = 0;

    for (char **line = lines; *line; line++)
        count += g_str_has_prefix(*line, prefix);
    return count;
}

static void wake(const char *kind, const char *id)
{
    test_region_do(region, "SELECT pg_notify('berth_wake', '%s:%s')", kind, id);
}

/* A trial of KVM that was killed is removed when it is a minute old: not waited for here. */
static guint count_left(const char *left)
{
    return count_lines(left, "domain ") + count_lines(left, "address ") +
           count_lines(left, "volume ") - count_lines(left, "volume kvm-trial-") +
           count_lines(left, "file ") - count_lines(left, "file kvm-trial-");
}

static void assert_nothing_left(pid_t *pid)
{
    for (int i = 0; i < 40; i++) {
        if (waitpid(*pid, NULL, WNOHANG) == *pid)
            *pid = child_start(NULL, NULL);
        g_autofree char *left = test_region_left(region);
        if (count_left(left) == 0)
            return;
        wake("hypervisor", URI);
        g_usleep(250000);
    }
    g_autofree char *left = test_region_left(region);
    g_assert_cmpstr(left, ==, "");
}

static void journey(const char *variable, const char *value)
{
    guint number = ++journeys;
    g_autofree char *image = g_strdup_printf("ami-%017u", number);
    g_autofree char *imported =
        g_strdup_printf("SELECT state FROM images WHERE image_id = '%s'", image);

    if (number == 1 || strstr(value, "host.")) /* a check tries KVM, which takes a second */
        test_region_do(region, "UPDATE hosts SET check_generation = check_generation + 1");
    test_region_image(region, image, disk);
    pid_t pid = child_start(variable, value);
    g_assert_true(reached(&pid, "up", "SELECT state FROM hosts WHERE check_generation = seen_generation"));
    g_assert_true(reached(&pid, "available", imported));
    g_autofree char *id = test_region_instance(region, image, number, 64);
    g_autofree char *seen =
        g_strdup_printf("SELECT seen FROM instances WHERE instance_id = '%s'", id);
    g_autofree char *ended = g_strdup_printf(
        "SELECT terminated_at IS NOT NULL FROM instances WHERE instance_id = '%s'", id);
    g_assert_true(reached(&pid, "running", seen));
    g_autofree char *running = test_region_left(region);
    g_assert_cmpuint(count_lines(running, "domain "), ==, 1);
    g_assert_cmpuint(count_lines(running, "address "), ==, 1);
    g_assert_cmpuint(count_lines(running, "volume i-"), ==, 2);
    test_region_do(region, "UPDATE instances SET desired = 'terminated',"
                   " generation = generation + 1 WHERE instance_id = '%s'", id);
    wake("instance", id);
    g_assert_true(reached(&pid, "t", ended));
    test_region_do(region, "UPDATE images SET desired = 'deregistered' WHERE image_id = '%s'", image);
    wake("image", image);
    g_assert_true(reached(&pid, "deregistered", imported));
    assert_nothing_left(&pid);
    child_end(pid);
}

static void test_killed_at(gconstpointer point)
{
    g_autofree char *value = g_strconcat(point, ":1", NULL);

    journey("BERTH_FAULT", value);
}

/* Names of the fault points that a journey passes, each once. */
static GPtrArray *points_of_a_journey(void)
{
    GPtrArray *points = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *text = NULL;

    journey("BERTH_FAULT_TRACE", trace_file);
    g_assert_true(g_file_get_contents(trace_file, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        if (**line && !g_ptr_array_find_with_equal_func(points, *line, g_str_equal, NULL))
            g_ptr_array_add(points, g_strdup(*line));
    return points;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--child") == 0)
        child_main(argv[2]);
    g_test_init(&argc, &argv, NULL);
    if (!test_libvirt_answers(URI)) {
        g_print("1..0 # SKIP no libvirt at " URI "\n");
        return 0;
    }
    test_pg_init();
    region = test_region_new(URI, 103);
    self = g_file_read_link("/proc/self/exe", NULL);
    config_file = g_build_filename(region->root, "berth.conf", NULL);
    trace_file = g_build_filename(region->root, "trace", NULL);
    disk = test_region_empty_disk(region);
    g_autofree char *text = config_text(region->config);
    g_file_set_contents(config_file, text, -1, NULL);
    g_autoptr(GPtrArray) points = points_of_a_journey();
    g_assert_cmpuint(points->len, >=, 12);
    for (guint i = 0; i < points->len; i++) {
        g_autofree char *name = g_strdup_printf("/killed at/%s", (char *)points->pdata[i]);
        g_test_add_data_func(name, points->pdata[i], test_killed_at);
    }
    int status = g_test_run();
    test_region_free(region);
    return status;
}
