-- Why the worker of a lease stopped, until it works again, and when it said so last (in milliseconds since 1970 by the
-- database's clock). Written alike for PostgreSQL and SQLite.
ALTER TABLE @leases ADD COLUMN stopped TEXT;
ALTER TABLE @leases ADD COLUMN stopped_at BIGINT;
