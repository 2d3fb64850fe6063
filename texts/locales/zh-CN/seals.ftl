### Why a position or a seal does not match, by the code of the fault.

seal-fault-row-unreadable = 该行无法读取：{ $reason }
seal-fault-row-out-of-order = 事件 { $event } 排在位置 { $position } 之后
seal-fault-rows-missing = 日志从位置 { $position } 才继续
seal-fault-recorded-earlier = 其记录时间早于前一个事件
seal-fault-events-cut-off = 截至位置 { $to } 的事件曾经存在，现已缺失
seal-fault-other-than-read = 此处的事件不是之前读取到的事件
seal-fault-event-gone = 在此封存的事件已不存在
seal-fault-event-moved = 在此封存的事件现位于位置 { $position }
seal-fault-sealed-elsewhere = 此处的事件封存时位于位置 { $position }
seal-fault-event-replaced = 在此封存的事件已不存在；此处的事件封存时位于位置 { $position }
seal-fault-never-sealed = 此处的事件从未封存；已封存的事件现位于位置 { $position }
seal-fault-event-changed = 此处的事件不是封存时的事件
seal-fault-seal-unreadable = 封条 { $seal }：{ $reason }
seal-fault-seal-of-other-log = 封条 { $seal }：属于另一日志 { $log } { $id }
seal-fault-seal-count = 封条 { $seal }：记有 { $count } 个事件，从 { $first } 到 { $last }
seal-fault-seal-leaves = 封条 { $seal }：叶节点与根不符
seal-fault-seal-signature = 封条 { $seal }：并非由其所称的密钥 { $key } 签名
seal-fault-seal-not-first = 封条 { $seal }：是第一个封条，但不从位置 1 开始
seal-fault-seal-before-missing = 封条 { $seal }：缺少其前一个封条
seal-fault-seals-missing = 封条 { $seal }：缺少其前一个封条，最后一个是 { $last }
seal-fault-seal-not-next = 封条 { $seal }：与前一个封条不相连
seal-fault-key-not-named = 封条 { $seal }：密钥 { $key } 未由前一个密钥指定
seal-fault-other-key-not-named = 封条 { $seal }：未按要求指明另一个密钥
seal-fault-signed-by-others = 封条由其他密钥签名，而不是您给出的密钥 { $key }
seal-fault-file-changed = 文件与写入时不同：最后一行与其内容不符
seal-fault-file-cut-off = 文件不完整：缺少最后一行
