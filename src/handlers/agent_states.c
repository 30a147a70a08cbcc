/* What agents report: states of tasks and containers. Reports are idempotent; later never becomes
 * earlier. An agent sends a report for ever unless it is taken or is INVALID_PARAMETER. */
#include "base/errors.h"
#include "handlers/agent_self.h"
#include "handlers/ecs_common.h"
#include "handlers/table.h"
#include "store/task_reports.h"

#include <string.h>

#define REASON_MAX         1024
#define RANGE_MAX          1000
#define PORT_MAX           65535

#define STOP_EXITED        "EssentialContainerExited"
#define STOP_EXITED_REASON "Essential container in task exited"
#define STOP_FAILED        "TaskFailedToStart"
#define STOP_FAILED_REASON "Task failed to start"
#define STOP_UNKNOWN       "TerminationNotice"

static const char *const statuses[] = { "PENDING", "RUNNING", "STOPPED" };

/* The status as the rows know it: what comes before RUNNING is PENDING. NULL: not a status. */
static const char *known_status(const char *status)
{
    static const char *const before_running[] = { "NONE", "PULLED", "CREATED", "MANIFEST_PULLED" };

    for (gsize i = 0; i < G_N_ELEMENTS(statuses); i++)
        if (g_strcmp0(status, statuses[i]) == 0)
            return statuses[i];
    for (gsize i = 0; i < G_N_ELEMENTS(before_running); i++)
        if (g_strcmp0(status, before_running[i]) == 0)
            return statuses[0];
    return NULL;
}

static const char *request_status(const Request *rq, GError **error)
{
    const char *status = known_status(request_text(rq, "status"));

    if (!status)
        return fail_null(error, INVALID_PARAMETER,
                         "status \"%s\" is not one of PENDING, RUNNING, "
                         "STOPPED",
                         request_text(rq, "status") ? request_text(rq, "status") : "");
    return status;
}

/* The placed task that the request names; of the caller's own instance when that is an agent. */
static ReportedTask *reported_task(Request *rq, GError **error)
{
    const char *name = request_text(rq, "task");
    const char *slash = name ? strrchr(name, '/') : NULL;
    GError *cause = NULL;
    g_autoptr(ReportedTask) task =
        name ? task_reports_find(rq->tx, rq->account_id, slash ? slash + 1 : name, &cause) : NULL;

    if (cause) {
        g_propagate_error(error, cause);
        return NULL;
    }
    if (!task ||
        (agent_is_caller(rq) && g_strcmp0(task->ec2_instance_id, rq->identity->subject) != 0))
        return fail_null(error, INVALID_PARAMETER, "The referenced task was not found.");
    return g_steal_pointer(&task);
}

/* -- containers */

static void copy_as(json_t *to, const char *column, const json_t *from, const char *member)
{
    json_t *value = json_object_get(from, member);

    if (value)
        json_object_set(to, column, value);
}

/* A container's report in the form of the rows; reasons are cut to what a row may hold. */
static json_t *container_report(const json_t *change, GError **error)
{
    const char *name = tree_text(change, "containerName");
    const char *status = known_status(tree_text(change, "status"));
    const char *reason = tree_text(change, "reason");
    const json_t *bindings = json_object_get(change, "networkBindings");

    if (!name || !status)
        return fail_null(error, INVALID_PARAMETER, "container \"%s\" has no valid status",
                         name ? name : "");
    json_t *report = json_pack("{s:s, s:s, s:o}", "name", name, "status", status, "bindings",
                               bindings ? json_deep_copy(bindings) : json_array());
    copy_as(report, "runtime_id", change, "runtimeId");
    copy_as(report, "exit_code", change, "exitCode");
    copy_as(report, "image_digest", change, "imageDigest");
    if (reason) {
        g_autofree char *cut =
            g_utf8_substring(reason, 0, MIN(g_utf8_strlen(reason, -1), REASON_MAX));
        json_object_set_new(report, "reason", json_string(cut));
    }
    return report;
}

static json_t *container_reports(const json_t *changes, GError **error)
{
    json_auto_t *reports = json_array();
    const json_t *change;
    size_t n;

    json_array_foreach(changes, n, change)
    {
        json_t *report = container_report(change, error);
        if (!report)
            return NULL;
        json_array_append_new(reports, report);
    }
    return json_incref(reports);
}

/* -- host ports */

static void add_port(GArray *ports, gint64 port)
{
    if (port > 0 && port <= PORT_MAX)
        g_array_append_val(ports, port);
}

