-- How far images are on their way to containers, as Berth's agents tell about once a second.

-- One row a container, overwritten; it goes with its task. Lost when PostgreSQL crashes, which nobody
-- decides on.
CREATE UNLOGGED TABLE image_pulls (
    task_key      bigint NOT NULL REFERENCES tasks ON DELETE CASCADE,
    container     text NOT NULL,
    status        text NOT NULL CHECK (status IN ('PULLING', 'EXTRACTING', 'PULLED', 'FAILED')),
    percent       integer NOT NULL CHECK (percent BETWEEN 0 AND 100),
    current_bytes bigint NOT NULL CHECK (current_bytes >= 0),
    total_bytes   bigint NOT NULL CHECK (total_bytes >= 0), -- of the layers whose size is known
    layers        integer NOT NULL CHECK (layers >= 0),
    layers_done   integer NOT NULL CHECK (layers_done >= 0),
    reason        text,                                     -- of FAILED: it is tried again
    told_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_key, container)
);
GRANT SELECT, INSERT, UPDATE ON image_pulls TO berth_api;
