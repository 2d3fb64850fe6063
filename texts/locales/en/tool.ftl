### The output of replay-tool.

## How a command ends

tool-by-tool = replay-tool: { $text }
tool-refused-because = refused: { $why }
tool-timed-out = the time limit was reached
tool-timed-out-saved = the time limit was reached; progress is saved
tool-interrupted = interrupted by { $signal }
tool-interrupted-saved = interrupted by { $signal }; progress is saved
tool-held-by = { $what } is held by { $holder }
tool-taken-over = another process took over the generation
tool-cannot-be-projected = the event at position { $position } cannot be projected: { $cause }
tool-warnings-again = { $count ->
        [one] 1 warning:
       *[other] { $count } warnings:
    }
tool-warning-again = {"  "}{ $text }
tool-warning = WARN  { $text }

## Errors from other crates, each followed by its own text

tool-unexpected = { $detail }
tool-store-unavailable = { $detail }
tool-bad-address = { $detail }
tool-bad-master-key = { $detail }
tool-no-key-file = { $file }: { $detail }; put the file with the key back from its backup, or, for a new shop, let `soonshop migrate` make it
tool-schema-unfit = { $detail }
tool-ahead-of-log = { $detail }
tool-not-answered = { $problem }
tool-history-unreadable = { $problem }
tool-not-available = { $problem }
tool-cannot-read = { $detail }
tool-of-another-release = { $detail }: use that release's tool
tool-of-file = { $file }: { $detail }
tool-manifest-unwritten = the manifest: { $detail }

## The command line

tool-command-line = { $detail }
tool-no-such-value = invalid value '{ $value }' for '{ $arg }' [possible values: { $known }]
tool-bad-value = invalid value '{ $value }' for '{ $arg }': { $why }
tool-value-unfit = invalid value '{ $value }' for '{ $arg }'
tool-no-such-argument = unexpected argument '{ $arg }' found
tool-no-such-verb = unrecognized subcommand '{ $verb }'
tool-verb-missing = a subcommand is required
tool-value-missing = a value is required for '{ $arg }'
tool-value-too-many = '{ $value }' is one value too many for '{ $arg }'
tool-given-twice = '{ $arg }' can be given only once
tool-not-text = the command line holds bytes that are no text in UTF-8
tool-not-whole = it is not a whole number
tool-similar = { $text }

    Do you mean: { $names }
tool-with-usage = { $text }

    Usage: { $usage }
tool-arguments-missing = these are required: { $args }
tool-arguments-clash = '{ $arg }' cannot be used with '{ $other }'
tool-try-help = error: { $text }

    For more information, try '--help'.
tool-bad-duration = "{ $text }" is not a duration such as 90s, 10m or 2h
tool-bad-rate = "{ $text }" is not a rate such as 5000/s
tool-bad-run = "{ $text }" is not a run such as run:59
tool-bad-point = "{ $text }" is not a point in time such as v13 (a version), p1204881 (a position) or 2026-11-22T09:00:00Z
tool-bad-alarm = "{ $text }" is not a condition such as lag>1000, errors>0 or parked>0, joined by ||
tool-bad-public-key = this is neither a public key (32 bytes in base64) nor a fingerprint (16 bytes, such as 9c:41:…)

## Questions

tool-ask = { $question } [y/N]{" "}
tool-cannot-ask = { $question } There is no terminal to ask on: add --yes
tool-ask-retire = Drop old generations of { $projection }?
tool-ask-discard = Discard { $count ->
        [one] 1 event
       *[other] { $count } events
    }?
tool-nothing-done = nothing was done

## Missing things

tool-no-shop = there is no shop in the folder { $folder }: give its folder with --store
tool-no-role = this login cannot switch to the role that replay-tool works under: run `soonshop migrate`, or grant it { $role }
tool-may-write = { $why }: `soonshop doctor` says what to do
tool-no-read-model = there is no read model "{ $name }": { $known }
tool-no-generation = { $projection } has no generation { $number }: `replay-tool list` shows them
tool-none-in-use = { $projection } has no generation in use: run `soonshop migrate`
tool-no-candidate = { $projection } has no new generation: run `replay-tool rebuild { $projection }` first
tool-no-checkpoint = { $name } has no checkpoint
tool-cannot-hold = { $name } could not be reserved for this run
tool-no-run = there is no run { $run }: `replay-tool runs` shows them
tool-run-ended = run { $run } has ended, or never existed
tool-run-takes-no-orders = run { $run } is a { $verb }, which does not support this
tool-run-cancelled = run { $run } was cancelled
tool-run-not-responding = run { $run } is not responding; it was at position { $position }

