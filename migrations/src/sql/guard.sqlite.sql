-- The record of operations is only ever added to, whoever asks.
CREATE TRIGGER entries_are_not_changed BEFORE UPDATE ON @entries
    BEGIN SELECT RAISE(ABORT, 'the record of operations is only ever added to'); END;
CREATE TRIGGER entries_are_not_removed BEFORE DELETE ON @entries
    BEGIN SELECT RAISE(ABORT, 'the record of operations is only ever added to'); END;
