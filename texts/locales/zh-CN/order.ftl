### The context of orders and credit notes.

event-OrderPlaced = 下单
    .sentence = 下单 { $number }，行数：{ $lines }，{ $total }
event-OrderConfirmed = 订单已确认
    .sentence = 订单 { $self } 已确认
event-OrderRefused = 订单被拒绝
    .sentence = 订单 { $self } 被拒绝：第 { $refusal-line } 行，{ $refusal-sku }，{ $refusal-reason }
event-OrderCancelled = 订单已取消
    .sentence = 订单 { $self } 已取消：{ $reason }
event-OrderShipped = 订单已发货
    .sentence = 订单 { $self } 已发货
event-OrderClaimed = 订单已认领
    .sentence = 订单 { $self } 已被账户 { $account } 认领
event-OrderCredited = 订单已贷记
    .sentence = 订单 { $self } 已贷记，行数：{ $lines }，{ $total }
event-OrderPaymentAdded = 支付已开始
    .sentence = 订单 { $self } 开始一笔支付 { $amount }
event-OrderPaymentStopped = 支付已放弃
    .sentence = 订单 { $self } 的支付 { $payment } 不再收取任何款项
event-OrderChargeBegun = 扣款已开始
    .sentence = 正在为订单 { $self } 扣款 { $amount }
event-OrderChargeEnded = 扣款已结束
    .sentence = 订单 { $self } 的一笔扣款结果为 { $amount }
event-OrderRepaymentBegun = 退款已开始
    .sentence = 正在为订单 { $self } 退款 { $amount }
event-OrderRepaymentEnded = 退款已结束
    .sentence = 订单 { $self } 的一笔退款结果为 { $amount }
event-CreditNoteIssued = 开具贷记单
    .sentence = { $without_order ->
            [true] 开具贷记单 { $number }（无订单），{ $total }
           *[other] 为订单 { $order_id } 开具贷记单 { $number }，{ $total }
        }
aggregate-order = 订单
aggregate-credit_note = 贷记单
context-order = 订单和贷记单
