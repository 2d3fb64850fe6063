-- The credit notes of an order; `credits.postgres.sql` says what for.
CREATE INDEX IF NOT EXISTS credit_notes_by_order ON events
    (CASE WHEN json_valid(payload) THEN payload ->> '$.CreditNoteIssued.order_id' END)
 WHERE aggregate_type = 'credit_note';
