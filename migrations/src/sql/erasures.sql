-- The register of erasures, in a place of its own: applied again when log and keys come back from a backup.
CREATE TABLE @erasures (
    subject  TEXT NOT NULL,
    purpose  TEXT NOT NULL,
    -- The request's event, in the log that was then.
    log      TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (subject, purpose)
);
