-- Buyers without an account, each known by a token since their first command. The token is in no table: it is made of the
-- id and of the key `guest` again.
CREATE TABLE @guests (
    id            TEXT PRIMARY KEY,
    -- SHA-256 of the token, in base64.
    token_hash    TEXT NOT NULL,
    -- The number of the key that the token is made with.
    key_number    INTEGER NOT NULL,
    -- The id of the command that the guest began with.
    first_command TEXT NOT NULL,
    began_at      BIGINT NOT NULL,
    -- To about an hour. A token that was not used for 90 days is not valid any more.
    used_at       BIGINT NOT NULL
);
CREATE UNIQUE INDEX guests_by_token ON @guests (token_hash);
CREATE INDEX guests_by_use ON @guests (used_at);
