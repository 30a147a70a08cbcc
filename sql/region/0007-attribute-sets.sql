-- Most container instances of a cluster have equal attributes: placement reads each set once.
ALTER TABLE container_instances
    ADD COLUMN attributes_key text GENERATED ALWAYS AS (md5(attributes::text)) STORED;
