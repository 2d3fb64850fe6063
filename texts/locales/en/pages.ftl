### The pages of the audit trail.

page-audit = Audit
page-overview = Overview
page-timeline = Timeline
page-projections = Read models
page-parked = Parked
page-integrity = Integrity
page-pages = Pages
page-jump = Go to a number, SKU, name, id or position
page-found-nothing = Nothing has this name
page-found-several = More than one thing has this name
page-found-tried = Order and credit note numbers, SKUs, product names, positions, ids of aggregates, events, commands and requests, hashes, API keys and texts of events were tried.
page-found-texts = Events that contain this text
page-found-texts-all = All of them in the timeline; the text will be in the address
page-found-by-number = by its number
page-found-by-sku = by its SKU
page-found-by-name = by its name
page-found-by-position = by its position
page-found-by-id = by its id
page-found-by-hash = by its hash
page-found-by-key = by its name, id or prefix
page-found-by-similar = its id is similar
page-skip = Skip to content
page-theme-auto = Automatic
page-theme-light = Light
page-theme-dark = Dark
page-density-compact = Compact rows
page-density-comfortable = Comfortable rows
page-sign-in = Sign in
page-sign-out = Sign out
page-sign-in-why = You need an account of staff, or an API key, to see what happened in the shop. Everything you reveal, export or look up is recorded.
page-sign-in-refused = This key is unknown, revoked or expired.
page-sign-in-how = An operator of the shop creates a key with this command:
page-sign-in-wrong = The e-mail address or the password is wrong.
page-sign-in-with-key = Or with an API key
page-sign-in-key = Sign in with the key
page-sign-in-account-how = And an account for a person with this one:
page-sign-in-ended = This sign-in has ended. Begin again with the password.
page-sign-in-again = Begin again
page-second-factor = Second factor
page-second-factor-why = The password was right. Type the six digits that your app shows, or a recovery code.
page-code = Code
page-code-wrong = The code is wrong, or was used before.
page-factors = Second factors
page-factors-what = An app on your telephone shows a code of six digits; a passkey is kept by a device. Who has one of them needs it to sign in, and to reveal, export or erase something.
page-factors-must-have = Your role must have a second factor. Add one; nothing else is open before.
page-factors-give-one = Your role must have a second factor. This session has given none yet.
page-factors-none-yet = Add a second factor, if you have none yet
page-factor-added = Added
page-factor-used = Last used
page-factor-change = Change
page-factor-remove = Remove
page-factor-add = Add a second factor
page-factor-wrong-password = The password is wrong.
page-factor-scan = Scan this picture with the app.
page-factor-picture = The secret of the second factor, as a QR code
page-factor-type = Or type this secret into it:
page-factor-prove = Type the code that the app shows now.
page-factor-kind = Kind
page-passkey-add = Add a passkey
page-passkey-what = A passkey is kept by your device or by a security key. You give it with a touch, a look or a PIN, and no other site can ask for it.
page-passkey-script = To give a passkey, a browser has to run the script of this page; codes of an app and recovery codes work without it.
page-passkey-use = Use a passkey
page-passkey-not-given = No passkey was given. Try again, or type a code.
page-passkey-name = Name, such as that of the device
page-passkey-bad-name = The name has 1 to 60 characters.
page-passkey-make = Your browser asks next where to keep the passkey.
page-passkey-make-it = Make the passkey
page-passkey-not-made = No passkey was made. Try again.
page-passkey-elsewhere = Passkeys of this shop are made where it is open at its own address:
page-recovery-codes = Recovery codes
page-recovery-codes-left = { $count ->
    [one] One recovery code is left. It stands in for the app, once.
   *[other] { $count } recovery codes are left. Each stands in for the app, once.
}
page-recovery-codes-new = Make new recovery codes
page-recovery-codes-why = Keep these codes where nobody else finds them. Each stands in for the app, once. They are shown only now; those of before count no more.
page-recovery-codes-kept = I have kept them
page-fresh-factor-why = This asks for a second factor of the last five minutes. Type the six digits that your app shows, or a recovery code.
page-go-on = Go on
page-email = E-mail address
page-password = Password
page-key = API key
page-keyboard = Keyboard shortcuts
page-keyboard-off = Shortcuts do nothing while you type. You can also switch them off.
page-keyboard-switch = Switch shortcuts on or off
page-key-pressed = Key
page-key-does = What it does
page-key-search = search
page-key-row = next or previous row
page-key-open = open the row
page-key-back = from a detail back to the row that it was opened from
page-key-version = previous or next version
page-key-go = go to a page
page-key-live = follow live
page-key-export = export
page-key-link = copy the row's address
page-key-id = copy the row's id
page-key-help = this page
page-of-file = From the file
page-exported = exported
page-narrowed-by = filtered by
page-no-states = A file has no log behind it: it shows events, but not the states between them.
page-texts-of-rows = The text search only covers the rows of the file, in which long texts are cut and lists are reduced to their length.
page-all-of-it = Show in the timeline
page-row-in-file = Row in the file
page-search = Search
page-search-hint = type:Stock* agg:order actor:staff "a text"
page-from = From
page-to = To
page-occurred-from = Happened from
page-occurred-to = Happened before
page-sorted = Order
page-sorted-by = Sorted by
page-sort-recorded = time of recording
page-sort-occurred = time it happened
page-newest = newest first
page-oldest = oldest first
page-events = { $count ->
        [one] event
       *[other] events
    }
