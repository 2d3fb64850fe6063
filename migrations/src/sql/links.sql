-- What strangers ask for with an address: to register, or for another password. A worker decides it; then the row is gone,
-- or it has the link of a registration until somebody has used it, or it has expired.
CREATE TABLE @requests (
    id           TEXT PRIMARY KEY,
    -- 'register', 'reset' or 'email'.
    purpose      TEXT NOT NULL,
    -- Of 'email': whose address it is to be.
    account      TEXT REFERENCES @accounts (id),
    -- What was typed: a JWE under a key that is derived from that of addresses, and its HMAC.
    address      TEXT NOT NULL,
    address_hash TEXT NOT NULL,
    language     TEXT NOT NULL,
    correlation  TEXT,
    traceparent  TEXT,
    asked_at     BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    -- When a link was made of it.
    linked_at    BIGINT,
    -- When the link was used, and what was given then: the user's id, the password's hash, and the name as a JWE.
    used_at      BIGINT,
    user_id      TEXT,
    password     TEXT,
    name         TEXT
);
CREATE INDEX requests_by_address ON @requests (address_hash);
CREATE INDEX requests_by_account ON @requests (account);
CREATE INDEX requests_by_end ON @requests (expires_at);
-- Links of accounts. There is one of each purpose that can be used: the newest.
CREATE TABLE @links (
    -- The request's id, of which the link is made.
    id                  TEXT PRIMARY KEY,
    account             TEXT NOT NULL REFERENCES @accounts (id),
    -- 'reset', 'email' or 'undo'.
    purpose             TEXT NOT NULL,
    -- The address that 'email' and 'undo' lead to: a JWE under a key that is derived from that of addresses, and its HMAC.
    new_address         TEXT,
    new_hash            TEXT,
    -- The address that it had when the link was used, as such a JWE: it gets the link that undoes it.
    old_address         TEXT,
    language            TEXT NOT NULL,
    -- What the account had when the link was made: it is void once it has others.
    address_hash        TEXT NOT NULL,
    password_generation BIGINT NOT NULL,
    made_at             BIGINT NOT NULL,
    expires_at          BIGINT NOT NULL,
    used_at             BIGINT
);
CREATE INDEX links_by_account ON @links (account, purpose);
CREATE INDEX links_by_end ON @links (expires_at);
-- Mails that are not sent yet. A row is deleted when its mail was sent, when its link has expired, or when another link
-- has taken its place.
CREATE TABLE @mails (
    id         TEXT PRIMARY KEY,
    -- 'register', 'account-exists', 'reset', 'email' or 'undo'.
    kind       TEXT NOT NULL,
    -- The request that its link is made of; absent: it has none.
    request    TEXT,
    account    TEXT REFERENCES @accounts (id),
    -- Who gets it: a JWE under a key that is derived from that of addresses.
    address    TEXT NOT NULL,
    language   TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- When it is to be tried next, and how often it was tried.
    due_at     BIGINT NOT NULL,
    tries      BIGINT NOT NULL DEFAULT 0,
    -- Why it was not sent the last time, without the address; and 1: the server does not take this address.
    failed     TEXT,
    refused    INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX mails_by_due ON @mails (due_at);
CREATE INDEX mails_by_account ON @mails (account);
CREATE INDEX mails_by_request ON @mails (request);
