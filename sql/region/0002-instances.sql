-- EC2: key pairs, images, instances.

CREATE TABLE key_pairs (
    key_pair_id text PRIMARY KEY CHECK (key_pair_id ~ '^key-[0-9a-f]{17}$'),
    account_id  text NOT NULL,
    key_name    text NOT NULL CHECK (length(key_name) BETWEEN 1 AND 255),
    key_type    text NOT NULL CHECK (key_type IN ('rsa', 'ed25519')),
    fingerprint text NOT NULL,
    public_key  text NOT NULL,      -- one OpenSSH line
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, key_name)
);

CREATE TABLE images (
    image_id         text PRIMARY KEY CHECK (image_id ~ '^ami-[0-9a-f]{17}$'),
    account_id       text NOT NULL,
    name             text NOT NULL CHECK (length(name) BETWEEN 3 AND 128),
    description      text,
    architecture     text NOT NULL CHECK (architecture IN ('x86_64', 'arm64')),
    root_device_name text NOT NULL DEFAULT '/dev/sda1',
    ssh_user         text NOT NULL,
    location         text NOT NULL,                 -- file or folder it came from
    public           boolean NOT NULL DEFAULT false,
    -- what the import step found; the files lie in the image store, named by digest
    desired          text NOT NULL DEFAULT 'available' CHECK (desired IN ('available', 'deregistered')),
    state            text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'available', 'failed', 'deregistered')),
    fault            text,
    disk_format      text CHECK (disk_format IN ('qcow2', 'raw')),
    disk_sha256      text,
    disk_bytes       bigint,                        -- of the file
    virtual_bytes    bigint,                        -- as the guest sees it
    kernel_sha256    text,
    initrd_sha256    text,
    kernel_cmdline   text,
    snapshot_id      text NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    CHECK (state <> 'available' OR (disk_format IS NOT NULL AND disk_sha256 IS NOT NULL AND virtual_bytes IS NOT NULL))
);
CREATE UNIQUE INDEX images_name ON images (account_id, name) WHERE desired = 'available' AND state <> 'failed';

CREATE TABLE image_permissions (
    image_id   text NOT NULL REFERENCES images ON DELETE CASCADE,
    account_id text NOT NULL,
    PRIMARY KEY (image_id, account_id)
);

CREATE TABLE reservations (
    reservation_id text PRIMARY KEY CHECK (reservation_id ~ '^r-[0-9a-f]{17}$'),
    account_id     text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now()
);

