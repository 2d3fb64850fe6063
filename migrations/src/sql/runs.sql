-- Work on generations that takes long: who does it, how far it is, what is wanted of it meanwhile.
CREATE TABLE @runs (
    run          BIGINT PRIMARY KEY,
    -- 'rebuild', 'verify', 'swap', 'rollback', 'retire' or 'deploy'.
    verb         TEXT NOT NULL,
    projection   TEXT NOT NULL,
    -- Absent until it is made.
    generation   INTEGER,
    -- 'running', 'paused', 'done', 'found', 'refused', 'failed', 'interrupted' or 'cancelled'.
    state        TEXT NOT NULL,
    actor        TEXT NOT NULL,
    host         TEXT NOT NULL,
    pid          BIGINT NOT NULL,
    -- Milliseconds since 1970 by the database's clock.
    started_at   BIGINT NOT NULL,
    beat_at      BIGINT NOT NULL,
    ended_at     BIGINT,
    -- Positions of the log.
    from_position BIGINT NOT NULL DEFAULT 0,
    to_position  BIGINT NOT NULL DEFAULT 0,
    position     BIGINT NOT NULL DEFAULT 0,
    -- Events that were folded, that were passed by type, and that were parked.
    folded       BIGINT NOT NULL DEFAULT 0,
    skipped      BIGINT NOT NULL DEFAULT 0,
    parked       BIGINT NOT NULL DEFAULT 0,
    -- Positions per second; absent: as fast as it goes.
    limit_rate   BIGINT,
    -- 'run', 'pause' or 'cancel': written by others, read by the run.
    wanted       TEXT NOT NULL DEFAULT 'run',
    -- What came out, as JSON: ids, keys, counts and columns, never a value.
    result       TEXT
);
CREATE INDEX runs_by_projection ON @runs (projection, run);
-- The run that found the generation equal to what it is to replace, or whose differences were accepted.
ALTER TABLE @generations ADD COLUMN verified_by BIGINT;
ALTER TABLE @generations ADD COLUMN made_at BIGINT;
ALTER TABLE @generations ADD COLUMN ended_at BIGINT;
-- What was done, in ids and counts, as JSON.
ALTER TABLE @entries ADD COLUMN detail TEXT NOT NULL DEFAULT '{}';
-- One row: whoever records locks it first, so that positions are dense.
CREATE TABLE @entries_head (name TEXT PRIMARY KEY);
INSERT INTO @entries_head (name) VALUES ('main');
