-- machine: the uuid by which libvirt tells one host from another; the same one behind two URIs must
-- not be counted twice. network: whether its guests' network is reached from the control plane.
ALTER TABLE hosts ADD COLUMN machine text,
    ADD COLUMN network text CHECK (network IN ('here', 'apart'));
GRANT UPDATE (machine, network) ON hosts TO berth_reconcile;
