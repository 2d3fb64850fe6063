### The help of replay-tool: what each verb does, and as attributes its arguments. `tool-help-any` has arguments of several
### verbs. A value of an argument is named `ARGUMENT-VALUE`.

tool-help = Rebuilds read models beside live traffic, verifies them, swaps them in, and rolls back.
    .store = The event store: `postgres://…` or `sqlite://FOLDER`
    .read-models = The read models: `postgres://…` or `sqlite://FOLDER`. By default they are in the event store's database
    .keys = The keys of people's data: `postgres://…` or `sqlite://FOLDER`. By default they are in the event store's database
    .cache = The cache: `moka:` or `redis(s)://…`
    .search = The search index: `tantivy://FOLDER` or `http(s)://…` (Elasticsearch, OpenSearch)
    .master-key-file = The file with the master key
    .json = Write one JSON object per line to standard output; the last is `summary` or `exit_error`
    .progress = How progress is shown on standard error
    .progress-auto = a bar on a terminal, else a line from time to time
    .progress-bar = a bar
    .progress-plain = a line from time to time
    .progress-json = objects on standard output, with `--json`
    .progress-none = not at all
    .lang = The language of everything that people read, and of the pages of `view`. By default that of the environment (`LC_ALL`, `LC_MESSAGES`, `LANG`), and for the pages that of the browser
    .verbose = Log more; give it twice for even more
    .log-file = Write log lines to this file instead of standard error
    .timeout = Stop after this time: 90s, 10m, 2h. The progress of a rebuild is saved
    .yes = Answer yes to all questions
    .help = Show this help: `-h` in short, `--help` in full
    .version = Show the version

tool-help-any =
    .projection = The read model, such as orders
    .generation = The number of the generation
    .reason = Why you do it; it is recorded, encrypted
    .dry-run = Only show what would be done
    .run = The number of the run, as `runs` lists it
    .chunk = Events per transaction
    .max-rate = Positions per second, such as 5000/s
    .yield-to-live = Slow down while the active generation falls behind
    .until = Stop at this position, and leave the generation unfinished
    .on-poison = What to do with an event that fails
    .on-poison-stop = stop the rebuild
    .on-poison-park = set the event aside, and go on
    .fail-unhandled = Refuse to rebuild if there are events without a handler
    .resume = Resume an interrupted rebuild (this is the default)
    .fresh = Start a new rebuild
    .tail = Keep the generation up to date afterwards, until stopped
    .q = Terms as on the page: `actor:staff:42 type:Stock* -agg:order "a text"`
    .kind = The type of the event; a final `*` matches any rest
    .agg = The type of the aggregate
    .id = The id of the aggregate
    .actor = A kind of actor, or kind and id: staff:42
    .chan = The channel
    .correlation = Everything that followed from one request
    .tz = The time zone in which days begin, such as Europe/London; UTC by default
    .from = Recorded at this time or later: a day, or a moment
    .to = Recorded before this time
    .occurred-from = Happened at this time or later, by business time: a day, or a moment
    .occurred-to = Happened before this time
    .after = Positions above this one
    .position = The event at this position
    .stream = The events of one stream, by its id
    .cause = The events whose cause contains this text

tool-help-list = Show the generations of every read model

tool-help-status = Show how far each sink is, its worker, and what is wrong
    .wide = Show each sink on a line of its own
    .run = Follow this run until it ends, and end with its result

tool-help-plan = Show what a rebuild would do; writes nothing

tool-help-rebuild = Build a new generation from the log, or resume one
    .dry-run = Only show what would be done, like `plan`

tool-help-verify = Compare a candidate with the active generation
    .generation = The candidate; by default the newest that is not active
    .mode = How to compare the rows
    .mode-digest = every row, by a digest that the database computes; only rows that differ are read (SQLite computes none: all rows are read)
    .mode-full = every row, read on both sides
    .mode-sample = some rows, chosen by the seed
    .sample = How many rows to compare, with `--mode sample`
    .seed = The seed that chooses the rows, with `--mode sample`
    .against = What to compare the candidate with
    .against-active = the active generation
    .against-fold = a generation that is folded from the log for this comparison, and then dropped
    .ignore = A column, or part of a JSON column, to ignore: `/updated_at`
    .report = Write every difference to this file, one JSON object per line

tool-help-swap = Make a candidate the active generation
    .generation = The candidate; by default the newest that is not active
    .require-verified = Whether the candidate must have been verified
    .accept-diff = Accept the differences of a verification: run:59
    .max-lag = How many events the candidate may be behind at the start
    .expect-gen = The generation that must be active

tool-help-rollback = Make the previous generation active again
    .to-gen = The generation to go back to; by default the previous one
    .wait = Wait until it has caught up

tool-help-retire = Drop generations that are not active any more
    .generation = The generation; by default all that can be dropped
    .min-age = The least time since it was active, or was made

tool-help-deploy = Rebuild, verify, swap and watch; roll back if something is wrong
    .bake = How long to watch the new generation
    .rollback-if = The condition for a rollback

