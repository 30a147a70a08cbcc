-- ECS: clusters, container instances, task definitions, services, tasks.

CREATE TABLE clusters (
    cluster_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   text NOT NULL,
    cluster_name text NOT NULL CHECK (cluster_name ~ '^[A-Za-z0-9_-]{1,255}$'),
    status       text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'INACTIVE')),
    details      jsonb NOT NULL DEFAULT '{}',  -- settings, configuration, capacity providers: given back
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, cluster_name)
);

CREATE TABLE container_instances (
    ci_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    container_instance_id text NOT NULL UNIQUE CHECK (container_instance_id ~ '^[0-9a-f]{32}$'),
    account_id      text NOT NULL,
    cluster_id      bigint NOT NULL REFERENCES clusters,
    ec2_instance_id text,                      -- null for a machine that is not ours
    zone_name       text NOT NULL,
    -- wanted (handlers)
    status          text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'DRAINING', 'INACTIVE')),
    status_reason   text,
    -- reported by the agent (handlers)
    cpu             integer NOT NULL CHECK (cpu >= 0),         -- 1024 is one vCPU
    memory_mib      integer NOT NULL CHECK (memory_mib >= 0),
    ports_tcp       integer[] NOT NULL DEFAULT '{}',           -- reserved
    ports_udp       integer[] NOT NULL DEFAULT '{}',
    attributes      jsonb NOT NULL DEFAULT '[]',               -- [{name, value?}] of agent, service and user
    agent_version   text,
    agent_hash      text,
    docker_version  text,
    registered_at   timestamptz NOT NULL DEFAULT now(),
    registrations   integer NOT NULL DEFAULT 1,
    -- the channel (its loop writes these)
    channel_owner   text,                      -- daemons.daemon_id while connected
    channel_session text,
    connected_at    timestamptz,
    disconnected_at timestamptz,
    disconnect_cause text,
    last_frame_at   timestamptz,
    runtime_status  text,                      -- ContainerRuntime health: OK, IMPAIRED ...
    sequence        bigint NOT NULL DEFAULT 1, -- last payload sequence number given out
    -- seen (reconcile)
    lost_at         timestamptz,               -- given up: its service tasks are replaced
    version         bigint NOT NULL DEFAULT 1
);
CREATE INDEX container_instances_cluster ON container_instances (cluster_id, status);
CREATE UNIQUE INDEX container_instances_ec2 ON container_instances (ec2_instance_id) WHERE status <> 'INACTIVE';

CREATE TABLE task_definition_families (
    account_id    text NOT NULL,
    family        text NOT NULL CHECK (family ~ '^[A-Za-z0-9_-]{1,255}$'),
    last_revision integer NOT NULL,
    PRIMARY KEY (account_id, family)
);

CREATE TABLE task_definitions (
    task_definition_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id    text NOT NULL,
    family        text NOT NULL,
    revision      integer NOT NULL CHECK (revision > 0),
    status        text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'INACTIVE', 'DELETE_IN_PROGRESS')),
    definition    jsonb NOT NULL,              -- the normalised taskDefinition as DescribeTaskDefinition answers it
    cpu           integer NOT NULL CHECK (cpu >= 0),         -- what a task of it holds
    memory_mib    integer NOT NULL CHECK (memory_mib >= 0),
    ports_tcp     integer[] NOT NULL DEFAULT '{}',           -- fixed host ports
    ports_udp     integer[] NOT NULL DEFAULT '{}',
    registered_by text NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    deregistered_at timestamptz,
    UNIQUE (account_id, family, revision)
);

