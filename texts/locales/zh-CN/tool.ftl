### The output of replay-tool.

## How a command ends

tool-by-tool = replay-tool：{ $text }
tool-refused-because = 已拒绝：{ $why }
tool-timed-out = 时间已到
tool-timed-out-saved = 时间已到；进度已保存
tool-interrupted = 被 { $signal } 中断
tool-interrupted-saved = 被 { $signal } 中断；进度已保存
tool-held-by = { $what } 正由 { $holder } 占用
tool-taken-over = 该世代已被另一个进程接管
tool-cannot-be-projected = 位置 { $position } 的事件无法投影：{ $cause }
tool-warnings-again = 共 { $count } 条警告：
tool-warning-again = {"  "}{ $text }
tool-warning = 警告  { $text }

## Errors from other crates, each followed by its own text

tool-unexpected = 意外错误：{ $detail }
tool-store-unavailable = 存储暂不可用：{ $detail }
tool-bad-address = 地址无效：{ $detail }
tool-bad-master-key = 主密钥文件不可用：{ $detail }
tool-no-key-file = 文件 { $file }：{ $detail }；请从备份恢复密钥文件；新商店可用 `soonshop migrate` 生成
tool-schema-unfit = 数据库结构与本版本不符：{ $detail }
tool-ahead-of-log = 所处理的历史与日志不符（ahead-of-log）：{ $detail }
tool-not-answered = 无法答复：{ $problem }
tool-history-unreadable = 本版本无法读取：{ $problem }
tool-not-available = 暂不可用：{ $problem }
tool-cannot-read = 本版本无法读取：{ $detail }
tool-of-another-release = { $detail }：请使用对应版本的工具
tool-of-file = 文件 { $file }：{ $detail }
tool-manifest-unwritten = 清单无法生成：{ $detail }

## The command line

tool-command-line = 命令行有误：{ $detail }
tool-no-such-value = { $arg } 的值 '{ $value }' 无效，可选：{ $known }
tool-bad-value = { $arg } 的值 '{ $value }' 无效：{ $why }
tool-value-unfit = { $arg } 的值 '{ $value }' 无效
tool-no-such-argument = 未知参数 '{ $arg }'
tool-no-such-verb = 未知命令 '{ $verb }'
tool-verb-missing = 缺少命令
tool-value-missing = '{ $arg }' 需要一个值
tool-value-too-many = '{ $arg }' 多了一个值 '{ $value }'
tool-given-twice = '{ $arg }' 只能给出一次
tool-not-text = 命令行中有不是 UTF-8 文字的字节
tool-not-whole = 不是整数
tool-similar = { $text }

    您是否要用：{ $names }
tool-with-usage = { $text }

    用法：{ $usage }
tool-arguments-missing = 缺少必需的参数：{ $args }
tool-arguments-clash = '{ $arg }' 不能与 '{ $other }' 同时使用
tool-try-help = 错误：{ $text }

    更多信息见 '--help'。
tool-bad-duration = "{ $text }" 不是时长，例如 90s、10m、2h
tool-bad-rate = "{ $text }" 不是速率，例如 5000/s
tool-bad-run = "{ $text }" 不是运行编号，例如 run:59
tool-bad-point = "{ $text }" 不是时间点：v13（版本）、p1204881（位置）或 2026-11-22T09:00:00Z
tool-bad-alarm = "{ $text }" 不是条件：lag>1000、errors>0、parked>0，以 || 连接
tool-bad-public-key = 既不是公钥（32 字节的 base64），也不是指纹（16 字节，如 9c:41:…）

## Questions

tool-ask = { $question } [y/N]{" "}
tool-cannot-ask = { $question } 此处无法询问：请加 --yes
tool-ask-retire = 要删除 { $projection } 的旧世代吗？
tool-ask-discard = 要丢弃 { $count } 个事件吗？
tool-nothing-done = 未做任何操作

## Missing things

tool-no-shop = 文件夹 { $folder } 中没有商店：请用 --store 指定
tool-no-role = 当前登录无法切换到 replay-tool 所用的角色：请运行 `soonshop migrate`，或授予它 { $role }
tool-may-write = 本工具的角色可能写入日志：{ $why }。如何处理见 `soonshop doctor`
tool-no-read-model = 没有读模型 "{ $name }"，现有：{ $known }
tool-no-generation = { $projection } 没有第 { $number } 世代：见 `replay-tool list`
tool-none-in-use = { $projection } 没有使用中的世代：请运行 `soonshop migrate`
tool-no-candidate = { $projection } 没有新世代：请先运行 `replay-tool rebuild { $projection }`
tool-no-checkpoint = { $name } 没有检查点
tool-cannot-hold = 无法占用 { $name }
tool-no-run = 没有运行 { $run }：见 `replay-tool runs`
tool-run-ended = 运行 { $run } 已结束，或从未存在
tool-run-takes-no-orders = 运行 { $run } 是 { $verb }，不接受此指令
tool-run-cancelled = 运行 { $run } 已被取消
tool-run-not-responding = 运行 { $run } 没有响应；最后到达位置 { $position }

