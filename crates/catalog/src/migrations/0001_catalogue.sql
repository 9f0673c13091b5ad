CREATE TABLE subscriptions (
    id TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
);

CREATE TABLE resource_groups (
    id TEXT NOT NULL PRIMARY KEY,
    subscription TEXT NOT NULL REFERENCES subscriptions (id) DEFERRABLE INITIALLY DEFERRED,
    body TEXT NOT NULL
);

CREATE TABLE workspaces (
    id TEXT NOT NULL PRIMARY KEY,
    resource_group TEXT NOT NULL REFERENCES resource_groups (id) DEFERRABLE INITIALLY DEFERRED,
    account TEXT NOT NULL UNIQUE,
    handle TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL
);
CREATE INDEX workspaces_of_group ON workspaces (resource_group);

CREATE TABLE endpoints (
    id TEXT NOT NULL PRIMARY KEY,
    resource_group TEXT NOT NULL REFERENCES resource_groups (id) DEFERRABLE INITIALLY DEFERRED,
    immutable_id TEXT NOT NULL UNIQUE,
    host_label TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL
);
CREATE INDEX endpoints_of_group ON endpoints (resource_group);

CREATE TABLE rules (
    id TEXT NOT NULL PRIMARY KEY,
    resource_group TEXT NOT NULL REFERENCES resource_groups (id) DEFERRABLE INITIALLY DEFERRED,
    immutable_id TEXT NOT NULL UNIQUE,
    endpoint TEXT REFERENCES endpoints (id) DEFERRABLE INITIALLY DEFERRED,
    body TEXT NOT NULL
);
CREATE INDEX rules_of_group ON rules (resource_group);
CREATE INDEX rules_of_endpoint ON rules (endpoint);

CREATE TABLE identities (
    id TEXT NOT NULL PRIMARY KEY,
    resource_group TEXT NOT NULL REFERENCES resource_groups (id) DEFERRABLE INITIALLY DEFERRED,
    client_id TEXT NOT NULL UNIQUE,
    principal_id TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL
);
CREATE INDEX identities_of_group ON identities (resource_group);

CREATE TABLE assignments (
    id TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
);

CREATE TABLE applications (
    id TEXT NOT NULL PRIMARY KEY,
    object_id TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL
);

CREATE TABLE deleted_workspaces (
    id TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
);

CREATE TABLE declared (
    id TEXT NOT NULL PRIMARY KEY
);

CREATE TABLE audit (
    sequence BIGINT NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    address TEXT,
    request_id TEXT,
    operation TEXT NOT NULL,
    target TEXT NOT NULL,
    target_key TEXT NOT NULL,
    detail TEXT
);
CREATE INDEX audit_by_time ON audit (at_ms);
CREATE INDEX audit_by_target ON audit (target_key, sequence);