page-filter-type = any event type
page-filter-agg = any aggregate
page-filter-actor = any actor
page-filter-chan = any channel
page-live = Follow live
page-live-begun = Connecting…
page-live-behind = Catching up…
page-live-caught-up = Caught up
page-live-lost = Connection lost, trying again…
page-live-refused = This list cannot be followed: load the page again, or change its filter
page-live-new = { $count ->
        [one] 1 new event
       *[other] { $count } new events
    }
page-live-left-out = Positions { $from } to { $to } came too fast to be shown here: show them
page-live-cut = Only the newest 200 rows are kept on this page.
page-live-older = Older events
page-live-not-sorted = Rows sorted by the time at which they happened cannot be followed live.
page-only-group = group by command
page-only-failures = only failures
page-effects = It caused { $count ->
        [one] 1 event:
       *[other] { $count } events:
    }
page-unit-ms = ms
page-unit-s = s
page-unit-min = min
page-unit-h = h
page-unit-d = d
page-jump-to = Jump to a moment
page-views = Views
page-view-name = Save this search as
page-view-frozen = as it is now, without later events
page-view-save = Save
page-views-all = Saved views
page-views-what = Saved searches of the timeline, for everyone who can see it. You can rename and delete those that you saved.
page-views-none = No view is saved yet.
page-views-manage = Rename or delete views
page-views-more = More views
page-view = View
page-view-saved-by = Saved by
page-view-change = Change
page-view-rename = Rename
page-view-new-name = New name
page-view-renamed = The view was renamed. Its old address leads to it.
page-view-delete = Delete
page-view-delete-what = It is deleted for everyone, and its address then says so.
page-view-deleted = The view was deleted.
page-view-deleted-by = Deleted by
page-look-up = Look up a person
page-look-up-what = The full e-mail address, telephone number or name
page-look-up-recorded = The value is not put into the address and is not stored; the look-up itself is recorded.
page-look-up-nobody = No person has this value.
page-nothing = Nothing matches. Remove a filter:
page-all = Show everything
page-older = More
page-unknown-actor = not recorded
page-on-behalf-of = on behalf of
page-channel = via
page-channel-storefront = storefront
page-channel-admin = administration
page-channel-api = API
page-channel-import = import
page-channel-process = process
page-channel-job = job
page-channel-cli = command line
page-channel-webhook = webhook
page-reason = Reason
page-correlation = Cause and effect
page-masked = masked
page-masked-changed = masked, changed
page-erased = erased
page-masked-for-all = personal values are masked
page-version = Version
page-previous = Version before
page-next = Version after
page-slider-at = version { $version } of { $last }, { $moment }
page-go = Go
page-copy = Copy
page-copy-link = Copy address
page-changes = What changed
page-compare = Compare with version
page-no-changes = Nothing changed.
page-state-more = { $count ->
        [one] One more field
       *[other] { $count } more fields
    }
