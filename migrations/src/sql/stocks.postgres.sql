-- The stocks of a SKU, at every location: the first event of each stream. Only one event of a stock is in it.
CREATE INDEX stocks_by_sku ON @events ((payload -> event_type ->> 'sku'))
 WHERE aggregate_type = 'stock' AND sequence = 1;
