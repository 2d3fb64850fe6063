### The context of orders and credit notes.

event-OrderPlaced = Order placed
    .sentence = Order { $number } was placed: { $lines ->
            [one] 1 line
           *[other] { $lines } lines
        }, { $total }
event-OrderConfirmed = Order confirmed
    .sentence = Order { $self } was confirmed
event-OrderRefused = Order refused
    .sentence = Order { $self } was refused: line { $refusal-line }, { $refusal-sku }, { $refusal-reason }
event-OrderCancelled = Order cancelled
    .sentence = Order { $self } was cancelled: { $reason }
event-OrderShipped = Order shipped
    .sentence = Order { $self } was shipped
event-OrderClaimed = Order claimed
    .sentence = Order { $self } was claimed by account { $account }
event-OrderCredited = Order credited
    .sentence = Order { $self } was credited: { $lines ->
            [one] 1 line
           *[other] { $lines } lines
        }, { $total }
event-OrderPaymentAdded = Payment begun
    .sentence = A payment of { $amount } was begun for order { $self }
event-OrderPaymentStopped = Payment given up
    .sentence = The payment { $payment } of order { $self } was stopped
event-OrderChargeBegun = Charge begun
    .sentence = { $amount } are being charged for order { $self }
event-OrderChargeEnded = Charge ended
    .sentence = A charge for order { $self } came to { $amount }
event-OrderRepaymentBegun = Repayment begun
    .sentence = { $amount } are being paid back for order { $self }
event-OrderRepaymentEnded = Repayment ended
    .sentence = A repayment for order { $self } came to { $amount }
event-CreditNoteIssued = Credit note issued
    .sentence = { $without_order ->
            [true] Credit note { $number } was issued without an order, { $total }
           *[other] Credit note { $number } was issued for order { $order_id }, { $total }
        }
aggregate-order = order
aggregate-credit_note = credit note
context-order = Orders and credit notes
