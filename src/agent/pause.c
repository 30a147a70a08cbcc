#include "agent/pause.h"
#include "agent/names.h"
#include "base/errors.h"
#include "drivers/docker_image.h"

#include "agent/pause_program.h" /* static const unsigned char pause_program[]: made by make */

#include <string.h>

#define TAR_BLOCK 512

static gboolean shares(const AgentTask *task, const char *member)
{
    return g_strcmp0(json_string_value(json_object_get(task->payload, member)), "task") == 0;
}

void agent_pause_add(AgentTask *task)
{
    guint count = task->containers->len;
    const AgentDepend on_pause = { count, DEPEND_START };

    if (task->want != WANT_RUNNING || (!shares(task, "pidMode") && !shares(task, "ipcMode")))
        return;
    AgentContainer *pause = agent_task_add(task, AGENT_PAUSE_NAME);
    task->pause_spec = json_pack("{s:{s:s, s:s}}", "dockerConfig", "config",
                                 "{\"StopSignal\": \"SIGKILL\"}", "hostConfig",
                                 "{\"NetworkMode\": \"none\", \"LogConfig\": {\"Type\": \"none\"},"
                                 " \"ReadonlyRootfs\": true, \"CapDrop\": [\"ALL\"]}");
    pause->spec = task->pause_spec;
    pause->internal = TRUE;
    pause->essential = TRUE;
    pause->stop_timeout_s = 1;
    pause->image = g_strdup(AGENT_PAUSE_IMAGE);
    pause->docker_name = agent_name_container(task, pause->name);
    for (guint i = 0; i < count; i++)
        g_array_append_val(agent_task_container(task, i)->depends, on_pause);
}

const AgentContainer *agent_pause_of(const AgentTask *task)
{
    int index = agent_task_find(task, AGENT_PAUSE_NAME);

    return index >= 0 ? agent_task_container(task, (guint)index) : NULL;
}

/* -- the image: a tar of one file */

static void write_octal(char *field, gsize size, gsize value)
{
    g_snprintf(field, size, "%0*" G_GSIZE_MODIFIER "o", (int)size - 1, value);
}

/* Offsets and sizes are those of a ustar header. */
static GString *image_tar(void)
{
    gsize blocks = (sizeof pause_program + TAR_BLOCK - 1) / TAR_BLOCK;
    GString *tar = g_string_sized_new((blocks + 3) * TAR_BLOCK);
    guint sum = 0;

    g_string_set_size(tar, (blocks + 3) * TAR_BLOCK); /* two empty blocks end it */
    memset(tar->str, 0, tar->len);
    memcpy(tar->str, "pause", strlen("pause"));
    write_octal(tar->str + 100, 8, 0755);
    write_octal(tar->str + 108, 8, 0);
    write_octal(tar->str + 116, 8, 0);
    write_octal(tar->str + 124, 12, sizeof pause_program);
    write_octal(tar->str + 136, 12, 0);
    tar->str[156] = '0';
    memcpy(tar->str + 257, "ustar\00000", 8);
    memset(tar->str + 148, ' ', 8);
    for (guint i = 0; i < TAR_BLOCK; i++)
        sum += (guchar)tar->str[i];
    write_octal(tar->str + 148, 7, sum);
    memcpy(tar->str + TAR_BLOCK, pause_program, sizeof pause_program);
    return tar;
}

gboolean agent_pause_make_image(Docker *docker, GError **error)
{
    g_autoptr(GError) absent = NULL;
    g_autofree char *digest = NULL;

    if (docker_image(docker, AGENT_PAUSE_IMAGE, &digest, &absent))
        return TRUE;
    if (!error_is(absent, ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&absent));
        return FALSE;
    }
    g_autoptr(GString) tar = image_tar();
    return docker_import(docker, AGENT_PAUSE_REPO, AGENT_PAUSE_TAG, "ENTRYPOINT [\"/pause\"]",
                         tar->str, tar->len, error);
}
