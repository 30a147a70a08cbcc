#include "agent/state.h"
#include "agent/payload.h"
#include "agent/place.h"
#include "base/errors.h"
#include "base/fault.h"
#include "base/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define FILE_MODE 0600

static gboolean sync_path(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return fail(error, CONFIG, "cannot open \"%s\": %s", path, g_strerror(errno));
    int bad = fsync(fd);
    int cause = errno;
    close(fd);
    return bad == 0 || fail(error, CONFIG, "cannot sync \"%s\": %s", path, g_strerror(cause));
}

static gboolean write_all(const char *path, const char *text, GError **error)
{
    gsize length = strlen(text), done = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);

    if (fd < 0)
        return fail(error, CONFIG, "cannot write \"%s\": %s", path, g_strerror(errno));
    while (done < length) {
        gssize count = write(fd, text + done, length - done);
        if (count < 0 && errno != EINTR)
            break;
        done += count > 0 ? (gsize)count : 0;
    }
    int cause = errno;
    close(fd);
    return done == length ||
           fail(error, CONFIG, "cannot write \"%s\": %s", path, g_strerror(cause));
}

static gboolean save_tree(const char *dir, const char *name, const json_t *tree, GError **error)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *beside = g_strconcat(path, ".new", NULL);
    g_autoptr(JsonText) text = json_dumps(tree, JSON_COMPACT);

    if (!text)
        return fail(error, INTERNAL, "cannot write \"%s\": the tree is no JSON", path);
    if (!write_all(beside, text, error) || !sync_path(beside, error))
        return FALSE;
    if (rename(beside, path) < 0)
        return fail(error, CONFIG, "cannot rename \"%s\": %s", beside, g_strerror(errno));
    return sync_path(dir, error);
}

static json_t *load_tree(const char *path, GError **error)
{
    json_error_t cause;
    json_t *tree = json_load_file(path, 0, &cause);

    return tree ? tree : fail_null(error, CONFIG, "cannot read \"%s\": %s", path, cause.text);
}

gboolean agent_state_keep(const char *dir, const char *name, const json_t *tree, GError **error)
{
    return save_tree(dir, name, tree, error);
}

json_t *agent_state_kept(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    return json_load_file(path, 0, NULL);
}

static char *dup_text(const json_t *tree, const char *key)
{
    return g_strdup(json_string_value(json_object_get(tree, key)));
}

static char *tasks_dir(const AgentState *state)
{
    return g_build_filename(state->dir, "tasks", NULL);
}

/* Renames what another machine's agent left (a copied disk) out of the way. */
static gboolean set_aside(AgentState *state, GError **error)
{
    const char *const names[] = { "state.json", "tasks" };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *from = g_build_filename(state->dir, names[i], NULL);
        g_autofree char *to = g_strdup_printf("%s.of-%s", from, state->instance_id);
        if (rename(from, to) < 0 && errno != ENOENT)
            return fail(error, CONFIG, "cannot set \"%s\" aside: %s", from, g_strerror(errno));
    }
    g_clear_pointer(&state->arn, g_free);
    g_clear_pointer(&state->cluster, g_free);
    state->timeline = 0;
    return TRUE;
}

static gboolean read_state(AgentState *state, GError **error)
{
    g_autofree char *path = g_build_filename(state->dir, "state.json", NULL);

    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return TRUE;
    json_auto_t *tree = load_tree(path, error);
    if (!tree)
        return FALSE;
    state->cluster = dup_text(tree, "cluster");
    state->instance_id = dup_text(tree, "instance_id");
    state->arn = dup_text(tree, "container_instance_arn");
    state->timeline = json_integer_value(json_object_get(tree, "timeline"));
    return TRUE;
}

/* A file that the living agent holds locked; -1 when it cannot be opened. */
static int open_lock(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "lock", NULL);

    return open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
}

gboolean agent_state_is_used(const char *dir)
{
    int fd = open_lock(dir);
    gboolean used = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;

    if (fd >= 0)
        close(fd);
    return used;
}

/* Not something kept in the directory, which is to be told when that is lost. */
static gboolean name_owner(AgentState *state, GError **error)
{
    g_autofree char *place = agent_place(state->dir, error);

    state->owner = place ? g_strconcat(state->instance_id, ":", place, NULL) : NULL;
    return place != NULL;
}

