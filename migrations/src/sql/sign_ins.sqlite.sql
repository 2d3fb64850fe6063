-- How often a caller signed in on each day. The first sign-in of a day is an entry of the record, the others are only
-- counted; rows are deleted after 400 days.
CREATE TABLE @sign_ins (
    actor   TEXT NOT NULL,
    -- Days since 1970, in UTC.
    day     BIGINT NOT NULL,
    count   BIGINT NOT NULL,
    -- Milliseconds since 1970 by the database's clock.
    last_at BIGINT NOT NULL,
    PRIMARY KEY (actor, day)
);
CREATE INDEX sign_ins_by_day ON @sign_ins (day);
-- The record is read by who, what and when, and back to its first entry.
CREATE INDEX entries_by_time ON @entries (at, position);
CREATE INDEX entries_by_actor ON @entries (actor, position);
CREATE INDEX entries_by_action ON @entries (action, position);
CREATE INDEX entries_by_subject ON @entries (subject, position);
CREATE INDEX entries_of_operations ON @entries (position) WHERE action <> 'sign-in' AND action <> 'event.note';
