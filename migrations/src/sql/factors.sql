-- Second factors, and sign-ins that wait for one. Written alike for PostgreSQL and SQLite.
CREATE TABLE @factors (
    id        TEXT PRIMARY KEY,
    account   TEXT NOT NULL REFERENCES @accounts (id),
    -- 'totp', or 'recovery': one code, which is deleted when it is used.
    kind      TEXT NOT NULL,
    -- Of totp: a JWE under the account's key.
    secret    TEXT,
    -- Of totp: the step of the last code that was taken. No code of it, or of one before, is taken again.
    last_step BIGINT NOT NULL DEFAULT 0,
    -- Of recovery: SHA-256 of account and code, in base64.
    hash      TEXT,
    added_at  BIGINT NOT NULL,
    -- When its first code was given. Until then it is no factor, and is deleted soon.
    proved_at BIGINT,
    used_at   BIGINT
);
CREATE INDEX factors_by_account ON @factors (account, kind);
-- The password was right, a second factor is waited for.
CREATE TABLE @sign_ins (
    -- SHA-256 of the pending token, in base64.
    hash                TEXT PRIMARY KEY,
    account             TEXT NOT NULL REFERENCES @accounts (id),
    -- Of the account, as its password was verified.
    epoch               BIGINT NOT NULL,
    password_generation BIGINT NOT NULL,
    -- The steps done: 'password'.
    steps               TEXT NOT NULL,
    expires_at          BIGINT NOT NULL
);
CREATE INDEX sign_ins_by_account ON @sign_ins (account, expires_at);
