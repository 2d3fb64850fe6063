-- The carts that an account took over, each in one of two ways, and the carts of a guest: who is erased with an account. An
-- append of any other event writes no more than before.
CREATE INDEX carts_by_user ON @events ((payload -> 'CartClaimed' ->> 'user'))
 WHERE aggregate_type = 'cart' AND event_type = 'CartClaimed';
CREATE INDEX carts_by_owner ON @events ((payload -> 'CartMerged' ->> 'owner'))
 WHERE aggregate_type = 'cart' AND event_type = 'CartMerged';
CREATE INDEX carts_by_guest ON @events ((payload -> 'CartStarted' -> 'customer' ->> 'guest'))
 WHERE aggregate_type = 'cart' AND event_type = 'CartStarted';
