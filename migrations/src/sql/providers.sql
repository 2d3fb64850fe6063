-- Who people are at providers of identities. Written alike for PostgreSQL and SQLite.
CREATE TABLE @providers (
    issuer    TEXT NOT NULL,
    -- HMAC of issuer and `sub`, in base64.
    subject   TEXT NOT NULL,
    account   TEXT NOT NULL REFERENCES @accounts (id),
    -- Its name in the settings.
    provider  TEXT NOT NULL,
    linked_at BIGINT NOT NULL,
    used_at   BIGINT,
    PRIMARY KEY (issuer, subject)
);
-- An account is one person there.
CREATE UNIQUE INDEX providers_by_account ON @providers (account, issuer);
-- On the way to a provider and back. A row is deleted when it is used.
CREATE TABLE @provider_sign_ins (
    -- SHA-256 of the secret in the browser's cookie, in base64.
    hash       TEXT PRIMARY KEY,
    provider   TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    -- The page to go on to.
    next       TEXT NOT NULL,
    -- To link: the account, the session in which its password was given, and its epoch then.
    account    TEXT REFERENCES @accounts (id),
    session    TEXT,
    epoch      BIGINT,
    expires_at BIGINT NOT NULL
);
CREATE INDEX provider_sign_ins_by_end ON @provider_sign_ins (expires_at);
CREATE INDEX provider_sign_ins_by_account ON @provider_sign_ins (account);
-- The provider that it began with: the roles that this one gives count in it.
ALTER TABLE @sessions ADD COLUMN provider TEXT;
-- Of an account that a provider opens: who its owner is there, and the roles.
ALTER TABLE @requests ADD COLUMN provider TEXT;
ALTER TABLE @requests ADD COLUMN issuer TEXT;
ALTER TABLE @requests ADD COLUMN subject TEXT;
ALTER TABLE @requests ADD COLUMN roles TEXT;