page-changes-more = { $count ->
        [one] There is one more change.
       *[other] There are { $count } more changes.
    }
page-parts-total = { $count ->
        [one] The state has one part.
       *[other] The state has { $count } parts.
    }
page-parts-next = Next parts
page-field = Field
page-before = Before
page-after = After
page-state = State
page-set-by = Set by
page-value = Value
page-related = Related
page-related-more = and more
page-line = line { $number }
page-history = History
page-title-version = { $thing }, version { $version }
page-title-about = { $page }: { $what }
page-play = Play
page-play-stop = Stop
page-note-add = Add a note
page-note-text = Note
page-note-tags = Tags, separated by spaces
page-note-share = share it with everyone who can see the audit trail
page-note-kept = The note is encrypted and kept for ever. Unless you share it, only you can see it.
page-note-private = only you can see it
page-note-shared = shared
page-notes-there = ({ $count ->
        [one] 1 note
       *[other] { $count } notes
    } of at most { $most })
page-earlier = Earlier events
page-later = Later events
page-reveal = Reveal personal values
page-reveal-why = Why do you need to see them?
page-reveal-recorded = Who looked, what they saw and why is recorded.
page-revealed = Personal values are shown; this has been recorded.
page-hide = Hide them again
page-ways = Find a version by time or by content
page-as-it-was = As it was at
page-first-where = First version where
page-missed-asof = It did not exist yet at that moment. This is still version { $version }.
page-missed-asof-unreadable = This moment cannot be read: write a day, or a moment such as 2026-11-22T10:45:00Z. This is still version { $version }.
page-missed-where = No version has this value. This is still version { $version }.
page-missed-where-unreadable = This condition cannot be read: write the path of a field, = and a value, such as /status=shipped. This is still version { $version }.
page-missed-version = There is no such version yet. This is version { $version }.
page-missed-at-before = Nothing was recorded by then. This is still the same list.
page-missed-at-after = Nothing was recorded after that. This is still the same list.
page-missed-at-happened-before = Nothing had happened by then. This is still the same list.
page-missed-at-happened-after = Nothing has happened since then. This is still the same list.
page-missed-at-unreadable = This moment cannot be read: write a day, or a moment such as 2026-11-22T09:41. This is still the same list.
page-missed-jump = Nothing has this id, number or text.
page-unknown-parameter = The address has a parameter “{ $name }”, which this page does not know. It is shown without it.
page-unknown-value = The address gives “{ $name }” a value that this page does not know. It is shown without it.
page-back = Back to the page before
page-find = Find
page-stored = As stored in the log
page-in-seal = In seal
page-not-sealed = Not sealed yet
page-view-waterfall = Waterfall
page-view-tree = Tree
page-view-table = Table
page-shown-as = Shown as
page-pauses = Pauses
page-pauses-short = pauses shortened
page-pauses-long = pauses at full length
page-depth = Levels
page-depth-all = all
page-axis = Time from zero to { $whole }; shortened pauses: { $pauses }
page-queue = Waited
page-handle = Handled in
page-queue-and-handle = waited { $waited }, handled in { $handled }
page-clocks = the clocks contradict each other: the time of waiting and that of handling cannot be separated
page-critical = critical path
page-legend-wait = waiting
page-legend-handle = handling
page-fold = What it caused ({ $count })
page-look-closer = Details
page-look-away = Close
page-occurred = Occurred
page-happened = happened
page-recorded-at = recorded
page-recorded = Recorded
page-command-id = Command
page-command-type = Command type
page-cause = Caused by
page-subject = Person
page-of-it-parked = parked
page-steps-missing = overdue
page-step-missing = { $event } { $elapsed } ago; still missing: { $expected } (expected within { $limit })
page-list-comma = {", "}
page-colon = {": "}
page-or = {" "}or{" "}
page-folded-deeper = { $count ->
        [one] show 1 deeper event
       *[other] show { $count } deeper events
    }
