-- Seals of the log on SQLite; `seals.postgres.sql` says what each column is for.
CREATE TABLE seals (
    number         INTEGER PRIMARY KEY CHECK (number > 0),
    version        INTEGER NOT NULL,
    kind           TEXT NOT NULL,
    log            TEXT NOT NULL,
    log_id         TEXT NOT NULL,
    first_position INTEGER NOT NULL,
    last_position  INTEGER NOT NULL,
    events         INTEGER NOT NULL,
    root           BLOB NOT NULL,
    previous       BLOB NOT NULL,
    last_event     TEXT NOT NULL,
    sealed_at      INTEGER NOT NULL,
    signing_key    BLOB NOT NULL,
    other_key      BLOB,
    signature      BLOB NOT NULL,
    leaves         BLOB NOT NULL
);
CREATE INDEX seals_by_position ON seals (last_position);
CREATE TRIGGER refuse_update BEFORE UPDATE ON seals BEGIN
    SELECT RAISE(ABORT, 'seals are only ever added');
END;
CREATE TRIGGER refuse_delete BEFORE DELETE ON seals BEGIN
    SELECT RAISE(ABORT, 'seals are only ever added');
END;
CREATE TRIGGER refuse_gap BEFORE INSERT ON seals
WHEN NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM seals) BEGIN
    SELECT RAISE(ABORT, 'that seal is not the next one');
END;
