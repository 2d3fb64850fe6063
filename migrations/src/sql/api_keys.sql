-- API keys. A key itself is nowhere: it was shown once. Written alike for PostgreSQL and SQLite.
CREATE TABLE @api_keys (
    id           TEXT PRIMARY KEY,
    -- The part of the key that is shown, and by which it is found.
    prefix       TEXT NOT NULL UNIQUE,
    -- SHA-256 of its 32 random bytes, in base64.
    hash         TEXT NOT NULL,
    -- 'support', 'auditor', 'ops', 'admin' or 'service'.
    role         TEXT NOT NULL,
    -- What it is for; not who has it.
    name         TEXT NOT NULL,
    -- Milliseconds since 1970 by the database's clock.
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    -- To about a minute.
    used_at      BIGINT,
    -- The key that it takes the place of.
    rotated_from TEXT
);