## `list`, `status`, `runs`

tool-status-row = { LEFT($projection, 12) } v{ LEFT($generation, 4) } { LEFT($state, 9) } { LEFT($place, 9) } { RIGHT($position, 12) } / { LEFT($head, 12) } 落后 { RIGHT($lag, 8) } 个事件 { RIGHT($seconds, 8) } 秒  搁置 { LEFT($parked, 4) }
tool-sink-row = {"    "}{ LEFT($sink, 6) } 位置 { LEFT($at, 12) } 工作进程 { $holder }
tool-sink-stopped = {"           "}已停止：{ $reason }
tool-sink-unknown = {"           "}无法读取：{ $reason }
tool-complaint = {"    "}! { $complaint }
tool-stopped = { $sink }已停止：{ $reason }
tool-events-parked = 搁置的事件：{ $count }
tool-no-worker = 没有正在运行的工作进程
tool-late = 落后 { $seconds } 秒
tool-stalled = 有工作进程占用它，但它停留在位置 { $position }，没有进展
tool-other-complaint = 异常：{ $detail }
tool-unhealthy-since = {"      "}自 { $at } 起
tool-what-to-do = {"      "}-> { $remedy }
tool-tampering-found = 在以下位置发现篡改：{ $ranges }
tool-following-row = { LEFT($name, 12) } { RIGHT($at, 37) } / { LEFT($head, 12) } 落后 { RIGHT($lag, 8) } 个事件 { RIGHT($seconds, 8) } 秒
tool-log-row = { LEFT($name, 12) } { RIGHT($head, 37) }
tool-log-row-aged = { LEFT($name, 12) } { RIGHT($head, 37) }  { $seconds } 秒前
tool-run-row = #{ LEFT($run, 4) } { $at }  { LEFT($verb, 8) } { $of }  { $state }  位置 { $position }/{ $to }  执行者 { $actor } 于 { $process }
tool-run-row-ended = #{ LEFT($run, 4) } { $at }  { LEFT($verb, 8) } { $of }  { $state }  位置 { $position }/{ $to }  执行者 { $actor } 于 { $process }  { $result }
tool-run-row-failed = #{ LEFT($run, 4) } { $at }  { LEFT($verb, 8) } { $of }  { $state }  位置 { $position }/{ $to }  执行者 { $actor } 于 { $process }  记录：{ $message }

## `plan`

tool-plan-new = { $projection }  v{ $from }（使用中） ->  v{ $to }（新建）
tool-plan-started = { $projection }  v{ $from }（使用中） ->  v{ $to }（已开始）
tool-plan-fold = {"  "}待处理事件        { $folded } / { $head }   （{ $types } 种类型；按类型跳过 { $skipped } 个）
tool-plan-estimate = {"  "}预计              约 { $seconds } 秒，每秒 { $rate } 个位置（{ $how }）   磁盘 +{ $size }
tool-as-run-was = 与运行 { $run } 相同
tool-sampled = 抽样 { $passed } 个
tool-plan-upcaster = {"  "}版本升级          { $name }（{ $count } 个事件）
tool-plan-unhandled = {"  "}未处理的类型      { $name }（{ $count } 个事件）   <- 将跳过；加 --fail-unhandled 则拒绝
tool-plan-effects = {"  "}副作用            不可能有：{ $role }
tool-plan-run = {"  "}未写入任何内容。运行：  replay-tool rebuild { $projection }
tool-no-code-to-write = 本程序没有写日志的代码
tool-role-could = 本程序没有写日志的代码（但其角色 { $name } 有权限）
tool-role-cannot = 角色 { $name } 对事件日志没有 INSERT 权限
tool-role-unknown = 数据库没有说明当前角色

## `rebuild`

