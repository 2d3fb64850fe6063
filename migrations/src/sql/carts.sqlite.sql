-- The carts that an account took over, and the carts of a guest; `carts.postgres.sql` says what for.
CREATE INDEX IF NOT EXISTS carts_by_user ON events
    (CASE WHEN json_valid(payload) THEN payload ->> '$.CartClaimed.user' END)
 WHERE aggregate_type = 'cart' AND event_type = 'CartClaimed';
CREATE INDEX IF NOT EXISTS carts_by_owner ON events
    (CASE WHEN json_valid(payload) THEN payload ->> '$.CartMerged.owner' END)
 WHERE aggregate_type = 'cart' AND event_type = 'CartMerged';
CREATE INDEX IF NOT EXISTS carts_by_guest ON events
    (CASE WHEN json_valid(payload) THEN payload ->> '$.CartStarted.customer.guest' END)
 WHERE aggregate_type = 'cart' AND event_type = 'CartStarted';
