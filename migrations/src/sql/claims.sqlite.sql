-- The orders that an account claimed, and the orders of a guest; `claims.postgres.sql` says what for.
CREATE INDEX IF NOT EXISTS orders_by_account ON events
    (CASE WHEN json_valid(payload) THEN payload ->> '$.OrderClaimed.account' END)
 WHERE aggregate_type = 'order' AND event_type = 'OrderClaimed';
CREATE INDEX IF NOT EXISTS orders_by_guest ON events
    (CASE WHEN json_valid(payload) THEN payload ->> '$.OrderPlaced.customer.guest' END)
 WHERE aggregate_type = 'order' AND event_type = 'OrderPlaced';
