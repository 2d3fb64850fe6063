-- The order of a guest that a link of the purpose 'claim' claims for its account.
ALTER TABLE @links ADD COLUMN order_id TEXT;
