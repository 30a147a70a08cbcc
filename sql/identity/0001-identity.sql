-- Who may call: accounts, users, keys, roles' sessions. One database for all regions.
-- Secrets are sealed with the installation's master key: this database alone opens nothing.

CREATE TABLE accounts (
    account_id  text PRIMARY KEY CHECK (account_id ~ '^[0-9]{12}$'),
    name        text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
    is_admin    boolean NOT NULL DEFAULT false,   -- may call the admin service "berth"
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE users (
    account_id  text NOT NULL REFERENCES accounts,
    user_name   text NOT NULL CHECK (user_name ~ '^[A-Za-z0-9_+=,.@-]{1,64}$'),
    user_id     text NOT NULL UNIQUE CHECK (user_id ~ '^AIDA[A-Z2-7]{17}$'),
    path        text NOT NULL DEFAULT '/',
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, user_name)
);

-- user_name is null for the account's root
CREATE TABLE access_keys (
    access_key_id text PRIMARY KEY CHECK (access_key_id ~ '^AKIA[A-Z2-7]{16}$'),
    account_id    text NOT NULL REFERENCES accounts,
    user_name     text,
    sealed_secret text NOT NULL,
    status        text NOT NULL DEFAULT 'Active' CHECK (status IN ('Active', 'Inactive')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (account_id, user_name) REFERENCES users
);

-- Temporary credentials of a role: an instance's agent, later tasks and AssumeRole.
-- subject is what the session was made for (an instance id); it may act for that only.
CREATE TABLE sessions (
    access_key_id text PRIMARY KEY CHECK (access_key_id ~ '^ASIA[A-Z2-7]{16}$'),
    account_id    text NOT NULL REFERENCES accounts,
    role_name     text NOT NULL,
    role_id       text NOT NULL CHECK (role_id ~ '^AROA[A-Z2-7]{17}$'),
    session_name  text NOT NULL,
    subject       text,
    sealed_secret text NOT NULL,
    token_sha256  text NOT NULL CHECK (length(token_sha256) = 64),
    expires_at    timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sessions_subject ON sessions (subject);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Regions this installation knows; each has a database of its own.
CREATE TABLE regions (
    region      text PRIMARY KEY CHECK (region ~ '^[a-z][a-z0-9]*(-[a-z0-9]+)*$'),
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Answers of calls that carried a client token and changed this database.
CREATE TABLE client_tokens (
    account_id   text NOT NULL,
    action       text NOT NULL,
    token        text NOT NULL,
    request_hash text NOT NULL,
    answer       jsonb NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, action, token)
);

GRANT USAGE ON SCHEMA public TO berth_api, berth_reconcile;
GRANT SELECT, INSERT, UPDATE, DELETE ON accounts, users, access_keys, sessions, regions, client_tokens TO berth_api;
GRANT SELECT ON accounts, users, regions TO berth_reconcile;
GRANT SELECT, INSERT, DELETE ON sessions TO berth_reconcile;
