#include "agent/cgroup.h"
#include "base/errors.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARENT "ecs"

/* Hierarchies of the first version that Docker uses; a group of the second is in one alone. */
static const char *const hierarchies[] = { "cpu", "memory" };

static gboolean is_unified(const char *root)
{
    g_autofree char *path = g_build_filename(root, "cgroup.controllers", NULL);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static gboolean write_value(const char *dir, const char *file, const char *value, GError **error)
{
    g_autofree char *path = g_build_filename(dir, file, NULL);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    gboolean written = fd >= 0 && write(fd, value, strlen(value)) == (gssize)strlen(value);
    int cause = errno;

    if (fd >= 0)
        close(fd);
    return written ||
           fail(error, DOCKER, "cannot write %s to \"%s\": %s", value, path, g_strerror(cause));
}

static gboolean write_number(const char *dir, const char *file, gint64 value, GError **error)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);

    return write_value(dir, file, text, error);
}

static gboolean make_dir(const char *path, GError **error)
{
    return mkdir(path, 0755) == 0 || errno == EEXIST ||
           fail(error, DOCKER, "cannot make \"%s\": %s", path, g_strerror(errno));
}

/* -- the first version */

static gboolean limit_v1(const char *name, const char *dir, const AgentCgroupLimits *limits,
                         GError **error)
{
    if (strcmp(name, "memory") == 0)
        return limits->memory_bytes == 0 ||
               write_number(dir, "memory.limit_in_bytes", limits->memory_bytes, error);
    return write_number(dir, "cpu.shares", limits->shares, error) &&
           (limits->quota_us == 0 ||
            (write_number(dir, "cpu.cfs_period_us", CGROUP_PERIOD_US, error) &&
             write_number(dir, "cpu.cfs_quota_us", limits->quota_us, error)));
}

static gboolean make_v1(const char *root, const char *task_id, const AgentCgroupLimits *limits,
                        GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(hierarchies); i++) {
        g_autofree char *parent = g_build_filename(root, hierarchies[i], PARENT, NULL);
        g_autofree char *dir = g_build_filename(parent, task_id, NULL);
        if (!make_dir(parent, error) || !make_dir(dir, error) ||
            !limit_v1(hierarchies[i], dir, limits, error))
            return FALSE;
    }
    return TRUE;
}

/* -- the second */

/* As container runtimes map shares (2 to 262144) to weights (1 to 10000). */
static gint64 weight_of(gint64 shares)
{
    return 1 + (CLAMP(shares, 2, 262144) - 2) * 9999 / 262142;
}

static gboolean make_v2(const char *root, const char *task_id, const AgentCgroupLimits *limits,
                        GError **error)
{
    g_autofree char *parent = g_build_filename(root, PARENT, NULL);
    g_autofree char *dir = g_build_filename(parent, task_id, NULL);
    g_autofree char *quota =
        g_strdup_printf("%" G_GINT64_FORMAT " %d", limits->quota_us, CGROUP_PERIOD_US);

    return make_dir(parent, error) && make_dir(dir, error) &&
           write_value(root, "cgroup.subtree_control", "+cpu +memory", error) &&
           write_value(parent, "cgroup.subtree_control", "+cpu +memory", error) &&
           write_number(dir, "cpu.weight", weight_of(limits->shares), error) &&
           (limits->quota_us == 0 || write_value(dir, "cpu.max", quota, error)) &&
           (limits->memory_bytes == 0 ||
            write_number(dir, "memory.max", limits->memory_bytes, error));
}

gboolean agent_cgroup_make(Docker *docker, const char *root, const char *task_id,
                           const AgentCgroupLimits *limits, char **ret_parent, GError **error)
{
    g_autofree char *driver = docker_cgroup_driver(docker, error);
    g_autofree char *first = g_build_filename(root, hierarchies[0], NULL);
    gboolean unified = is_unified(root);

    *ret_parent = NULL;
    if (!driver)
        return FALSE;
    if (strcmp(driver, "cgroupfs") != 0 || (!unified && access(first, W_OK) != 0))
        return TRUE;
    if (limits->alone) {
        *ret_parent = g_strdup("/" PARENT);
        return TRUE;
    }
    if (unified ? !make_v2(root, task_id, limits, error) : !make_v1(root, task_id, limits, error))
        return FALSE;
    *ret_parent = g_strconcat("/" PARENT "/", task_id, NULL);
    return TRUE;
}

gboolean agent_cgroup_remove(const char *root, const char *task_id)
{
    static const char *const every[] = { "",           "blkio",   "cpu",     "cpuacct", "cpuset",
                                         "devices",    "freezer", "memory",  "net_cls", "net_prio",
                                         "perf_event", "pids",    "hugetlb", "rdma",    "systemd",
                                         "unified",    "misc" };
    gboolean gone = TRUE;

    for (gsize i = 0; i < G_N_ELEMENTS(every); i++) {
        g_autofree char *dir = g_build_filename(root, every[i], PARENT, task_id, NULL);
        gone = (rmdir(dir) == 0 || errno != EBUSY) && gone;
    }
    return gone;
}
