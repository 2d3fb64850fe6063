-- What followers beside the log keep: relay and reactors. Written alike for PostgreSQL and SQLite.
CREATE TABLE @checkpoints (
    follower TEXT PRIMARY KEY,
    log      TEXT NOT NULL,
    position BIGINT NOT NULL,
    event_id TEXT,
    epoch    BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE @leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    epoch      BIGINT NOT NULL,
    -- Milliseconds since 1970 by the database's clock.
    expires_at BIGINT NOT NULL
);
CREATE TABLE @instances (
    process  TEXT NOT NULL,
    instance TEXT NOT NULL,
    state    TEXT NOT NULL,
    -- The number of its next command: never used twice.
    next     BIGINT NOT NULL,
    PRIMARY KEY (process, instance)
);
-- Commands to send: in order within an instance, one at a time.
CREATE TABLE @outbox (
    process        TEXT NOT NULL,
    instance       TEXT NOT NULL,
    number         BIGINT NOT NULL,
    -- The id of the input that led to it: part of the command's id.
    input          TEXT NOT NULL,
    task           TEXT NOT NULL,
    causation_id   TEXT,
    correlation_id TEXT,
    on_behalf_of   TEXT,
    traceparent    TEXT,
    PRIMARY KEY (process, instance, number)
);
CREATE TABLE @timeouts (
    process  TEXT NOT NULL,
    instance TEXT NOT NULL,
    -- The timeout's own id: part of the ids of the commands that it leads to.
    id       TEXT NOT NULL,
    due_at   BIGINT NOT NULL,
    -- The head that was read after it came due: it fires once the checkpoint has passed it.
    not_before BIGINT,
    causation_id   TEXT,
    correlation_id TEXT,
    on_behalf_of   TEXT,
    PRIMARY KEY (process, instance)
);
CREATE INDEX timeouts_by_time ON @timeouts (due_at);
