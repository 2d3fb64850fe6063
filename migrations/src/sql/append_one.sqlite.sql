-- SQLite has no functions: its appends are statements of the program.
SELECT 1;
