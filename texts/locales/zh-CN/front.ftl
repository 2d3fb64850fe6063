### 首页，以及没有单独文件的上下文。

context-analytics = 销售、贷记与库存数据
context-audit = 发生了什么、谁做的、为什么

page-front = 首页
page-front-what = 电商平台：用户、商品、库存、订单和销售数据。发生的一切都作为事件记录在同一个日志中。
page-front-well = 此进程可以正常工作。
page-front-ill = 此进程目前无法完成全部工作。
page-front-api = 接口
page-front-browse = 浏览接口
page-front-description = 接口描述文件
page-front-trail = 审计
page-front-trail-open = 谁在何时、为何做了什么
page-front-trail-key = 查看需要 API 密钥。
page-front-trail-elsewhere = 此进程不提供审计页面。
page-front-documentation = 文档
page-front-document-readme = 从这里开始
page-front-document-api = 接口约定
page-front-document-audit = 审计说明
page-front-document-architecture = 架构
page-front-document-operating = 运维
page-front-document-deployment = 部署
page-front-health = 健康状况
page-front-ready = 此进程能否工作
page-front-live = 此进程是否存活
page-front-health = 所有跟踪日志的组件的健康状态
page-front-metrics = 指标
page-front-process = 此进程提供的内容
page-front-context = 上下文
page-front-about = 内容
page-front-no-contexts = 此进程不回答商店的请求。
page-front-role-all = 此进程承担全部工作。
page-front-role-command-api = 此进程接收命令。
page-front-role-query-api = 此进程回答查询。
page-front-role-projector = 此进程构建读模型、搜索索引和缓存。
page-front-role-relay = 此进程把日志发布到消息总线。
page-front-role-reactor = 此进程运行流程管理器，并负责删除、清理和封存。
