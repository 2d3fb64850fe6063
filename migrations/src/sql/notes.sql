-- Notes on events are read with the page of their stream.
CREATE INDEX entries_of_notes ON @entries (subject) WHERE action = 'event.note';
