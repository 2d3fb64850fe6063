-- Sessions of people who look at the audit trail. What a browser holds is nowhere. Written alike for PostgreSQL and SQLite.
CREATE TABLE @sessions (
    -- SHA-256 of the 32 random bytes in the cookie, in base64.
    hash       TEXT PRIMARY KEY,
    -- The key that it was begun with; absent: the operator's token.
    key_id     TEXT,
    -- SHA-256 of the secret that it was begun with, in base64.
    proof      TEXT NOT NULL,
    -- Milliseconds since 1970.
    began_at   BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at   BIGINT
);
-- Views of the timeline that somebody gave a name.
CREATE TABLE @views (
    slug       TEXT PRIMARY KEY,
    title      TEXT NOT NULL,
    -- The query of the timeline's address.
    query      TEXT NOT NULL,
    -- Who saved it, as `<kind>:<id>`.
    actor      TEXT NOT NULL,
    -- Milliseconds since 1970 by the database's clock.
    saved_at   BIGINT NOT NULL
);
