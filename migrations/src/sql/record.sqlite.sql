-- The record of operations as a log, so that it is sealed and checked like one. An entry's id is its time and its position
-- in the form of a UUID of version 7; whoever did it and the sealed note stand where a log has metadata.
CREATE TABLE @head (
    name   TEXT PRIMARY KEY,
    log_id TEXT NOT NULL
);
INSERT INTO @head (name, log_id)
VALUES ('operations',
        lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-a'
              || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))));
CREATE VIEW @events AS SELECT
    position,
    printf('%08x-%04x-7000-8000-%012x', at >> 16, at & 65535, position) AS event_id,
    'operation' AS aggregate_type,
    subject AS aggregate_id,
    position AS sequence,
    action AS event_type,
    '1' AS event_version,
    detail AS payload,
    actor || char(10) || coalesce(note, '') AS metadata,
    at * 1000 AS occurred_at,
    at * 1000 AS recorded_at
FROM @entries;
