-- The record of operations as a log, so that it is sealed and checked like one. An entry's id is its time and its position
-- in the form of a UUID of version 7; whoever did it and the sealed note stand where a log has metadata.
CREATE TABLE @head (
    name   TEXT PRIMARY KEY,
    log_id uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO @head (name) VALUES ('operations');
CREATE VIEW @events AS SELECT
    position,
    (lpad(to_hex(at >> 16), 8, '0') || '-' || lpad(to_hex(at & 65535), 4, '0') || '-7000-8000-'
        || lpad(to_hex(position), 12, '0'))::uuid AS event_id,
    'operation'::text AS aggregate_type,
    subject AS aggregate_id,
    position AS sequence,
    action AS event_type,
    '1'::text AS event_version,
    detail AS payload,
    actor || chr(10) || coalesce(note, '') AS metadata,
    timestamptz 'epoch' + at * interval '1 millisecond' AS occurred_at,
    timestamptz 'epoch' + at * interval '1 millisecond' AS recorded_at
FROM @entries;