tool-at-least-one = --chunk 和 --max-rate 至少为 1
tool-unhandled = 以下事件没有处理：{ $names }
tool-following = 正在此处维护 { $projection } v{ $number }；按 Ctrl-C 停止
tool-saved-at = 已保存在位置 { $position }（运行 { $run }）。继续：  replay-tool rebuild { $projection } --resume
tool-stopped-at = { $name } 按要求停在位置 { $position }；尚未完成
tool-no-worker-for = 没有工作进程维护 { $name }：请启动具有版本 { $version } 的商店进程，或使用 --tail
tool-rebuilt = { $result }  { $name } 位置 { $position }   事件：处理 { $folded }，按类型跳过 { $skipped }，搁置 { $parked }；警告 { $warnings }   { $seconds } 秒，每秒 { $rate } 个位置
tool-rebuilt-for = { $result }  { $name } 位置 { $position }   事件：处理 { $folded }，按类型跳过 { $skipped }，搁置 { $parked }；警告 { $warnings }   { $seconds } 秒，每秒 { $rate } 个位置   已移交 { $keeper }
tool-run-starts = 运行 { $run }  { $name }  任期 { $epoch }
tool-run-resumes = 运行 { $run }  { $name }  从 { $from } / { $head } 继续，任期 { $epoch }
tool-rebuild-progress = 运行={ $run } { $name } { $percent }% { $position }/{ $total } { $rate }/s 剩余={ $left }秒 搁置={ $parked }
tool-rebuild-progress-limited = 运行={ $run } { $name } { $percent }% { $position }/{ $total } { $rate }/s（上限 { $limit }） 剩余={ $left }秒 搁置={ $parked }
tool-log-has-gap = 日志从位置 { $after } 跳到 { $found }：中间有缺口
tool-log-ends = 日志在位置 { $position } 之前就结束了

## `verify`

tool-comparing = 核对 { $table }：{ $compared } 行，{ $differ } 行不同
tool-only-ready = { $name } 的状态是{ $state }，只有就绪的世代才能核对
tool-verifies-itself = { $name } 正在使用中：请用 --against fold 核对
tool-proves-nothing = 使用中的世代无法作为依据（ahead-of-log）：{ $detail }。请用 --against fold 核对
tool-stopped-before = { $name } 停在位置 { $position } 之前，而本版本无法推进它：请用 --against fold 核对
tool-no-table = { $name } 没有表 { $table }：请重新构建
tool-one-table = 只有其中一方有表 { $table }
tool-one-column = { $table }：只有其中一方有 { $columns }
tool-no-column = --ignore "{ $pointer }" 不是列，例如 /updated_at
tool-index-stuck = { $name } 的索引无法从 { $at } 推进到 { $before }
tool-report-unwritten = 无法写入报告 { $file }：{ $detail }
tool-equal = 一致  v{ $left } <-> v{ $right } 位置 { $position }   核对了 { $rows } 行   （运行 { $run }）
tool-equal-indexed = 一致  v{ $left } <-> v{ $right } 位置 { $position }   核对了 { $rows } 行，索引中 { $unlike } 个文档不同   （运行 { $run }）
tool-differs = 差异  { $rows } 行中有 { $differ } 行  v{ $left } <-> v{ $right } 位置 { $position }   （运行 { $run }）
tool-differs-indexed = 差异  { $rows } 行中有 { $differ } 行  v{ $left } <-> v{ $right } 位置 { $position }，索引中 { $unlike } 个文档不同   （运行 { $run }）
tool-field-differs = {"  "}{ $field } { $count }
tool-explain-one = 查看其中一行：  replay-tool step { $projection } --key { $key }
tool-row-differs = 差异  { $table } { $key }{ $fields }
tool-row-differs-by = 差异  { $table } { $key }{ $fields }   （由 { $event } { $position } 引起）
tool-field = {"  "}{ $name }：v{ $left } { $before } -> v{ $right } { $after }
tool-whole-row = {"  "}（整行）：v{ $left } { $before } -> v{ $right } { $after }

## `swap`, `rollback`, `retire`

