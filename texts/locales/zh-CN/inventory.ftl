### The context of stock.

event-StockReceived = 入库
    .sentence = { $location } 入库 { $sku } × { $quantity }
event-StockAdjusted = 盘点修正
    .sentence = { $location } 的 { $sku } 盘点修正 { $quantity }：{ $reason }
event-StockReserved = 库存已预留
    .sentence = 为订单 { $order_id } 第 { $line } 行预留 { $sku } × { $quantity }
event-StockReleased = 库存已释放
    .sentence = 释放订单 { $order_id } 第 { $line } 行的 { $sku } × { $quantity }
event-StockReservationBarred = 不可再预留
    .sentence = 订单 { $order_id } 第 { $line } 行不可再预留 { $sku }
event-StockShipped = 库存已发出
    .sentence = 订单 { $order_id } 第 { $line } 行发出 { $sku } × { $quantity }
aggregate-stock = 库存
context-inventory = 按货号和地点的库存及其预留
