### replay-tool 运行页面：结果的句子，以及表格的文字。

run-verify = { $result ->
        [equal] 第 { $right } 世代与第 { $left } 世代在位置 { $position } 相同：比较了 { $rows } 行。
       *[other] 第 { $right } 世代与第 { $left } 世代在位置 { $position } 不同：比较了 { $rows } 行，其中 { $differences } 行不同。
    }
run-rebuild = { $result ->
        [caught_up] 第 { $generation } 世代已建成，到位置 { $position }。
       *[other] 第 { $generation } 世代已建到指定的位置 { $position }。
    }
run-swap = 自位置 { $position } 起，现用世代由第 { $from } 世代切换为第 { $to } 世代。
run-rollback = 自位置 { $position } 起，现用世代由第 { $from } 世代回退为第 { $to } 世代。

page-kind-of-run-rebuild = 重建
page-kind-of-run-verify = 比较
page-kind-of-run-swap = 切换
page-kind-of-run-rollback = 回退
page-exit-code-1 = 意外错误
page-exit-code-2 = 无法按要求执行
page-exit-code-4 = 被拒绝
page-exit-code-5 = 有事件无法处理
page-exit-code-69 = 服务器没有应答
page-exit-code-75 = 另一个进程正在处理
page-exit-code-124 = 已超时
page-exit-code-130 = 已中断
page-exit-code-143 = 已中断
page-can-be-retried = 稍后再执行同一命令可能会成功。
page-sample-proves = 只比较了部分行：其余的行没有得到证明。
page-compared-how = 比较方式
page-compared-digest = 全部行，按摘要
page-compared-full = 全部行，逐值
page-compared-sample = 抽样的行
page-compared-without = 不比较的字段
page-compared-bytes = 读取的字节数
page-warnings = 警告
page-rows-of = 行数：
page-rows-of-tables = 各表的行数
page-rows-different = 不同的行
page-rows-more = 还有 { $count } 行
page-rows-not-named = 另有 { $count } 行不同，此处未列出。
page-row = 行
page-row-only-in = 仅存在于
page-whole-rows = 仅一个世代有的行
page-fields-different = 不同的字段
page-last-changed-by = 最后更改它的事件
page-table = 表
page-documents-different = { $count ->
        [0] 每个文档都与其数据行一致。
       *[other] { $count } 个文档与其数据行不同。
    }
