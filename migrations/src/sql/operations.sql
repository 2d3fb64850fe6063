-- The registry of generations of read models, and the record of what people did to them.
CREATE TABLE @generations (
    projection TEXT NOT NULL,
    generation INTEGER NOT NULL,
    -- Of the projector's logic and of its tables.
    version    INTEGER NOT NULL,
    shape      INTEGER NOT NULL,
    -- 'building', 'ready', 'rejected' or 'retired'.
    state      TEXT NOT NULL,
    PRIMARY KEY (projection, generation)
);
-- The one row that readers go by: SQL schema, search index and cache prefix all carry the generation's number.
CREATE TABLE @active (
    projection TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    previous   INTEGER
);
CREATE TABLE @leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    epoch      BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
-- Who retried, discarded, revealed, swapped, and why. Nothing here is updated or deleted.
CREATE TABLE @entries (
    position BIGINT PRIMARY KEY,
    at       BIGINT NOT NULL,
    actor    TEXT NOT NULL,
    action   TEXT NOT NULL,
    subject  TEXT NOT NULL,
    -- Personal: sealed, like any note.
    note     TEXT
);
