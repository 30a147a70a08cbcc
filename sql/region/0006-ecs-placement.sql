-- ECS: daemons' places, account settings, and what placement and the history sweep look up.

-- the only container instance a daemon's task may be placed on
ALTER TABLE tasks ADD COLUMN pinned_ci_id bigint REFERENCES container_instances;

CREATE INDEX tasks_waiting ON tasks (cluster_id) WHERE last_status = 'PROVISIONING';
CREATE INDEX tasks_history ON tasks (stopped_at) WHERE last_status = 'STOPPED';
CREATE INDEX tasks_deployment ON tasks (deployment_id);

CREATE TABLE account_settings (
    account_id    text NOT NULL,
    principal_arn text NOT NULL,               -- the account's root: its default
    name          text NOT NULL,
    value         text NOT NULL,
    PRIMARY KEY (account_id, principal_arn, name)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON account_settings TO berth_api;
GRANT SELECT ON account_settings TO berth_reconcile;

-- tags follow tasks: propagated when they start, gone with their history
GRANT INSERT, DELETE ON tags TO berth_reconcile;
