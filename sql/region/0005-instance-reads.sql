-- What reads of instances need: pages in the order of launch, console output, how to import.

CREATE INDEX instances_launch ON instances (account_id, launched_at, reservation_id, launch_index);
-- ids of what an instance or image carries, which tags name
CREATE UNIQUE INDEX instances_volume ON instances (root_volume_id);
CREATE UNIQUE INDEX instances_eni ON instances (eni_id);
CREATE UNIQUE INDEX images_snapshot ON images (snapshot_id);

-- The tail of each instance's console. A handler raises wanted and wakes the instance's step,
-- which reads the log on the host, stores its tail and sets served to the wanted it read.
CREATE TABLE console_output (
    instance_id text PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    wanted      bigint NOT NULL DEFAULT 1,
    wanted_at   timestamptz NOT NULL DEFAULT now(),
    served      bigint NOT NULL DEFAULT 0,
    output      bytea CHECK (length(output) <= 65536),
    at          timestamptz                        -- when output was read; null: never
);

-- How the file or folder at images.location is to be taken; null: by its own description.
ALTER TABLE images
    ADD COLUMN import_format text CHECK (import_format IN ('qcow2', 'raw', 'berth')),
    ADD COLUMN import_sha256 text CHECK (import_sha256 ~ '^[0-9a-f]{64}$');

GRANT SELECT ON console_output TO berth_api, berth_reconcile;
GRANT INSERT (instance_id) ON console_output TO berth_api, berth_reconcile;
GRANT UPDATE (wanted, wanted_at) ON console_output TO berth_api;
GRANT UPDATE (served, output, at) ON console_output TO berth_reconcile;
GRANT DELETE ON console_output TO berth_reconcile;
