-- The events of a stock by the line of an order that they are about, `<order>/<line>`: a line's state is found without
-- reading the stream, and without a table that could differ from the log. The expression stands once more in
-- `EventLog::part`; a release that stores the two fields elsewhere makes another index.
CREATE INDEX stock_parts ON log.events
    ((CASE WHEN aggregate_type = 'stock' THEN (payload -> event_type ->> 'order_id') || '/' || (payload -> event_type ->> 'line') END COLLATE "C"))
 WHERE (CASE WHEN aggregate_type = 'stock' THEN (payload -> event_type ->> 'order_id') || '/' || (payload -> event_type ->> 'line') END COLLATE "C") IS NOT NULL;
