#include "cli/task_show.h"
#include "cli/cluster.h"
#include "cli/verbs.h"

#include <string.h>

#define LABEL_WIDTH 12
#define MB          1000000.0

/* -- pulls */

void task_add_pulls(Cli *cli, json_t *tasks)
{
    json_t *arns = json_array(), *task;
    const json_t *pull;
    size_t n, i;

    json_array_foreach(tasks, n, task)
    {
        const char *status = verb_text(task, "lastStatus");
        if (strcmp(status, "PENDING") == 0 || strcmp(status, "PROVISIONING") == 0)
            json_array_append(arns, json_object_get(task, "taskArn"));
    }
    if (json_array_size(arns) == 0) {
        json_decref(arns);
        return;
    }
    json_t *params = json_pack("{s:s, s:o}", "Cluster", cluster_name(cli), "Tasks", arns);
    json_auto_t *answer = client_call(cli, "berth", "DescribeImagePulls", params, NULL);
    json_array_foreach(tasks, n, task)
    {
        json_t *own = json_array();
        json_array_foreach(json_object_get(answer, "ImagePulls"), i, pull)
        {
            if (strcmp(verb_text(pull, "TaskArn"), verb_text(task, "taskArn")) == 0)
                json_array_append(own, (json_t *)pull);
        }
        if (json_array_size(own))
            json_object_set(task, "imagePulls", own);
        json_decref(own);
    }
}

static gint64 number(const json_t *tree, const char *name)
{
    return json_integer_value(json_object_get(tree, name));
}

static char *pull_text(const json_t *pull)
{
    const char *status = verb_text(pull, "Status");

    if (strcmp(status, "FAILED") == 0)
        return g_strdup("failed, trying again");
    if (strcmp(status, "PULLED") == 0)
        return g_strdup("pulled");
    if (strcmp(status, "EXTRACTING") == 0)
        return g_strdup_printf("unpacking %" G_GINT64_FORMAT "/%" G_GINT64_FORMAT " layers",
                               number(pull, "LayersDone"), number(pull, "Layers"));
    return g_strdup_printf("%" G_GINT64_FORMAT " %% %.1f/%.1f MB", number(pull, "Percent"),
                           (double)number(pull, "CurrentBytes") / MB,
                           (double)number(pull, "TotalBytes") / MB);
}

char *task_pull_words(const json_t *task)
{
    const json_t *pulls = json_object_get(task, "imagePulls");
    const json_t *first = json_array_get(pulls, 0);

    if (!first)
        return g_strdup("");
    g_autofree char *text = pull_text(first);
    gsize more = json_array_size(pulls) - 1;
    return more ? g_strdup_printf("%.20s: %s, and %zu more", verb_text(first, "ContainerName"),
                                  text, more)
                : g_strdup_printf("%.20s: %s", verb_text(first, "ContainerName"), text);
}

/* -- one task */

typedef struct {
    const char *label;
    const char *path;
    ColumnForm form;
} Line;

static const Line lines[] = {
    { "task", "taskArn", FORM_TAIL },
    { "definition", "taskDefinitionArn", FORM_TAIL },
    { "status", "lastStatus", FORM_TEXT },
    { "wanted", "desiredStatus", FORM_TEXT },
    { "health", "healthStatus", FORM_TEXT },
    { "group", "group", FORM_TEXT },
    { "placed on", "containerInstanceArn", FORM_TAIL },
    { "zone", "availabilityZone", FORM_TEXT },
    { "agent", "connectivity", FORM_TEXT },
    { "created", "createdAt", FORM_TIME },
    { "pull began", "pullStartedAt", FORM_TIME },
    { "pull ended", "pullStoppedAt", FORM_TIME },
    { "started", "startedAt", FORM_TIME },
    { "stopping", "stoppingAt", FORM_TIME },
    { "stopped", "stoppedAt", FORM_TIME },
    { "stop code", "stopCode", FORM_TEXT },
};