tool-unexpected-generation = 使用中的是 v{ $found }，而不是预期的 v{ $expected }
tool-in-use-already = v{ $number } 已在使用中
tool-unfinished = v{ $number } 的状态是{ $state }：请用 `replay-tool rebuild { $projection }` 完成它
tool-has-parked = v{ $number } 有 { $count } 个搁置的事件：见 `replay-tool parked list`
tool-too-far-behind = v{ $number } 落后 { $lag } 个事件，超过 --max-lag { $most }
tool-not-clean = v{ $number } 核对发现差异（{ $count } 处，运行 { $run }）。若确定接受：  --accept-diff run:{ $run } --reason "…"
tool-not-verified = v{ $number } 尚未核对：请运行 `replay-tool verify { $projection }`
tool-reason-needed = --accept-diff 需要同时给出 --reason
tool-last-verification = v{ $number } 最近一次核对是运行 { $run }
tool-no-verification = 运行 { $run } 不是对 v{ $number } 的核对
tool-no-previous = v{ $number } 之前没有可以回退到的世代
tool-not-readable = v{ $number } 的状态是{ $state }，不再供读取
tool-never-in-use = v{ $number } 从未使用过：切换到新世代请用 `replay-tool swap { $projection }`
tool-no-worker-for-target = 没有工作进程维护 v{ $number }：请启动具有版本 { $version } 的进程，或运行 `replay-tool rebuild { $projection } --tail`
tool-taken-by-other = v{ $number } 期间已被其他进程占用
tool-readers-moved = v{ $number } 已不是使用中的世代
tool-sink-behind = v{ $number } 的{ $sink }未能及时从 { $at } 推进到 { $barrier }
tool-sink-not-started = v{ $number } 的{ $sink }尚未开始，未能及时推进到 { $barrier }
tool-swapped = 已切换 { $projection } v{ $from } -> v{ $to }，用时 { $millis } 毫秒   （读取方从下一次请求起生效）   v{ $from } 保留   撤销：  replay-tool rollback { $projection }
tool-rolled-back = 已回退 { $projection } v{ $from } -> v{ $to }，用时 { $millis } 毫秒   v{ $from } 已拒绝
tool-swap-first = v{ $number } 正在使用中：请先切换
tool-retired-already = v{ $number } 已经停用
tool-too-recent = v{ $number } 只有 { $minutes } 分钟，短于 --min-age
tool-would-retire = 将停用 v{ $number }
tool-retired = 已停用 v{ $number }

## `deploy`

tool-watching = 观察 { $seconds } 秒
tool-alarm = { $figure }为 { $value }，超过 { $most }
tool-rolling-back = { $why }：正在回退
tool-swapped-by-other = 期间读取方已被切换到 v{ $number }：不再观察

## `show`, `diff`, `step`

tool-no-type = 没有类型 "{ $kind }"，现有：{ $known }
tool-bad-id = "{ $id }" 既不是编号（UUID），也不是此类聚合的名称
tool-name-shared = 有多个聚合名为 "{ $name }"：请给出其中一个编号 { $ids }
tool-shown = { $kind } { $name }，版本 { $version }/{ $last }：{ $event }，位置 { $position }
tool-no-aggregate = 没有 { $kind } { $id }
tool-not-yet-created = 当时还没有这个编号的内容
tool-no-version = 没有版本 { $version }：最后的版本是 { $last }
tool-version-zero = 版本 0 是首个事件之前的状态，没有可显示的内容
tool-versions-equal = 版本 { $from } 与版本 { $to } 相同
tool-erased = （已删除）
tool-key-needed = --key 用来指明数据行：如订单编号、SKU 的库存
tool-nothing-touches = 没有事件涉及 { $projection } 的行 "{ $key }"
tool-rows-equal = { $name } 中与上面相同
    { $rows }
tool-rows-differ = { $name } 中与上面不同
    { $rows }

## `export`, `tail`

tool-out-needed = 使用 --json 时标准输出只有消息：请用 --out FILE 指定数据写到哪里
tool-cannot-sign = 无法签名：{ $detail }
tool-seal-key-missing = 无法签名：日志的封条由 { $fingerprint } 签名，而 { $file } 中没有该密钥
tool-tail-parked = 到此为止有 { $count } 个事件被搁置而未显示，首个位于 { $first }。以后查看：  replay-tool tail --after { $after }
tool-tail-late = 位置 { $position } 曾被搁置，现在补上
tool-exporting = 导出：{ $count } 行
tool-exported = { $count } 行已写入 { $file }
tool-file-unwritten = 无法写入 { $file }：{ $detail }
tool-link-unwritten = { $file } 是符号链接，写入会覆盖它指向的文件：请指定一个文件，或先删除该链接
tool-export-cut-short = 导出没有写完整：{ $detail }
tool-tail-resume = 继续：  replay-tool tail --follow --after { $position }
tool-happened-at = 发生于 { $at }
tool-on-behalf-of = 代表 { $who }
tool-via-channel = 渠道 { $channel }
tool-because = 原因 { $code }

## `check`, `doctor`

