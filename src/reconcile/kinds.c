#include "reconcile/kinds.h"

const StepKind step_kinds[] = {
    { "service", service_step,
      "SELECT service_id::text FROM services s WHERE status <> 'INACTIVE' AND (status = 'DRAINING'"
      " OR scheduling_strategy = 'DAEMON' OR steady_at IS NULL"
      " OR steady_at < now() - interval '6 hours' OR EXISTS (SELECT 1 FROM tasks t"
      "  WHERE t.service_id = s.service_id AND t.last_status = 'STOPPED' AND NOT t.counted))",
      FALSE },
    { "cluster", cluster_step,
      "SELECT DISTINCT cluster_id::text FROM tasks WHERE last_status = 'PROVISIONING'", FALSE },
    { "container_instance", container_instance_step,
      "SELECT ci.ci_id::text FROM container_instances ci"
      " LEFT JOIN instances i ON i.instance_id = ci.ec2_instance_id"
      " WHERE CASE WHEN ci.status = 'INACTIVE' THEN EXISTS (SELECT 1 FROM tasks t"
      "   WHERE t.ci_id = ci.ci_id AND t.last_status <> 'STOPPED')"
      "  ELSE coalesce(i.terminated_at IS NOT NULL OR i.fault IS NOT NULL"
      "   OR i.desired = 'terminated', false)"
      "   OR (ci.channel_owner IS NULL) = (ci.lost_at IS NULL) END", FALSE },
    { "history", history_step, "SELECT 'tasks'", FALSE },
    { NULL, NULL, NULL, FALSE },
};
