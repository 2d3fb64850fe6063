-- What an operator is shown of process managers. Written alike for PostgreSQL and SQLite.
CREATE TABLE @processes (
    process    TEXT PRIMARY KEY,
    -- `running`, `stopped` or `off`.
    state      TEXT NOT NULL,
    -- Why it is stopped.
    reason     TEXT,
    -- Since when it is in this state, in milliseconds since 1970.
    since      BIGINT NOT NULL,
    -- When it was started on this log; not known of one that an earlier release started.
    started_at BIGINT
);
-- Since when an instance is in its step, and the last of its commands that was refused.
ALTER TABLE @instances ADD COLUMN since BIGINT;
ALTER TABLE @instances ADD COLUMN refused_task TEXT;
ALTER TABLE @instances ADD COLUMN refused_slug TEXT;
ALTER TABLE @instances ADD COLUMN refused_at BIGINT;
-- Of a command that has to wait: how often it was tried, why it waits and since when, and when it is tried again.
ALTER TABLE @outbox ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE @outbox ADD COLUMN last_error TEXT;
ALTER TABLE @outbox ADD COLUMN waiting_since BIGINT;
ALTER TABLE @outbox ADD COLUMN retry_at BIGINT;
CREATE INDEX outbox_by_retry ON @outbox (process, retry_at) WHERE retry_at IS NOT NULL;
