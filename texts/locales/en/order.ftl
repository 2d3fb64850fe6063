### The context of orders and credit notes.

event-OrderPlaced = Order placed
    .sentence = Order { $number } was placed: { $lines ->
            [one] 1 line
           *[other] { $lines } lines
        }, { $total }
event-OrderConfirmed = Order confirmed
    .sentence = An order was confirmed
event-OrderRefused = Order refused
    .sentence = An order was refused: line { $refusal-line }, { $refusal-sku }, { $refusal-reason }
event-OrderCancelled = Order cancelled
    .sentence = An order was cancelled: { $reason }
event-OrderShipped = Order shipped
    .sentence = An order was shipped
event-OrderCredited = Order credited
    .sentence = An order was credited: { $lines ->
            [one] 1 line
           *[other] { $lines } lines
        }, { $total }
event-CreditNoteIssued = Credit note issued
    .sentence = { $without_order ->
            [true] Credit note { $number } was issued without an order, { $total }
           *[other] Credit note { $number } was issued, { $total }
        }
aggregate-order = order
aggregate-credit_note = credit note
context-order = Orders and credit notes
