-- Who may sign in: hashes and sealed values only. Nothing here is read from the log. Moments are milliseconds since 1970 by
-- the database's clock. Written alike for PostgreSQL and SQLite.
CREATE TABLE @accounts (
    -- The user's id.
    id                  TEXT PRIMARY KEY,
    -- HMAC of the verified e-mail address, in base64.
    address             TEXT NOT NULL UNIQUE,
    -- By source, as JSON: {"staff":["support"]}.
    roles               TEXT NOT NULL,
    -- Since when it has had a role other than customer, for the first time: it stays.
    staff_since         BIGINT,
    disabled_at         BIGINT,
    -- Sessions of an earlier one have ended.
    epoch               BIGINT NOT NULL DEFAULT 1,
    -- As a PHC string; absent: it has none yet, or none any more.
    password            TEXT,
    password_generation BIGINT NOT NULL DEFAULT 0,
    -- Of its last fact.
    number              BIGINT NOT NULL DEFAULT 0,
    opened_at           BIGINT NOT NULL
);
CREATE TABLE @sessions (
    id            TEXT PRIMARY KEY,
    account       TEXT NOT NULL REFERENCES @accounts (id),
    epoch         BIGINT NOT NULL,
    client        TEXT NOT NULL,
    scope         TEXT NOT NULL DEFAULT '',
    -- What the device says of itself: a JWE under the account's key.
    device        TEXT,
    -- SHA-256 of the secret in the browser's cookie, in base64; a session has this or refresh tokens.
    cookie_hash   TEXT UNIQUE,
    -- Of its refresh token: raised with each rotation.
    generation    BIGINT NOT NULL DEFAULT 0,
    -- The number of the key that its refresh tokens are made with.
    refresh_key   INTEGER,
    -- SHA-256 of the token of this generation and of the one before, in base64.
    token_hash    TEXT,
    previous_hash TEXT,
    rotated_at    BIGINT,
    -- 1: the token before may come again for a moment, and gets the same successor.
    grace         INTEGER NOT NULL DEFAULT 0,
    -- When a second factor was given last.
    proved_at     BIGINT,
    began_at      BIGINT NOT NULL,
    used_at       BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    ended_at      BIGINT
);
CREATE INDEX sessions_by_account ON @sessions (account, began_at);
CREATE INDEX sessions_by_end ON @sessions (expires_at);
-- Keys of its own, wrapped by the master key.
CREATE TABLE @keys (
    -- 'address' or 'refresh'.
    use     TEXT NOT NULL,
    number  INTEGER NOT NULL,
    master  TEXT NOT NULL,
    wrapped TEXT NOT NULL,
    PRIMARY KEY (use, number)
);
-- Ed25519.
CREATE TABLE @signing_keys (
    kid          TEXT PRIMARY KEY,
    -- 32 bytes in base64url, as a JWK has them.
    public_key   TEXT NOT NULL,
    master       TEXT NOT NULL,
    -- Until it signs no more.
    private_key  TEXT,
    made_at      BIGINT NOT NULL,
    signs_from   BIGINT NOT NULL,
    -- When it signs no more, once another one follows it.
    signs_until  BIGINT,
    retired_at   BIGINT
);
-- How often something failed within an hour. What was typed is here only as an HMAC.
CREATE TABLE @attempts (
    what     TEXT NOT NULL,
    -- Hours since 1970.
    hour     BIGINT NOT NULL,
    count    BIGINT NOT NULL,
    since    BIGINT NOT NULL,
    PRIMARY KEY (what, hour)
);
CREATE INDEX attempts_by_hour ON @attempts (hour);
-- Facts on their way into the log, each as exactly this version of its stream.
CREATE TABLE @outbox (
    aggregate_type TEXT NOT NULL,
    aggregate_id   TEXT NOT NULL,
    number         BIGINT NOT NULL,
    payload        TEXT NOT NULL,
    metadata       TEXT NOT NULL,
    occurred_at    BIGINT NOT NULL,
    -- Why the log did not take it: then its stream stands still.
    refused        TEXT,
    PRIMARY KEY (aggregate_type, aggregate_id, number)
);
