-- How far the records of commands were purged. A person's and a process's are kept for different times; which of the
-- two a record is, its first event says, so an append writes no more than before. One that appended nothing is a
-- process's: of persons' commands only what was done is recorded.
CREATE TABLE log.purged (
    -- Whose: 'person' or 'process'.
    kind        text COLLATE "C" PRIMARY KEY,
    -- The last record that was looked at. Up to it, none of that kind is left.
    recorded_at timestamptz NOT NULL,
    command_id  uuid NOT NULL
);

-- Looks at the next few records that are old enough, and deletes those of that kind, in one commit. None is old enough
-- that was recorded from `p_before` on, however old it is.
CREATE FUNCTION log.purge(p_kind text, p_days int, p_before timestamptz, p_most bigint)
RETURNS TABLE (looked bigint, deleted bigint)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    young   timestamptz := least(clock_timestamp() - make_interval(days => p_days), p_before);
    done_at timestamptz;
    done_id uuid;
    last_at timestamptz;
    last_id uuid;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'log.purge must run under READ COMMITTED' USING ERRCODE = '25001';
    END IF;
    -- The lock first, alone, like an append: whoever waits for it waits for nothing else.
    PERFORM 1 FROM log.head h WHERE h.name = 'main' FOR UPDATE;
    SELECT p.recorded_at, p.command_id INTO done_at, done_id FROM log.purged p WHERE p.kind = p_kind;
    done_at := coalesce(done_at, '-infinity');
    done_id := coalesce(done_id, '00000000-0000-0000-0000-000000000000');
    WITH next AS (
        SELECT c.command_id, c.recorded_at, c.first_position FROM log.commands c
         WHERE (c.recorded_at, c.command_id) > (done_at, done_id) AND c.recorded_at < young
         ORDER BY c.recorded_at, c.command_id LIMIT p_most
    ), gone AS (
        DELETE FROM log.commands c USING next n LEFT JOIN log.events e ON e.position = n.first_position
         WHERE c.command_id = n.command_id AND (p_kind = 'process')
               = (n.first_position IS NULL OR coalesce(e.metadata ->> 'channel' = 'process', false))
        RETURNING c.command_id
    ), last AS (
        SELECT n.recorded_at, n.command_id FROM next n ORDER BY n.recorded_at DESC, n.command_id DESC LIMIT 1
    )
    SELECT (SELECT count(*) FROM next), (SELECT count(*) FROM gone),
           (SELECT l.recorded_at FROM last l), (SELECT l.command_id FROM last l)
      INTO looked, deleted, last_at, last_id;
    IF looked > 0 THEN
        INSERT INTO log.purged AS p (kind, recorded_at, command_id) VALUES (p_kind, last_at, last_id)
            ON CONFLICT (kind) DO UPDATE SET recorded_at = excluded.recorded_at, command_id = excluded.command_id;
    END IF;
    RETURN NEXT;
END $$;