tool-intact = 完整      { $log }:{ $from } 至 { $to }：读取 { $rows } 个事件，{ $seals } 个封条
tool-broken = 不一致    { $log }：读取 { $rows } 个事件，{ $seals } 个封条
tool-unproven = 未证明    { $log }：所要求的范围并非全部已封存；读取 { $rows } 个事件，{ $seals } 个封条
tool-nothing-to-check = 无内容    { $log }：没有可核对的内容，此处既没有事件也没有封条
tool-found = {"  "}{ $log }:{ $position }  { $wrong }：{ $detail }
tool-found-more = {"  "}另有 { $count } 处
tool-sealed-up-to = 已封存    至 { $log }:{ $to }，时间 { $at }，封条 { $hash }
tool-seal-key = 密钥      { $key }
tool-key-not-given = {"          "}取自封条，不是您给出的：请与您所知的密钥比较
tool-tail-unprovable = 尾部      无法证明：自 { $since } 起有 { $events } 个事件未封存；是否曾有更多，无从得知
tool-no-tail = 尾部      没有；若最后的封条之后有事件被截去，无从得知
tool-export-intact = 完整      { $count } 行，位置 { $head }，由 { $fingerprint } 签名
tool-export-unsigned = 未证明    { $count } 行，位置 { $head }，与清单相符，但没有签名
tool-export-of-other = 不一致    由 { $fingerprint } 签名，而不是您给出的密钥
tool-export-broken = 不一致    { $detail }
tool-check-passed = 正常 { LEFT($what, 22) } { $detail }
tool-check-failed = 异常 { LEFT($what, 22) } { $detail }
tool-range-backwards = --to { $to } 小于 --from { $from }
tool-reason-too-short = 请给出至少三个字符的原因
tool-nothing-to-acknowledge = 没有可确认的内容：这些位置未发现问题，或已重新得到证明
tool-acknowledged = 已确认    { $log }:{ $from } 至 { $to }：不再报警，但并未得到证明
tool-nothing-found = 未发现尚未重新证明或确认的问题
tool-last-position = 最后的位置是 { $position }
tool-cannot-write-log = 不能写入日志
tool-key-present = 存在
tool-answers = 有响应
tool-generation-ok = 版本 { $version }，结构 { $shape }
tool-generation-of-other-release = 版本 { $version }，结构 { $shape }：与本版本所建不同，只能读取和删除

## `parked`

tool-cause = { $count } × 原因：{ $cause }
tool-parked-row = {"    "}{ $generation }  { $position }  { $event }  { $stream }  已尝试 { $attempts } 次
tool-nothing-parked = 没有搁置的事件
tool-would-retry = 将重试 { $count } 个事件
tool-to-be-retried = { $count } 个事件将由维护其世代的工作进程重试
tool-would-discard = 将丢弃 { $count } 个事件
tool-discarded = 已丢弃 { $count } 个事件

## `view`

tool-reading-rows = 读取：{ $count } 行
tool-manifest-differs = { $file } 与其清单不符：{ $detail }
tool-not-listening = 无法监听 { $address }：{ $detail }
tool-bad-tls = 无法使用 TLS：{ $why }
tool-no-pem-certificate = { $file }：{ $detail }；请提供 PEM 格式的证书及其签发链
tool-no-certificate = { $file } 中没有证书：请提供 PEM 格式的证书及其签发链
tool-certificate-damaged = { $file } 中的证书无法读取：{ $detail }
tool-no-pem-key = { $file }：{ $detail }；请提供证书的私钥（PEM 格式）
tool-not-its-key = { $certificate } 与 { $key } 不匹配：请提供证书及其对应的私钥
tool-certificate-unusable = 证书 { $file } 及其私钥无法使用：{ $detail }
tool-certificate-ended = 证书 { $file } 已于 { $date } 过期：请更换证书
tool-certificate-not-yet = 证书 { $file } 自 { $date } 起生效：请届时使用，或校正本机时钟
tool-key-exposed = 其他用户可以读取私钥：{ $detail }
tool-servers-tls = 连接服务器的 TLS 设置有误：{ $detail }
tool-own-certificate = 证书 { $file } 需要更换：{ $detail }
tool-not-loopback = 其他机器可以访问 { $address }，而查看此文件无需登录：请监听本机回环地址（127.0.0.1 或 [::1]）
tool-signed-by = 由 { $fingerprint } 签名：请与您所知的商店封条密钥比较
tool-showing = { $count } 个事件，位置 { $head }，按 { $role } 遮蔽；按 Ctrl-C 结束
