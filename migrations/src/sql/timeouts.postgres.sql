-- An instance may have several timeouts, each with a name. Empty: a process of a release before names set it while this
-- step ran beside it; it counts as the first one of its process.
ALTER TABLE @timeouts ADD COLUMN name TEXT NOT NULL DEFAULT '';
UPDATE @timeouts SET name = 'confirmation' WHERE process = 'fulfilment';
UPDATE @timeouts SET name = 'shipment' WHERE process = 'release-unshipped';
ALTER TABLE @timeouts DROP CONSTRAINT timeouts_pkey;
ALTER TABLE @timeouts ADD PRIMARY KEY (process, instance, name);
