-- The log on SQLite; `log.postgres.sql` says what each table is for. Ids are lower-case text, moments microseconds.
CREATE TABLE head (
    name       TEXT PRIMARY KEY,
    log_id     TEXT NOT NULL,
    created_at INTEGER NOT NULL
);
INSERT INTO head (name, log_id, created_at)
VALUES ('main',
        lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-a'
              || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))),
        CAST(unixepoch('subsec') * 1000000 AS INTEGER));
CREATE TABLE events (
    aggregate_type TEXT NOT NULL,
    aggregate_id   TEXT NOT NULL,
    sequence       INTEGER NOT NULL CHECK (sequence >= 0),
    event_type     TEXT NOT NULL,
    event_version  TEXT NOT NULL,
    payload        TEXT NOT NULL,
    metadata       TEXT NOT NULL,
    position       INTEGER PRIMARY KEY CHECK (position > 0),
    event_id       TEXT NOT NULL,
    occurred_at    INTEGER NOT NULL,
    recorded_at    INTEGER NOT NULL
);
CREATE UNIQUE INDEX events_by_stream ON events (aggregate_type, aggregate_id, sequence);
CREATE TABLE states (
    aggregate_type TEXT NOT NULL,
    aggregate_id   TEXT NOT NULL,
    state_version  INTEGER NOT NULL,
    sequence       INTEGER NOT NULL,
    event_id       TEXT NOT NULL,
    state          TEXT NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id)
) WITHOUT ROWID;
CREATE TABLE commands (
    command_id     TEXT PRIMARY KEY,
    fingerprint    TEXT NOT NULL,
    status         INTEGER NOT NULL,
    location       TEXT,
    version        INTEGER,
    first_position INTEGER,
    last_position  INTEGER,
    detail         TEXT,
    recorded_at    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX commands_by_time ON commands (recorded_at);
CREATE TABLE claim_keys (key_id INTEGER PRIMARY KEY);
CREATE TABLE claims (
    scope  TEXT NOT NULL,
    key_id INTEGER NOT NULL,
    value  TEXT NOT NULL,
    form   INTEGER NOT NULL,
    owner  TEXT NOT NULL,
    PRIMARY KEY (scope, key_id, value)
) WITHOUT ROWID;
CREATE INDEX claims_by_owner ON claims (owner, scope);