/* One port, or "32769-32772". */
static void add_binding(const json_t *binding, GArray *ports)
{
    const char *range = tree_text(binding, "hostPortRange");
    const char *dash = range ? strchr(range, '-') : NULL;

    add_port(ports, tree_int(binding, "hostPort", 0));
    if (!dash)
        return;
    gint64 first = CLAMP(g_ascii_strtoll(range, NULL, 10), 1, PORT_MAX);
    gint64 last = MIN(g_ascii_strtoll(dash + 1, NULL, 10), PORT_MAX);
    for (gint64 port = first; port <= last && port < first + RANGE_MAX; port++)
        add_port(ports, port);
}

static void collect_ports(const json_t *reports, GArray *tcp, GArray *udp)
{
    const json_t *report, *binding;
    size_t n, m;

    json_array_foreach(reports, n, report)
        json_array_foreach(json_object_get(report, "bindings"), m, binding)
            add_binding(binding, g_strcmp0(tree_text(binding, "protocol"), "udp") == 0 ? udp : tcp);
}

/* -- the task */

/* Why a task stopped that nobody had asked to stop. Its containers' reports are recorded: each was
 * told once, in this call or an earlier one. */
static gboolean derive_stop(Request *rq, const ReportedTask *task, TaskReport *report,
                            GError **error)
{
    const char *reason = request_text(rq, "reason");
    gboolean ran = task->ever_running, any_end = TRUE;

    if (strcmp(report->status, "STOPPED") != 0 || task->stop_code)
        return TRUE;
    if (!ran && !task_reports_ran(rq->tx, task->task_key, &ran, error))
        return FALSE;
    if (ran && reason && *reason && !task_reports_any_end(rq->tx, task->task_key, &any_end, error))
        return FALSE;
    if (!any_end) { /* how it ended is not known: all there is to say is why it is over */
        report->stop_code = STOP_UNKNOWN;
        report->stopped_reason = reason;
        return TRUE;
    }
    report->stop_code = ran ? STOP_EXITED : STOP_FAILED;
    report->stopped_reason = ran                 ? STOP_EXITED_REASON
                             : reason && *reason ? reason
                                                 : STOP_FAILED_REASON;
    return TRUE;
}

/* Records containers, then the task. */
static gboolean record(Request *rq, const ReportedTask *task, const json_t *reports,
                       TaskReport *report, GError **error)
{
    g_autoptr(GArray) tcp = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_autoptr(GArray) udp = g_array_new(FALSE, FALSE, sizeof(gint64));
    guint changed = 0;

    collect_ports(reports, tcp, udp);
    report->dynamic_tcp = tcp;
    report->dynamic_udp = udp;
    if (json_array_size(reports) &&
        !task_reports_containers(rq->tx, task->task_key, reports, &changed, error))
        return FALSE;
    if (!derive_stop(rq, task, report, error))
        return FALSE;
    return task_reports_task(rq->tx, task, report, changed > 0, error);
}

static gint64 request_time(const Request *rq, const char *name)
{
    return request_int(rq, name, 0);
}

/* There are no attachments here yet, so nothing can have happened to one. */
static gboolean no_attachments(const json_t *attachments, GError **error)
{
    if (json_array_size(attachments))
        return fail(error, INVALID_PARAMETER, "attachment \"%s\" does not exist",
                    tree_text(json_array_get(attachments, 0), "attachmentArn"));
    return TRUE;
}

static json_t *acknowledged(void)
{
    return json_pack("{s:s}", "acknowledgment", "ACCEPT");
}

json_t *submit_task_state_change(Request *rq, GError **error)
{
    const char *status = request_status(rq, error);

    if (!status || !no_attachments(request_member(rq, "attachments"), error))
        return NULL;
    g_autoptr(ReportedTask) task = reported_task(rq, error);
    json_auto_t *reports = task ? container_reports(request_member(rq, "containers"), error) : NULL;
    if (!reports)
        return NULL;
    TaskReport report = {
        .status = status,
        .pull_started_us = request_time(rq, "pullStartedAt"),
        .pull_stopped_us = request_time(rq, "pullStoppedAt"),
        .execution_stopped_us = request_time(rq, "executionStoppedAt"),
    };
    return record(rq, task, reports, &report, error) ? acknowledged() : NULL;
}

/* One container alone: the task's status stays what it is. */
json_t *submit_container_state_change(Request *rq, GError **error)
{
    const char *status = request_status(rq, error);

    if (!status)
        return NULL;
    g_autoptr(ReportedTask) task = reported_task(rq, error);
    json_auto_t *changes = json_pack("[O]", rq->params);
    json_auto_t *reports = task ? container_reports(changes, error) : NULL;
    if (!reports)
        return NULL;
    TaskReport report = { .status = "PENDING" };
    return record(rq, task, reports, &report, error) ? acknowledged() : NULL;
}

json_t *submit_attachment_state_changes(Request *rq, GError **error)
{
    return no_attachments(request_member(rq, "attachments"), error) ? acknowledged() : NULL;
}
