-- The credit notes of an order, before a new one is issued. Only credit notes are in it, so an append of anything else
-- writes no more than before.
CREATE INDEX credit_notes_by_order ON @events ((payload -> 'CreditNoteIssued' ->> 'order_id'))
 WHERE aggregate_type = 'credit_note';
