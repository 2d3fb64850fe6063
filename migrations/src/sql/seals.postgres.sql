-- Seals of the log: signed statements of what it held, each naming the hash of the one before it. Nothing here is updated
-- or deleted, and whoever can do it all the same is found out.
CREATE TABLE @seals (
    number         BIGINT PRIMARY KEY CHECK (number > 0),
    -- Of the form of seals.
    version        BIGINT NOT NULL,
    -- 'events' or 'key-change'.
    kind           TEXT NOT NULL,
    log            TEXT NOT NULL,
    log_id         TEXT NOT NULL,
    -- The positions that it covers.
    first_position BIGINT NOT NULL,
    last_position  BIGINT NOT NULL,
    events         BIGINT NOT NULL,
    -- The hash of the leaves, and that of the seal before.
    root           BYTEA NOT NULL,
    previous       BYTEA NOT NULL,
    -- The id of the event at the last position.
    last_event     TEXT NOT NULL,
    -- Microseconds since 1970 by the database's clock.
    sealed_at      BIGINT NOT NULL,
    signing_key    BYTEA NOT NULL,
    -- In a change of keys the next one; in the first seal of a key the one before it.
    other_key      BYTEA,
    signature      BYTEA NOT NULL,
    -- The hash of each row, 32 bytes each.
    leaves         BYTEA NOT NULL
);
CREATE INDEX seals_by_position ON @seals (last_position);
CREATE FUNCTION @refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'seals are only ever added' USING ERRCODE = 'SS002';
END $$;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON @seals FOR EACH ROW EXECUTE FUNCTION @refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON @seals FOR EACH STATEMENT EXECUTE FUNCTION @refuse_change();
CREATE FUNCTION @refuse_gap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.number <> (SELECT coalesce(max(s.number), 0) + 1 FROM @seals s) THEN
        RAISE EXCEPTION 'seal % is not the next one', NEW.number USING ERRCODE = 'SS002';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_gap BEFORE INSERT ON @seals FOR EACH ROW EXECUTE FUNCTION @refuse_gap();
