-- Devices on which somebody signed in before. Written alike for PostgreSQL and SQLite.
CREATE TABLE @devices (
    -- SHA-256 of the device token, in base64.
    hash    TEXT NOT NULL,
    -- One row for each account that signed in on it.
    account TEXT NOT NULL REFERENCES @accounts (id),
    -- The first and the last time.
    made_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    PRIMARY KEY (hash, account)
);
CREATE INDEX devices_by_account ON @devices (account, used_at);
CREATE INDEX devices_by_use ON @devices (used_at);
-- The device that it began on: the hash of its token.
ALTER TABLE @sessions ADD COLUMN known_device TEXT;
-- When the last one was counted: the delay before the next one begins then.
ALTER TABLE @attempts ADD COLUMN last_at BIGINT NOT NULL DEFAULT 0;
-- When somebody signed in to it for the first time; it stays when the sessions of then are deleted.
ALTER TABLE @accounts ADD COLUMN signed_in_at BIGINT;
UPDATE @accounts SET signed_in_at = (SELECT min(s.began_at) FROM @sessions s WHERE s.account = @accounts.id);