page-folded-more = { $count ->
        [one] show 1 more event
       *[other] show { $count } more events
    }
page-because = after
page-root = start
page-cause-missing = its cause is not in this list
page-cause-later = its cause comes after it
page-aggregates = { $count ->
        [one] aggregate
       *[other] aggregates
    }
page-took = Took
page-of-it-active = of which active
page-of-it-idle = of which idle
page-more-than-shown = There are more; only the first are shown.
page-read-model = Read model
page-healthy = Every read model is healthy.
page-unhealthy = Something needs attention.
page-all-well = All is well.
page-in-use = in use
page-way-back = kept for a rollback
page-candidate = new, not in use yet
page-seen = Processed up to position
page-lag = Behind
page-since = since
page-trend-growing = growing
page-trend-shrinking = shrinking
page-trend-steady = steady
page-worst-lag = Furthest behind
page-kept-by = Worker
page-nobody = none
page-kept-by-nobody = No worker is running
page-is-stopped = stopped
page-is-late = late
page-is-stalled = stalled at position { $position }: a worker holds it and makes no progress
page-sink-cache = cache
page-sink-index = index
page-sink-rows = rows
page-never-begun = not started
page-command = More on the command line
page-gate = Conditions for a swap
page-gate-lag = behind by events:
page-gate-verified = verified by run
page-gate-not-verified = not verified yet: a swap is refused
page-gate-shape = same shape: this release can read it
page-gate-other-shape = different shape: only another release can read it
page-runs = Runs
page-no-runs = No runs yet.
page-runs-alive = { $count ->
        [one] 1 run under way
       *[other] { $count } runs under way
    }
page-run = Run
page-by = By
page-begun = Started
page-folded = Events processed
page-skipped = Events skipped
page-rate = Rate
page-limit = Limit
page-positions-per-second = positions a second
page-result = Result
page-run-running = running
page-run-paused = paused
page-run-done = done
page-run-found = found differences
page-run-refused = refused
page-run-failed = failed
page-run-interrupted = interrupted, can be resumed
page-run-cancelled = cancelled
page-run-silent = not responding: its process is gone
page-what-to-run = Commands to run
page-guard = A rebuild cannot write to the log: its database role has no permission to do so.
page-parked-none = Nothing is parked.
page-parked-some = { $count ->
        [one] 1 event is parked
       *[other] { $count } events are parked
    }, for { $causes ->
        [one] 1 reason
       *[other] { $causes } different reasons
    }.
page-parked-why = A parked event could not be projected. The rows that it changes wait for it; everything else continues.
page-parked-look = Look at them
page-position = Position
page-event = Event
page-waits = Waiting rows
page-tried = Attempts
page-retry = Retry
page-retry-asked = { $count ->
        [one] 1 event will be retried
       *[other] { $count } events will be retried
    }; look again in a moment.
page-sealed-to = Sealed up to position
page-seal = Seal
page-seals = { $count ->
        [one] seal
       *[other] seals
    }
page-seal-none = Nothing is sealed yet, so nothing is proved.
page-seal-broken = The last seal cannot be read:
page-key-is = Key
page-tail = { $count ->
        [one] 1 event is not sealed yet
       *[other] { $count } events are not sealed yet
    }.
page-from-position = From position
page-to-position = Up to position
page-verify = Verify
page-last-check = Last check
page-verdict-intact = Intact: every position matches its seal.
page-verdict-broken = Tampering found: not everything matches its seal.
page-verdict-unproven = No fault was found, but not everything is sealed.
page-verdict-tail = Every sealed position matches its seal. The events after the last seal are not sealed: it cannot be proved whether there were more.
page-verdict-nothing = Nothing to check: there is neither an event nor a seal at these positions.
page-known-ranges = What is known, by positions
page-last-proved = Last proved
page-proved-nothing = No position is proved yet.
page-known-none = Nothing was checked yet.
page-range-proved = Proved
page-range-broken = Tampering found
page-range-other-key = Sealed by another key than the one that was given
page-range-after-broken-seal = After a seal that does not hold: only a check from that seal on proves it again
page-range-acknowledged = Acknowledged, not proved
page-acknowledge = Acknowledge
page-alarm = Tampering was found.
page-at-positions = { $count ->
        [one] position { $found }
       *[other] positions { $found }
    }
