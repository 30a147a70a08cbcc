-- When the janitor first saw that something had ended: it goes as long after that as tasks do.
ALTER TABLE services ADD COLUMN ended_at timestamptz;
ALTER TABLE container_instances ADD COLUMN ended_at timestamptz;
CREATE INDEX services_ended ON services (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX container_instances_ended ON container_instances (ended_at) WHERE ended_at IS NOT NULL;
GRANT UPDATE (ended_at) ON services, container_instances TO berth_reconcile;
