/* A task from the control plane: what is taken can be described to Docker, kept, and read back the same. */
#include "agent/payload.h"
#include "agent/report.h"
#include "agent/spec.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_auto_t *tree = json_loadb((const char *)data, size, 0, NULL);
    g_autoptr(GError) error = NULL;
    AgentSaid said;

    g_autoptr(AgentTask) task = tree ? agent_payload_task(tree, &error) : NULL;
    g_assert((tree && !task) == (error != NULL));
    if (!task)
        return 0;
    for (guint i = 0; i < task->containers->len; i++) {
        const AgentContainer *c = agent_task_container(task, i);
        json_auto_t *spec = agent_spec_container(task, c, "default", NULL, NULL);
        json_auto_t *volumes = agent_spec_volumes(task, c);
        g_assert_nonnull(volumes);
    }
    g_autoptr(GPtrArray) own = agent_spec_own_volumes(task);
    json_auto_t *report = agent_report_body(task, "default", &said);
    g_assert_nonnull(report);
    json_auto_t *saved = agent_task_save(task);
    g_autoptr(AgentTask) back = agent_payload_task(json_object_get(saved, "payload"), &error);
    g_assert_no_error(error);
    g_assert_true(agent_task_restore(back, saved, &error));
    json_auto_t *again = agent_task_save(back);
    g_assert_true(json_equal(saved, again));
    return 0;
}
