### The page of a run of replay-tool: its result in a sentence, and the texts of its tables.

run-verify = { $result ->
        [equal] Generation { $right } is equal to generation { $left } at position { $position }: { $rows ->
            [one] 1 row was compared
           *[other] { $rows } rows were compared
        }.
       *[other] Generation { $right } differs from generation { $left } at position { $position }: { $differences ->
            [one] 1 row differs
           *[other] { $differences } rows differ
        }, of { $rows ->
            [one] 1 row that was compared
           *[other] { $rows } rows that were compared
        }.
    }
run-rebuild = { $result ->
        [caught_up] Generation { $generation } is built, up to position { $position }.
       *[other] Generation { $generation } is built up to position { $position }, where it was to stop.
    }
run-swap = Generation { $to } is the active one, in place of generation { $from }, from position { $position } on.
run-rollback = Generation { $to } is the active one again, in place of generation { $from }, from position { $position } on.

page-kind-of-run-rebuild = Rebuild
page-kind-of-run-verify = Comparison
page-kind-of-run-swap = Swap
page-kind-of-run-rollback = Rollback
page-exit-code-1 = An error that was not expected
page-exit-code-2 = It cannot be done as it was asked for
page-exit-code-4 = Refused
page-exit-code-5 = An event cannot be processed
page-exit-code-69 = A server did not answer
page-exit-code-75 = Another process is at work on it
page-exit-code-124 = The time for it was over
page-exit-code-130 = Interrupted
page-exit-code-143 = Interrupted
page-can-be-retried = The same command may succeed later.
page-sample-proves = Only a sample of the rows was compared: it proves nothing about the others.
page-compared-how = Compared
page-compared-digest = every row, by digests
page-compared-full = every row, value by value
page-compared-sample = a sample of the rows
page-compared-without = Fields left out
page-compared-bytes = Bytes read
page-warnings = Warnings
page-rows-of = Rows in
page-rows-of-tables = Rows by table
page-rows-different = Rows that differ
page-rows-more = { $count ->
        [one] One more row
       *[other] { $count } more rows
    }
page-rows-not-named = { $count ->
        [one] One more row differs and is not named here.
       *[other] { $count } more rows differ and are not named here.
    }
page-row = Row
page-row-only-in = only in
page-whole-rows = rows that only one generation has
page-fields-different = Fields that differ
page-last-changed-by = Last changed by event
page-table = Table
page-documents-different = { $count ->
        [0] Every document is equal to its row.
        [one] 1 document differs from its row.
       *[other] { $count } documents differ from their rows.
    }
