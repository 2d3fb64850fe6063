-- The stocks of a SKU; `stocks.postgres.sql` says which events are in it.
CREATE INDEX IF NOT EXISTS stocks_by_sku ON events
    (CASE WHEN json_valid(payload) THEN payload -> event_type ->> 'sku' END)
 WHERE aggregate_type = 'stock' AND sequence = 1;
