-- The orders that an account claimed, and the orders of a guest: who is erased with an account. An append of any other event
-- writes no more than before.
CREATE INDEX orders_by_account ON @events ((payload -> 'OrderClaimed' ->> 'account'))
 WHERE aggregate_type = 'order' AND event_type = 'OrderClaimed';
CREATE INDEX orders_by_guest ON @events ((payload -> 'OrderPlaced' -> 'customer' ->> 'guest'))
 WHERE aggregate_type = 'order' AND event_type = 'OrderPlaced';