page-alarm-see = See where, and what to do
page-alarm-what = What to do
page-alarm-ends = Compare what is named with a copy that you trust. The alarm ends when a check of these positions finds nothing, or when somebody acknowledges them with a reason, which is recorded.
page-first-bad = First bad position
page-check-too-long = This check takes too long for a page: check a part of the positions, or use the command line.
page-check-range = The positions to check cannot be read: the first one is a number from 1, and the last one is not before it.
page-positions = Positions
page-rows = { $count ->
        [one] row
       *[other] rows
    }
page-key-not-given = The key was taken from the seals themselves. To be sure, check on the command line with a key that you keep elsewhere.
page-proves = What this proves
page-proves-what = At the positions that are proved, nothing was changed, removed, inserted or moved since it was sealed.
page-proves-not = It does not prove that no events were cut off after the last seal of which a copy is kept elsewhere.
page-appended = Appended
page-relay = Relay
page-relay-waits = { $count ->
        [one] event that the bus has not confirmed
       *[other] events that the bus has not confirmed
    }
page-seals-of = Seals
page-seals-of-record = Seals of the record of operations
page-sealed-log = The log
page-sealed-record = The record of operations
page-appended-lately = { $count ->
        [one] 1 event
       *[other] { $count } events
    } in the last { $minutes ->
        [one] minute
       *[other] { $minutes } minutes
    }
page-record = Record of operations
page-record-empty = Nothing is recorded yet.
page-did-reveal = Revealed personal values
page-did-read-personal = Looked at personal values
page-did-export = Exported
page-did-look-up = Looked up a person
page-did-retry = Retried parked events
page-did-discard = Discarded parked events
page-did-sign-in = Signed in
page-did-save-view = Saved a view
page-did-rename-view = Renamed a view
page-did-delete-view = Deleted a view
page-did-check = Checked the log against its seals
page-did-acknowledge = Acknowledged what a check of the seals found
page-did-clock-confirm = Confirmed the clock
page-did-key-create = Created an API key
page-did-key-rotate = Rotated an API key
page-did-key-revoke = Revoked an API key
page-did-account-open = Opened an account
page-did-account-disable = Disabled an account
page-did-account-enable = Enabled an account
page-did-account-roles = Changed the role of an account
page-did-account-end-sessions = Ended the sessions of an account
page-did-account-password = Changed the password of an account
page-did-account-reset-factor = Removed the second factors of an account
page-did-rebuild = Rebuilt a read model
page-did-verify = Verified a read model
page-did-swap = Swapped a read model
page-did-rollback = Rolled back a read model
page-did-retire = Retired an old generation of a read model
page-as-of = As of position
page-folded-by = Computed by
page-request = Request
page-refused = This cannot be shown
page-form-refused = This was not accepted
page-form-misread = Nothing was done: correct this and send it again.
page-form-sign-in = Sign in in another window, then send this again
page-fault-missing = Fill this in.
page-fault-twice = It is given twice.
page-fault-unknown = This is not known here.
page-fault-value = This value is not accepted.
page-fault-one-line = Give one line of at most 200 characters.
page-fault-too-long = It is longer than 2,000 bytes.
page-fault-id = Give a UUID.
page-fault-sku = This cannot be a SKU.
page-fault-location = Give 1 to 64 small letters, digits and hyphens.
page-fault-currency = Give a currency such as GBP.
page-fault-choice = Choose one of those that there are.
page-fault-time = Give a day such as 2011-06-30, or a moment such as 2011-06-30T12:00:00Z.
page-fault-zone = Give a time zone such as Europe/London.
page-fault-number = Give a whole number in the range of this field.
page-fault-backwards = The last one is before the first one.
page-fault-short-reason = Give a reason of at least three characters.
page-fault-control-characters = It holds control characters: leave them out.
page-fault-tag = Each tag has 1 to 32 small letters, digits and hyphens.
page-fault-tags = There are more than ten tags.
page-fault-empty-note = A note needs a text or a tag.
page-fault-pattern = Give the whole value: patterns are not supported.
page-fault-personal = An e-mail address is personal, and is no part of an address: look the person up, and give their id.
page-fault-empty-name = A name needs at least one letter or digit.
page-in-full = In full, as programs get it
page-misread = The search cannot be read, so nothing is shown.
page-misread-value = This value cannot be read.
page-term-unknown = There is no such filter; put a text with a colon in quotes.
page-term-quote = A quote is not closed.
page-term-text = A text needs at least one character.
page-term-type = type: takes an event's type, such as OrderPlaced or Stock*
page-term-agg = agg: takes an aggregate's type, such as order
page-term-id = id: takes an aggregate's UUID
page-term-actor = actor: takes a kind, or kind and id, such as staff:42
page-term-chan = chan: takes a channel, such as storefront
page-term-correlation = correlation: takes a UUID
page-term-command = command: takes the UUID of a command
page-term-cause = cause: takes the UUID of an event
page-term-subject = subject: takes the UUID of a person
page-term-reason = reason: takes the code of a reason
page-term-amount = amount: takes a number such as 12.50, with >, >=, < or <= before it, or two with .. between them, and perhaps a currency: amount:>100GBP
page-term-created = created: takes a day, a month, a moment, two with .. between them, or last:24h
page-term-occurred = occurred: takes a day, a month, a moment, two with .. between them, or last:24h; it is business time

