-- Sessions that nobody uses are looked for, those of staff by their accounts. Written alike for PostgreSQL and SQLite.
CREATE INDEX sessions_by_use ON @sessions (used_at) WHERE ended_at IS NULL;
CREATE INDEX accounts_of_staff ON @accounts (id) WHERE staff_since IS NOT NULL;
