### The context of stock.

event-StockReceived = Stock received
    .sentence = { $quantity } × { $sku } received at { $location }
event-StockAdjusted = Stock adjusted
    .sentence = { $sku } at { $location } was adjusted by { $quantity }: { $reason }
event-StockReserved = Stock reserved
    .sentence = { $quantity } × { $sku } reserved for line { $line } of order { $order_id }
event-StockReleased = Stock released
    .sentence = { $quantity } × { $sku } released from line { $line } of order { $order_id }
event-StockReservationBarred = Reservation blocked
    .sentence = { $sku } can no longer be reserved for line { $line } of order { $order_id }
event-StockShipped = Stock shipped
    .sentence = { $quantity } × { $sku } shipped for line { $line } of order { $order_id }
aggregate-stock = stock
context-inventory = Stock by SKU and location, and its reservations
