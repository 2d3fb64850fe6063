### The context of checkouts.

event-CheckoutStarted = Checkout started
    .sentence = { $test ->
            [true] A checkout of { $total } was started as a test, as order { $number }: no money moves
           *[other] A checkout of { $total } was started, as order { $number }
        }
event-CheckoutHeld = Stock held
    .sentence = The stock of all lines of the checkout is held
event-CheckoutPaymentAdded = Payment added
    .sentence = A payment of { $amount } was added to the checkout
event-CheckoutPaymentStopped = Payment stopped
    .sentence = The payment { $payment } of the checkout was stopped
event-CheckoutPaymentSettled = Payment authorized
    .sentence = Authorized for the checkout: { $amount }
event-CheckoutPaymentUnsettled = Authorization lapsed
    .sentence = What was authorized by the payment { $payment } has lapsed
event-CheckoutGivenUp = Checkout given up
    .sentence = The checkout was given up
event-CheckoutCompleted = Checkout completed
    .sentence = The checkout became an order
event-CheckoutRefused = Checkout refused
    .sentence = The checkout came to nothing: { $refusal-reason }
aggregate-checkout = checkout
context-checkout = Checkouts
problem-checkout-exists = The checkout exists already.
problem-checkout-not-found = There is no such checkout.
problem-checkout-ended = The checkout has ended: it is an order, or it came to nothing.
problem-checkout-refused = The checkout came to nothing: its reason says why.
problem-checkout-running = A checkout of the cart is running: pay for it, or give it up first.
problem-cart-checked-out = The cart was bought.
problem-given-up = The checkout was given up.
problem-not-held = The stock of the checkout is not held yet.
problem-not-paid = The checkout is not paid in full.
problem-payment-authorized = What is authorized by this payment is counted on by its order: cancel the order, or ask the shop.
problem-payment-counted = Its checkout is running and counts on this payment: stop it instead.
problem-provider-changed = The shop has changed between test and real payments since the checkout was started.
problem-nothing-to-buy = Nothing in the cart is to be bought now.
problem-payments-living = A payment of the checkout has to be stopped first.
problem-total-changed = The cart comes to another total by now.
