### The context of payments.

event-PaymentOpened = 支付已开启
    .sentence = { $test ->
            [true] 已为订单 { $order_id } 在 { $provider } 开启一笔测试支付 { $amount }：不会发生资金变动
           *[other] 已为订单 { $order_id } 在 { $provider } 开启一笔支付 { $amount }
        }
event-PaymentStopRequested = 支付已停止
    .sentence = 订单 { $order_id } 的支付已停止：不再收取任何款项
event-AuthorizationRequested = 请求授权
    .sentence = 请求为订单 { $order_id } 授权 { $amount }
event-AuthorizationActionRequired = 需要买家确认
    .sentence = 买家需要确认订单 { $order_id } 的支付
event-AuthorizationDeclined = 授权被拒
    .sentence = 订单 { $order_id } 的支付被拒：{ $code }
event-AuthorizationSucceeded = 已授权
    .sentence = 已为订单 { $order_id } 授权 { $amount }
event-AuthorizationFailed = 授权失败
    .sentence = 订单 { $order_id } 的授权失败：{ $code }
event-AuthorizationUnknown = 授权结果未知
    .sentence = 订单 { $order_id } 的支付是否已授权尚不清楚：正在询问支付服务商
event-AuthorizationLapsed = 授权已过期
    .sentence = 为订单 { $order_id } 授权的 { $amount } 已过期
event-ChargeRequested = 请求扣款
    .sentence = 请求为订单 { $order_id } 扣款 { $amount }
event-ChargeSucceeded = 已扣款
    .sentence = { $unasked ->
            [true] 已在支付服务商的页面为订单 { $order_id } 扣款 { $amount }
           *[other] 已为订单 { $order_id } 扣款 { $amount }
        }
event-ChargeFailed = 扣款失败
    .sentence = 订单 { $order_id } 的扣款失败：{ $code }
event-ChargeUnknown = 扣款结果未知
    .sentence = 订单 { $order_id } 是否已扣款尚不清楚：正在询问支付服务商
event-ReleaseRequested = 请求释放授权
    .sentence = 请求释放为订单 { $order_id } 授权的 { $amount }
event-ReleaseSucceeded = 授权已释放
    .sentence = { $unasked ->
            [true] 为订单 { $order_id } 授权的 { $amount } 已在支付服务商的页面释放
           *[other] 为订单 { $order_id } 授权的 { $amount } 已释放
        }
event-ReleaseFailed = 释放授权失败
    .sentence = 无法释放为订单 { $order_id } 授权的款项：{ $code }
event-ReleaseUnknown = 释放结果未知
    .sentence = 为订单 { $order_id } 授权的款项是否已释放尚不清楚：正在询问支付服务商
event-RefundRequested = 请求退款
    .sentence = 请求为订单 { $order_id } 退款 { $amount }
event-RefundSucceeded = 已退款
    .sentence = { $unasked ->
            [true] 已在支付服务商的页面为订单 { $order_id } 退款 { $amount }
           *[other] 已为订单 { $order_id } 退款 { $amount }
        }
event-RefundFailed = 退款失败
    .sentence = 订单 { $order_id } 的退款失败：{ $code }
event-RefundUnknown = 退款结果未知
    .sentence = 订单 { $order_id } 的退款是否已支付尚不清楚：正在询问支付服务商
event-PaymentNoted = 已记录报告
    .sentence = 订单 { $order_id } 的支付需要员工查看，未涉及资金变动：{ $code }
event-PaymentClosed = 支付已关闭
    .sentence = 订单 { $order_id } 的支付已关闭
aggregate-payment = 支付
context-payment = 支付
