#include "reconcile/kinds.h"

/* A service of a hundred tasks is not planned anew for each of them that comes to run. */
#define SERVICE_REST_MS 250

/* The sweep's lists of ids. A host is looked at anew every five minutes, what it carries with it; a
 * libvirt that this process is not connected to, at once: no event tells what happens there. */
#define HOSTS_UNSETTLED                                                                            \
    "SELECT host_id FROM hosts WHERE CASE WHEN desired = 'removed' THEN state <> 'removed'"        \
    " ELSE state <> 'up' OR seen_generation < check_generation"                                    \
    " OR seen_at < now() - interval '5 minutes' END"
#define LIBVIRTS_UP "SELECT DISTINCT uri FROM hosts WHERE state = 'up' AND desired <> 'removed'"
#define IMAGES_UNSETTLED                                                                           \
    "SELECT image_id FROM images WHERE CASE WHEN desired = 'deregistered'"                         \
    " THEN state <> 'deregistered' ELSE state = 'pending' END"
#define BASES_UNSETTLED                                                                            \
    "SELECT DISTINCT host_id || '/' || image_id FROM instances WHERE terminated_at IS NULL"        \
    " AND NOT ever_defined AND fault IS NULL AND desired <> 'terminated'"
#define INSTANCES_UNSETTLED                                                                        \
    "SELECT instance_id FROM instances i WHERE terminated_at IS NULL"                              \
    " AND (seen_generation < generation OR fault IS NOT NULL OR desired = 'terminated'"            \
    " OR (seen = 'running' AND (host_keys IS NULL OR (reachable_at IS NULL"                        \
    "  AND NOT EXISTS (SELECT FROM hosts h WHERE h.host_id = i.host_id"                            \
    "   AND h.network = 'apart'))))"                                                               \
    " OR EXISTS (SELECT FROM hosts h WHERE h.host_id = i.host_id AND h.lost_at IS NOT NULL))"

#define BOOTSTRAPS_UNSETTLED                                                                       \
    "SELECT b.instance_id FROM bootstraps b JOIN instances i USING (instance_id)"                  \
    " WHERE i.seen = 'running' AND i.terminated_at IS NULL AND i.reachable_at IS NOT NULL"         \
    " AND (b.seen_generation < b.generation"                                                       \
    " OR (b.fault IS NULL AND (b.stage <> 'registered'"                                            \
    " OR b.credentials_until < now() + interval '84 hours')))"

const StepKind step_kinds[] = {
    { "service", service_step,
      "SELECT service_id::text FROM services s WHERE status <> 'INACTIVE' AND (status = 'DRAINING'"
      " OR scheduling_strategy = 'DAEMON' OR steady_at IS NULL"
      " OR steady_at < now() - interval '6 hours' OR EXISTS (SELECT 1 FROM tasks t"
      "  WHERE t.service_id = s.service_id AND t.last_status = 'STOPPED' AND NOT t.counted))",
      LANE_ROWS, SERVICE_REST_MS, NULL },
    { "cluster", cluster_step,
      "SELECT DISTINCT cluster_id::text FROM tasks WHERE last_status = 'PROVISIONING'", LANE_ROWS,
      0, NULL },
    { "container_instance", container_instance_step,
      "SELECT ci.ci_id::text FROM container_instances ci"
      " LEFT JOIN instances i ON i.instance_id = ci.ec2_instance_id"
      " WHERE CASE WHEN ci.status = 'INACTIVE' THEN EXISTS (SELECT 1 FROM tasks t"
      "   WHERE t.ci_id = ci.ci_id AND t.last_status <> 'STOPPED')"
      "  ELSE coalesce(i.terminated_at IS NOT NULL OR i.fault IS NOT NULL"
      "   OR i.desired = 'terminated' OR (i.ever_defined AND i.seen <> 'running' AND EXISTS "
      "(SELECT 1"
      "    FROM tasks t WHERE t.ci_id = ci.ci_id AND t.last_status <> 'STOPPED')), false)"
      "   OR (ci.channel_owner IS NULL) = (ci.lost_at IS NULL) END",
      LANE_ROWS, 0, NULL },
    { "janitor", janitor_step, "VALUES ('region'), ('identity')", LANE_SLOW, 0, NULL },
    { "host", host_step, HOSTS_UNSETTLED, LANE_SLOW, 0, NULL },
    { "hypervisor", hypervisor_step, LIBVIRTS_UP, LANE_SLOW, 0, hypervisor_is_due },
    { "image", image_step, IMAGES_UNSETTLED, LANE_SLOW, 0, NULL },
    { "base", base_step, BASES_UNSETTLED, LANE_SLOW, 0, NULL },
    { "instance", instance_step, INSTANCES_UNSETTLED, LANE_GUESTS, 0, NULL },
    { "bootstrap", bootstrap_step, BOOTSTRAPS_UNSETTLED, LANE_SLOW, 0, NULL },
    { NULL, NULL, NULL, LANE_ROWS, 0, NULL },
};
