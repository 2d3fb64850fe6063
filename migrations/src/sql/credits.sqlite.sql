-- The credit notes of an order; `credits.postgres.sql` says what for.
CREATE INDEX credit_notes_by_order ON events (payload ->> '$.CreditNoteIssued.order_id')
 WHERE aggregate_type = 'credit_note';