CREATE TABLE services (
    service_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id     text NOT NULL,
    cluster_id     bigint NOT NULL REFERENCES clusters,
    service_name   text NOT NULL CHECK (service_name ~ '^[A-Za-z0-9_-]{1,255}$'),
    -- wanted (handlers)
    status         text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'DRAINING', 'INACTIVE')),
    desired_count  integer NOT NULL CHECK (desired_count BETWEEN 0 AND 100000),
    scheduling_strategy text NOT NULL DEFAULT 'REPLICA' CHECK (scheduling_strategy IN ('REPLICA', 'DAEMON')),
    launch_type    text NOT NULL DEFAULT 'EC2',
    minimum_healthy_percent integer NOT NULL CHECK (minimum_healthy_percent >= 0),
    maximum_percent integer NOT NULL,
    placement_constraints jsonb NOT NULL DEFAULT '[]',
    placement_strategy jsonb NOT NULL DEFAULT '[]',
    details        jsonb NOT NULL DEFAULT '{}', -- given back: propagateTags, circuit breaker settings, role ...
    created_by     text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    generation     bigint NOT NULL DEFAULT 1,
    -- seen (reconcile)
    failed_starts  integer NOT NULL DEFAULT 0,  -- in a row; delays the next start
    next_start_at  timestamptz,
    steady_at      timestamptz,                 -- last "has reached a steady state"
    stuck_reason   text,                        -- last placement failure told, so that it is told once
    stuck_at       timestamptz,
    CHECK (maximum_percent >= minimum_healthy_percent)
);
CREATE UNIQUE INDEX services_name ON services (cluster_id, service_name) WHERE status <> 'INACTIVE';
CREATE INDEX services_cluster ON services (cluster_id, service_id);

