-- The client of OAuth that a mail tells of. Written alike for PostgreSQL and SQLite.
ALTER TABLE @mails ADD COLUMN client TEXT;
