### Why something was refused, by the slug of the problem.

problem-otherwise = Something went wrong. Try again; the name below says what it was.
problem-not-found = There is nothing with this name.
problem-invalid-id = The id in the address is not a UUID.
problem-invalid-query = A parameter of the address cannot be read.
problem-not-permitted = Your role is not allowed to do this.
problem-bad-token = The key is unknown or was revoked.
problem-token-expired = The key has expired.
problem-cross-site = Another site made your browser send this request; nothing was done.
problem-too-many-checks = The log is being checked already: wait, and look at the result.
problem-too-many-look-ups = Too many look-ups: wait a minute.
problem-too-many-notes = Too many notes: wait a minute.
problem-view-taken = Another person has saved a view with this name: choose another name.
problem-invalid-body = The form cannot be read.
problem-body-too-large = The form is too large.
problem-key-store-unavailable = The keys of personal values cannot be read right now: try again.
problem-history-unreadable = This history cannot be read: a newer release wrote an event of it, or a key is missing.
problem-person-erased = This person's data was erased: nothing new is kept about them.
problem-timed-out = It took too long: narrow the search by time or type.
problem-database-unavailable = A database is not available right now: try again.
problem-read-model-missing = The read model does not exist.
problem-read-model-behind = The read model has not reached that position yet.
problem-not-yours = A key or the shop began this, and a guest may touch only what guests began.
problem-not-a-data-subject = This is the id of an API key, or the operator's: they are not erased as a customer is.
problem-key-not-found = There is no API key of this id.
problem-key-in-use = The API key is still valid: revoke it first.
