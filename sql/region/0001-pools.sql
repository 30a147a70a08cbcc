-- Zones are pools of hosts. A host row is a share of one libvirt host.

CREATE TABLE zones (
    zone_name        text PRIMARY KEY CHECK (zone_name ~ '^[a-z][a-z0-9-]*[0-9][a-z]$'),
    zone_id          text NOT NULL UNIQUE,
    state            text NOT NULL DEFAULT 'available' CHECK (state IN ('available', 'impaired', 'unavailable')),
    cpu_overcommit    numeric NOT NULL DEFAULT 4.0 CHECK (cpu_overcommit BETWEEN 0.1 AND 64),
    memory_overcommit numeric NOT NULL DEFAULT 1.0 CHECK (memory_overcommit BETWEEN 0.1 AND 8),
    host_reserve_mib  integer NOT NULL DEFAULT 1024 CHECK (host_reserve_mib >= 0), -- kept from each whole host
    created_at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE hosts (
    host_id        text PRIMARY KEY CHECK (host_id ~ '^h-[0-9a-f]{17}$'),
    zone_name      text NOT NULL REFERENCES zones,
    uri            text NOT NULL,
    share_percent  integer NOT NULL DEFAULT 100 CHECK (share_percent BETWEEN 1 AND 100),
    -- wanted (handlers)
    desired        text NOT NULL DEFAULT 'active' CHECK (desired IN ('active', 'draining', 'removed')),
    check_generation bigint NOT NULL DEFAULT 1,      -- raised to ask for a check now
    -- seen (reconcile)
    seen_generation bigint NOT NULL DEFAULT 0,
    state          text NOT NULL DEFAULT 'unknown' CHECK (state IN ('unknown', 'up', 'down', 'removed')),
    hostname       text,
    vcpus          integer NOT NULL DEFAULT 0 CHECK (vcpus >= 0),       -- of the whole host
    memory_mib     integer NOT NULL DEFAULT 0 CHECK (memory_mib >= 0),  -- of the whole host
    architecture   text,
    accelerator    text CHECK (accelerator IN ('kvm', 'tcg')),
    fault          text,
    seen_at        timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (zone_name, uri)
);

CREATE TABLE instance_types (
    instance_type  text PRIMARY KEY CHECK (instance_type ~ '^[a-z][a-z0-9-]*\.[a-z0-9-]+$'),
    vcpus          integer NOT NULL CHECK (vcpus BETWEEN 1 AND 448),
    memory_mib     integer NOT NULL CHECK (memory_mib BETWEEN 64 AND 25165824),
    architecture   text NOT NULL DEFAULT 'x86_64' CHECK (architecture IN ('x86_64', 'arm64')),
    network        text NOT NULL DEFAULT 'Moderate',
    burstable      boolean NOT NULL DEFAULT false,
    current_generation boolean NOT NULL DEFAULT true,
    built_in       boolean NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL DEFAULT now()
);

-- Secrets of the region, sealed: the management SSH key, later others.
CREATE TABLE region_secrets (
    name    text PRIMARY KEY,
    sealed  text NOT NULL,
    public  text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Facts of the installation that its programs must agree on ("install_uuid", ...).
CREATE TABLE installation (
    name  text PRIMARY KEY,
    value text NOT NULL
);
INSERT INTO installation VALUES ('install_uuid', gen_random_uuid()::text);

-- Running daemons; a channel's owner that is no longer here has lost its sockets.
CREATE TABLE daemons (
    daemon_id  text PRIMARY KEY,
    role       text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now()
);

-- Answers of calls that carried a client token.
CREATE TABLE client_tokens (
    account_id   text NOT NULL,
    action       text NOT NULL,
    token        text NOT NULL,
    request_hash text NOT NULL,
    answer       jsonb NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, action, token)
);
CREATE INDEX client_tokens_age ON client_tokens (created_at);

-- Tags of anything: resource_id is an EC2 id or an ECS ARN.
CREATE TABLE tags (
    account_id   text NOT NULL,
    resource_id  text NOT NULL,
    resource_type text NOT NULL,
    key          text NOT NULL CHECK (length(key) BETWEEN 1 AND 128),
    value        text NOT NULL CHECK (length(value) <= 256),
    PRIMARY KEY (resource_id, key)
);
CREATE INDEX tags_account ON tags (account_id, resource_type, key, value);

-- Retry state of the reconcilers, one row for each object that has failed; "berth why" shows it.
CREATE TABLE retries (
    kind        text NOT NULL,
    object_id   text NOT NULL,
    failures    integer NOT NULL,
    last_error  text NOT NULL,
    failed_at   timestamptz NOT NULL DEFAULT now(),
    next_try_at timestamptz NOT NULL,
    PRIMARY KEY (kind, object_id)
);
CREATE INDEX retries_due ON retries (next_try_at);

-- What happened to an object, in order; appended only.
CREATE TABLE history (
    history_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL,
    object_id   text NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    what        text NOT NULL
);
CREATE INDEX history_object ON history (object_id, history_id DESC);

GRANT USAGE ON SCHEMA public TO berth_api, berth_reconcile;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO berth_api, berth_reconcile;
GRANT INSERT, UPDATE, DELETE ON zones, instance_types, client_tokens, tags, daemons TO berth_api;
GRANT INSERT ON hosts, region_secrets, history TO berth_api;
GRANT UPDATE (share_percent, desired, check_generation) ON hosts TO berth_api;
GRANT UPDATE (seen_generation, state, hostname, vcpus, memory_mib, architecture, accelerator, fault, seen_at) ON hosts TO berth_reconcile;
GRANT INSERT, UPDATE, DELETE ON retries, daemons TO berth_reconcile;
GRANT INSERT ON history, region_secrets TO berth_reconcile;
GRANT DELETE ON client_tokens, history, hosts TO berth_reconcile;
GRANT DELETE ON retries TO berth_api;
