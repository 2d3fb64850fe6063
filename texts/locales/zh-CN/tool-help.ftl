### replay-tool 的帮助：每个命令的说明，属性是它的参数。`tool-help-any` 是多个命令共有的参数。参数的取值写作 `参数-取值`。

tool-help = 在不影响线上流量的情况下重建读模型，核对，切换，并可回退。
    .store = 事件存储：`postgres://…` 或 `sqlite://FOLDER`
    .read-models = 读模型：`postgres://…` 或 `sqlite://FOLDER`。默认在事件存储的数据库中
    .keys = 个人信息的密钥：`postgres://…` 或 `sqlite://FOLDER`。默认在事件存储的数据库中
    .cache = 缓存：`moka:` 或 `redis(s)://…`
    .search = 搜索索引：`tantivy://FOLDER` 或 `http(s)://…`（`Elasticsearch`、`OpenSearch`）
    .master-key-file = 主密钥文件
    .json = 标准输出每行一个 JSON 对象，最后一行是 `summary` 或 `exit_error`
    .progress = 如何在标准错误上显示进度
    .progress-auto = 终端上显示进度条，否则不时输出一行
    .progress-bar = 进度条
    .progress-plain = 不时输出一行
    .progress-json = 与 `--json` 同用，在标准输出上输出对象
    .progress-none = 不显示
    .lang = 所有供人阅读的内容以及 `view` 页面的语言。默认取自环境变量（`LC_ALL`、`LC_MESSAGES`、`LANG`），页面则取自浏览器
    .verbose = 记录更多日志；写两次则更多
    .log-file = 把日志写入此文件，而不是标准错误
    .timeout = 到此时间后停止：90s、10m、2h。重建的进度会保存
    .yes = 对所有问题回答“是”
    .help = 显示此帮助：`-h` 简要，`--help` 完整
    .version = 显示版本

tool-help-any =
    .projection = 读模型，例如 orders
    .generation = 世代的编号
    .reason = 这样做的原因；加密后记录
    .dry-run = 只显示将要做什么
    .run = 运行的编号，见 `runs`
    .chunk = 每个事务的事件数
    .max-rate = 每秒的位置数，例如 5000/s
    .yield-to-live = 使用中的世代落后时放慢速度
    .until = 停在此位置，该世代保持未完成
    .on-poison = 遇到无法处理的事件时怎么办
    .on-poison-stop = 停止重建
    .on-poison-park = 搁置该事件，然后继续
    .fail-unhandled = 若有没有处理的事件，则拒绝重建
    .resume = 继续被中断的重建（这是默认行为）
    .fresh = 重新开始一次重建
    .tail = 之后继续维护该世代，直到被停止
    .q = 与页面上相同的搜索条件：`actor:staff:42 type:Stock* -agg:order "一段文字"`
    .kind = 事件的类型；末尾的 `*` 代表任意内容
    .agg = 聚合的类型
    .id = 聚合的编号
    .actor = 执行者的类型，或类型和编号：staff:42
    .chan = 渠道
    .correlation = 由同一请求引起的所有事件
    .tz = 以哪个时区划分日期，例如 Europe/London；默认为 UTC
    .from = 记录于此时或之后：日期或时刻
    .to = 记录于此时之前
    .occurred-from = 按业务时间，发生于此时或之后：日期或时刻
    .occurred-to = 发生于此时之前
    .after = 大于此值的位置
    .position = 此位置的事件
    .stream = 某个流的事件，按其编号
    .cause = 原因中含有此文字的事件

tool-help-list = 显示每个读模型的世代

tool-help-status = 显示每个目标的进度、其工作进程，以及有什么问题
    .wide = 每个目标单独显示一行
    .run = 跟踪此运行直到结束，并以其结果结束

tool-help-plan = 显示重建将会做什么；不写入任何内容

tool-help-rebuild = 从日志构建新世代，或继续未完成的构建
    .dry-run = 只显示将要做什么，与 `plan` 相同

tool-help-verify = 把候选世代与使用中的世代核对
    .generation = 候选世代；默认为未在使用中的最新世代
    .mode = 如何核对数据行
    .mode-digest = 所有行，按数据库计算的摘要；只读取不同的行（`SQLite` 不计算摘要，读取所有行）
    .mode-full = 所有行，两边都读取
    .mode-sample = 按种子选取的部分行
    .sample = 核对多少行，与 `--mode sample` 同用
    .seed = 选取数据行的种子，与 `--mode sample` 同用
    .against = 候选世代与什么核对
    .against-active = 使用中的世代
    .against-fold = 仅为此次核对从日志构建、随后删除的世代
    .ignore = 要忽略的列，或 JSON 列的一部分：`/updated_at`
    .report = 把每处差异写入此文件，每行一个 JSON 对象

tool-help-swap = 让候选世代成为使用中的世代
    .generation = 候选世代；默认为未在使用中的最新世代
    .require-verified = 候选世代是否必须已经核对
    .accept-diff = 接受某次核对的差异：run:59
    .max-lag = 开始时候选世代最多可以落后多少个事件
    .expect-gen = 应当在使用中的世代

tool-help-rollback = 让之前的世代重新成为使用中的世代
    .to-gen = 回退到哪个世代；默认为之前的世代
    .wait = 等待它追上

tool-help-retire = 删除不再使用的世代
    .generation = 世代；默认为所有可以删除的世代
    .min-age = 自停止使用或建立以来的最短时间

tool-help-deploy = 重建、核对、切换并观察；若有问题则回退
    .bake = 观察新世代多久
    .rollback-if = 回退的条件

