-- Appends the commonest batch: one command with one event of one stream, and no unique values. It does what `log.append`
-- does for such a batch, with plain statements over single values, which PostgreSQL runs in half the time of sets made
-- of arrays. Where something is not as the command expects, it writes nothing and returns no row: `log.append` is
-- called then, which says what it is.
CREATE FUNCTION log.append_one(
    p_command uuid, p_fingerprint bytea, p_status smallint, p_location text, p_version bigint, p_detail text,
    -- The last event that the command expects of the stream; sequence 0 and no id: no stream.
    p_type text, p_id text, p_seen bigint, p_seen_event uuid,
    p_sequence bigint, p_name text, p_event_version text, p_payload text, p_metadata text, p_event uuid,
    p_occurred timestamptz
) RETURNS TABLE (base bigint)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    last_position bigint;
    recorded      timestamptz;
    last_sequence bigint;
    last_event    uuid;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'log.append_one must run under READ COMMITTED' USING ERRCODE = '25001';
    END IF;
    -- The lock first, alone: a later statement of a volatile function sees what was committed while it waited.
    PERFORM 1 FROM log.head h WHERE h.name = 'main' FOR UPDATE;
    IF EXISTS (SELECT 1 FROM log.commands c WHERE c.command_id = p_command) THEN
        RETURN;
    END IF;
    SELECT e.sequence, e.event_id INTO last_sequence, last_event FROM log.events e
     WHERE e.aggregate_type = p_type AND e.aggregate_id = p_id ORDER BY e.sequence DESC LIMIT 1;
    IF coalesce(last_sequence, 0) <> p_seen OR last_event IS DISTINCT FROM p_seen_event THEN
        RETURN;
    END IF;
    SELECT e.position, e.recorded_at INTO last_position, recorded FROM log.events e ORDER BY e.position DESC LIMIT 1;
    base := coalesce(last_position, 0);
    recorded := greatest(clock_timestamp(), recorded);
    INSERT INTO log.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                            position, event_id, occurred_at, recorded_at)
    VALUES (p_type, p_id, p_sequence, p_name, p_event_version, p_payload::json, p_metadata::json, base + 1, p_event,
            p_occurred, recorded);
    INSERT INTO log.commands (command_id, fingerprint, status, location, version, first_position, last_position, detail,
                              recorded_at)
    VALUES (p_command, p_fingerprint, p_status, p_location, p_version, base + 1, base + 1, p_detail, recorded);
    RETURN NEXT;
END $$;
