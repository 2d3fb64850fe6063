-- The language of the mails to an account: that of the last sign-in. Written alike for PostgreSQL and SQLite.
ALTER TABLE @accounts ADD COLUMN language TEXT NOT NULL DEFAULT 'en';
