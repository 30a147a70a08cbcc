-- Scale-in protection: until then the service's scheduler leaves the task alone. Null, or a time
-- that is over: it is not protected.
ALTER TABLE tasks ADD COLUMN protected_until timestamptz;
