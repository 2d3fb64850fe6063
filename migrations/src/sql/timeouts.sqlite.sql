-- An instance may have several timeouts, each with a name. Empty: a process of a release before names set it while this
-- step ran beside it; it counts as the first one of its process.
-- All of it or nothing: the statements of a step are no transaction by themselves on SQLite.
BEGIN IMMEDIATE;
CREATE TABLE @named_timeouts (
    process        TEXT NOT NULL,
    instance       TEXT NOT NULL,
    name           TEXT NOT NULL DEFAULT '',
    id             TEXT NOT NULL,
    due_at         BIGINT NOT NULL,
    not_before     BIGINT,
    causation_id   TEXT,
    correlation_id TEXT,
    on_behalf_of   TEXT,
    PRIMARY KEY (process, instance, name)
);
INSERT INTO @named_timeouts (process, instance, name, id, due_at, not_before, causation_id, correlation_id, on_behalf_of)
SELECT process, instance, CASE process WHEN 'fulfilment' THEN 'confirmation' WHEN 'release-unshipped' THEN 'shipment' ELSE '' END,
    id, due_at, not_before, causation_id, correlation_id, on_behalf_of FROM @timeouts;
DROP TABLE @timeouts;
ALTER TABLE @named_timeouts RENAME TO timeouts;
CREATE INDEX timeouts_by_time ON @timeouts (due_at);
COMMIT;
