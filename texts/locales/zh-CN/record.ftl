### 操作记录：每种条目的句子，以及其页面的文字。

record-reveal = 显示了“{ $subject }”的个人信息：版本 { $version }，与版本 { $compared } 比较
record-reveal-reason = 显示了{ $subject }的原因
record-read-personal = 查看了“{ $subject }”的个人信息：“{ $fields }”
record-look-up = { $found-count ->
        [0] 查找当事人：未找到
       *[other] 查找当事人：找到 { $found-count } 人
    }
record-export = { $format ->
        [csv] 以 CSV 导出{ $subject }：{ $count } 行
       *[other] 以 NDJSON 导出{ $subject }：{ $count } 行
    }
record-check = { $verdict ->
        [intact] 核对了{ $subject }的位置 { $from } 至 { $to }：与封条一致
        [broken] 核对了{ $subject }：在位置 { $first_bad } 发现篡改
        [unproven] 核对了{ $subject }的位置 { $from } 至 { $to }：尚未全部封存
       *[other] 核对了{ $subject }：没有可核对的内容
    }
record-acknowledge = 确认了{ $subject }的警报：位置 { $from } 至 { $to }
record-swap = 将“{ $projection }”的现用世代由第 { $from } 世代切换为第 { $to } 世代
record-rollback = { $alarm ->
        [lag] 将“{ $projection }”由第 { $from } 世代回退到第 { $to } 世代：落后过多
        [errors] 将“{ $projection }”由第 { $from } 世代回退到第 { $to } 世代：出现错误
        [parked] 将“{ $projection }”由第 { $from } 世代回退到第 { $to } 世代：有搁置事件
       *[other] 将“{ $projection }”由第 { $from } 世代回退到第 { $to } 世代
    }
record-rebuild = { $resumed ->
        [true] 继续重建“{ $projection }”的第 { $number } 世代，运行 { $run }
       *[other] 开始重建“{ $projection }”的第 { $number } 世代，运行 { $run }
    }
record-verify = { $result ->
        [equal] 比较了“{ $projection }”的第 { $left } 世代与第 { $right } 世代：相同
       *[other] 比较了“{ $projection }”的第 { $left } 世代与第 { $right } 世代：{ $differences } 行不同
    }
record-retire = { $for-erasure ->
        [true] 停用了“{ $projection }”的第 { $number } 世代：无工作进程维护它，且其删除请求已逾期
       *[other] { $because ->
            [not-needed] 停用了“{ $projection }”的第 { $number } 世代：不再需要
            [left-behind] 停用了“{ $projection }”的第 { $number } 世代：由一次比较遗留
            [compared] 停用了“{ $projection }”的第 { $number } 世代：为一次比较而建
            [begun-anew] 停用了“{ $projection }”的第 { $number } 世代：重建从头开始
           *[other] 停用了“{ $projection }”的第 { $number } 世代
        }
    }
record-retry = 重试了“{ $subject }”的 { $positions-count } 个搁置事件
record-discard = 丢弃了“{ $subject }”的 { $positions-count } 个搁置事件
record-process-retry = 重试了流程管理器“{ $process }”的等待命令“{ $command }”，实例“{ $subject }”
record-process-acknowledge = 确认了流程管理器“{ $process }”的失败（{ $refusal }），实例“{ $subject }”
record-key-create = 创建了 API 密钥“{ $subject }”（ssk_{ $prefix }），角色为{ $role }
record-key-rotate = 以 API 密钥“{ $subject }”（ssk_{ $prefix }）替换了角色为{ $role }的密钥
record-key-revoke = 吊销了 API 密钥“{ $subject }”（ssk_{ $prefix }）
record-account-open = 开通了账户“{ $subject }”，角色为{ $role }
record-account-disable = 停用了账户“{ $subject }”：{ $reason }
record-account-enable = 重新启用了账户“{ $subject }”：{ $reason }
record-account-roles = 将账户“{ $subject }”的角色改为{ $role }
record-account-end-sessions = 结束了账户“{ $subject }”的全部会话
record-account-password = 为账户“{ $subject }”更换了密码
record-account-reset-factor = 移除了账户“{ $subject }”的第二要素
record-clock-confirm = 确认了时钟：在位置 { $position } 时曾超前
record-save-view = { $replaced ->
        [true] 替换了视图“{ $subject }”
       *[other] 保存了视图“{ $subject }”
    }
record-rename-view = 将视图“{ $subject }”重命名为“{ $to }”
record-delete-view = 删除了视图“{ $subject }”
record-sign-in = 登录

page-operations = 操作
page-record-what = 人员对商店及其审计所做的操作，以及原因。每个条目永久保存并封存。
page-record-all = 全部操作
page-record-no-sign-ins = 不含登录。
page-record-sign-ins = 包括登录
page-record-any-action = 任何操作
page-record-any-actor = 任何人：密钥或编号
page-record-any-subject = 任何对象：单号、货号、视图
page-record-signed-in = 当天共登录 { $count } 次。
page-record-of-log = 事件日志
page-record-of-operations = 操作记录
page-record-of-timeline = 时间线
page-record-operation = 条目
page-reason-in-words = 原因说明
page-reason-hidden = 已隐藏
page-reason-reveal = 已隐藏，填写原因后显示
