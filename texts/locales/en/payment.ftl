### The context of payments.

event-PaymentOpened = Payment opened
    .sentence = { $test ->
            [true] A payment of { $amount } for order { $order_id } was opened as a test with { $provider }: no money moves
           *[other] A payment of { $amount } for order { $order_id } was opened with { $provider }
        }
event-PaymentStopRequested = Payment stopped
    .sentence = The payment for order { $order_id } was stopped: it takes nothing more
event-AuthorizationRequested = Authorization requested
    .sentence = { $amount } were to be authorized for order { $order_id }
event-AuthorizationActionRequired = Confirmation by the buyer required
    .sentence = The buyer has to confirm the payment for order { $order_id }
event-AuthorizationDeclined = Authorization declined
    .sentence = The payment for order { $order_id } was declined: { $code }
event-AuthorizationSucceeded = Authorized
    .sentence = { $amount } were authorized for order { $order_id }
event-AuthorizationFailed = Authorization failed
    .sentence = The authorization for order { $order_id } failed: { $code }
event-AuthorizationUnknown = Authorization unknown
    .sentence = Whether the payment for order { $order_id } was authorized is not known: the provider is asked
event-AuthorizationLapsed = Authorization lapsed
    .sentence = { $amount } that were authorized for order { $order_id } have lapsed
event-ChargeRequested = Charge requested
    .sentence = { $amount } were to be charged for order { $order_id }
event-ChargeSucceeded = Charged
    .sentence = { $unasked ->
            [true] { $amount } were charged for order { $order_id } in the pages of the provider
           *[other] { $amount } were charged for order { $order_id }
        }
event-ChargeFailed = Charge failed
    .sentence = A charge for order { $order_id } failed: { $code }
event-ChargeUnknown = Charge unknown
    .sentence = Whether order { $order_id } was charged is not known: the provider is asked
event-ReleaseRequested = Release requested
    .sentence = { $amount } that were authorized for order { $order_id } were to be released
event-ReleaseSucceeded = Released
    .sentence = { $unasked ->
            [true] { $amount } that were authorized for order { $order_id } were released in the pages of the provider
           *[other] { $amount } that were authorized for order { $order_id } were released
        }
event-ReleaseFailed = Release failed
    .sentence = What was authorized for order { $order_id } could not be released: { $code }
event-ReleaseUnknown = Release unknown
    .sentence = Whether what was authorized for order { $order_id } was released is not known: the provider is asked
event-RefundRequested = Refund requested
    .sentence = { $amount } were to be paid back for order { $order_id }
event-RefundSucceeded = Paid back
    .sentence = { $unasked ->
            [true] { $amount } were paid back for order { $order_id } in the pages of the provider
           *[other] { $amount } were paid back for order { $order_id }
        }
event-RefundFailed = Refund failed
    .sentence = A refund for order { $order_id } failed: { $code }
event-RefundUnknown = Refund unknown
    .sentence = Whether a refund for order { $order_id } was paid is not known: the provider is asked
event-PaymentNoted = Report noted
    .sentence = Staff have to look at the payment for order { $order_id }; no money moved: { $code }
event-PaymentClosed = Payment closed
    .sentence = The payment for order { $order_id } was closed
aggregate-payment = payment
context-payment = Payments
