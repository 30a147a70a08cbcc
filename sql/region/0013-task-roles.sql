-- Credentials of tasks' roles: who was told, until when they last. What they are is in identity's
-- "sessions"; nothing here opens anything.

CREATE TABLE task_credentials (
    task_key       bigint NOT NULL REFERENCES tasks ON DELETE CASCADE,
    kind           text NOT NULL CHECK (kind IN ('task', 'execution')),
    role_arn       text NOT NULL,
    credentials_id uuid NOT NULL DEFAULT gen_random_uuid(), -- the same as long as the task lives
    expires_at     timestamptz NOT NULL,
    sent_at        timestamptz NOT NULL DEFAULT now(),
    acked          boolean NOT NULL DEFAULT false,          -- the agent has those that were sent last
    PRIMARY KEY (task_key, kind)
);
CREATE UNIQUE INDEX task_credentials_id ON task_credentials (credentials_id);

-- instances whose credentials have to die
CREATE INDEX instances_ended ON instances (terminated_at) WHERE terminated_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON task_credentials TO berth_api;
GRANT SELECT ON task_credentials TO berth_reconcile;