-- One row an instance. Capacity, addresses and states are derived from these rows, never counted.
CREATE TABLE instances (
    instance_id    text PRIMARY KEY CHECK (instance_id ~ '^i-[0-9a-f]{17}$'),
    account_id     text NOT NULL,
    reservation_id text NOT NULL REFERENCES reservations,
    launch_index   integer NOT NULL,
    image_id       text NOT NULL REFERENCES images,
    instance_type  text NOT NULL,
    vcpus          integer NOT NULL CHECK (vcpus > 0),
    memory_mib     integer NOT NULL CHECK (memory_mib > 0),
    key_name       text,
    public_key     text,                       -- of the key pair when it was launched
    zone_name      text NOT NULL REFERENCES zones,
    host_id        text NOT NULL REFERENCES hosts,
    subnet_id      text NOT NULL,
    private_ip     inet NOT NULL,
    mac            macaddr NOT NULL,
    domain_uuid    uuid NOT NULL UNIQUE,
    eni_id         text NOT NULL,
    root_volume_id text NOT NULL,
    root_volume_gib integer NOT NULL CHECK (root_volume_gib BETWEEN 1 AND 65536),
    root_device_name text NOT NULL,
    user_data      bytea CHECK (length(user_data) <= 16384),
    instance_profile text,                     -- name of the instance profile, null for none
    client_token   text,
    details        jsonb NOT NULL DEFAULT '{}',-- given back, never decided on (monitoring, metadata options ...)
    launched_at    timestamptz NOT NULL DEFAULT now(),
    -- wanted (handlers)
    desired        text NOT NULL DEFAULT 'running' CHECK (desired IN ('running', 'stopped', 'terminated')),
    generation     bigint NOT NULL DEFAULT 1,  -- raised by each Start, Stop, Reboot, Terminate
    reboot_generation bigint NOT NULL DEFAULT 0, -- generation of the last reboot asked for
    disable_api_termination boolean NOT NULL DEFAULT false,
    shutdown_behavior text NOT NULL DEFAULT 'stop' CHECK (shutdown_behavior IN ('stop', 'terminate')),
    transition_reason text NOT NULL DEFAULT '',
    -- seen (reconcile)
    seen           text NOT NULL DEFAULT 'absent' CHECK (seen IN ('absent', 'off', 'running', 'halted')),
    seen_generation bigint NOT NULL DEFAULT 0, -- generation at which it was last settled
    rebooted_generation bigint NOT NULL DEFAULT 0,
    ever_defined   boolean NOT NULL DEFAULT false,
    fault          text,                       -- StateReason code; set: the instance ends as terminated
    fault_message  text,
    host_keys      text,                       -- OpenSSH lines that the guest reported
    host_keys_at   timestamptz,
    reachable_at   timestamptz,                -- first seen answering; InstanceStatus ok
    seen_at        timestamptz,
    terminated_at  timestamptz,
    CHECK (fault IS NULL OR fault_message IS NOT NULL)
);
-- an address belongs to one living instance
CREATE UNIQUE INDEX instances_ip ON instances (private_ip) WHERE terminated_at IS NULL;
CREATE UNIQUE INDEX instances_mac ON instances (mac) WHERE terminated_at IS NULL;
CREATE INDEX instances_account ON instances (account_id, instance_id);
CREATE INDEX instances_host ON instances (host_id) WHERE terminated_at IS NULL;
CREATE INDEX instances_unsettled ON instances (instance_id) WHERE terminated_at IS NULL;

-- The container agent wanted on an instance, and how far its bootstrap over SSH has come.
CREATE TABLE bootstraps (
    instance_id  text PRIMARY KEY REFERENCES instances,
    account_id   text NOT NULL,
    cluster_name text NOT NULL,
    generation   bigint NOT NULL DEFAULT 1,    -- raised to run it again
    -- seen (reconcile)
    seen_generation bigint NOT NULL DEFAULT 0,
    stage        text NOT NULL DEFAULT 'unknown'
                 CHECK (stage IN ('unknown', 'reached', 'probed', 'installed', 'started', 'registered')),
    access_key_id text,                        -- of the credentials it carries
    credentials_until timestamptz,
    fault        text,                         -- quarantined: needs a person ("host key changed ...")
    log          text NOT NULL DEFAULT '',     -- of the last run, bounded
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT ON ALL TABLES IN SCHEMA public TO berth_api, berth_reconcile;
GRANT INSERT, UPDATE, DELETE ON key_pairs, image_permissions TO berth_api;
GRANT INSERT ON images, reservations, instances, bootstraps TO berth_api;
GRANT UPDATE (description, public, desired) ON images TO berth_api;
GRANT UPDATE (state, fault, disk_format, disk_sha256, disk_bytes, virtual_bytes, kernel_sha256, initrd_sha256, kernel_cmdline, ssh_user, root_device_name) ON images TO berth_reconcile;
GRANT UPDATE (desired, generation, reboot_generation, disable_api_termination, shutdown_behavior, transition_reason, details, user_data, instance_type, vcpus, memory_mib) ON instances TO berth_api;
GRANT UPDATE (desired, generation, transition_reason, host_id, seen, seen_generation, rebooted_generation, ever_defined, fault, fault_message, host_keys, host_keys_at, reachable_at, seen_at, terminated_at) ON instances TO berth_reconcile;
GRANT DELETE ON instances, reservations, bootstraps TO berth_reconcile;
GRANT UPDATE (cluster_name, generation) ON bootstraps TO berth_api;
GRANT INSERT, UPDATE ON bootstraps TO berth_reconcile;
