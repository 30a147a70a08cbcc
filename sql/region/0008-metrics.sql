-- Telemetry of agents, and what the janitor needs to take old rows away.

-- One row a container and minute; kept for hours. Lost when PostgreSQL crashes, which nobody decides
-- on. An instance without a running container has a row of zeros with task_key 0.
CREATE UNLOGGED TABLE metric_samples (
    cluster_id   bigint NOT NULL,
    ci_id        bigint NOT NULL,
    task_key     bigint NOT NULL,
    service_id   bigint,
    container    text NOT NULL,
    minute       timestamptz NOT NULL,
    cpu_count    bigint NOT NULL CHECK (cpu_count > 0),   -- percent of the whole instance
    cpu_sum      double precision NOT NULL,
    cpu_min      double precision NOT NULL,
    cpu_max      double precision NOT NULL,
    memory_count bigint NOT NULL CHECK (memory_count > 0), -- MiB
    memory_sum   double precision NOT NULL,
    memory_min   double precision NOT NULL,
    memory_max   double precision NOT NULL,
    PRIMARY KEY (cluster_id, minute, ci_id, task_key, container)
);
CREATE INDEX metric_samples_age ON metric_samples (minute);
GRANT SELECT, INSERT, UPDATE ON metric_samples TO berth_api;
GRANT SELECT, DELETE ON metric_samples TO berth_reconcile;

CREATE INDEX history_age ON history (at);
CREATE INDEX instances_terminated ON instances (terminated_at) WHERE terminated_at IS NOT NULL;
CREATE INDEX instances_reservation ON instances (reservation_id);
CREATE INDEX tasks_pinned ON tasks (pinned_ci_id) WHERE pinned_ci_id IS NOT NULL;
CREATE INDEX tasks_ci ON tasks (ci_id);
CREATE INDEX tasks_service ON tasks (service_id) WHERE service_id IS NOT NULL;
