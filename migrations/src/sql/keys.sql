-- Keys of people's data, wrapped by a master key that is not here. Written alike for PostgreSQL and SQLite.
CREATE TABLE @data_keys (
    kid     TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    purpose TEXT NOT NULL,
    -- Which master key wraps it (the start of its SHA-256).
    master  TEXT NOT NULL,
    -- Absent in a tombstone: the key was erased, and no second one is ever made.
    wrapped TEXT,
    CHECK (wrapped IS NOT NULL OR master = '')
);
CREATE INDEX data_keys_by_subject ON @data_keys (subject);
-- Subjects and purposes of which an erasure was requested: no key is made for them any more.
CREATE TABLE @barred (
    kid TEXT PRIMARY KEY
);
-- HMAC keys of unique values and of command fingerprints.
CREATE TABLE @hmac_keys (
    key_id  INTEGER PRIMARY KEY,
    master  TEXT NOT NULL,
    wrapped TEXT NOT NULL,
    -- 'claim' or 'fingerprint'.
    use     TEXT NOT NULL
);
