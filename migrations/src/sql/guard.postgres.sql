-- The record of operations is only ever added to, whoever asks.
CREATE FUNCTION operations.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the record of operations is only ever added to' USING ERRCODE = '42501';
END $$;
CREATE TRIGGER entries_are_for_ever BEFORE UPDATE OR DELETE OR TRUNCATE ON operations.entries
    FOR EACH STATEMENT EXECUTE FUNCTION operations.refuse();
