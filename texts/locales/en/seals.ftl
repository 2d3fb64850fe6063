### Why a position or a seal does not match, by the code of the fault.

seal-fault-row-unreadable = the row cannot be read: { $reason }
seal-fault-row-out-of-order = the event { $event } comes after position { $position }
seal-fault-rows-missing = the log goes on at position { $position }
seal-fault-recorded-earlier = it was recorded before the event before it
seal-fault-events-cut-off = the events up to position { $to } were there before, and are missing
seal-fault-other-than-read = the event that was read here before is another one
seal-fault-event-gone = the event that was sealed here is gone
seal-fault-event-moved = the event that was sealed here is now at position { $position }
seal-fault-sealed-elsewhere = the event here was sealed at position { $position }
seal-fault-event-replaced = the event that was sealed here is gone; the one here was sealed at position { $position }
seal-fault-never-sealed = the event here was never sealed; the one that was is now at position { $position }
seal-fault-event-changed = the event here is not the one that was sealed
seal-fault-seal-unreadable = seal { $seal }: { $reason }
seal-fault-seal-of-other-log = seal { $seal }: it is of the log { $log } { $id }
seal-fault-seal-count = seal { $seal }: its count is { $count }, and its positions are { $first } to { $last }
seal-fault-seal-leaves = seal { $seal }: its leaves are not those of its root
seal-fault-seal-signature = seal { $seal }: it was not signed by the key { $key } that it names
seal-fault-seal-not-first = seal { $seal }: it is the first but does not begin at position 1
seal-fault-seal-before-missing = seal { $seal }: the seal before it is missing
seal-fault-seals-missing = seal { $seal }: the seal before it is missing: the last one was { $last }
seal-fault-seal-not-next = seal { $seal }: it does not follow the seal before it
seal-fault-key-not-named = seal { $seal }: the key { $key } was not named by the one before it
seal-fault-other-key-not-named = seal { $seal }: it does not name the other key as it should
seal-fault-signed-by-others = the seals were signed by other keys than the one you gave, { $key }
seal-fault-file-changed = the file is not as it was written: its last line does not fit it
seal-fault-file-cut-off = the file was cut off: its last line is missing
