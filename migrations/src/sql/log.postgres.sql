-- The log: one ordered history, and what is decided together with it.
-- One row: whoever writes locks it first. It is never updated (each update would leave a dead version behind).
CREATE TABLE log.head (
    name       text PRIMARY KEY,
    log_id     uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO log.head (name) VALUES ('main');

-- The first seven columns and the key are those of the postgres-es crate; the others are ours.
-- Keys are compared byte by byte: faster, and an index does not change its order with the system's libraries.
CREATE TABLE log.events (
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id   text COLLATE "C" NOT NULL,
    sequence       bigint NOT NULL CHECK (sequence >= 0),
    event_type     text NOT NULL,
    event_version  text NOT NULL,
    payload        json NOT NULL,
    metadata       json NOT NULL,
    position       bigint NOT NULL UNIQUE CHECK (position > 0),
    event_id       uuid NOT NULL,
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);

-- The crate's own table, for an application that goes on using it. Nothing here reads or writes it.
CREATE TABLE log.snapshots (
    aggregate_type   text NOT NULL,
    aggregate_id     text NOT NULL,
    last_sequence    bigint NOT NULL CHECK (last_sequence >= 0),
    current_snapshot bigint NOT NULL CHECK (current_snapshot >= 0),
    payload          json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, last_sequence)
);

-- States of long streams. Never trusted over the log: it counts only if its event is still the one at its sequence.
CREATE TABLE log.states (
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id   text COLLATE "C" NOT NULL,
    state_version  int NOT NULL,
    sequence       bigint NOT NULL,
    event_id       uuid NOT NULL,
    state          json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id)
);

-- What every command led to. Holds ids, versions, positions and reasons; never a personal value or a token.
CREATE TABLE log.commands (
    command_id     uuid PRIMARY KEY,
    fingerprint    bytea NOT NULL,
    status         smallint NOT NULL,
    location       text,
    version        bigint,
    first_position bigint,
    last_position  bigint,
    detail         text,
    recorded_at    timestamptz NOT NULL
);
CREATE INDEX commands_by_time ON log.commands (recorded_at);

-- Unique values, as HMACs under every living key.
CREATE TABLE log.claim_keys (key_id int PRIMARY KEY);
CREATE TABLE log.claims (
    scope  text COLLATE "C" NOT NULL,
    key_id int NOT NULL,
    value  bytea NOT NULL,
    -- The version of the normal form that the value was brought into.
    form   smallint NOT NULL,
    owner  text COLLATE "C" NOT NULL,
    PRIMARY KEY (scope, key_id, value)
);
CREATE INDEX claims_by_owner ON log.claims (owner, scope);

