//! The words of the pages, in every language that they speak, and the sentence of every event. Nothing is put together
//! from parts of sentences: a sentence has places, by the names of an event's fields.

use serde_json::{Map, Value};
use soonshop_audit::amounts;
use soonshop_domain::text::visible;

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Chinese,
}

impl Language {
    /// Its tag, as a parameter and in `lang`.
    pub(crate) const TAGS: &'static [&'static str] = &["en", "zh-CN"];

    pub(crate) fn of(tag: &str) -> Self {
        if tag.to_lowercase().starts_with("zh") { Self::Chinese } else { Self::English }
    }

    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// Every tag, and what the language calls itself.
    pub(crate) const NAMES: [(&'static str, &'static str); 2] = [("en", "English"), ("zh-CN", "中文")];

    /// What it calls itself.
    pub(crate) fn name(self) -> &'static str {
        self.pick(Self::NAMES[0].1, Self::NAMES[1].1)
    }

    /// Its own one of two texts.
    fn pick(self, english: &'static str, chinese: &'static str) -> &'static str {
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }

    /// A word of the pages; one that is missing is shown by its name.
    pub(crate) fn word(self, name: &'static str) -> &'static str {
        self.find(name).unwrap_or(name)
    }

    /// A word whose name was put together, if there is one.
    pub(crate) fn find(self, name: &str) -> Option<&'static str> {
        let found = WORDS.iter().find(|(word, ..)| *word == name);
        found.map(|(_, english, chinese)| self.pick(english, chinese))
    }

    /// A word with places, `{0}` and so on, and what goes there.
    pub(crate) fn fill(self, name: &'static str, values: &[&str]) -> String {
        let text = self.word(name).to_owned();
        (0..).zip(values).fold(text, |text, (number, value)| text.replace(&format!("{{{number}}}"), value))
    }

    /// What an event of that type is in short; one that has no words is shown by its type.
    pub(crate) fn kind(self, event: &str) -> String {
        let found = KINDS.iter().find(|(name, ..)| *name == event);
        found.map_or_else(|| event.to_owned(), |(_, english, chinese)| self.pick(english, chinese).to_owned())
    }

    /// The sentence of an event, with its fields filled in; an event that has none is shown by its type.
    pub(crate) fn sentence(self, event: &str, fields: &Value) -> String {
        let none = Map::new();
        let fields = fields.as_object().unwrap_or(&none);
        let Some((_, english, chinese)) = SENTENCES.iter().find(|(name, ..)| *name == event) else {
            return event.to_owned();
        };
        let (mut said, mut rest) = (String::new(), self.pick(english, chinese));
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            said.push_str(before);
            said.push_str(&fields.get(name).map_or_else(|| "–".to_owned(), |field| self.place(name, field)));
            rest = after;
        }
        said.push_str(rest);
        said
    }

    /// What stands in a place of a sentence: a code that has a word of its own is said by it.
    fn place(self, name: &str, field: &Value) -> String {
        match field {
            Value::Array(items) => {
                items.iter().map(|item| self.place(name, item)).collect::<Vec<_>>().join(", ")
            }
            Value::String(code) => {
                self.find(&format!("{name}-{code}")).map_or_else(|| visible(code).into_owned(), str::to_owned)
            }
            other => value(other),
        }
    }
}

