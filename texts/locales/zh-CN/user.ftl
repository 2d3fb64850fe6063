### The context of users and persons.

event-UserRegistered = 用户注册
    .sentence = 用户 { $self } 注册
event-UserDetailsChanged = 资料已更改
    .sentence = 用户 { $self } 的资料已更改
event-UserDeleted = 用户已删除
    .sentence = 用户 { $self } 已删除
event-ErasureRequested = 请求删除个人信息
    .sentence = 请求删除当事人 { $self } 的个人信息：{ $purposes }
event-PersonErased = 个人信息已删除
    .sentence = 当事人 { $self } 的个人信息已删除：{ $purposes }
aggregate-user = 用户
aggregate-person = 当事人
field-purposes = 用途
    .account = 账户
    .invoice = 发票
context-user = 用户，以及个人信息的删除
