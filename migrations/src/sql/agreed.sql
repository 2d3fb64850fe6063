-- The consent to advertising by e-mail that was given with the link of a registration, until it is in the log: the version
-- and the language of its words. Written alike for PostgreSQL and SQLite.
ALTER TABLE @requests ADD COLUMN wording TEXT;
ALTER TABLE @requests ADD COLUMN wording_language TEXT;