/// A value as people read it.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => visible(text).into_owned(),
        Value::Array(items) => items.iter().map(self::value).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => match (fields.get("amount"), fields.get("currency")) {
            (Some(Value::Number(amount)), Some(Value::String(currency))) => {
                amount.as_i64().map_or_else(|| value.to_string(), |amount| amounts::shown(amount, currency))
            }
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

/// Name, English, Chinese.
#[rustfmt::skip]
pub(crate) const WORDS: &[(&str, &str, &str)] = &[
    ("audit", "Audit", "审计"),
    ("overview", "Overview", "总览"),
    ("timeline", "Timeline", "时间线"),
    ("projections", "Read models", "读模型"),
    ("parked", "Parked", "搁置"),
    ("integrity", "Integrity", "完整性"),
    ("pages", "Pages", "页面"),
    ("jump", "Go to an id or position", "跳转到编号或位置"),
    ("skip", "Skip to content", "跳到正文"),
    ("theme-auto", "Automatic", "自动"),
    ("theme-light", "Light", "浅色"),
    ("theme-dark", "Dark", "深色"),
    ("sign-in", "Sign in", "登录"),
    ("sign-out", "Sign out", "退出"),
    ("sign-in-why", "What happened in the shop is shown to whoever has a key for it. Everything you reveal, export or look up is written down.", "商店里发生的一切只向持有密钥的人显示。您的每次显示、导出和查询都会被记录。"),
    ("sign-in-refused", "This is no key that is known, not revoked and not expired.", "该密钥未知、已吊销或已过期。"),
    ("sign-in-how", "Whoever runs the shop makes a key:", "由商店管理员创建密钥："),
    ("key", "API key", "API 密钥"),
    ("keyboard", "Keyboard", "键盘快捷键"),
    ("keyboard-off", "Keys do nothing while you type. They can be switched off.", "输入文字时快捷键不起作用，也可以关闭快捷键。"),
    ("keyboard-switch", "Switch keys on or off", "开启或关闭快捷键"),
    ("key-pressed", "Key", "按键"),
    ("key-does", "What it does", "作用"),
    ("key-search", "search", "搜索"),
    ("key-row", "next and previous row", "下一行、上一行"),
    ("key-open", "open the row", "打开该行"),
    ("key-version", "version before and after", "上一版本、下一版本"),
    ("key-go", "go to a page", "前往页面"),
    ("key-live", "follow live", "实时跟踪"),
    ("key-export", "export", "导出"),
    ("key-link", "copy the row's address", "复制该行地址"),
    ("key-id", "copy the row's id", "复制该行编号"),
    ("key-help", "this page", "本页"),
    ("of-file", "Out of the file", "来自文件"),
    ("exported", "exported", "导出于"),
    ("narrowed-by", "narrowed by", "筛选条件"),
    ("no-states", "A file has no log: there are events here, and no states between them.", "文件中没有日志：这里只有事件，没有各版本的状态。"),
    ("texts-of-rows", "A text is looked for in what the rows of the file say: long texts are cut in them, and lists counted.", "文本只在文件各行的内容中查找：其中长文本已截断，列表只记数量。"),
    ("all-of-it", "In the timeline", "在时间线中查看"),
    ("row-in-file", "The row of the file", "文件中的原始行"),
    ("search", "Search", "搜索"),
    ("search-hint", "type:Stock* agg:order actor:staff \"a text\"", "type:Stock* agg:order actor:staff \"文本\""),
    ("from", "From", "从"),
    ("to", "To", "至"),
    ("sorted", "Order", "排序"),
    ("newest", "newest first", "最新在前"),
    ("oldest", "oldest first", "最早在前"),
    ("events", "events", "个事件"),
    ("filter-type", "any type of event", "所有事件类型"),
    ("filter-agg", "any aggregate", "所有聚合"),
    ("filter-actor", "by anybody", "所有执行者"),
    ("filter-chan", "through any channel", "所有渠道"),
    ("live", "Follow live", "实时跟踪"),
    ("live-not-grouped", "Rows by command are not followed live.", "按命令分组时不实时跟踪。"),
    ("only-group", "group by command", "按命令分组"),
    ("only-failures", "only failures", "仅看失败"),
    ("effects", "It caused {0}:", "引发 {0} 个："),
    ("unit-ms", "ms", "毫秒"),
    ("unit-s", "s", "秒"),
    ("unit-min", "min", "分钟"),
    ("unit-h", "h", "小时"),
    ("unit-d", "d", "天"),
    ("jump-to", "Jump to a moment", "跳转到时间"),
    ("views", "Views", "视图"),
    ("view-name", "Save this search as", "将此搜索保存为"),
    ("view-frozen", "as it stands now, without what comes", "仅保留当前内容，不含后续"),
    ("view-save", "Save", "保存"),
    ("look-up", "Look up a person", "查找个人"),
    ("look-up-what", "E-mail, telephone number or name, whole", "完整的邮箱、电话或姓名"),
    ("look-up-recorded", "What you look up is in no address and is not kept; that you looked up something is written down.", "查询内容不会出现在地址中，也不会保存；但查询行为会被记录。"),
    ("look-up-nobody", "Nobody has this value.", "没有人使用此值。"),
    ("nothing", "Nothing matches. Drop a filter:", "没有匹配的事件。请移除条件："),
    ("all", "Show everything", "显示全部"),
    ("older", "Further", "继续"),
    ("unknown-actor", "not recorded", "未记录"),
    ("on-behalf-of", "on behalf of", "代表"),
    ("channel", "through", "渠道"),
    ("channel-storefront", "storefront", "店面"),
    ("channel-admin", "administration", "管理后台"),
    ("channel-api", "interface", "接口"),
    ("channel-import", "import", "导入"),
    ("channel-process", "process", "流程"),
    ("channel-job", "job", "定时任务"),
    ("channel-cli", "command line", "命令行"),
    ("channel-webhook", "webhook", "回调"),
    ("reason", "Reason", "原因"),
    ("note-left", "a note was left", "附有备注"),
    ("correlation", "All that followed", "全部后续"),
    ("masked", "masked", "已遮蔽"),
    ("masked-changed", "masked, changed", "已遮蔽，有变更"),
    ("erased", "erased", "已删除"),
    ("masked-for-all", "personal values are masked", "个人信息已遮蔽"),
    ("version", "Version", "版本"),
    ("previous", "Version before", "上一版本"),
    ("next", "Version after", "下一版本"),
    ("slider-at", "version {0} of {1}, {2}", "第 {0} 版，共 {1} 版，{2}"),
    ("go", "Go", "前往"),
    ("copy", "Copy", "复制"),
    ("copy-link", "Copy address", "复制地址"),
    ("changes", "What changed", "变更"),
    ("compare", "Compare with version", "与此版本比较"),
    ("no-changes", "Nothing changed.", "没有变更。"),
    ("field", "Field", "字段"),
    ("before", "Before", "之前"),
    ("after", "After", "之后"),
    ("state", "State", "状态"),
    ("set-by", "Set by", "由此事件设定"),
    ("value", "Value", "值"),
    ("history", "History", "历史"),
    ("play", "Play", "播放"),
    ("play-stop", "Stop", "停止"),
    ("note-add", "Leave a note", "添加备注"),
    ("note-text", "Note", "备注内容"),
    ("note-tags", "Tags, with spaces between them", "标签，以空格分隔"),
    ("note-share", "share it with everybody who may see the trail", "与所有可查看审计的人共享"),
    ("note-kept", "It is kept for ever, sealed; without sharing you alone see it.", "备注将被加密永久保存；不共享则仅您自己可见。"),
    ("note-private", "seen by you alone", "仅您可见"),
    ("note-shared", "shared", "已共享"),
    ("earlier", "Earlier events", "更早的事件"),
    ("later", "Later events", "更晚的事件"),
    ("reveal", "Reveal personal values", "显示个人信息"),
    ("reveal-why", "Why do you have to see them?", "为什么需要查看？"),
    ("reveal-recorded", "Who saw what and why is written down.", "谁在何时因何查看都会被记录。"),
    ("revealed", "Personal values are shown, and this is written down.", "已显示个人信息，此操作已被记录。"),
    ("hide", "Hide them again", "重新遮蔽"),
    ("ways", "Go to a version by time, or by what it holds", "按时间或内容选择版本"),
    ("as-it-was", "As it was at", "当时的状态"),
    ("first-where", "First version where", "首个满足条件的版本"),
    ("find", "Find", "查找"),
    ("stored", "As it lies in the log", "日志中的原始内容"),
    ("in-seal", "In seal", "所在封条"),
    ("not-sealed", "Not sealed yet", "尚未封存"),
    ("view-waterfall", "Waterfall", "瀑布图"),
    ("view-tree", "Tree", "树形图"),
    ("view-table", "Table", "表格"),
    ("shown-as", "Shown as", "显示方式"),
    ("pauses", "Pauses", "空闲"),
    ("pauses-short", "pauses drawn short", "压缩空闲"),
    ("pauses-long", "as long as they were", "按实际长度"),
    ("depth", "Levels", "层级"),
    ("depth-all", "all", "全部"),
    ("axis", "Time, from nought to {0}; pauses drawn short: {1}", "时间轴，从零到 {0}；已压缩的空闲：{1}"),
    ("queue", "Waited", "等待"),
    ("handle", "Handled in", "处理"),
    ("queue-and-handle", "waited {0}, handled in {1}", "等待 {0}，处理 {1}"),
    ("clocks", "the clocks contradict each other: what was waiting and what was work cannot be told", "时钟相互矛盾，无法区分等待与处理"),
    ("critical", "critical path", "关键路径"),
    ("look-closer", "Details", "详情"),
    ("look-away", "Close", "收起"),
    ("occurred", "Occurred", "发生"),
    ("recorded", "Recorded", "记录"),
    ("command-id", "Command", "命令"),
    ("command-type", "Of the type", "类型"),
    ("cause", "Caused by", "原因事件"),
    ("subject", "Person", "个人"),
    ("of-it-parked", "parked", "个被搁置"),
    ("steps-missing", "overdue", "个步骤逾期"),
    ("step-missing", "{0} {1} ago; still missing: {2} (expected within {3})", "{0}已过 {1}，仍未出现：{2}（应在 {3} 内）"),
    ("or", " or ", "或"),
    ("folded-deeper", "{0} deeper: show", "更深的 {0} 个：展开"),
    ("folded-more", "{0} more: show", "还有 {0} 个：展开"),
    ("because", "after", "历时"),
    ("root", "began it", "起点"),
    ("cause-missing", "its cause is not here", "原因不在此处"),
    ("cause-later", "its cause stands after it", "原因位于其后"),
    ("aggregates", "aggregates", "个聚合"),
    ("took", "Took", "耗时"),
    ("of-it-active", "of which active", "其中活动"),
    ("of-it-idle", "of which idle", "其中空闲"),
    ("more-than-shown", "There are more; only the first are shown.", "还有更多，仅显示最前面的部分。"),
    ("read-model", "Read model", "读模型名称"),
    ("healthy", "Every read model is as it should be.", "所有读模型状态正常。"),
    ("unhealthy", "Something is not as it should be.", "有异常需要处理。"),
    ("all-well", "All is well.", "一切正常。"),
    ("in-use", "in use", "使用中"),
    ("way-back", "kept as the way back", "保留以便回退"),
    ("candidate", "new, not in use yet", "新建，尚未启用"),
    ("seen", "Seen of the log", "已处理位置"),
    ("purposes-account", "account", "账户"),
    ("purposes-invoice", "invoice", "发票"),
    ("lag", "Behind", "落后"),
    ("since", "since", "自"),
    ("trend-growing", "growing", "增加"),
    ("trend-shrinking", "shrinking", "减少"),
    ("trend-steady", "steady", "不变"),
    ("worst-lag", "Furthest behind", "最大落后"),
    ("kept-by", "Kept by", "维护进程"),
    ("nobody", "nobody", "无"),
    ("kept-by-nobody", "kept up to date by nobody", "无进程维护"),
    ("is-stopped", "stopped", "已停止"),
    ("is-late", "late", "滞后"),
    ("never-begun", "not begun", "未开始"),
    ("command", "More, at the command line", "命令行查看更多"),
    ("gate", "Gate to a swap", "切换条件"),
    ("gate-lag", "behind by", "落后事件数"),
    ("gate-verified", "verified by run", "已由此运行核对"),
    ("gate-not-verified", "not verified yet: a swap is refused", "尚未核对：切换会被拒绝"),
    ("gate-shape", "same shape: readers of this release can use it", "结构相同：当前版本可读"),
    ("gate-other-shape", "another shape: readers need another release", "结构不同：需要其他版本读取"),
    ("runs", "Runs", "运行记录"),
    ("no-runs", "Nothing was ever run.", "尚无运行记录。"),
    ("runs-alive", "{0} under way", "{0} 个正在运行"),
    ("run", "Run", "运行"),
    ("by", "By", "执行者"),
    ("begun", "Begun", "开始"),
    ("folded", "Folded", "已处理"),
    ("skipped", "Passed by", "已跳过"),
    ("rate", "Rate", "速率"),
    ("limit", "Limit", "上限"),
    ("result", "Result", "结果"),
    ("run-running", "running", "运行中"),
    ("run-paused", "paused", "已暂停"),
    ("run-done", "done", "完成"),
    ("run-found", "found differences", "发现差异"),
    ("run-refused", "refused", "被拒绝"),
    ("run-failed", "failed", "失败"),
    ("run-interrupted", "interrupted, can be taken up", "已中断，可继续"),
    ("run-cancelled", "cancelled", "已取消"),
    ("run-silent", "silent: its process is gone", "无响应：进程已消失"),
    ("what-to-run", "What to run", "可执行的命令"),
    ("guard", "Nothing that rebuilds can write the log: its database role has no right to.", "重建过程无法写入日志：其数据库角色没有该权限。"),
    ("parked-none", "Nothing is parked.", "没有搁置的事件。"),
    ("parked-some", "{0} events are parked, of {1} causes.", "{0} 个事件被搁置，共 {1} 种原因。"),
    ("parked-why", "A parked event could not be projected. Its rows wait for it; everything else goes on.", "被搁置的事件无法投影。相关行等待它，其余照常进行。"),
    ("parked-look", "Look at them", "请查看"),
    ("position", "Position", "位置"),
    ("event", "Event", "事件"),
    ("waits", "What waits", "等待者"),
    ("tried", "Tried", "尝试次数"),
    ("retry", "Try again", "重试"),
    ("retry-asked", "{0} are tried again; look again in a moment.", "已请求重试 {0} 个，请稍后再看。"),
    ("sealed-to", "Sealed to position", "已封存至位置"),
    ("seal", "Seal", "封条"),
    ("seals", "seals", "个封条"),
    ("seal-none", "Nothing is sealed yet, and so nothing is proved.", "尚无封条，因此尚无证明。"),
    ("seal-broken", "The last seal cannot be read:", "最后的封条无法读取："),
    ("key-is", "Key", "密钥"),
    ("tail", "{0} events are not sealed yet.", "{0} 个事件尚未封存。"),
    ("tail-gone", "{0} events after the last seal are not there, though others have seen them.", "最后的封条之后，有 {0} 个曾被读取的事件已不存在。"),
    ("from-position", "From position", "起始位置"),
    ("verify", "Verify", "核对"),
    ("last-check", "Last check here", "上次核对"),
    ("verdict-intact", "Intact: every position is what was sealed.", "完整：每个位置都与封存时一致。"),
    ("verdict-broken", "Not what was sealed.", "与封存时不一致。"),
    ("verdict-unproven", "Nothing wrong was found, and not all of it is sealed.", "未发现异常，但并非全部已封存。"),
    ("verdict-tail", "Every sealed position is what was sealed. After it is an unprovable tail: whether more was there, nobody can tell.", "已封存的位置均与封存时一致。其后是无法证明的尾部：是否曾有更多事件，无人能知。"),
    ("verdict-nothing", "There is nothing to prove.", "没有可证明的内容。"),
    ("first-bad", "First bad position", "首个异常位置"),
    ("positions", "Positions", "位置"),
    ("rows", "rows", "行"),
    ("key-not-given", "The key is the one found in the seals. To be sure, check at the command line with a key that you kept elsewhere.", "所用密钥来自封条本身。为确保可信，请在命令行使用另行保存的密钥核对。"),
    ("proves", "What this proves", "证明范围"),
    ("proves-what", "No event under a seal was changed, removed, inserted or moved since it was sealed.", "封条下的事件自封存后未被更改、删除、插入或移动。"),
    ("proves-not", "It does not prove that nothing was cut off after the last seal that somebody kept elsewhere.", "不能证明在他处保存的最后封条之后没有被截断。"),
    ("appended", "Appended", "已追加"),
    ("relay", "Relay", "转发"),
    ("relay-waits", "events the bus has not confirmed", "个事件总线尚未确认"),
    ("seals-of", "Seals", "封条"),
    ("seals-of-record", "Seals of what people did", "操作记录的封条"),
    ("sealed-log", "The log", "事件日志"),
    ("sealed-record", "The record of what people did", "操作记录"),
    ("appended-lately", "{0} in {1} minutes", "{1} 分钟内 {0} 个"),
    ("record", "What people did", "操作记录"),
    ("record-empty", "Nobody did anything yet.", "尚无操作。"),
    ("did-reveal", "Revealed personal values", "显示了个人信息"),
    ("did-export", "Exported", "导出"),
    ("did-look-up", "Looked up a person", "查找个人"),
    ("did-retry", "Had parked events tried again", "重试搁置事件"),
    ("did-discard", "Discarded parked events", "丢弃搁置事件"),
    ("did-sign-in", "Signed in", "登录"),
    ("did-save-view", "Saved a view", "保存视图"),
    ("did-check", "Checked the log against its seals", "核对日志与封条"),
    ("did-key-create", "Made an API key", "创建 API 密钥"),
    ("did-key-rotate", "Rotated an API key", "轮换 API 密钥"),
    ("did-key-revoke", "Revoked an API key", "吊销 API 密钥"),
    ("did-rebuild", "Rebuilt a read model", "重建读模型"),
    ("did-verify", "Verified a read model", "核对读模型"),
    ("did-swap", "Moved readers", "切换读模型"),
    ("did-rollback", "Moved readers back", "回退读模型"),
    ("did-retire", "Retired a generation", "停用一代读模型"),
    ("as-of", "As of position", "截至位置"),
    ("folded-by", "Folded by", "计算版本"),
    ("request", "Request", "请求"),
    ("refused", "This cannot be shown", "无法显示"),
    ("refused-otherwise", "Something is in the way. Try again; the name below says what it was.", "出现问题。请重试；下方名称说明原因。"),
    ("refused-not-found", "There is nothing of this name.", "没有此名称的内容。"),
    ("refused-invalid-id", "The id in the address is not a UUID.", "地址中的编号不是 UUID。"),
    ("refused-invalid-query", "A parameter of the address cannot be read.", "地址中的参数无法识别。"),
    ("refused-not-permitted", "Your role may not do this.", "您的角色无权执行此操作。"),
    ("refused-bad-token", "The key is not known, or was revoked.", "密钥未知或已吊销。"),
    ("refused-token-expired", "The key has expired.", "密钥已过期。"),
    ("refused-cross-site", "Another site made your browser send this; nothing was done.", "此请求由其他网站发起，未执行任何操作。"),
    ("refused-too-many-checks", "Somebody has the log checked just now: wait, and look at what that found.", "已有人正在检查日志：请稍候，并查看其结果。"),
    ("refused-too-many-look-ups", "These were too many look-ups: wait a minute.", "查询过于频繁，请稍候一分钟。"),
    ("refused-too-many-notes", "These were too many notes: wait a minute.", "备注过于频繁，请稍候一分钟。"),
    ("refused-person-erased", "Whoever this is was forgotten: nothing new is kept of them.", "该个人已被删除，不再保存其新内容。"),
    ("refused-timed-out", "It took too long: narrow it, by a time or a type.", "耗时过长：请按时间或类型缩小范围。"),
    ("refused-database-unavailable", "A database cannot be used just now: try again.", "数据库暂时不可用，请重试。"),
    ("refused-read-model-missing", "The read model is not there.", "读模型不存在。"),
    ("refused-read-model-behind", "The read model has not got there yet.", "读模型尚未更新到该位置。"),
    ("misread", "The search cannot be read, so nothing is shown.", "无法识别该搜索，因此不显示任何结果。"),
    ("misread-value", "This value cannot be read.", "无法识别该值。"),
    ("term-unknown", "There is no such filter; a text with a colon goes in quotes.", "没有此条件；含冒号的文本请加引号。"),
    ("term-quote", "A quote is not closed.", "引号未闭合。"),
    ("term-text", "A text has at least one sign.", "文本至少包含一个字符。"),
    ("term-type", "type: takes an event's type, such as OrderPlaced or Stock*", "type: 后接事件类型，如 OrderPlaced 或 Stock*"),
    ("term-agg", "agg: takes an aggregate's type, such as order", "agg: 后接聚合类型，如 order"),
    ("term-id", "id: takes an aggregate's UUID", "id: 后接聚合的 UUID"),
    ("term-actor", "actor: takes a kind, or kind and id, such as staff:42", "actor: 后接类别，或类别与编号，如 staff:42"),
    ("term-chan", "chan: takes a channel, such as storefront", "chan: 后接渠道，如 storefront"),
    ("term-correlation", "correlation: takes a UUID", "correlation: 后接 UUID"),
    ("term-cause", "cause: takes the UUID of an event", "cause: 后接事件的 UUID"),
    ("term-subject", "subject: takes a person's UUID", "subject: 后接个人的 UUID"),
    ("term-reason", "reason: takes the code of a reason", "reason: 后接原因代码"),
    ("term-amount", "amount: takes a number such as 12.50, with >, >=, < or <= before it, or two with .. between them, and perhaps a currency: amount:>100GBP", "amount: 后接金额，如 12.50；其前可加 >、>=、< 或 <=，或以 .. 分隔两个金额；其后可加货币，如 amount:>100GBP"),
    ("term-created", "created: takes a day, a moment, two with .. between them, or last:24h", "created: 后接日期、时刻、以 .. 分隔的两者，或 last:24h"),
    ("user", "user", "用户"),
    ("person", "person", "个人"),
    ("product", "product", "商品"),
    ("stock", "stock", "库存"),
    ("order", "order", "订单"),
    ("credit_note", "credit note", "贷记单"),
    ("guest", "guest", "访客"),
    ("customer", "customer", "顾客"),
    ("staff", "staff", "员工"),
    ("service", "service", "服务"),
    ("system", "system", "系统"),
    ("support", "support", "客服"),
    ("auditor", "auditor", "审计员"),
    ("ops", "operations", "运维"),
    ("admin", "administrator", "管理员"),
];

/// An event's type, and what it is in short.
#[rustfmt::skip]
pub(crate) const KINDS: &[(&str, &str, &str)] = &[
    ("UserRegistered", "User registered", "用户注册"),
    ("UserDetailsChanged", "Details changed", "资料已更改"),
    ("UserDeleted", "User deleted", "用户已删除"),
    ("ErasureRequested", "Erasure requested", "请求删除个人信息"),
    ("PersonErased", "Person forgotten", "个人信息已删除"),
    ("ProductCreated", "Product listed", "商品上架"),
    ("ProductDetailsChanged", "Product described anew", "商品描述已更新"),
    ("ProductVariantAdded", "Variant added", "新增款式"),
    ("ProductPriceChanged", "Price changed", "价格已更改"),
    ("ProductDeleted", "Product deleted", "商品已删除"),
    ("StockReceived", "Stock received", "入库"),
    ("StockAdjusted", "Stock corrected", "盘点修正"),
    ("StockReserved", "Stock reserved", "库存已预留"),
    ("StockReleased", "Stock given back", "库存已释放"),
    ("StockReservationBarred", "Reservation barred", "不可再预留"),
    ("StockShipped", "Stock shipped", "库存已发出"),
    ("OrderPlaced", "Order placed", "下单"),
    ("OrderConfirmed", "Order confirmed", "订单已确认"),
    ("OrderRefused", "Order refused", "订单被拒绝"),
    ("OrderCancelled", "Order cancelled", "订单已取消"),
    ("OrderShipped", "Order shipped", "订单已发货"),
    ("CreditNoteIssued", "Credit note issued", "开具贷记单"),
];

/// An event's type, and its sentence in English and Chinese.
pub(crate) const SENTENCES: &[(&str, &str, &str)] = &[
    ("UserRegistered", "A user registered", "用户注册"),
    ("UserDetailsChanged", "A user's details changed", "用户资料已更改"),
    ("UserDeleted", "A user was deleted", "用户已删除"),
    ("ErasureRequested", "It was asked to forget a person: {purposes}", "请求删除个人信息：{purposes}"),
    ("PersonErased", "A person was forgotten: {purposes}", "个人信息已删除：{purposes}"),
    (
        "ProductCreated",
        "Product “{name}” was listed, variants: {variants}",
        "商品“{name}”上架，款式数：{variants}",
    ),
    ("ProductDetailsChanged", "Product “{name}” was described anew", "商品“{name}”的描述已更新"),
    (
        "ProductVariantAdded",
        "Variant {variant.sku} was added at {variant.price}",
        "新增款式 {variant.sku}，价格 {variant.price}",
    ),
    ("ProductPriceChanged", "The price of {sku} became {price}", "{sku} 的价格改为 {price}"),
    ("ProductDeleted", "A product was deleted", "商品已删除"),
    ("StockReceived", "{quantity} × {sku} came in at {location}", "{location} 入库 {sku} × {quantity}"),
    (
        "StockAdjusted",
        "{sku} at {location} was corrected by {quantity}: {reason}",
        "{location} 的 {sku} 盘点修正 {quantity}：{reason}",
    ),
    (
        "StockReserved",
        "{quantity} × {sku} reserved for line {line} of an order",
        "为订单第 {line} 行预留 {sku} × {quantity}",
    ),
    (
        "StockReleased",
        "{quantity} × {sku} given back from line {line} of an order",
        "释放订单第 {line} 行的 {sku} × {quantity}",
    ),
    (
        "StockReservationBarred",
        "{sku} can no longer be reserved for line {line} of an order",
        "订单第 {line} 行不可再预留 {sku}",
    ),
    (
        "StockShipped",
        "{quantity} × {sku} shipped for line {line} of an order",
        "订单第 {line} 行发出 {sku} × {quantity}",
    ),
    (
        "OrderPlaced",
        "Order {number} was placed, lines: {lines}, {total}",
        "下单 {number}，行数：{lines}，{total}",
    ),
    ("OrderConfirmed", "An order was confirmed", "订单已确认"),
    (
        "OrderRefused",
        "An order was refused: line {refusal.line}, {refusal.sku}, {refusal.reason}",
        "订单被拒绝：第 {refusal.line} 行，{refusal.sku}，{refusal.reason}",
    ),
    ("OrderCancelled", "An order was cancelled: {reason}", "订单已取消：{reason}"),
    ("OrderShipped", "An order was shipped", "订单已发货"),
    ("CreditNoteIssued", "Credit note {number} was issued, {total}", "开具贷记单 {number}，{total}"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;
    use soonshop_domain::AGGREGATES;
    use soonshop_domain::catalog::event_types;

    use super::*;

    fn places(sentence: &str) -> BTreeSet<&str> {
        sentence.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect()
    }

    #[test]
    fn every_event_has_a_sentence_in_both_languages_with_the_same_places() {
        for event in event_types().iter().map(|event| event.name) {
            let sentence = SENTENCES.iter().find(|(name, ..)| *name == event);
            let (_, english, chinese) = sentence.unwrap_or_else(|| panic!("{event} has no sentence"));
            assert_eq!(places(english), places(chinese), "{event}");
            assert!(!chinese.is_ascii() && !english.is_empty(), "{event}");
        }
        assert_eq!(event_types().len(), SENTENCES.len(), "a sentence is of no event, or stands there twice");
    }

    #[test]
    fn the_places_of_a_sentence_are_fields_of_its_event() {
        for event in event_types().iter().map(|event| event.name) {
            let file =
                format!("{}/../domain/tests/golden/events/{event}.v1.json", env!("CARGO_MANIFEST_DIR"));
            let stored = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
            let stored: Value = serde_json::from_str(&stored).unwrap();
            let sentence = SENTENCES.iter().find(|(name, ..)| *name == event);
            let (_, english, _) = sentence.unwrap_or_else(|| panic!("{event} has no sentence"));
            for place in places(english) {
                let field = place.split('.').fold(&stored[event], |value, name| &value[name]);
                assert!(!field.is_null(), "{event} has no field {place}");
            }
        }
    }

    #[test]
    fn every_aggregate_type_has_a_name_in_both_languages() {
        for aggregate in AGGREGATES {
            let word = Language::English.find(aggregate.name);
            assert!(word.is_some_and(|word| !word.is_empty()), "{} has no name", aggregate.name);
        }
    }

    /// The pages, and the script, which takes its words out of the page.
    const SOURCES: [&str; 12] = [
        include_str!("pages.rs"),
        include_str!("pages/access.rs"),
        include_str!("pages/correlation.rs"),
        include_str!("pages/file.rs"),
        include_str!("pages/frame.rs"),
        include_str!("pages/integrity.rs"),
        include_str!("pages/overview.rs"),
        include_str!("pages/parked.rs"),
        include_str!("pages/parts.rs"),
        include_str!("pages/projections.rs"),
        include_str!("pages/timeline.rs"),
        include_str!("pages/trail.rs"),
    ];

    /// What names that are put together begin with, and what else is named by a role, a kind or a type.
    const TOGETHER: [&str; 15] = [
        "purposes-",
        "only-",
        "unit-",
        "filter-",
        "view-",
        "theme-",
        "channel-",
        "refused-",
        "term-",
        "run-",
        "verdict-",
        "sealed-",
        "did-",
        "key-",
        "gate-",
    ];
    const NAMED_ELSEWHERE: [&str; 9] =
        ["guest", "customer", "staff", "service", "system", "support", "auditor", "ops", "admin"];

    #[test]
    fn every_word_of_the_pages_is_there_once_and_all_are_used() {
        let source = SOURCES.concat();
        let used: BTreeSet<_> = ["word(\"", "fill(\""]
            .iter()
            .flat_map(|call| source.split(call).skip(1))
            .filter_map(|rest| Some(rest.split_once('"')?.0))
            .collect();
        let names: BTreeSet<_> = WORDS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names.len(), WORDS.len());
        for word in used {
            assert!(names.contains(word), "{word} is in no language");
        }
        for (name, english, chinese) in WORDS {
            assert!(!english.is_empty() && !chinese.is_ascii(), "{name}");
            assert_eq!(places(english), places(chinese), "{name}");
            let together = TOGETHER.iter().any(|start| name.starts_with(start));
            let aggregate = AGGREGATES.iter().any(|aggregate| aggregate.name == *name);
            let named = aggregate
                || NAMED_ELSEWHERE.contains(name)
                || together
                || source.contains(&format!("\"{name}\""));
            assert!(named, "{name} is not used");
        }
    }

    #[test]
    fn every_event_has_a_title_in_both_languages() {
        for event in event_types().iter().map(|event| event.name) {
            assert!(KINDS.iter().any(|(name, ..)| *name == event), "{event} has no title");
        }
        assert_eq!(event_types().len(), KINDS.len(), "a title is of no event, or stands there twice");
        assert!(KINDS.iter().all(|(_, english, chinese)| !english.is_empty() && !chinese.is_ascii()));
    }

    #[test]
    fn a_sentence_is_filled_in_and_a_place_without_a_value_is_a_dash() {
        let fields = json!({ "number": "S-1", "lines": 2, "total": { "amount": 1299, "currency": "GBP" } });
        let said = Language::English.sentence("OrderPlaced", &fields);
        assert_eq!(said, "Order S-1 was placed, lines: 2, GBP 12.99");
        assert_eq!(Language::Chinese.sentence("OrderCancelled", &json!({})), "订单已取消：–");
        assert_eq!(Language::English.sentence("Unheard", &json!({})), "Unheard");
    }
}
