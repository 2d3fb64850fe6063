### The context of stock.

event-StockReceived = Stock received
    .sentence = { $quantity } × { $sku } received at { $location }
event-StockAdjusted = Stock adjusted
    .sentence = { $sku } at { $location } was adjusted by { $quantity }: { $reason }
event-StockReserved = Stock reserved
    .sentence = { $quantity } × { $sku } reserved for line { $line } of an order
event-StockReleased = Stock released
    .sentence = { $quantity } × { $sku } released from line { $line } of an order
event-StockReservationBarred = Reservation blocked
    .sentence = { $sku } can no longer be reserved for line { $line } of an order
event-StockShipped = Stock shipped
    .sentence = { $quantity } × { $sku } shipped for line { $line } of an order
aggregate-stock = stock
context-inventory = Stock by SKU and location, and its reservations