## `list`, `status`, `runs`

tool-status-row = { LEFT($projection, 12) } v{ LEFT($generation, 4) } { LEFT($state, 9) } { LEFT($place, 9) } { RIGHT($position, 12) } of { LEFT($head, 12) } lag { RIGHT($lag, 8) } { $lag ->
        [one] {"event "}
       *[other] events
    } { RIGHT($seconds, 8) } s  parked { LEFT($parked, 4) }
tool-sink-row = {"    "}{ LEFT($sink, 6) } at { LEFT($at, 12) } worker { $holder }
tool-sink-stopped = {"           "}stopped: { $reason }
tool-sink-unknown = {"           "}cannot be read: { $reason }
tool-complaint = {"    "}! { $complaint }
tool-stopped = { $sink } stopped: { $reason }
tool-events-parked = events parked: { $count }
tool-no-worker = no worker is running
tool-late = { $seconds } s behind
tool-stalled = a worker holds it, but it has not moved from position { $position }
tool-other-complaint = { $detail }
tool-unhealthy-since = {"      "}since { $at }
tool-what-to-do = {"      "}-> { $remedy }
tool-tampering-found = tampering found at these positions: { $ranges }
tool-following-row = { LEFT($name, 12) } { RIGHT($at, 37) } of { LEFT($head, 12) } lag { RIGHT($lag, 8) } { $lag ->
        [one] {"event "}
       *[other] events
    } { RIGHT($seconds, 8) } s
tool-log-row = { LEFT($name, 12) } { RIGHT($head, 37) }
tool-log-row-aged = { LEFT($name, 12) } { RIGHT($head, 37) }  { $seconds } s old
tool-run-row = #{ LEFT($run, 4) } { $at }  { LEFT($verb, 8) } { $of }  { $state }  position { $position } of { $to }  by { $actor } on { $process }
tool-run-row-ended = #{ LEFT($run, 4) } { $at }  { LEFT($verb, 8) } { $of }  { $state }  position { $position } of { $to }  by { $actor } on { $process }  { $result }
tool-run-row-failed = #{ LEFT($run, 4) } { $at }  { LEFT($verb, 8) } { $of }  { $state }  position { $position } of { $to }  by { $actor } on { $process }  { $message }

## `plan`

tool-plan-new = { $projection }  v{ $from } (active)  ->  v{ $to } (new)
tool-plan-started = { $projection }  v{ $from } (active)  ->  v{ $to } (started)
tool-plan-fold = {"  "}events to process { $folded } of { $head }   ({ $types ->
        [one] 1 type
       *[other] { $types } types
    }; { $skipped } skipped by type)
tool-plan-estimate = {"  "}estimate          about { $seconds } s at { $rate } positions/s ({ $how })   disk +{ $size }
tool-as-run-was = as run { $run } was
tool-sampled = sampled { $passed }
tool-plan-upcaster = {"  "}upcaster          { $name } ({ $count ->
        [one] 1 event
       *[other] { $count } events
    })
tool-plan-unhandled = {"  "}no handler for    { $name } ({ $count ->
        [one] 1 event
       *[other] { $count } events
    })   <- skipped; --fail-unhandled refuses
tool-plan-effects = {"  "}side effects      none possible: { $role }
tool-plan-run = {"  "}nothing was written.  Run:  replay-tool rebuild { $projection }
tool-no-code-to-write = this program has no code that writes the log
tool-role-could = this program has no code that writes the log (its role { $name } could)
tool-role-cannot = the role { $name } has no INSERT on the event log
tool-role-unknown = the database did not name the current role

## `rebuild`

tool-at-least-one = --chunk and --max-rate must be at least 1
tool-unhandled = there is no handler for { $names }
tool-following = keeping { $projection } v{ $number } up to date here; Ctrl-C stops it
tool-saved-at = saved at position { $position } (run { $run }).  Resume:  replay-tool rebuild { $projection } --resume
tool-stopped-at = { $name } stopped at position { $position }, as requested; it is not complete
tool-no-worker-for = no worker keeps { $name } up to date: start a shop process that has version { $version }, or use --tail
tool-rebuilt = { $result }  { $name } at position { $position }   events: { $folded } processed, { $skipped } skipped by type, { $parked } parked; { $warnings ->
        [one] 1 warning
       *[other] { $warnings } warnings
    }   { $seconds } s, { $rate } positions/s