# Process managers.
page-processes = Process managers
page-processes-what = What the shop does on its own after an event: each instance sends its commands in order, and waits if one cannot be executed yet.
page-processes-all = All process managers
page-process = Process manager
page-process-running = running
page-process-stopped = stopped
page-process-off = switched off
page-process-unknown = unknown
page-instances = Instances
page-instances-open = active or waiting
page-instances-stuck = stuck
page-instances-all = all
page-instances-none = There are no such instances.
page-instances-more = More
page-instances-of-it = All instances of this process manager
page-instance = Instance
page-instance-stuck = This instance is stuck: its command could not be executed and waits, or its timeout is overdue.
page-instance-failed = A command of this instance was refused, although what it stands for has to be done: the order and its stock say different things. Correct what differs, then acknowledge it.
page-command-failed = Has to be done
page-instance-events = Events of the aggregate
page-instance-no-events = There are no events yet.
page-step = Step
page-step-new = new
page-step-reserving = reserving stock
page-step-refusing = refusing the order
page-step-confirmed = confirmed
page-step-waiting = waiting for the shipment
page-step-cancelling = cancelling the order
page-step-open = open
page-step-expiring = expiring
page-step-holding = holding stock
page-step-paying = waiting for the payment
page-step-undoing = undoing
page-step-ended = done
page-timeout-confirmation = waits for the confirmation
page-timeout-shipment = waits for the shipment
page-timeout-expiry = waits for a change
page-timeout-hold = waits for the payment
page-to-send = To send
page-have-to-wait = Waiting commands
page-waits-with = Next command
page-of-unsent = (first of { $count })
page-command-target = Target
page-command-waits = Why it waits
page-command-waits-since = Waiting since
page-command-next = Next attempt
page-command-retry = Retry the command
page-command-retry-what = The command is sent at once instead of at its next attempt. The retry and its reason are recorded.
page-command-retry-requested = The command will be retried at once; look again in a moment.
page-command-retry-sent = The command was sent in the meantime.
page-command-retry-nothing = There is no command to retry.
page-failures-acknowledge = Acknowledge the failures
page-failures-acknowledge-what = Do this once what differs is corrected: the failures are no alarm any more. Who acknowledged them, and the reason, are recorded.
page-failures-acknowledged-done = The failures are acknowledged.
page-failures-acknowledged-nothing = There is no failure to acknowledge.
page-last-refused = Last refused
page-times-out = Times out
page-commands-wait = { $count ->
        [one] command is waiting
       *[other] commands are waiting
    }
page-did-process-retry = Retried a waiting command
page-did-process-acknowledge = Acknowledged failures of a process manager