AgentState *agent_state_open(const char *dir, const char *instance_id, GError **error)
{
    g_autoptr(AgentState) state = g_new0(AgentState, 1);
    g_autofree char *tasks = g_build_filename(dir, "tasks", NULL);

    state->dir = g_strdup(dir);
    state->lock_fd = -1;
    if (g_mkdir_with_parents(dir, 0700) < 0)
        return fail_null(error, CONFIG, "cannot make \"%s\": %s", dir, g_strerror(errno));
    state->lock_fd = open_lock(dir);
    if (state->lock_fd < 0 || flock(state->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return fail_null(error, CONFIG, "cannot claim \"%s\", is another agent at work? %s", dir,
                         g_strerror(errno));
    if (!read_state(state, error))
        return NULL;
    gboolean known = state->instance_id && *state->instance_id && *instance_id;
    if (known && strcmp(state->instance_id, instance_id) != 0 && !set_aside(state, error))
        return NULL;
    g_free(state->instance_id);
    state->instance_id = g_strdup(instance_id);
    if (g_mkdir_with_parents(tasks, 0700) < 0)
        return fail_null(error, CONFIG, "cannot make \"%s\": %s", tasks, g_strerror(errno));
    if (!name_owner(state, error))
        return NULL;
    return g_steal_pointer(&state);
}

void agent_state_free(AgentState *state)
{
    if (!state)
        return;
    if (state->lock_fd >= 0)
        close(state->lock_fd);
    g_free(state->dir);
    g_free(state->cluster);
    g_free(state->instance_id);
    g_free(state->arn);
    g_free(state->owner);
    g_free(state);
}

gboolean agent_state_save(const AgentState *state, GError **error)
{
    json_auto_t *tree = json_pack("{s:s?, s:s?, s:s?, s:I}", "cluster", state->cluster,
                                  "instance_id", state->instance_id, "container_instance_arn",
                                  state->arn, "timeline", (json_int_t)state->timeline);

    gboolean saved = save_tree(state->dir, "state.json", tree, error);
    FAULT_POINT("agent.state_saved");
    return saved;
}

static AgentTask *load_task(const char *path, GError **error)
{
    json_auto_t *tree = load_tree(path, error);
    json_t *payload = json_object_get(tree, "payload");
    const char *arn = NULL;
    g_autofree char *id = NULL;

    if (!tree)
        return NULL;
    if (json_object_size(payload) > 0) {
        g_autoptr(AgentTask) task = agent_payload_task(payload, error);
        if (task && agent_task_restore(task, tree, error))
            return g_steal_pointer(&task);
        return NULL;
    }
    if (!agent_payload_arn(tree, &arn, &id))
        return fail_null(error, CONFIG, "\"%s\" is no saved task", path);
    g_autoptr(AgentTask) bare = agent_task_new(arn, id);
    return agent_task_restore(bare, tree, error) ? g_steal_pointer(&bare) : NULL;
}

GPtrArray *agent_state_tasks(const AgentState *state, guint *ret_bad, GError **error)
{
    g_autoptr(GPtrArray) tasks = g_ptr_array_new_with_free_func((GDestroyNotify)agent_task_free);
    g_autofree char *dir_path = tasks_dir(state);
    g_autoptr(GError) cause = NULL;
    g_autoptr(GDir) dir = g_dir_open(dir_path, 0, &cause);
    const char *name;

    *ret_bad = 0;
    if (!dir)
        return fail_null(error, CONFIG, "cannot list \"%s\": %s", dir_path, cause->message);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(dir_path, name, NULL);
        g_autoptr(GError) bad = NULL;
        if (!g_str_has_suffix(name, ".json"))
            continue;
        AgentTask *task = load_task(path, &bad);
        if (task) {
            g_ptr_array_add(tasks, task);
            continue;
        }
        g_autofree char *aside = g_strconcat(path, ".bad", NULL);
        if (rename(path, aside) == 0)
            ++*ret_bad;
    }
    return g_steal_pointer(&tasks);
}

gboolean agent_state_save_task(const AgentState *state, const AgentTask *task, GError **error)
{
    g_autofree char *dir = tasks_dir(state);
    g_autofree char *name = g_strconcat(task->id, ".json", NULL);
    json_auto_t *tree = agent_task_save(task);

    gboolean saved = save_tree(dir, name, tree, error);
    FAULT_POINT("agent.task_saved");
    return saved;
}

gboolean agent_state_drop_task(const AgentState *state, const AgentTask *task, GError **error)
{
    g_autofree char *name = g_strconcat(task->id, ".json", NULL);
    g_autofree char *dir = tasks_dir(state);
    g_autofree char *path = g_build_filename(dir, name, NULL);

    if (unlink(path) < 0 && errno != ENOENT)
        return fail(error, CONFIG, "cannot remove \"%s\": %s", path, g_strerror(errno));
    return TRUE;
}

gboolean agent_state_has_file(const AgentState *state, const char *task_id)
{
    g_autoptr(GDir) dir = g_dir_open(state->dir, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        if (!g_str_has_prefix(name, "tasks"))
            continue;
        g_autofree char *path = g_strconcat(state->dir, "/", name, "/", task_id, ".json", NULL);
        g_autofree char *bad = g_strconcat(path, ".bad", NULL);
        if (g_file_test(path, G_FILE_TEST_EXISTS) || g_file_test(bad, G_FILE_TEST_EXISTS))
            return TRUE;
    }
    return FALSE;
}
