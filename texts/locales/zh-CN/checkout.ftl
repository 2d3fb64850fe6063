### 结账这一上下文。

event-CheckoutStarted = 已开始结账
    .sentence = { $test ->
            [true] 已开始一次 { $total } 的测试结账，订单号 { $number }：不会有资金往来
           *[other] 已开始一次 { $total } 的结账，订单号 { $number }
        }
event-CheckoutHeld = 已保留库存
    .sentence = 结账的所有行的库存已保留
event-CheckoutPaymentAdded = 已添加付款
    .sentence = 结账中添加了一笔 { $amount } 的付款
event-CheckoutPaymentStopped = 付款已停止
    .sentence = 结账的付款 { $payment } 已停止
event-CheckoutPaymentSettled = 付款已授权
    .sentence = 已为结账授权：{ $amount }
event-CheckoutPaymentUnsettled = 授权已失效
    .sentence = 付款 { $payment } 的授权已失效
event-CheckoutGivenUp = 已放弃结账
    .sentence = 结账已被放弃
event-CheckoutCompleted = 结账已完成
    .sentence = 结账已成为订单
event-CheckoutRefused = 结账被拒绝
    .sentence = 结账未成：{ $refusal-reason }
aggregate-checkout = 结账
context-checkout = 结账
problem-checkout-exists = 该结账已存在。
problem-checkout-not-found = 没有这次结账。
problem-checkout-ended = 结账已结束：它已成为订单，或未成。
problem-checkout-refused = 结账没有成功：原因见其中的说明。
problem-checkout-running = 该购物车正在结账：请付款，或先放弃结账。
problem-cart-checked-out = 该购物车已购买。
problem-given-up = 结账已被放弃。
problem-not-held = 结账的库存尚未保留。
problem-not-paid = 结账尚未付清。
problem-payment-authorized = 其订单已计入此付款的授权：请取消订单，或联系商店。
problem-payment-counted = 其结账正在进行并计入此付款：请改为停止该付款。
problem-provider-changed = 结账开始后，商店在测试付款与真实付款之间切换过。
problem-nothing-to-buy = 购物车中现在没有要购买的商品。
problem-payments-living = 须先停止结账的一笔付款。
problem-total-changed = 购物车的总额已经变化。
