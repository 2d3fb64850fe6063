-- Passkeys as second factors, and the challenges that they answer. Written alike for PostgreSQL and SQLite.
-- Of a passkey: the name that its owner gave it, a JWE under the account's key. In `secret` are its id and its public key,
-- in the same way, and `hash` is SHA-256 of its id, in base64.
ALTER TABLE @factors ADD COLUMN name TEXT;
-- Of a passkey: what its use changes, in base64. The signature counter is in it.
ALTER TABLE @factors ADD COLUMN state TEXT;
CREATE UNIQUE INDEX passkeys_by_hash ON @factors (hash) WHERE kind = 'passkey';
CREATE TABLE @challenges (
    -- What asks: 'add:' with factor and session, 'sign-in:' with the hash of the pending token, or 'step-up:' with the
    -- session. Each has one, the newest, which is deleted by its first answer.
    asker      TEXT PRIMARY KEY,
    -- Goes with the account, also where a process of the release before deletes it.
    account    TEXT NOT NULL REFERENCES @accounts (id) ON DELETE CASCADE,
    -- What the answer is compared with, the challenge in it: a JWE.
    state      TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX challenges_by_account ON @challenges (account);