CREATE TABLE deployments (
    deployment_id  text PRIMARY KEY CHECK (deployment_id ~ '^ecs-svc/[0-9]{19}$'),
    service_id     bigint NOT NULL REFERENCES services,
    status         text NOT NULL CHECK (status IN ('PRIMARY', 'ACTIVE', 'INACTIVE')),
    task_definition_id bigint NOT NULL REFERENCES task_definitions,
    desired_count  integer NOT NULL,
    failed_tasks   integer NOT NULL DEFAULT 0,
    rollout_state  text NOT NULL DEFAULT 'IN_PROGRESS' CHECK (rollout_state IN ('IN_PROGRESS', 'COMPLETED', 'FAILED')),
    rollout_reason text NOT NULL DEFAULT '',
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX deployments_primary ON deployments (service_id) WHERE status = 'PRIMARY';
CREATE INDEX deployments_service ON deployments (service_id, created_at DESC);

CREATE TABLE service_events (
    event_id   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    service_id bigint NOT NULL REFERENCES services ON DELETE CASCADE,
    serial     bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL DEFAULT now(),
    message    text NOT NULL
);
CREATE INDEX service_events_newest ON service_events (service_id, serial DESC);

CREATE TABLE tasks (
    task_key       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id        text NOT NULL UNIQUE CHECK (task_id ~ '^[0-9a-f]{32}$'),
    account_id     text NOT NULL,
    cluster_id     bigint NOT NULL REFERENCES clusters,
    service_id     bigint REFERENCES services,
    deployment_id  text REFERENCES deployments,
    task_definition_id bigint NOT NULL REFERENCES task_definitions,
    ci_id          bigint REFERENCES container_instances,    -- null until placed
    task_group     text NOT NULL,
    started_by     text,
    launch_type    text NOT NULL DEFAULT 'EC2',
    overrides      jsonb NOT NULL DEFAULT '{}',
    -- held on the container instance from placement until STOPPED
    cpu            integer NOT NULL CHECK (cpu >= 0),
    memory_mib     integer NOT NULL CHECK (memory_mib >= 0),
    ports_tcp      integer[] NOT NULL DEFAULT '{}',          -- fixed ones
    ports_udp      integer[] NOT NULL DEFAULT '{}',
    dynamic_tcp    integer[] NOT NULL DEFAULT '{}',          -- as the agent reported
    dynamic_udp    integer[] NOT NULL DEFAULT '{}',
    -- wanted
    desired_status text NOT NULL DEFAULT 'RUNNING' CHECK (desired_status IN ('RUNNING', 'STOPPED')),
    stop_code      text,
    stopped_reason text,
    stopping_at    timestamptz,
    -- seen: the agent reports, later never becomes earlier
    last_status    text NOT NULL DEFAULT 'PROVISIONING'
                   CHECK (last_status IN ('PROVISIONING', 'PENDING', 'RUNNING', 'STOPPING', 'STOPPED')),
    ever_running   boolean NOT NULL DEFAULT false,
    health_status  text NOT NULL DEFAULT 'UNKNOWN',
    created_at     timestamptz NOT NULL DEFAULT now(),
    placed_at      timestamptz,
    pull_started_at timestamptz,
    pull_stopped_at timestamptz,
    started_at     timestamptz,
    execution_stopped_at timestamptz,
    stopped_at     timestamptz,
    counted        boolean NOT NULL DEFAULT false,           -- its end has been taken into the service's failures
    -- the channel
    sent_status    text,                        -- desired status last sent to the agent, and whether acknowledged
    sent_message   text,
    acked_status   text,
    version        bigint NOT NULL DEFAULT 1,
    CHECK (last_status IN ('PROVISIONING', 'STOPPED') OR ci_id IS NOT NULL)
);
CREATE INDEX tasks_cluster_live ON tasks (cluster_id, task_key) WHERE last_status <> 'STOPPED';
CREATE INDEX tasks_instance_live ON tasks (ci_id) WHERE last_status <> 'STOPPED';
CREATE INDEX tasks_service_live ON tasks (service_id) WHERE last_status <> 'STOPPED';
CREATE INDEX tasks_service_uncounted ON tasks (service_id) WHERE last_status = 'STOPPED' AND NOT counted;
CREATE INDEX tasks_stopped ON tasks (cluster_id, stopped_at DESC) WHERE last_status = 'STOPPED';

CREATE TABLE containers (
    task_key       bigint NOT NULL REFERENCES tasks ON DELETE CASCADE,
    name           text NOT NULL,
    container_uuid uuid NOT NULL DEFAULT gen_random_uuid(),
    position       integer NOT NULL,
    image          text NOT NULL,
    cpu            integer NOT NULL DEFAULT 0,
    memory_mib     integer,
    memory_reservation_mib integer,
    last_status    text NOT NULL DEFAULT 'PENDING' CHECK (last_status IN ('PENDING', 'RUNNING', 'STOPPED')),
    runtime_id     text,
    image_digest   text,
    exit_code      integer,
    reason         text,
    health_status  text NOT NULL DEFAULT 'UNKNOWN',
    network_bindings jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (task_key, name)
);

GRANT SELECT ON ALL TABLES IN SCHEMA public TO berth_api, berth_reconcile;
GRANT INSERT, UPDATE ON clusters, task_definition_families, task_definitions, deployments, containers TO berth_api;
GRANT INSERT, UPDATE, DELETE ON container_instances TO berth_api;
GRANT INSERT ON services, service_events, tasks TO berth_api;
GRANT UPDATE (status, desired_count, minimum_healthy_percent, maximum_percent, placement_constraints, placement_strategy, details, generation, failed_starts, next_start_at) ON services TO berth_api;
GRANT UPDATE ON tasks TO berth_api;
GRANT INSERT, UPDATE ON deployments, containers TO berth_reconcile;
GRANT INSERT, DELETE ON service_events TO berth_reconcile;
GRANT INSERT, DELETE ON tasks TO berth_reconcile;
GRANT UPDATE (ci_id, desired_status, stop_code, stopped_reason, stopping_at, last_status, placed_at, stopped_at, counted, version) ON tasks TO berth_reconcile;
GRANT UPDATE (status, failed_starts, next_start_at, steady_at, stuck_reason, stuck_at) ON services TO berth_reconcile;
GRANT UPDATE (status, status_reason, lost_at, version) ON container_instances TO berth_reconcile;
GRANT DELETE ON containers, deployments, services, container_instances TO berth_reconcile;
GRANT UPDATE (status) ON clusters TO berth_reconcile;  -- taken as a lock: placement of a cluster
GRANT UPDATE (zone_name) ON zones TO berth_reconcile;
