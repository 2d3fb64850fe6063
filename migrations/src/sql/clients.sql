-- Clients of OAuth: the shop's own programs. Their secrets are here only as hashes. Written alike for PostgreSQL and SQLite.
CREATE TABLE @clients (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    -- SHA-256 of the secret, in base64; absent: it is public, and has none.
    secret_hash TEXT,
    -- The number of the secret.
    secret      BIGINT NOT NULL DEFAULT 1,
    -- As JSON. Without redirects it acts for itself.
    redirects   TEXT NOT NULL,
    scope       TEXT NOT NULL,
    -- Of its last fact.
    number      BIGINT NOT NULL DEFAULT 0,
    made_at     BIGINT NOT NULL,
    removed_at  BIGINT
);
-- What a browser brings to a client, which redeems it once.
CREATE TABLE @codes (
    -- SHA-256 of the code, in base64.
    hash       TEXT PRIMARY KEY,
    client     TEXT NOT NULL REFERENCES @clients (id),
    account    TEXT NOT NULL REFERENCES @accounts (id),
    -- The account's when it was made.
    epoch      BIGINT NOT NULL,
    -- The session that consented, and when that gave a second factor last.
    session    TEXT NOT NULL,
    proved_at  BIGINT,
    redirect   TEXT NOT NULL,
    -- SHA-256 of the verifier, in base64url.
    challenge  TEXT NOT NULL,
    scope      TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT,
    -- The session that it began.
    began      TEXT
);
CREATE INDEX codes_by_account ON @codes (account, client);
CREATE INDEX codes_by_end ON @codes (expires_at);
-- What people let clients do for them.
CREATE TABLE @consents (
    account  TEXT NOT NULL REFERENCES @accounts (id),
    client   TEXT NOT NULL REFERENCES @clients (id),
    scope    TEXT NOT NULL,
    given_at BIGINT NOT NULL,
    PRIMARY KEY (account, client)
);