tool-rebuilt-for = { $result }  { $name } at position { $position }   events: { $folded } processed, { $skipped } skipped by type, { $parked } parked; { $warnings ->
        [one] 1 warning
       *[other] { $warnings } warnings
    }   { $seconds } s, { $rate } positions/s   handed over to { $keeper }
tool-run-starts = run { $run }  { $name }  epoch { $epoch }
tool-run-resumes = run { $run }  { $name }  resuming at { $from } of { $head }, epoch { $epoch }
tool-rebuild-progress = run={ $run } { $name } { $percent }% { $position }/{ $total } { $rate }/s eta={ $left }s parked={ $parked }
tool-rebuild-progress-limited = run={ $run } { $name } { $percent }% { $position }/{ $total } { $rate }/s (limit { $limit }) eta={ $left }s parked={ $parked }
tool-log-has-gap = the log has a gap: position { $after } is followed by { $found }
tool-log-ends = the log ends before position { $position }

## `verify`

tool-comparing = compare { $table }: { $compared ->
        [one] 1 row
       *[other] { $compared } rows
    }, { $differ } differ
tool-only-ready = { $name } is { $state }; only a ready generation can be verified
tool-verifies-itself = { $name } is in use already: verify it with --against fold
tool-proves-nothing = the generation in use proves nothing here ({ $detail }): verify with --against fold
tool-stopped-before = { $name } has stopped before position { $position }, and this release cannot advance it: verify with --against fold
tool-no-table = { $name } has no table { $table }: rebuild it
tool-one-table = only one of the two generations has the table { $table }
tool-one-column = { $table }: only one of the two generations has { $columns }
tool-no-column = --ignore "{ $pointer }" is not a column such as /updated_at
tool-index-stuck = the index of { $name } does not get from position { $at } to { $before }
tool-report-unwritten = the report { $file } cannot be written: { $detail }
tool-equal = equal  v{ $left } <-> v{ $right } at position { $position }   { $rows ->
        [one] 1 row
       *[other] { $rows } rows
    } compared   (run { $run })
tool-equal-indexed = equal  v{ $left } <-> v{ $right } at position { $position }   { $rows ->
        [one] 1 row
       *[other] { $rows } rows
    } compared, { $unlike ->
        [one] 1 document of the index differs
       *[other] { $unlike } documents of the index differ
    }   (run { $run })
tool-differs = DIFF  { $differ } of { $rows ->
        [one] 1 row
       *[other] { $rows } rows
    }  v{ $left } <-> v{ $right } at position { $position }   (run { $run })
tool-differs-indexed = DIFF  { $differ } of { $rows ->
        [one] 1 row
       *[other] { $rows } rows
    }  v{ $left } <-> v{ $right } at position { $position }, { $unlike ->
        [one] 1 document of the index differs
       *[other] { $unlike } documents of the index differ
    }   (run { $run })
tool-field-differs = {"  "}{ $field } { $count }
tool-explain-one = explain one:  replay-tool step { $projection } --key { $key }
tool-row-differs = DIFF  { $table } { $key }{ $fields }
tool-row-differs-by = DIFF  { $table } { $key }{ $fields }   (caused by { $event } { $position })
tool-field = {"  "}{ $name }: v{ $left } { $before } -> v{ $right } { $after }
tool-whole-row = {"  "}(whole row): v{ $left } { $before } -> v{ $right } { $after }

## `swap`, `rollback`, `retire`

tool-unexpected-generation = v{ $found } is in use, but v{ $expected } was expected
tool-in-use-already = v{ $number } is already in use
tool-unfinished = v{ $number } is { $state }: `replay-tool rebuild { $projection }` finishes it
tool-has-parked = v{ $number } has { $count ->
        [one] 1 parked event
       *[other] { $count } parked events
    }: `replay-tool parked list`
tool-too-far-behind = v{ $number } is { $lag ->
        [one] 1 event
       *[other] { $lag } events
    } behind, more than --max-lag { $most }
tool-not-clean = the verification of v{ $number } found { $count ->
        [one] 1 difference
       *[other] { $count } differences
    } (run { $run }).  To accept this:  --accept-diff run:{ $run } --reason "…"
