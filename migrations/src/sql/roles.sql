-- What the roles of staff permit: those of a release, as it was recorded last, and those that the shop defined.
CREATE TABLE @roles (
    name        TEXT PRIMARY KEY,
    -- Names of permissions in their order, separated by commas.
    permissions TEXT NOT NULL,
    -- 1: the shop defined it; 0: it comes with the release.
    own         INTEGER NOT NULL,
    -- The number of its last fact.
    number      BIGINT NOT NULL,
    changed_at  BIGINT NOT NULL,
    removed_at  BIGINT
);
