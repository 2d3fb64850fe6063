-- What the worker of payments asks about again. Written alike for PostgreSQL and SQLite; times are milliseconds since 1970.
CREATE TABLE @questions (
    transaction_id TEXT PRIMARY KEY,
    payment        TEXT NOT NULL,
    -- When it was asked for; 0 where that is not known, so that it is never sent again.
    requested_at   BIGINT NOT NULL DEFAULT 0,
    -- How often it was asked about, how often the provider had never heard of it, and when it is asked about next.
    asked          BIGINT NOT NULL DEFAULT 0,
    missing        BIGINT NOT NULL DEFAULT 0,
    due_at         BIGINT NOT NULL
);
CREATE INDEX questions_by_due ON @questions (due_at);
-- What the sandbox did, as a provider would know it.
CREATE TABLE @sandbox (
    transaction_id   TEXT PRIMARY KEY,
    -- The transaction that authorized the money.
    authorization_id TEXT NOT NULL,
    -- 'authorization', 'charge', 'release' or 'refund'.
    kind             TEXT NOT NULL,
    amount           BIGINT NOT NULL,
    currency         TEXT NOT NULL,
    -- 'succeeded', 'failed', 'declined', 'action' or 'pending'.
    state            TEXT NOT NULL,
    code             TEXT,
    reference        TEXT NOT NULL,
    -- How often it was asked about.
    asked            BIGINT NOT NULL,
    made_at          BIGINT NOT NULL
);
CREATE INDEX sandbox_by_authorization ON @sandbox (authorization_id, kind);
-- What is done under one authorization, is done one after the other.
CREATE TABLE @sandbox_locks (
    authorization_id TEXT PRIMARY KEY
);
