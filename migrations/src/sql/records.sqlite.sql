-- How far the records of commands were purged; `records.postgres.sql` says how.
CREATE TABLE purged (
    kind        TEXT PRIMARY KEY,
    recorded_at INTEGER NOT NULL,
    command_id  TEXT NOT NULL
) WITHOUT ROWID;
