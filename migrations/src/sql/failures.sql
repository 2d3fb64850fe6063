-- Commands of process managers that were refused although what they stand for has to be so. Written alike for PostgreSQL
-- and SQLite.
CREATE TABLE @failures (
    process   TEXT NOT NULL,
    instance  TEXT NOT NULL,
    -- The number of the command in its instance.
    number    BIGINT NOT NULL,
    task      TEXT NOT NULL,
    -- Why it was refused.
    slug      TEXT NOT NULL,
    -- In milliseconds since 1970.
    failed_at BIGINT NOT NULL,
    -- When somebody said that they know, and have done what is to be done about it.
    acknowledged_at BIGINT,
    PRIMARY KEY (process, instance, number)
);
CREATE INDEX failures_open ON @failures (process, instance, number) WHERE acknowledged_at IS NULL;
-- Earlier releases kept only the last refusal of an instance, and said nothing about it.
INSERT INTO @failures (process, instance, number, task, slug, failed_at)
SELECT process, instance, next, refused_task, refused_slug, coalesce(refused_at, 0) FROM @instances
 WHERE process = 'fulfilment'
   AND ((refused_task LIKE '{"do":"release"%' AND refused_slug = 'line-shipped') OR refused_task LIKE '{"do":"ship"%');
