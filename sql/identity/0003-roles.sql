-- Roles, and the instance profiles by which instances get them.

CREATE TABLE roles (
    account_id   text NOT NULL REFERENCES accounts,
    role_name    text NOT NULL CHECK (role_name ~ '^[A-Za-z0-9_+=,.@-]{1,64}$'),
    role_id      text NOT NULL UNIQUE CHECK (role_id ~ '^AROA[A-Z2-7]{17}$'),
    path         text NOT NULL DEFAULT '/' CHECK (path ~ '^/([!-~]+/)?$' AND length(path) <= 512),
    description  text CHECK (length(description) <= 1000),
    trust_policy text NOT NULL,                -- AssumeRolePolicyDocument, as it was given
    max_session_seconds integer NOT NULL DEFAULT 3600 CHECK (max_session_seconds BETWEEN 3600 AND 43200),
    tags         jsonb NOT NULL DEFAULT '[]',  -- [{Key, Value}]
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, role_name)
);
CREATE UNIQUE INDEX roles_name ON roles (account_id, lower(role_name));

CREATE TABLE instance_profiles (
    account_id   text NOT NULL REFERENCES accounts,
    profile_name text NOT NULL CHECK (profile_name ~ '^[A-Za-z0-9_+=,.@-]{1,128}$'),
    profile_id   text NOT NULL UNIQUE CHECK (profile_id ~ '^AIPA[A-Z2-7]{17}$'),
    path         text NOT NULL DEFAULT '/' CHECK (path ~ '^/([!-~]+/)?$' AND length(path) <= 512),
    role_name    text,
    tags         jsonb NOT NULL DEFAULT '[]',
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, profile_name),
    FOREIGN KEY (account_id, role_name) REFERENCES roles
);
CREATE UNIQUE INDEX instance_profiles_name ON instance_profiles (account_id, lower(profile_name));

-- What temporary credentials were made for decides what they may do: subject is an instance id or a
-- task id; null for AssumeRole and GetSessionToken.
ALTER TABLE sessions
    ADD COLUMN kind text NOT NULL DEFAULT 'assumed'
        CHECK (kind IN ('assumed', 'instance', 'task', 'execution'));
UPDATE sessions SET kind = 'instance' WHERE subject IS NOT NULL;
ALTER TABLE sessions ADD CHECK ((kind = 'assumed') = (subject IS NULL));

-- Every account has the role of container instances from the start. Ids are base32 words made from
-- the account's number.
CREATE FUNCTION account_defaults(account text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO roles (account_id, role_name, role_id, trust_policy, description)
    SELECT account, 'ecsInstanceRole', 'AROA' || translate(upper(substr(md5('role' || account), 1, 17)), '0189', 'GHIJ'),
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}',
        'container instances: what their agents may do';
    INSERT INTO instance_profiles (account_id, profile_name, profile_id, role_name)
    SELECT account, 'ecsInstanceRole', 'AIPA' || translate(upper(substr(md5('profile' || account), 1, 17)), '0189', 'GHIJ'),
        'ecsInstanceRole';
$$;
CREATE FUNCTION account_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM account_defaults(NEW.account_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER account_added AFTER INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION account_added();
SELECT account_defaults(account_id) FROM accounts;

GRANT SELECT, INSERT, UPDATE, DELETE ON roles, instance_profiles TO berth_api;
GRANT SELECT ON roles, instance_profiles TO berth_reconcile;
