### Why something was refused, by the slug of the problem.

problem-otherwise = 出现问题。请重试；下方名称说明原因。
problem-not-found = 没有此名称的内容。
problem-invalid-id = 地址中的编号不是 UUID。
problem-invalid-query = 地址中的参数无法识别。
problem-not-permitted = 您的角色无权执行此操作。
problem-bad-token = 密钥未知或已吊销。
problem-token-expired = 密钥已过期。
problem-cross-site = 此请求由其他网站发起，未执行任何操作。
problem-too-many-checks = 已有人正在检查日志：请稍候，并查看其结果。
problem-too-many-look-ups = 查询过于频繁，请稍候一分钟。
problem-too-many-notes = 备注过于频繁，请稍候一分钟。
problem-view-taken = 已有其他人以此名称保存视图，请换一个名称。
problem-invalid-body = 表单无法识别。
problem-body-too-large = 表单过大。
problem-key-store-unavailable = 个人信息的密钥暂时无法读取，请重试。
problem-history-unreadable = 此历史无法读取：其中有更新的版本写入的事件，或缺少密钥。
problem-person-erased = 该当事人的数据已删除，不再保存其新内容。
problem-timed-out = 耗时过长：请按时间或类型缩小范围。
problem-database-unavailable = 数据库暂时不可用，请重试。
problem-read-model-missing = 读模型不存在。
problem-read-model-behind = 读模型尚未更新到该位置。
problem-not-yours = 这是用密钥或由商店创建的，访客只能操作访客创建的内容。
problem-not-a-data-subject = 这是 API 密钥或运营者的标识，不能像客户那样删除其数据。
problem-key-not-found = 没有此标识的 API 密钥。
problem-key-in-use = 该 API 密钥仍然有效：请先吊销。