tool-help-pause = Pause a running rebuild

tool-help-resume = Resume a paused rebuild

tool-help-cancel = Cancel a rebuild or a verification; a rebuild can be resumed later

tool-help-throttle = Limit the speed of a running rebuild
    .max-rate = Positions per second, such as 5000/s; 0: no limit

tool-help-runs = The operations on read models, newest first (also: history)
    .most = How many to show

tool-help-show = The state of an aggregate, personal values masked
    .aggregate = The type of the aggregate, such as order
    .id = Its id, or its name: the number of an order, the name or a SKU of a product
    .as-of = v13 (a version), p1204881 (a position), or a moment
    .format = How the state is shown
    .format-text = the state, and the event that made it
    .format-json = the answer of `/api/audit/a/{"{type}"}/{"{id}"}`, byte for byte: state, changes, events, notes and seal

tool-help-diff = The differences between two states of an aggregate
    .aggregate = The type of the aggregate, such as order
    .id = Its id, or its name
    .from = The first state: v13 (a version), p1204881 (a position), or a moment
    .to = The second state; by default the current one
    .patch = As RFC 6902, JSON Patch

tool-help-step = A row of a read model after each event that changed it
    .key = The key of the row: an order's id
    .until = The last position to read

tool-help-export = The audit trail as a file: its manifest, and every event that matches
    .before = Positions below this one
    .order = The order of the events
    .order-asc = oldest first
    .order-desc = newest first
    .sort = The time that counts for the order
    .sort-recorded = when it was recorded
    .sort-occurred = when it happened
    .format = The format of the file
    .format-ndjson = one JSON object per line, the first of them the manifest
    .format-csv = RFC 4180, with a header row
    .separator = The separator of the cells of CSV; spreadsheets with a decimal comma expect a semicolon
    .out = The file; standard output by default
    .manifest = A second file for the manifest. By default that of CSV is in OUT.manifest.json
    .no-changes = Leave out what each event changed, which is faster
    .sign = Sign the manifest with the key that signs the log's seals
    .seal-key-file = The file with the seal keys, for `--sign`

tool-help-tail = The events, oldest first: the last ten, or all after a position
    .follow = Follow new events
    .format = How events are shown
    .format-text = a line per event, for people
    .format-ndjson = one JSON object per line

tool-help-check = Check whether the log still matches its seals; the result is recorded
    .from = The first position to check
    .to = The last position to check, which must be sealed; by default the last sealed one
    .pubkey = The key that you trust: its public half in base64, or its fingerprint
    .record = Check the record of operations instead of the log
    .offline = Check a file that `soonshop seals export` or `export --sign` wrote; no database is needed. The manifest of a CSV file is expected in FILE.manifest.json

tool-help-acknowledge = Acknowledge what a check found: it is no alarm any more, and not proved. Who did it, and why, is recorded
    .from = The first position
    .to = The last position; by default the first one
    .record = The record of operations instead of the log
    .reason = Why it is no alarm; it is recorded, encrypted

tool-help-view = Show an export (NDJSON or CSV) as pages, on this machine only, without a shop
    .file = The file from `export`, or from `/api/audit/export.ndjson` or `.csv`
    .listen = The address, on the loopback interface; port 0: any free port
    .tls-cert = The certificate as PEM, with those that lead to its issuer, to speak TLS. It is read again when the file changes
    .tls-key = The certificate's private key as PEM, readable by its owner only

tool-help-doctor = Check everything that this tool needs, and show what is wrong with the shop

tool-help-parked = Events that could not be projected

tool-help-parked-list = List parked events by cause

tool-help-parked-retry = Retry them in order

tool-help-parked-discard = Discard them: their rows stay as they are

tool-help-completions = Write a completion script for a shell
    .shell = The shell

tool-help-man = Write the manual page

tool-help-help = Show this help, or that of a verb

## The layout of the help

tool-help-usage = Usage
tool-help-options = OPTIONS
tool-help-command = COMMAND
tool-help-commands = Commands
tool-help-arguments = Arguments
tool-help-flags = Options
tool-help-common = Options of every verb
tool-help-default = [default: { $value }]
tool-help-env = [env: { $name }]
tool-help-values = [possible values: { $values }]
tool-help-value-list = Possible values:
tool-help-value-row = - { $value }: { $text }

## The manual page

tool-help-page =
    .name = NAME
    .synopsis = SYNOPSIS
    .description = DESCRIPTION
    .extra = EXTRA
    .version = VERSION

## Exit codes

tool-help-codes =
    Exit codes:
    {"  "}0   done, healthy, equal, intact          6   finished, but some events were parked
    {"  "}1   unexpected error                      69  a store is unavailable: try again
    {"  "}2   usage, or a confirmation is needed    75  held by another run: try again
    {"  "}3   completed, and found something        124 `--timeout` reached
    {"  "}4   refused: a gate is not met            130, 143  interrupted
    {"  "}5   stopped on an event that fails (`--on-poison stop`)
    A rebuild that ends with 124, 130 or 143 has saved its progress: the same command goes on from there.
