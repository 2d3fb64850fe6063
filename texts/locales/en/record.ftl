### The record of operations: the sentence of each kind of entry, and the texts of its pages.

record-reveal = Revealed the personal values of { $subject }, version { $version }, compared with version { $compared }
record-reveal-reason = Revealed the reason of { $subject }
record-read-personal = Looked at personal values of { $subject }: { $fields }
record-look-up = { $found-count ->
        [0] Looked up a person: nobody was found
        [one] Looked up a person: 1 person was found
       *[other] Looked up a person: { $found-count } people were found
    }
record-export = { $format ->
        [csv] Exported { $subject } as CSV: { $count ->
            [one] 1 row
           *[other] { $count } rows
        }
       *[other] Exported { $subject } as NDJSON: { $count ->
            [one] 1 row
           *[other] { $count } rows
        }
    }
record-check = { $verdict ->
        [intact] Checked { $subject } from position { $from } to { $to }: it matches its seals
        [broken] Checked { $subject }: tampering found at position { $first_bad }
        [unproven] Checked { $subject } from position { $from } to { $to }: not everything is sealed
       *[other] Checked { $subject }: there was nothing to check
    }
record-acknowledge = Acknowledged an alarm about { $subject }, positions { $from } to { $to }
record-swap = Swapped { $projection } from generation { $from } to generation { $to }
record-rollback = { $alarm ->
        [lag] Rolled back { $projection } from generation { $from } to generation { $to }: it was too far behind
        [errors] Rolled back { $projection } from generation { $from } to generation { $to }: it had errors
        [parked] Rolled back { $projection } from generation { $from } to generation { $to }: it had parked events
       *[other] Rolled back { $projection } from generation { $from } to generation { $to }
    }
record-rebuild = { $resumed ->
        [true] Went on to rebuild { $projection } as generation { $number }, in run { $run }
       *[other] Began to rebuild { $projection } as generation { $number }, in run { $run }
    }
record-verify = { $result ->
        [equal] Compared generations { $left } and { $right } of { $projection }: they are equal
       *[other] Compared generations { $left } and { $right } of { $projection }: { $differences ->
            [one] 1 row differs
           *[other] { $differences } rows differ
        }
    }
record-retire = { $for-erasure ->
        [true] Retired generation { $number } of { $projection }: no worker kept it up to date, and an erasure was overdue there
       *[other] { $because ->
            [not-needed] Retired generation { $number } of { $projection }: it was not needed any more
            [left-behind] Retired generation { $number } of { $projection }: a comparison left it behind
            [compared] Retired generation { $number } of { $projection }: it was made for a comparison
            [begun-anew] Retired generation { $number } of { $projection }: a rebuild began anew
           *[other] Retired generation { $number } of { $projection }
        }
    }
record-retry = { $positions-count ->
        [one] Retried 1 parked event of { $subject }
       *[other] Retried { $positions-count } parked events of { $subject }
    }
record-discard = { $positions-count ->
        [one] Discarded 1 parked event of { $subject }
       *[other] Discarded { $positions-count } parked events of { $subject }
    }
record-process-retry = Retried the waiting command { $command } of the process manager { $process }, instance { $subject }
record-process-acknowledge = Acknowledged the failures of the process manager { $process }, instance { $subject } ({ $refusal })
record-key-create = Created the API key “{ $subject }” (ssk_{ $prefix }) with the role { $role }
record-key-rotate = Replaced an API key with the role { $role } by “{ $subject }” (ssk_{ $prefix })
record-key-revoke = Revoked the API key “{ $subject }” (ssk_{ $prefix })
record-account-open = Opened account { $subject } with the role { $role }
record-account-disable = Disabled account { $subject }: { $reason }
record-account-enable = Enabled account { $subject } again: { $reason }
record-account-roles = Gave account { $subject } the role { $role }
record-account-end-sessions = Ended all sessions of account { $subject }
record-account-password = Gave account { $subject } another password
record-account-reset-factor = Removed the second factors of account { $subject }
record-clock-confirm = Confirmed the clock, which was ahead at position { $position }
record-save-view = { $replaced ->
        [true] Replaced the view { $subject }
       *[other] Saved the view { $subject }
    }
record-rename-view = Renamed the view { $subject } to { $to }
record-delete-view = Deleted the view { $subject }
record-sign-in = Signed in

page-operations = Operations
page-record-what = What people did with the shop and with its audit trail, and why. Every entry is kept for ever, and sealed.
page-record-all = All operations
page-record-no-sign-ins = Sign-ins are left out.
page-record-sign-ins = with sign-ins
page-record-any-action = any operation
page-record-any-actor = any actor: a key or an id
page-record-any-subject = any object: a number, SKU, view
page-record-signed-in = { $count ->
        [one] One sign-in on this day.
       *[other] { $count } sign-ins on this day.
    }
page-record-of-log = the log
page-record-of-operations = the record of operations
page-record-of-timeline = the timeline
page-record-operation = entry
page-reason-in-words = In their own words
page-reason-hidden = hidden
page-reason-reveal = hidden, reveal with a reason
