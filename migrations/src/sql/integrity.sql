-- Checks of seals and what was acknowledged of them: the newest of each log says what is known of it.
CREATE INDEX entries_of_integrity ON @entries (subject, position) WHERE action IN ('check', 'acknowledge');
-- What is wrong with a follower, since when, and where it stood: once it is, only work that is done ends it.
CREATE TABLE @verdicts (
    subject  TEXT PRIMARY KEY,
    -- Milliseconds since 1970.
    since    BIGINT NOT NULL,
    -- Its position when this was last seen.
    position BIGINT NOT NULL,
    -- When it was first seen there.
    stood    BIGINT NOT NULL,
    -- What is wrong, as JSON.
    trouble  TEXT NOT NULL
);
