-- The janitor of a reconciler takes old answers away, as it does expired sessions.
CREATE INDEX client_tokens_age ON client_tokens (created_at);
GRANT SELECT, DELETE ON client_tokens TO berth_reconcile;
