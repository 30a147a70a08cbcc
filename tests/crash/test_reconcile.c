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

#define URI        "qemu:///system"
#define LONGEST_MS 60000

typedef struct {
    char *name;
    gboolean killed; /* a process died there, and the journey went on to its end */
} Point;

static TestRegion *region;
static char *self, *config_file, *trace_file, *disk;
static guint journeys;
static GPtrArray *points; /* Point, in the order in which a journey passes them */

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

/* The process, and the point at which it is to die: when it has, another one is to die at the next
 * point that is left, so that one journey is cut off many times. */
typedef struct {
    pid_t pid;
    const char *trace; /* NULL: none is kept */
    guint point;       /* of points; its length: none is left */
} Child;

static guint point_left(guint from)
{
    while (from < points->len && ((Point *)points->pdata[from])->killed)
        from++;
    return from;
}

static void child_exec(const Child *child)
{
    if (child->trace)
        setenv("BERTH_FAULT_TRACE", child->trace, 1);
    if (child->point < points->len) {
        const Point *point = points->pdata[child->point];
        g_autofree char *value = g_strconcat(point->name, ":1", NULL);
        setenv("BERTH_FAULT", value, 1);
    }
    execl(self, self, "--child", config_file, NULL);
    _exit(127);
}

static void child_start(Child *child)
{
    child->pid = fork();
    if (child->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
        child_exec(child);
    }
    g_assert_cmpint(child->pid, >, 0);
}

/* One that died as it was to is followed by the next; one that died otherwise is a failure. */
static void child_look(Child *child)
{
    int status = 0;

    if (waitpid(child->pid, &status, WNOHANG) != child->pid)
        return;
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    g_assert_cmpuint(child->point, <, points->len);
    ((Point *)points->pdata[child->point])->killed = TRUE;
    child->point = point_left(child->point + 1);
    child_start(child);
}

static void child_end(Child *child)
{
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
}

/* ---- a journey: an image, an instance that runs, its end */

static gboolean reached(Child *child, const char *expected, const char *sql)
{
    gint64 deadline_ms = clock_mono_ms() + LONGEST_MS;

    while (clock_mono_ms() < deadline_ms) {
        g_autofree char *answer = test_region_ask(region, "%s", sql);
        child_look(child);
        if (strcmp(answer, expected) == 0)
            return TRUE;
        g_usleep(30000);
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

/* Without trials of KVM: one whose process was killed is removed when it is a minute old. */
static guint count_own(const char *left, const char *what)
{
    g_autofree char *all = g_strconcat(what, " ", NULL);
    g_autofree char *trials = g_strconcat(all, "kvm-trial-", NULL);

    return count_lines(left, all) - count_lines(left, trials);
}

static guint count_left(const char *left)
{
    return count_own(left, "domain") + count_own(left, "address") + count_own(left, "volume") +
           count_own(left, "file");
}

static void assert_nothing_left(Child *child)
{
    for (int i = 0; i < 80; i++) {
        child_look(child);
        g_autofree char *left = test_region_left(region);
        if (count_left(left) == 0)
            return;
        wake("hypervisor", URI);
        g_usleep(250000);
    }
    g_autofree char *left = test_region_left(region);
    g_assert_cmpstr(left, ==, "");
}

static char *launch(Child *child, guint number, const char *image)
{
    char *id = test_region_instance(region, image, number, 64);
    g_autofree char *seen =
        g_strdup_printf("SELECT seen FROM instances WHERE instance_id = '%s'", id);

    g_assert_true(reached(child, "running", seen));
    g_autofree char *running = test_region_left(region);
    g_assert_cmpuint(count_own(running, "domain"), ==, 1);
    g_assert_cmpuint(count_lines(running, "address "), ==, 1);
    g_assert_cmpuint(count_lines(running, "volume i-"), ==, 2);
    return id;
}

static void terminate(Child *child, const char *id)
{
    g_autofree char *ended = g_strdup_printf(
        "SELECT terminated_at IS NOT NULL FROM instances WHERE instance_id = '%s'", id);

    test_region_do(region, "UPDATE instances SET desired = 'terminated',"
                   " generation = generation + 1 WHERE instance_id = '%s'", id);
    wake("instance", id);
    g_assert_true(reached(child, "t", ended));
}

/* From the given point on; with trace, no process dies. */
static void journey(const char *trace, guint point)
{
    guint number = ++journeys;
    Child child = { .trace = trace, .point = point };
    g_autofree char *image = g_strdup_printf("ami-%017u", number);
    g_autofree char *state =
        g_strdup_printf("SELECT state FROM images WHERE image_id = '%s'", image);

    if (number <= 2 || g_str_has_prefix(((Point *)points->pdata[point])->name, "host."))
        test_region_do(region, "UPDATE hosts SET check_generation = check_generation + 1");
    test_region_image(region, image, disk);
    child_start(&child);
    g_assert_true(
        reached(&child, "up", "SELECT state FROM hosts WHERE check_generation = seen_generation"));
    g_assert_true(reached(&child, "available", state));
    g_autofree char *id = launch(&child, number, image);
    terminate(&child, id);
    test_region_do(region, "UPDATE images SET desired = 'deregistered' WHERE image_id = '%s'", image);
    wake("image", image);
    g_assert_true(reached(&child, "deregistered", state));
    assert_nothing_left(&child);
    child_end(&child);
}

/* A journey that was cut off at earlier points may have been cut off at this one too. */
static void test_killed_at(gconstpointer point)
{
    const Point *this = points->pdata[GPOINTER_TO_UINT(point)];

    if (!this->killed)
        journey(NULL, GPOINTER_TO_UINT(point));
    g_assert_true(this->killed);
}

static gboolean same_name(gconstpointer point, gconstpointer name)
{
    return strcmp(((const Point *)point)->name, name) == 0;
}

/* Names of the fault points that a journey passes, each once. */
static void points_of_a_journey(void)
{
    g_autofree char *text = NULL;

    points = g_ptr_array_new();
    journey(trace_file, 0);
    g_assert_true(g_file_get_contents(trace_file, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        if (!**line || g_ptr_array_find_with_equal_func(points, *line, same_name, NULL))
            continue;
        Point *point = g_new0(Point, 1);
        point->name = g_strdup(*line);
        g_ptr_array_add(points, point);
    }
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
    points_of_a_journey();
    g_assert_cmpuint(points->len, >=, 18);
    for (guint i = 0; i < points->len; i++) {
        const Point *point = points->pdata[i];
        g_autofree char *name = g_strconcat("/killed at/", point->name, NULL);
        g_test_add_data_func(name, GUINT_TO_POINTER(i), test_killed_at);
    }
    int status = g_test_run();
    test_region_free(region);
    return status;
}
