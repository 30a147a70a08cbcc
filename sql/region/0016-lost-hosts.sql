-- unreachable_at: since when the host is not reached; null while it answers, well or not. lost_at: when
-- a person said that it is gone for good; its instances end without it, and nothing of them is
-- adopted should it come back.
ALTER TABLE hosts ADD COLUMN unreachable_at timestamptz,
    ADD COLUMN lost_at timestamptz;
GRANT UPDATE (unreachable_at) ON hosts TO berth_reconcile;
GRANT UPDATE (lost_at) ON hosts TO berth_api;