tool-help-pause = 暂停正在运行的重建

tool-help-resume = 继续已暂停的重建

tool-help-cancel = 取消重建或核对；重建之后可以继续

tool-help-throttle = 限制正在运行的重建的速度
    .max-rate = 每秒的位置数，例如 5000/s；0 表示不限

tool-help-runs = 对读模型的操作，最新的在前（也可写作 `history`）
    .most = 显示多少条

tool-help-show = 聚合的状态，个人信息已遮蔽
    .aggregate = 聚合的类型，例如 order
    .id = 聚合的编号或名称：订单编号、商品名称或 SKU
    .as-of = v13（版本）、p1204881（位置）或某个时刻
    .format = 如何显示状态
    .format-text = 状态，以及产生它的事件
    .format-json = 与 `/api/audit/a/{"{type}"}/{"{id}"}` 的答复逐字节相同：状态、变更、事件、备注和封条

tool-help-diff = 聚合的两个状态之间的差异
    .aggregate = 聚合的类型，例如 order
    .id = 聚合的编号或名称
    .from = 第一个状态：v13（版本）、p1204881（位置）或某个时刻
    .to = 第二个状态；默认为当前状态
    .patch = 写成 `RFC 6902 JSON Patch`

tool-help-step = 读模型的一行在每个改变它的事件之后的样子
    .key = 数据行的键：订单编号
    .until = 读到的最后位置

tool-help-export = 把审计导出为文件：清单，以及每个符合条件的事件
    .before = 小于此值的位置
    .order = 事件的顺序
    .order-asc = 最早的在前
    .order-desc = 最新的在前
    .sort = 按什么时间排序
    .sort-recorded = 记录的时间
    .sort-occurred = 发生的时间
    .format = 文件的格式
    .format-ndjson = 每行一个 JSON 对象，第一行是清单
    .format-csv = `RFC 4180`，带表头
    .separator = CSV 单元格之间的分隔符；小数点为逗号的电子表格需要分号
    .out = 文件；默认为标准输出
    .manifest = 另写一份清单的文件。CSV 的清单默认在 OUT.manifest.json
    .no-changes = 不写每个事件改变了什么，速度更快
    .sign = 用签署日志封条的密钥签署清单
    .seal-key-file = 封条密钥文件，与 `--sign` 同用

tool-help-tail = 事件，最早的在前：最后十个，或某位置之后的全部
    .follow = 持续显示新事件
    .format = 如何显示事件
    .format-text = 每个事件一行，供人阅读
    .format-ndjson = 每行一个 JSON 对象

tool-help-check = 检查日志是否仍与封条相符；结果会被记录
    .from = 要检查的第一个位置
    .to = 要检查的最后位置，必须已封存；默认为最后封存的位置
    .pubkey = 您信任的密钥：base64 的公钥，或其指纹
    .record = 检查操作记录，而不是日志
    .offline = 检查 `soonshop seals export` 或 `export --sign` 写出的文件；不需要数据库。CSV 文件的清单应在 FILE.manifest.json

tool-help-acknowledge = 确认检查发现的问题：不再报警，但并未得到证明。谁确认的以及原因会被记录
    .from = 第一个位置
    .to = 最后位置；默认为第一个位置
    .record = 操作记录，而不是日志
    .reason = 为什么不必报警；加密后记录

tool-help-view = 把导出文件（NDJSON 或 CSV）显示为页面，仅限本机，不需要商店
    .file = 由 `export`、`/api/audit/export.ndjson` 或 `.csv` 得到的文件
    .listen = 本机回环接口上的地址；端口 0 表示任意空闲端口
    .tls-cert = PEM 格式的证书及其签发者的证书链，用于 TLS。文件改变后会重新读取
    .tls-key = PEM 格式的证书私钥，只有其所有者可读

tool-help-doctor = 检查本工具所需的一切，并显示商店有什么问题

tool-help-parked = 无法投影的事件

tool-help-parked-list = 按原因列出搁置的事件

tool-help-parked-retry = 按顺序重试

tool-help-parked-discard = 丢弃：相关的数据行保持原样

tool-help-completions = 写出某种 shell 的补全脚本
    .shell = 哪种 shell

tool-help-man = 写出手册页

tool-help-help = 显示此帮助，或某个命令的帮助

## The layout of the help

tool-help-usage = 用法
tool-help-options = 选项
tool-help-command = 命令
tool-help-commands = 命令
tool-help-arguments = 参数
tool-help-flags = 选项
tool-help-common = 所有命令共有的选项
tool-help-default = [默认：{ $value }]
tool-help-env = [环境变量：{ $name }]
tool-help-values = [可选：{ $values }]
tool-help-value-list = 可选的值：
tool-help-value-row = - { $value }：{ $text }

## The manual page

tool-help-page =
    .name = 名称
    .synopsis = 概要
    .description = 说明
    .extra = 补充
    .version = 版本

## Exit codes

tool-help-codes =
    退出码：
    {"  "}0   完成、正常、一致、完整            6   已完成，但有事件被搁置
    {"  "}1   意外错误                          69  存储暂不可用：请重试
    {"  "}2   用法有误，或需要确认              75  正被另一次运行占用：请重试
    {"  "}3   已完成，并发现了问题              124 到达 `--timeout` 的时间
    {"  "}4   已拒绝：条件不满足                130、143 被中断
    {"  "}5   因无法处理的事件而停止（`--on-poison stop`）
    以 124、130 或 143 结束的重建已保存进度：同一命令会从那里继续。
