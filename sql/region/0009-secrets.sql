-- Values that programs need and few may read. Values are sealed with the installation's master key:
-- this database alone gives none of them away.

-- Parameters (SSM), by account and name; versions count from 1.
CREATE TABLE parameters (
    account_id  text NOT NULL,
    name        text COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 1011),
    version     bigint NOT NULL DEFAULT 1,          -- the newest
    type        text NOT NULL CHECK (type IN ('String', 'StringList', 'SecureString')),
    details     jsonb NOT NULL DEFAULT '{}',        -- given back: Description, AllowedPattern, KeyId ...
    modified_by text NOT NULL,                      -- ARN
    modified_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, name)
);

CREATE TABLE parameter_versions (
    account_id  text NOT NULL,
    name        text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    type        text NOT NULL,
    sealed      text NOT NULL,
    modified_by text NOT NULL,
    modified_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, name, version),
    FOREIGN KEY (account_id, name) REFERENCES parameters ON DELETE CASCADE
);

-- Secrets (Secrets Manager). The suffix ends the ARN: a secret made anew under its name has another.
CREATE TABLE secrets (
    secret_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  text NOT NULL,
    name        text COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 512),
    suffix      text NOT NULL CHECK (suffix ~ '^[A-Za-z0-9]{6}$'),
    details     jsonb NOT NULL DEFAULT '{}',        -- given back: Description, KmsKeyId
    created_at  timestamptz NOT NULL DEFAULT now(),
    changed_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz,                        -- when it was asked to go; unreadable since
    delete_at   timestamptz,                        -- when it goes for good
    UNIQUE (account_id, name),
    CHECK ((deleted_at IS NULL) = (delete_at IS NULL))
);
CREATE INDEX secrets_going ON secrets (delete_at) WHERE delete_at IS NOT NULL;

CREATE TABLE secret_versions (
    secret_id   bigint NOT NULL REFERENCES secrets ON DELETE CASCADE,
    version_id  text NOT NULL CHECK (length(version_id) BETWEEN 32 AND 64),
    sealed      text NOT NULL,
    is_binary   boolean NOT NULL DEFAULT false,     -- the value is base64
    stages      text[] NOT NULL DEFAULT '{}',       -- AWSCURRENT, AWSPREVIOUS, the caller's
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (secret_id, version_id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON parameters, parameter_versions, secrets, secret_versions TO berth_api;
GRANT SELECT (secret_id, account_id, name, suffix, delete_at) ON secrets TO berth_reconcile;
GRANT DELETE ON secrets TO berth_reconcile;