/* A label and a text that may be longer than a line. */
static void print_long(const char *label, const char *text)
{
    const gsize width = 80 - LABEL_WIDTH - 1;

    while (*text) {
        gsize left = (gsize)g_utf8_strlen(text, -1);
        g_autofree char *piece = g_utf8_substring(text, 0, (glong)MIN(left, width));
        ui_print("%-*s %s", LABEL_WIDTH, label, piece);
        text += strlen(piece);
        label = "";
    }
}

static const json_t *pull_of(const json_t *task, const char *container)
{
    const json_t *pull;
    size_t n;

    json_array_foreach(json_object_get(task, "imagePulls"), n, pull)
    {
        if (strcmp(verb_text(pull, "ContainerName"), container) == 0)
            return pull;
    }
    return NULL;
}

/* Rows of the table: a container, and how far its image is. */
static json_t *container_rows(const json_t *task)
{
    json_t *rows = json_array();
    const json_t *container;
    size_t n;

    json_array_foreach(json_object_get(task, "containers"), n, container)
    {
        json_t *row = json_copy((json_t *)container);
        const json_t *pull = pull_of(task, verb_text(container, "name"));
        if (pull) {
            g_autofree char *text = pull_text(pull);
            json_object_set_new(row, "pull", json_string(text));
        }
        json_array_append_new(rows, row);
    }
    return rows;
}

static void print_ports(const json_t *container)
{
    const json_t *binding;
    size_t n;

    json_array_foreach(json_object_get(container, "networkBindings"), n, binding)
    {
        const char *range = verb_text(binding, "hostPortRange");
        if (*range)
            ui_print("%-*s %s:%s -> %s/%s", LABEL_WIDTH, "", verb_text(binding, "bindIP"), range,
                     verb_text(binding, "containerPortRange"), verb_text(binding, "protocol"));
        else
            ui_print("%-*s %s:%" G_GINT64_FORMAT " -> %" G_GINT64_FORMAT "/%s", LABEL_WIDTH, "",
                     verb_text(binding, "bindIP"), number(binding, "hostPort"),
                     number(binding, "containerPort"), verb_text(binding, "protocol"));
    }
}

/* What a container has beyond its row. */
static void print_container(const json_t *task, const json_t *container)
{
    const json_t *pull = pull_of(task, verb_text(container, "name"));
    const char *details[] = { verb_text(container, "imageDigest"), verb_text(container, "reason"),
                              pull ? verb_text(pull, "Reason") : "" };
    const char *label = verb_text(container, "name");
    gboolean any = json_array_size(json_object_get(container, "networkBindings")) > 0;

    for (gsize i = 0; i < G_N_ELEMENTS(details); i++)
        any = any || *details[i];
    if (!any)
        return;
    ui_print("%s%s%s", ui_dim(), label, ui_plain());
    for (gsize i = 0; i < G_N_ELEMENTS(details); i++)
        print_long("", details[i]);
    print_ports(container);
}

static void print_task(const json_t *task)
{
    static const Column columns[] = {
        { "CONTAINER", "name", FORM_TEXT },
        { "STATUS", "lastStatus", FORM_TEXT },
        { "HEALTH", "healthStatus", FORM_TEXT },
        { "EXIT", "exitCode", FORM_TEXT },
        { "PULL", "pull", FORM_TEXT },
        { "IMAGE", "image", FORM_TEXT },
        { 0 },
    };
    json_auto_t *rows = container_rows(task);
    const json_t *container;
    size_t n;

    for (gsize i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *text = ui_cell(task, lines[i].path, lines[i].form);
        if (strcmp(text, "-") != 0)
            print_long(lines[i].label, text);
    }
    print_long("reason", verb_text(task, "stoppedReason"));
    ui_print("%s", "");
    ui_table(columns, rows, FALSE);
    json_array_foreach(rows, n, container) print_container(task, container);
}

void task_print(const json_t *tasks)
{
    const json_t *task;
    size_t n;

    json_array_foreach(tasks, n, task)
    {
        if (n)
            ui_print("%s", "");
        print_task(task);
    }
}