-- Appends a batch: all checks under the lock of the head, then everything that was not refused, in one commit.
-- A request that is refused takes along those that stand on it, and nothing else.
CREATE FUNCTION log.append(
    -- One entry per request. `r_record`: keep the answer even if there are no events.
    r_command uuid[], r_fingerprint bytea[], r_record boolean[], r_status smallint[], r_location text[],
    r_version bigint[], r_detail text[], r_events int[],
    -- Request `d_request` stands on request `d_on` of the same batch (both from 1).
    d_request int[], d_on int[],
    -- The last event that a request expects of a stream; sequence 0 and no id: no stream.
    s_request int[], s_type text[], s_id text[], s_sequence bigint[], s_event uuid[],
    -- Values to hold, and (scope, owner) pairs of which only those are held from now on.
    k_request int[], k_scope text[], k_key int[], k_value bytea[], k_form smallint[], k_owner text[],
    f_request int[], f_scope text[], f_owner text[],
    claim_keys int[],
    -- The events, in order.
    e_request int[], e_type text[], e_id text[], e_sequence bigint[], e_name text[], e_version text[],
    e_payload text[], e_metadata text[], e_event uuid[], e_occurred timestamptz[]
) RETURNS TABLE (base bigint, at timestamptz, refused text)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    last_position bigint := 0;
    recorded      timestamptz;
    bad           int[];
    more          int[];
    why           json;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'log.append must run under READ COMMITTED' USING ERRCODE = '25001';
    END IF;
    -- The lock first, alone: a later statement of a volatile function sees what was committed while it waited.
    PERFORM 1 FROM log.head h WHERE h.name = 'main' FOR UPDATE;
    SELECT e.position, e.recorded_at INTO last_position, recorded FROM log.events e ORDER BY e.position DESC LIMIT 1;
    last_position := coalesce(last_position, 0);
    recorded := greatest(clock_timestamp(), recorded);
    IF cardinality(k_request) + cardinality(f_request) > 0 AND
       claim_keys IS DISTINCT FROM (SELECT coalesce(array_agg(k.key_id ORDER BY k.key_id), '{}') FROM log.claim_keys k) THEN
        RAISE EXCEPTION 'the keys of unique values have changed' USING ERRCODE = 'SS001';
    END IF;

    SELECT coalesce(array_agg(x.i), '{}'), json_agg(x.reason) INTO bad, why FROM (
        SELECT r.i::int AS i, json_build_object('request', r.i, 'why', 'command', 'fingerprint', encode(c.fingerprint, 'hex'),
                   'status', c.status, 'location', c.location, 'version', c.version, 'first', c.first_position,
                   'last', c.last_position, 'detail', c.detail) AS reason
          FROM unnest(r_command) WITH ORDINALITY AS r(id, i)
          JOIN log.commands c ON c.command_id = r.id
        UNION ALL
        SELECT s.request, json_build_object('request', s.request, 'why', 'version', 'type', s.kind, 'id', s.id,
                   'sequence', coalesce(l.sequence, 0), 'event', l.event_id,
                   'diverged', s.sequence > 0 AND s.event IS DISTINCT FROM
                       (SELECT e.event_id FROM log.events e WHERE e.aggregate_type = s.kind AND e.aggregate_id = s.id
                           AND e.sequence = s.sequence),
                   'missed', (SELECT json_agg(json_build_object('sequence', m.sequence, 'position', m.position,
                                  'event_id', m.event_id, 'event_type', m.event_type, 'event_version', m.event_version,
                                  'payload', m.payload::text) ORDER BY m.sequence)
                              FROM (SELECT * FROM log.events e WHERE e.aggregate_type = s.kind AND e.aggregate_id = s.id
                                       AND e.sequence > s.sequence ORDER BY e.sequence LIMIT 100) m))
          FROM unnest(s_request, s_type, s_id, s_sequence, s_event) AS s(request, kind, id, sequence, event)
          LEFT JOIN LATERAL (SELECT e.sequence, e.event_id FROM log.events e
                              WHERE e.aggregate_type = s.kind AND e.aggregate_id = s.id
                              ORDER BY e.sequence DESC LIMIT 1) l ON true
         WHERE coalesce(l.sequence, 0) <> s.sequence OR l.event_id IS DISTINCT FROM s.event
        UNION ALL
        SELECT k.request, json_build_object('request', k.request, 'why', 'claim', 'scope', k.scope, 'owner', c.owner)
          FROM unnest(k_request, k_scope, k_key, k_value, k_owner) AS k(request, scope, key_id, value, owner)
          JOIN log.claims c ON c.scope = k.scope AND c.key_id = k.key_id AND c.value = k.value
         -- What an import brings is brought once, whoever holds it; a repeated command was found above.
         WHERE c.owner <> k.owner OR k.scope = 'import'
    ) x;
    WHILE bad <> '{}' LOOP
        SELECT array_agg(DISTINCT d.request) INTO more FROM unnest(d_request, d_on) AS d(request, prior)
         WHERE d.prior = ANY (bad) AND NOT d.request = ANY (bad);
        EXIT WHEN more IS NULL;
        bad := bad || more;
    END LOOP;

    INSERT INTO log.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                            position, event_id, occurred_at, recorded_at)
    SELECT e.kind, e.id, e.sequence, e.name, e.version, e.payload::json, e.metadata::json,
           last_position + row_number() OVER (ORDER BY e.i), e.event, e.occurred, recorded
      FROM unnest(e_request, e_type, e_id, e_sequence, e_name, e_version, e_payload, e_metadata, e_event, e_occurred)
           WITH ORDINALITY AS e(request, kind, id, sequence, name, version, payload, metadata, event, occurred, i)
     WHERE NOT e.request = ANY (bad);

    INSERT INTO log.commands (command_id, fingerprint, status, location, version, first_position, last_position, detail, recorded_at)
    SELECT r.id, r.fingerprint, r.status, r.location, r.version,
           CASE WHEN r.events > 0 THEN last_position + r.upto - r.events + 1 END,
           CASE WHEN r.events > 0 THEN last_position + r.upto END, r.detail, recorded
      FROM (SELECT u.*, sum(u.events) OVER (ORDER BY u.i) AS upto
              FROM unnest(r_command, r_fingerprint, r_record, r_status, r_location, r_version, r_detail, r_events)
                   WITH ORDINALITY AS u(id, fingerprint, record, status, location, version, detail, events, i)
             WHERE NOT u.i::int = ANY (bad)) r
     WHERE r.events > 0 OR r.record;

    IF cardinality(f_request) > 0 THEN
        DELETE FROM log.claims c USING unnest(f_request, f_scope, f_owner) AS f(request, scope, owner)
         WHERE c.owner = f.owner AND c.scope = f.scope AND NOT f.request = ANY (bad)
           AND NOT EXISTS (SELECT 1 FROM unnest(k_request, k_scope, k_key, k_value) AS k(request, scope, key_id, value)
                            WHERE k.request = f.request AND k.scope = c.scope AND k.key_id = c.key_id AND k.value = c.value);
    END IF;
    IF cardinality(k_request) > 0 THEN
        INSERT INTO log.claims (scope, key_id, value, form, owner)
        SELECT k.scope, k.key_id, k.value, k.form, k.owner
          FROM unnest(k_request, k_scope, k_key, k_value, k_form, k_owner) AS k(request, scope, key_id, value, form, owner)
         WHERE NOT k.request = ANY (bad)
           AND NOT EXISTS (SELECT 1 FROM log.claims c WHERE c.scope = k.scope AND c.key_id = k.key_id AND c.value = k.value);
    END IF;

    RETURN QUERY SELECT last_position, recorded, coalesce(why, '[]')::text;
END $$;

-- Rows that come without a position were written by the postgres-es crate, beside us: they take the same lock and
-- the next position. Their id is random: one derived from the key would hide that a log was restored and written on.
CREATE FUNCTION log.number_event() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    last_position bigint;
    recorded      timestamptz;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the log is written under READ COMMITTED only' USING ERRCODE = '25001';
    END IF;
    PERFORM 1 FROM log.head h WHERE h.name = 'main' FOR UPDATE;
    SELECT e.position, e.recorded_at INTO last_position, recorded FROM log.events e ORDER BY e.position DESC LIMIT 1;
    NEW.position := coalesce(last_position, 0) + 1;
    NEW.event_id := coalesce(NEW.event_id, gen_random_uuid());
    NEW.recorded_at := greatest(clock_timestamp(), recorded);
    NEW.occurred_at := coalesce(NEW.occurred_at, NEW.recorded_at);
    RETURN NEW;
END $$;
CREATE TRIGGER number_event BEFORE INSERT ON log.events
    FOR EACH ROW WHEN (NEW.position IS NULL) EXECUTE FUNCTION log.number_event();
