-- What an API key is limited to: permissions and networks, with commas; NULL: all that its role may, from everywhere.
-- Written alike for PostgreSQL and SQLite.
ALTER TABLE @api_keys ADD COLUMN permissions TEXT;
ALTER TABLE @api_keys ADD COLUMN networks TEXT;
