-- Container instances that are no instances of ours: any machine with Docker that a person reached
-- by SSH. Nothing of ours ever connects there: address, port and user are told to that person's
-- own ssh, for exec, logs and upgrades. The id stands in container_instances.ec2_instance_id, as
-- Amazon's "mi-..." of ECS Anywhere does.
CREATE TABLE external_instances (
    instance_id   text PRIMARY KEY CHECK (instance_id ~ '^mi-[0-9a-f]{17}$'),
    account_id    text NOT NULL,
    cluster_name  text NOT NULL,
    zone_name     text NOT NULL,
    address       text NOT NULL,
    port          integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    ssh_user      text NOT NULL,
    docker_socket text NOT NULL,
    folder        text NOT NULL,               -- there: the agent's settings and state
    created_at    timestamptz NOT NULL DEFAULT now(),
    removed_at    timestamptz                  -- its agent may not register again
);
CREATE INDEX external_instances_account ON external_instances (account_id) WHERE removed_at IS NULL;

-- The agent's archive wanted on an instance of ours, and the one it was last seen with; null: the
-- one that came with its machine image or its bootstrap.
ALTER TABLE bootstraps ADD COLUMN agent_image_sha256 text CHECK (agent_image_sha256 ~ '^[0-9a-f]{64}$');
ALTER TABLE bootstraps ADD COLUMN seen_agent_image_sha256 text;

GRANT SELECT ON external_instances TO berth_api, berth_reconcile;
GRANT INSERT, UPDATE (removed_at) ON external_instances TO berth_api;
GRANT UPDATE (agent_image_sha256) ON bootstraps TO berth_api;