tool-not-verified = v{ $number } was not verified: `replay-tool verify { $projection }`
tool-reason-needed = --accept-diff needs a --reason
tool-last-verification = the last verification of v{ $number } is run { $run }
tool-no-verification = run { $run } is not a verification of v{ $number }
tool-no-previous = v{ $number } has no previous generation to go back to
tool-not-readable = v{ $number } is { $state }: readers cannot use it
tool-never-in-use = v{ $number } was never active: `replay-tool swap { $projection }` makes a new one active
tool-no-worker-for-target = no worker keeps v{ $number } up to date: start a process that has version { $version }, or run `replay-tool rebuild { $projection } --tail`
tool-taken-by-other = another process has taken over v{ $number }
tool-readers-moved = v{ $number } is no longer active
tool-sink-behind = the { $sink } of v{ $number } did not get from position { $at } to { $barrier } in time
tool-sink-not-started = the { $sink } of v{ $number } has not started, and did not reach position { $barrier } in time
tool-swapped = swapped { $projection } v{ $from } -> v{ $to } in { $millis } ms   (readers follow at their next request)   v{ $from } is kept   undo: replay-tool rollback { $projection }
tool-rolled-back = rolled back { $projection } v{ $from } -> v{ $to } in { $millis } ms   v{ $from } is rejected
tool-swap-first = v{ $number } is in use: swap first
tool-retired-already = v{ $number } is already retired
tool-too-recent = v{ $number } is only { $minutes } min old, less than --min-age
tool-would-retire = would retire v{ $number }
tool-retired = retired v{ $number }

## `deploy`

tool-watching = watching for { $seconds } s
tool-alarm = { $figure } is { $value }, more than { $most }
tool-rolling-back = { $why }: rolling back
tool-swapped-by-other = another process made v{ $number } active in the meantime: nothing is watched

## `show`, `diff`, `step`

tool-no-type = there is no aggregate type "{ $kind }": { $known }
tool-bad-id = "{ $id }" is neither an id (a UUID) nor the name of such an aggregate
tool-name-shared = more than one has the name "{ $name }": give one of the ids { $ids }
tool-shown = { $kind } { $name }, version { $version } of { $last }: { $event }, position { $position }
tool-no-aggregate = there is no { $kind } { $id }
tool-not-yet-created = nothing with this id existed at that point
tool-no-version = there is no version { $version }: the last one is { $last }
tool-version-zero = version 0 is the state before the first event: there is nothing to show
tool-versions-equal = versions { $from } and { $to } are equal
tool-erased = (erased)
tool-key-needed = --key names the row: an order's id, a SKU's stock
tool-nothing-touches = no event changes a row "{ $key }" of { $projection }
tool-rows-equal = { $name } has the same
    { $rows }
tool-rows-differ = { $name } differs from it
    { $rows }

## `export`, `tail`

tool-out-needed = with --json standard output is for messages: give the file for the rows with --out FILE
tool-cannot-sign = it cannot be signed: { $detail }
tool-seal-key-missing = it cannot be signed: the log's seals are signed by { $fingerprint }, and { $file } does not hold that key
tool-tail-parked = { $count ->
        [one] 1 event up to there is parked and was not shown, at
       *[other] { $count } events up to there are parked and were not shown, the first at
    } { $first }.  To see them later:  replay-tool tail --after { $after }
tool-tail-late = position { $position } was parked, and is shown late
tool-exporting = export: { $count ->
        [one] 1 row
       *[other] { $count } rows
    }
tool-exported = { $count ->
        [one] 1 row
       *[other] { $count } rows
    } in { $file }
tool-file-unwritten = { $file } cannot be written: { $detail }
tool-link-unwritten = { $file } is a symbolic link, and what it leads to would be overwritten: name a file, or remove the link
tool-export-cut-short = the export is incomplete: { $detail }
tool-tail-resume = Resume:  replay-tool tail --follow --after { $position }
tool-happened-at = happened { $at }
tool-on-behalf-of = for { $who }
tool-via-channel = via { $channel }
tool-because = reason { $code }

## `check`, `doctor`

tool-intact = intact    { $log }:{ $from } to { $to }: { $rows ->
        [one] 1 event
       *[other] { $rows } events
    } read, { $seals ->
        [one] 1 seal
       *[other] { $seals } seals
    }
tool-broken = BROKEN    { $log }: { $rows ->
        [one] 1 event
       *[other] { $rows } events
    } read, { $seals ->
        [one] 1 seal
       *[other] { $seals } seals
    }
tool-unproven = UNPROVEN  { $log }: not everything that was asked for is under a seal; { $rows ->
        [one] 1 event
       *[other] { $rows } events
    } read, { $seals ->
        [one] 1 seal
       *[other] { $seals } seals
    }
