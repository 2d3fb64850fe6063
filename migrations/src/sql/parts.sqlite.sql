-- The events of a stock by the line of an order that they are about; `parts.postgres.sql` says why. A payload that was
-- damaged is no JSON, and has no line. A step of SQLite is no transaction: one that was killed is taken again.
CREATE INDEX IF NOT EXISTS stock_parts ON events
    (CASE WHEN json_valid(payload) THEN (payload -> event_type ->> 'order_id') || '/' || (payload -> event_type ->> 'line') END)
 WHERE aggregate_type = 'stock';