tool-nothing-to-check = NOTHING   { $log }: nothing to check, there is neither an event nor a seal there
tool-found = {"  "}{ $log }:{ $position }  { $wrong }: { $detail }
tool-found-more = {"  "}and { $count } more
tool-sealed-up-to = sealed    up to { $log }:{ $to } at { $at }, seal { $hash }
tool-seal-key = key       { $key }
tool-key-not-given = {"          "}found in the seals, not given by you: compare it with the one you know
tool-tail-unprovable = tail      unprovable: { $events ->
        [one] 1 event since { $since } is under no seal; more may have been cut off without a trace
       *[other] { $events } events since { $since } are under no seal; more may have been cut off without a trace
    }
tool-no-tail = tail      no events; if some were cut off after the last seal, there is no trace
tool-export-intact = intact    { $count ->
        [one] 1 row
       *[other] { $count } rows
    } at position { $head }, signed by { $fingerprint }
tool-export-unsigned = UNPROVEN  { $count ->
        [one] 1 row matches
       *[other] { $count } rows match
    } the manifest at position { $head }, but it is not signed
tool-export-of-other = BROKEN    signed by { $fingerprint }, which is not the key you gave
tool-export-broken = BROKEN    { $detail }
tool-check-passed = ok   { LEFT($what, 22) } { $detail }
tool-check-failed = FAIL { LEFT($what, 22) } { $detail }
tool-range-backwards = --to { $to } is before --from { $from }
tool-reason-too-short = give a reason of at least three characters
tool-nothing-to-acknowledge = there is nothing to acknowledge: nothing was found at these positions, or it is proved again
tool-acknowledged = acknowledged  { $log }:{ $from } to { $to }: it is no alarm any more, and it is not proved
tool-nothing-found = nothing was found that is not proved again or acknowledged
tool-last-position = the last position is { $position }
tool-cannot-write-log = cannot write the log
tool-key-present = present
tool-answers = answers
tool-generation-ok = version { $version }, shape { $shape }
tool-generation-of-other-release = version { $version }, shape { $shape }: made by another release; this one can only read and drop it

## `parked`

tool-cause = { $count } × { $cause }
tool-parked-row = {"    "}{ $generation }  { $position }  { $event }  { $stream }  tried { $attempts }×
tool-nothing-parked = nothing is parked
tool-would-retry = { $count ->
        [one] 1 event would be retried
       *[other] { $count } events would be retried
    }
tool-to-be-retried = { $count ->
        [one] 1 event will be retried by the worker of its generation
       *[other] { $count } events will be retried by the workers of their generations
    }
tool-would-discard = { $count ->
        [one] 1 event would be discarded
       *[other] { $count } events would be discarded
    }
tool-discarded = { $count ->
        [one] 1 event discarded
       *[other] { $count } events discarded
    }

## `view`

tool-reading-rows = read: { $count ->
        [one] 1 row
       *[other] { $count } rows
    }
tool-manifest-differs = { $file }: { $detail }
tool-not-listening = cannot listen on { $address }: { $detail }
tool-bad-tls = TLS cannot be spoken: { $why }
tool-no-pem-certificate = { $file }: { $detail }: give the certificate, and those that lead to its issuer, as PEM
tool-no-certificate = there is no certificate in { $file }: give it, and those that lead to its issuer, as PEM
tool-certificate-damaged = the certificate in { $file } cannot be read: { $detail }
tool-no-pem-key = { $file }: { $detail }: give the certificate's private key as PEM
tool-not-its-key = { $certificate } and { $key } do not belong together: give a certificate and its own private key
tool-certificate-unusable = the certificate { $file } and its key cannot be used: { $detail }
tool-certificate-ended = the certificate { $file } ended on { $date }: renew it
tool-certificate-not-yet = the certificate { $file } is valid from { $date } on: use it from then on, or set this machine's clock
tool-key-exposed = { $detail }
tool-servers-tls = { $detail }
tool-own-certificate = { $file }: { $detail }
tool-not-loopback = { $address } can be reached by other machines, and nobody signs in to see the file: listen on the loopback interface (127.0.0.1 or [::1])
tool-signed-by = signed by { $fingerprint }: compare it with the key of the shop's seals that you know
tool-showing = { $count ->
        [one] 1 event
       *[other] { $count } events
    } at position { $head }, masked for { $role }; Ctrl-C ends it
