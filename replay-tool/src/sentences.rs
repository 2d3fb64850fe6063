//! The sentences of the tool, in every language that it speaks, side by side. A sentence has places by name, and whoever
//! says it gives all of them: a place that a language lacks does not compile. Nothing is put together from parts of
//! sentences.
//!
//! What scripts read (`--json`) is English in every language; so are `--help`, the manual and log lines. Texts that come
//! up from elsewhere, such as a database's, stand as they are behind a sentence from here.

use std::fmt;

/// A language that people are told things in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Language {
    #[default]
    #[value(name = "en")]
    English,
    #[value(name = "zh-CN")]
    Chinese,
}

impl Language {
    /// Its tag, as it is given and as pages take it.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// What the environment asks for: the first of these that says anything counts.
    pub fn of_environment() -> Self {
        let said = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|name| {
            let value = std::env::var(name).ok()?;
            (!value.is_empty()).then_some(value)
        });
        said.map_or(Self::English, |locale| Self::of_locale(&locale))
    }

    /// Of a locale such as `zh_CN.UTF-8`. What is written is UTF-8: whoever names another charset could not read it.
    fn of_locale(locale: &str) -> Self {
        let locale = locale.to_lowercase();
        let charset = locale.split(['.', '@']).nth(1).filter(|_| locale.contains('.'));
        let readable = charset.is_none_or(|charset| ["utf-8", "utf8"].contains(&charset));
        if locale.starts_with("zh") && readable { Self::Chinese } else { Self::English }
    }

    /// What a command line asks for that could not be read as a whole.
    pub fn of_words(words: impl Iterator<Item = String>) -> Self {
        let mut words = words.skip_while(|word| word != "--lang" && !word.starts_with("--lang="));
        let given = words.next().and_then(|word| match word.split_once('=') {
            Some((_, tag)) => Some(tag.to_owned()),
            None => words.next(),
        });
        match given.as_deref() {
            Some("zh-CN") => Self::Chinese,
            Some(_) => Self::English,
            None => Self::of_environment(),
        }
    }
}

/// What can stand in a place of a sentence.
pub trait Say {
    type Said<'a>
    where
        Self: 'a;

    fn say(&self, language: Language) -> Self::Said<'_>;
}

macro_rules! as_they_are {
    ($($of:ty),*) => { $(
        impl Say for $of {
            type Said<'a> = Self;

            fn say(&self, _: Language) -> Self {
                *self
            }
        }
    )* };
}

as_they_are!(i32, i64, u64, usize, f64, &'static str);

impl Say for String {
    type Said<'a> = &'a str;

    fn say(&self, _: Language) -> &str {
        self
    }
}

/// A sentence in another one: a question, a reason.
impl Say for Box<Sentence> {
    type Said<'a> = String;

    fn say(&self, language: Language) -> String {
        self.told(language)
    }
}

/// A code that has a word of its own in other languages: a state, a result, the name of a sink. In English it is the word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(String);

impl Word {
    pub fn of(code: impl AsRef<str>) -> Self {
        Self(code.as_ref().to_owned())
    }

    pub fn told(&self, language: Language) -> &str {
        let found = CODES.iter().find(|(code, _)| *code == self.0);
        match language {
            Language::English => &self.0,
            Language::Chinese => found.map_or(&self.0, |(_, chinese)| chinese),
        }
    }
}

impl Say for Word {
    type Said<'a> = Columns<'a>;

    fn say(&self, language: Language) -> Columns<'_> {
        Columns(self.told(language))
    }
}

/// A text that takes as many columns as it is told to: a Chinese sign takes two.
#[derive(Debug)]
pub struct Columns<'a>(&'a str);

impl fmt::Display for Columns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        let taken: usize = self.0.chars().map(|sign| if sign.is_ascii() { 1 } else { 2 }).sum();
        let left = f.width().unwrap_or(0).saturating_sub(taken);
        write!(f, "{:left$}", "")
    }
}

/// A code, and its word in Chinese.
#[rustfmt::skip]
const CODES: &[(&str, &str)] = &[
    // How a generation stands, and what readers have to do with it.
    ("building", "构建中"), ("ready", "就绪"), ("rejected", "已拒绝"), ("retired", "已退役"), ("scratch", "临时"),
    ("active", "使用中"), ("previous", "可回退"),
    // How a run stands, and what came out.
    ("running", "运行中"), ("paused", "已暂停"), ("done", "完成"), ("found", "发现差异"), ("refused", "被拒绝"),
    ("failed", "失败"), ("interrupted", "已中断"), ("cancelled", "已取消"), ("died", "无响应"),
    ("caught_up", "已追上"), ("caught up", "已追上"), ("until", "已到指定位置"), ("equal", "一致"), ("different", "有差异"),
    ("swap", "切换"), ("rollback", "回退"), ("rolled_back", "已回退"), ("deployed", "已部署"),
    // Sinks, followers, and what `deploy` watches.
    ("rows", "数据行"), ("index", "索引"), ("cache", "缓存"), ("log", "日志"), ("relay", "中继"), ("seals", "封条"),
    ("record seals", "记录封条"),
    ("lag", "落后"), ("errors", "错误"), ("parked", "搁置"), ("nobody", "无"),
    // What `doctor` looks at.
    ("event log", "事件日志"), ("rights", "权限"), ("key of notes", "备注密钥"), ("search", "搜索"),
    // What a check found at a position.
    ("Changed", "已更改"), ("Missing", "缺失"), ("Inserted", "插入"), ("Reordered", "顺序已变"), ("SealBroken", "封条损坏"),
    ("SignatureBad", "签名无效"), ("KeyUnknown", "密钥未知"), ("ExportBroken", "文件损坏"),
];

macro_rules! sentences {
    ($($name:ident $({ $($place:ident: $of:ty),* $(,)? })? => $english:literal, $chinese:literal;)*) => {
        /// What people are told.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Sentence {
            $($name $({ $($place: $of),* })?,)*
        }

        impl Sentence {
            /// In that language.
            pub fn told(&self, language: Language) -> String {
                match self {
                    $(Self::$name $({ $($place),* })? => match language {
                        Language::English => format!($english $($(, $place = Say::say($place, language))*)?),
                        Language::Chinese => format!($chinese $($(, $place = Say::say($place, language))*)?),
                    },)*
                }
            }
        }

        /// Every sentence: its name, and its texts.
        #[cfg(test)]
        const CATALOGUE: &[(&str, &str, &str)] = &[$((stringify!($name), $english, $chinese)),*];
    };
}

/// As it is written down, and as scripts read it: in English.
impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(Language::English))
    }
}

impl std::error::Error for Sentence {}

#[rustfmt::skip]
sentences! {
    // How it ends.
    ByTool { told: Box<Sentence> } => "replay-tool: {told}", "replay-tool：{told}";
    RefusedBecause { why: Box<Sentence> } => "refused: {why}", "已拒绝：{why}";
    TimedOut => "the time is up", "时间已到";
    TimedOutSaved => "the time is up; progress is saved", "时间已到；进度已保存";
    Interrupted { signal: &'static str } => "interrupted by {signal}", "被 {signal} 中断";
    InterruptedSaved { signal: &'static str } => "interrupted by {signal}; progress is saved", "被 {signal} 中断；进度已保存";
    HeldBy { what: String, holder: String } => "{what} is held by {holder}", "{what} 正由 {holder} 占用";
    TakenOver => "the generation is held by another process, which took it over", "该世代已被另一个进程接管";
    CannotBeProjected { position: i64, cause: String } => "the event at position {position} cannot be projected: {cause}", "位置 {position} 的事件无法投影：{cause}";
    WarningsAgain { count: usize } => "{count} warnings:", "共 {count} 条警告：";
    Again { told: Box<Sentence> } => "  {told}", "  {told}";
    Warning { told: Box<Sentence> } => "WARN  {told}", "警告  {told}";

    // What comes up from elsewhere, each with its own text behind it.
    Unexpected { detail: String } => "{detail}", "意外错误：{detail}";
    StoreUnavailable { detail: String } => "{detail}", "存储暂不可用：{detail}";
    BadAddress { detail: String } => "{detail}", "地址无效：{detail}";
    BadMasterKey { detail: String } => "{detail}", "主密钥文件不可用：{detail}";
    SchemaUnfit { detail: String } => "{detail}", "数据库结构与本版本不符：{detail}";
    AheadOfLog { detail: String } => "{detail}", "所处理的历史与日志不符（ahead-of-log）：{detail}";
    NotAnswered { detail: String } => "{detail}", "无法答复：{detail}";
    CannotRead { detail: String } => "{detail}", "本版本无法读取：{detail}";
    OfAnotherRelease { detail: String } => "{detail}: use that release's tool", "{detail}：请使用对应版本的工具";
    OfFile { file: String, detail: String } => "{file}: {detail}", "文件 {file}：{detail}";
    ManifestUnwritten { detail: String } => "the manifest: {detail}", "清单无法生成：{detail}";

    // The command line.
    CommandLine { detail: String } => "{detail}", "命令行有误：{detail}";
    NoSuchValue { value: String, arg: String, known: String } => "invalid value '{value}' for '{arg}' [possible values: {known}]", "{arg} 的值 '{value}' 无效，可选：{known}";
    BadValue { value: String, arg: String, why: Box<Sentence> } => "invalid value '{value}' for '{arg}': {why}", "{arg} 的值 '{value}' 无效：{why}";
    ValueUnfit { value: String, arg: String } => "invalid value '{value}' for '{arg}'", "{arg} 的值 '{value}' 无效";
    NoSuchArgument { arg: String } => "unexpected argument '{arg}' found", "未知参数 '{arg}'";
    NoSuchVerb { verb: String } => "unrecognized subcommand '{verb}'", "未知命令 '{verb}'";
    VerbMissing => "a subcommand is required", "缺少命令";
    ArgumentsMissing { args: String } => "these are required: {args}", "缺少必需的参数：{args}";
    ArgumentsClash { arg: String, other: String } => "'{arg}' cannot be used with '{other}'", "'{arg}' 不能与 '{other}' 同时使用";
    TryHelp { told: Box<Sentence> } => "error: {told}\n\nFor more information, try '--help'.", "错误：{told}\n\n更多信息见 '--help'。";
    BadDuration { text: String } => "{text:?} is no duration: 90s, 10m, 2h", "{text:?} 不是时长，例如 90s、10m、2h";
    BadRate { text: String } => "{text:?} is no rate: 5000/s", "{text:?} 不是速率，例如 5000/s";
    BadRun { text: String } => "{text:?} is no run: run:59", "{text:?} 不是运行编号，例如 run:59";
    BadPoint { text: String } => "{text:?} is no point in time: v13 (a version), p1204881 (a position), or 2026-11-22T09:00:00Z", "{text:?} 不是时间点：v13（版本）、p1204881（位置）或 2026-11-22T09:00:00Z";
    BadAlarm { text: String } => "{text:?} is no condition: lag>1000, errors>0, parked>0, joined by ||", "{text:?} 不是条件：lag>1000、errors>0、parked>0，以 || 连接";
    BadPublicKey => "it is neither a public key (32 bytes in base64) nor a fingerprint (16 bytes, such as 9c:41:…)", "既不是公钥（32 字节的 base64），也不是指纹（16 字节，如 9c:41:…）";

    // Questions.
    Ask { question: Box<Sentence> } => "{question} [y/N] ", "{question} [y/N] ";
    NobodyToAsk { question: Box<Sentence> } => "{question} Nobody can be asked here: add --yes", "{question} 此处无法询问：请加 --yes";
    AskRetire { projection: String } => "Drop generations of {projection}?", "要删除 {projection} 的旧世代吗？";
    AskDiscard { count: usize } => "Give up {count} events?", "要放弃 {count} 个事件吗？";
    NothingDone => "nothing was done", "未做任何操作";

    // What is not there.
    NoShop { folder: String } => "there is no shop in the folder {folder}: name the shop's with --store", "文件夹 {folder} 中没有商店：请用 --store 指定";
    NoRole { role: &'static str } => "the login cannot put on the role that replay-tool works under: run `soonshop migrate`, or grant it {role}", "当前登录无法切换到 replay-tool 所用的角色：请运行 `soonshop migrate`，或授予它 {role}";
    MayWrite { why: String } => "{why}: `soonshop doctor` says what to do", "本工具的角色可能写入日志：{why}。如何处理见 `soonshop doctor`";
    NoReadModel { name: String, known: String } => "there is no read model {name:?}: {known}", "没有读模型 {name:?}，现有：{known}";
    NoGeneration { projection: String, number: i32 } => "{projection} has no generation {number}: `replay-tool list` shows them", "{projection} 没有第 {number} 代：见 `replay-tool list`";
    NoneInUse { projection: String } => "{projection} has no generation in use: run `soonshop migrate`", "{projection} 没有使用中的世代：请运行 `soonshop migrate`";
    NoCandidate { projection: String } => "{projection} has no new generation: run `replay-tool rebuild {projection}` first", "{projection} 没有新世代：请先运行 `replay-tool rebuild {projection}`";
    NoCheckpoint { name: String } => "{name} has no checkpoint", "{name} 没有检查点";
    NotHeld { name: String } => "{name} could not be held", "无法占用 {name}";
    NoRun { run: i64 } => "there is no run {run}: `replay-tool runs` shows them", "没有运行 {run}：见 `replay-tool runs`";
    RunOver { run: i64 } => "run {run} is over, or never was", "运行 {run} 已结束，或从未存在";
    RunDeaf { run: i64, verb: String } => "run {run} is a {verb}, which hears nothing of that", "运行 {run} 是 {verb}，不接受此指令";
    RunCancelled { run: i64 } => "run {run} was cancelled", "运行 {run} 已被取消";
    RunSilent { run: i64, position: i64 } => "run {run} gives no sign of life; it was at position {position}", "运行 {run} 没有响应；最后到达位置 {position}";

    // `list`, `status`, `runs`.
    StatusRow { projection: String, generation: i32, state: Word, place: Word, position: i64, head: i64, lag: i64, seconds: f64, parked: i64 } => "{projection:<12} v{generation:<4} {state:<9} {place:<9} {position:>12} of {head:<12} lag {lag:>8}  {seconds:>8.1} s  parked {parked:<4}", "{projection:<12} v{generation:<4} {state:<9} {place:<9} {position:>12} / {head:<12} 落后 {lag:>8}  {seconds:>8.1} 秒  搁置 {parked:<4}";
    SinkRow { sink: Word, at: String, holder: Word } => "    {sink:<6} at {at:<12} kept by {holder}", "    {sink:<6} 位置 {at:<12} 维护进程 {holder}";
    SinkStopped { reason: String } => "           stopped: {reason}", "           已停止：{reason}";
    SinkUnknown { reason: String } => "           cannot be asked: {reason}", "           无法询问：{reason}";
    Complaint { complaint: Box<Sentence> } => "    ! {complaint}", "    ! {complaint}";
    Stopped { sink: Word, reason: String } => "{sink} stopped: {reason}", "{sink}已停止：{reason}";
    EventsParked { count: i64 } => "events parked: {count}", "搁置的事件：{count}";
    Unkept => "nobody keeps it alive", "无进程维护";
    Late { seconds: f64 } => "{seconds:.0} s behind", "落后 {seconds:.0} 秒";
    Wrong { detail: String } => "{detail}", "异常：{detail}";
    FollowingRow { name: Word, at: String, head: i64, lag: i64, seconds: f64 } => "{name:<12} {at:>37} of {head:<12} lag {lag:>8}  {seconds:>8.1} s", "{name:<12} {at:>37} / {head:<12} 落后 {lag:>8}  {seconds:>8.1} 秒";
    LogRow { name: Word, head: i64 } => "{name:<12} {head:>37}", "{name:<12} {head:>37}";
    LogRowAged { name: Word, head: i64, seconds: f64 } => "{name:<12} {head:>37}  {seconds:.1} s old", "{name:<12} {head:>37}  {seconds:.1} 秒前";
    RunRow { run: i64, at: String, verb: String, of: String, state: Word, position: i64, to: i64, actor: String, process: String } => "#{run:<4} {at}  {verb:<8} {of}  {state}  {position}/{to}  by {actor} on {process}", "#{run:<4} {at}  {verb:<8} {of}  {state}  {position}/{to}  执行者 {actor} 于 {process}";
    RunRowEnded { run: i64, at: String, verb: String, of: String, state: Word, position: i64, to: i64, actor: String, process: String, result: Word } => "#{run:<4} {at}  {verb:<8} {of}  {state}  {position}/{to}  by {actor} on {process}  {result}", "#{run:<4} {at}  {verb:<8} {of}  {state}  {position}/{to}  执行者 {actor} 于 {process}  {result}";
    RunRowFailed { run: i64, at: String, verb: String, of: String, state: Word, position: i64, to: i64, actor: String, process: String, message: String } => "#{run:<4} {at}  {verb:<8} {of}  {state}  {position}/{to}  by {actor} on {process}  {message}", "#{run:<4} {at}  {verb:<8} {of}  {state}  {position}/{to}  执行者 {actor} 于 {process}  记录：{message}";

    // `plan`.
    PlanNew { projection: String, from: i32, to: i32 } => "{projection}  v{from} (active)  ->  v{to} (new)", "{projection}  v{from}（使用中） ->  v{to}（新建）";
    PlanBegun { projection: String, from: i32, to: i32 } => "{projection}  v{from} (active)  ->  v{to} (begun)", "{projection}  v{from}（使用中） ->  v{to}（已开始）";
    PlanFold { folded: i64, head: i64, types: usize, skipped: i64 } => "  events to fold    {folded} of {head}   ({types} types; {skipped} skipped by type)", "  待处理事件        {folded} / {head}   （{types} 种类型；按类型跳过 {skipped} 个）";
    PlanEstimate { seconds: i64, rate: i64, how: Box<Sentence>, size: String } => "  estimate          about {seconds} s at {rate} positions/s ({how})   disk +{size}", "  预计              约 {seconds} 秒，每秒 {rate} 个位置（{how}）   磁盘 +{size}";
    AsRunWas { run: i64 } => "as run {run} was", "与运行 {run} 相同";
    Sampled { passed: i64 } => "sampled {passed}", "抽样 {passed} 个";
    PlanUpcaster { name: String, count: i64 } => "  upcaster          {name} ({count})", "  版本升级          {name}（{count}）";
    PlanUnhandled { name: String, count: i64 } => "  no handler for    {name} ({count})   <- passed over; --fail-unhandled refuses", "  未处理的类型      {name}（{count}）   <- 将跳过；加 --fail-unhandled 则拒绝";
    PlanEffects { role: Box<Sentence> } => "  side effects      none possible: {role}", "  副作用            不可能有：{role}";
    PlanRun { projection: String } => "  nothing was written.  Run:  replay-tool rebuild {projection}", "  未写入任何内容。运行：  replay-tool rebuild {projection}";
    NoCodeToWrite => "this program has no code that writes the log", "本程序没有写日志的代码";
    RoleCould { name: String } => "this program has no code that writes the log (its role {name} could)", "本程序没有写日志的代码（但其角色 {name} 有权限）";
    RoleCannot { name: String } => "the role {name} has no INSERT on the event log", "角色 {name} 对事件日志没有 INSERT 权限";
    WhoAreWe => "the database did not say who we are", "数据库没有说明当前角色";

    // `rebuild`.
    AtLeastOne => "--chunk and --max-rate are at least 1", "--chunk 和 --max-rate 至少为 1";
    Unhandled { names: String } => "nothing is done with {names}", "以下事件没有处理：{names}";
    Keeping { projection: String, number: i32 } => "keeping {projection} v{number} up to date here; Ctrl-C stops it", "正在此处维护 {projection} v{number}；按 Ctrl-C 停止";
    SavedAt { position: i64, run: i64, projection: String } => "saved at position {position} (run {run}).  Resume:  replay-tool rebuild {projection} --resume", "已保存在位置 {position}（运行 {run}）。继续：  replay-tool rebuild {projection} --resume";
    StandsAt { name: String, position: i64 } => "{name} stands at {position}, as asked; it is not finished", "{name} 按要求停在位置 {position}；尚未完成";
    NobodyKeeps { name: String, version: i32 } => "nobody keeps {name} alive: start a process of the shop that has version {version}, or use --tail", "没有进程维护 {name}：请启动具有版本 {version} 的商店进程，或使用 --tail";
    Rebuilt { result: Word, name: String, position: i64, folded: i64, skipped: i64, parked: i64, warnings: usize, seconds: f64, rate: i64 } => "{result}  {name} at {position}   {folded} folded, {skipped} skipped by type, {parked} parked, {warnings} warnings   {seconds:.1} s, {rate}/s", "{result}  {name} 位置 {position}   处理 {folded}，按类型跳过 {skipped}，搁置 {parked}，警告 {warnings}   {seconds:.1} 秒，{rate}/s";
    RebuiltFor { result: Word, name: String, position: i64, folded: i64, skipped: i64, parked: i64, warnings: usize, seconds: f64, rate: i64, keeper: String } => "{result}  {name} at {position}   {folded} folded, {skipped} skipped by type, {parked} parked, {warnings} warnings   {seconds:.1} s, {rate}/s   handed over to {keeper}", "{result}  {name} 位置 {position}   处理 {folded}，按类型跳过 {skipped}，搁置 {parked}，警告 {warnings}   {seconds:.1} 秒，{rate}/s   已移交 {keeper}";
    RunBegins { run: i64, name: String, epoch: i64 } => "run {run}  {name}  epoch {epoch}", "运行 {run}  {name}  纪元 {epoch}";
    RunResumes { run: i64, name: String, from: i64, head: i64, epoch: i64 } => "run {run}  {name}  resuming at {from} of {head}, epoch {epoch}", "运行 {run}  {name}  从 {from} / {head} 继续，纪元 {epoch}";
    Folding { run: i64, name: String, percent: i64, position: i64, total: i64, rate: i64, left: i64, parked: i64 } => "run={run} {name} {percent}% {position}/{total} {rate}/s eta={left}s parked={parked}", "运行={run} {name} {percent}% {position}/{total} {rate}/s 剩余={left}秒 搁置={parked}";
    FoldingLimited { run: i64, name: String, percent: i64, position: i64, total: i64, rate: i64, limit: i64, left: i64, parked: i64 } => "run={run} {name} {percent}% {position}/{total} {rate}/s (limit {limit}) eta={left}s parked={parked}", "运行={run} {name} {percent}% {position}/{total} {rate}/s（上限 {limit}） 剩余={left}秒 搁置={parked}";
    Hole { after: i64, found: i64 } => "the log goes from position {after} to {found}: it has a hole", "日志从位置 {after} 跳到 {found}：中间有缺口";
    LogEnds { position: i64 } => "the log ends before position {position}", "日志在位置 {position} 之前就结束了";

    // `verify`.
    Comparing { table: String, compared: u64, differ: usize } => "compare {table}: {compared} rows, {differ} differ", "核对 {table}：{compared} 行，{differ} 行不同";
    OnlyReady { name: String, state: Word } => "{name} is {state}, and only what is ready can be verified", "{name} 的状态是{state}，只有就绪的世代才能核对";
    IsInUse { name: String } => "{name} is the one in use: verify it with --against fold", "{name} 正在使用中：请用 --against fold 核对";
    ProvesNothing { detail: String } => "{detail}: the one in use proves nothing; verify with --against fold", "使用中的世代不足为凭（ahead-of-log）：{detail}。请用 --against fold 核对";
    StandsBefore { name: String, position: i64 } => "{name} stands still before position {position}, and this release has not its version: verify with --against fold", "{name} 停在位置 {position} 之前，而本版本无法推进它：请用 --against fold 核对";
    NoTable { name: String, table: String } => "{name} has no table {table}: build it again", "{name} 没有表 {table}：请重新构建";
    OneTable { table: String } => "only one of the two has the table {table}", "只有其中一方有表 {table}";
    OneColumn { table: String, columns: String } => "{table}: only one of the two has {columns}", "{table}：只有其中一方有 {columns}";
    NoColumn { pointer: String } => "--ignore {pointer:?} is no column: /updated_at", "--ignore {pointer:?} 不是列，例如 /updated_at";
    IndexStands { name: String, at: i64, before: i64 } => "the index of {name} does not get from {at} to {before}", "{name} 的索引无法从 {at} 推进到 {before}";
    ReportUnwritten { file: String, detail: String } => "the report {file} cannot be written: {detail}", "无法写入报告 {file}：{detail}";
    Equal { left: i32, right: i32, position: i64, rows: u64, run: i64 } => "equal  v{left} <-> v{right} at position {position}   {rows} rows compared   (run {run})", "一致  v{left} <-> v{right} 位置 {position}   核对了 {rows} 行   （运行 {run}）";
    EqualIndexed { left: i32, right: i32, position: i64, rows: u64, unlike: usize, run: i64 } => "equal  v{left} <-> v{right} at position {position}   {rows} rows compared, {unlike} documents of the index differ   (run {run})", "一致  v{left} <-> v{right} 位置 {position}   核对了 {rows} 行，索引中 {unlike} 个文档不同   （运行 {run}）";
    Differs { differ: usize, rows: u64, left: i32, right: i32, position: i64, run: i64 } => "DIFF  {differ} of {rows} rows  v{left} <-> v{right} at position {position}   (run {run})", "差异  {rows} 行中有 {differ} 行  v{left} <-> v{right} 位置 {position}   （运行 {run}）";
    DiffersIndexed { differ: usize, rows: u64, left: i32, right: i32, position: i64, unlike: usize, run: i64 } => "DIFF  {differ} of {rows} rows  v{left} <-> v{right} at position {position}, {unlike} documents of the index differ   (run {run})", "差异  {rows} 行中有 {differ} 行  v{left} <-> v{right} 位置 {position}，索引中 {unlike} 个文档不同   （运行 {run}）";
    FieldDiffers { field: String, count: u64 } => "  {field} {count}", "  {field} {count}";
    ExplainOne { projection: String, key: String } => "explain one:  replay-tool step {projection} --key {key}", "查看其中一行：  replay-tool step {projection} --key {key}";
    RowDiffers { table: String, key: String, fields: String } => "DIFF  {table} {key}{fields}", "差异  {table} {key}{fields}";
    RowDiffersBy { table: String, key: String, fields: String, event: String, position: i64 } => "DIFF  {table} {key}{fields}   (caused by {event} {position})", "差异  {table} {key}{fields}   （由 {event} {position} 引起）";
    Field { name: String, left: i32, before: String, right: i32, after: String } => "  {name}: v{left} {before} -> v{right} {after}", "  {name}：v{left} {before} -> v{right} {after}";
    WholeRow { left: i32, before: String, right: i32, after: String } => "  (the row): v{left} {before} -> v{right} {after}", "  （整行）：v{left} {before} -> v{right} {after}";

    // `swap`, `rollback`, `retire`.
    Unexpectedly { found: i32, expected: i32 } => "v{found} is in use, and v{expected} was expected", "使用中的是 v{found}，而不是预期的 v{expected}";
    InUseAlready { number: i32 } => "v{number} is in use already", "v{number} 已在使用中";
    Unfinished { number: i32, state: Word, projection: String } => "v{number} is {state}: `replay-tool rebuild {projection}` finishes it", "v{number} 的状态是{state}：请用 `replay-tool rebuild {projection}` 完成它";
    HasParked { number: i32, count: i64 } => "v{number} has {count} parked events: `replay-tool parked list`", "v{number} 有 {count} 个搁置的事件：见 `replay-tool parked list`";
    TooFarBehind { number: i32, lag: i64, most: i64 } => "v{number} is {lag} events behind, more than --max-lag {most}", "v{number} 落后 {lag} 个事件，超过 --max-lag {most}";
    NotClean { number: i32, count: i64, run: i64 } => "v{number} is not verified clean ({count} differences, run {run}).  Accept on purpose:  --accept-diff run:{run} --reason \"…\"", "v{number} 核对发现差异（{count} 处，运行 {run}）。若确定接受：  --accept-diff run:{run} --reason \"…\"";
    NotVerified { number: i32, projection: String } => "v{number} was not verified: `replay-tool verify {projection}`", "v{number} 尚未核对：请运行 `replay-tool verify {projection}`";
    ReasonNeeded => "--accept-diff needs a --reason", "--accept-diff 需要同时给出 --reason";
    LastVerification { number: i32, run: i64 } => "the last verification of v{number} is run {run}", "v{number} 最近一次核对是运行 {run}";
    NoVerification { run: i64, number: i32 } => "run {run} is no verification of v{number}", "运行 {run} 不是对 v{number} 的核对";
    NothingBefore { number: i32 } => "v{number} has nothing before it to go back to", "v{number} 之前没有可以回退到的世代";
    NobodyReads { number: i32, state: Word } => "v{number} is {state}, and nobody reads such a one", "v{number} 的状态是{state}，不再供读取";
    NeverInUse { number: i32, projection: String } => "v{number} was never in use: `replay-tool swap {projection}` moves readers to a new one", "v{number} 从未使用过：切换到新世代请用 `replay-tool swap {projection}`";
    NobodyKeepsTarget { number: i32, version: i32, projection: String } => "nobody keeps v{number} alive: start a process that has version {version}, or `replay-tool rebuild {projection} --tail`", "没有进程维护 v{number}：请启动具有版本 {version} 的进程，或运行 `replay-tool rebuild {projection} --tail`";
    TakenMeanwhile { number: i32 } => "v{number} was taken by somebody else meanwhile", "v{number} 期间已被其他进程占用";
    ReadersElsewhere { number: i32 } => "readers are not at v{number} any more", "读取方已不在 v{number}";
    SinkBehind { sink: Word, number: i32, at: i64, barrier: i64 } => "the {sink} of v{number} did not get from {at} to {barrier} in time", "v{number} 的{sink}未能及时从 {at} 推进到 {barrier}";
    SinkNowhere { sink: Word, number: i32, barrier: i64 } => "the {sink} of v{number} did not get from nowhere to {barrier} in time", "v{number} 的{sink}尚未开始，未能及时推进到 {barrier}";
    Swapped { projection: String, from: i32, to: i32, millis: u64 } => "swapped {projection} v{from} -> v{to} in {millis} ms   (readers follow at their next request)   v{from} is kept   undo: replay-tool rollback {projection}", "已切换 {projection} v{from} -> v{to}，用时 {millis} 毫秒   （读取方从下一次请求起生效）   v{from} 保留   撤销：  replay-tool rollback {projection}";
    RolledBack { projection: String, from: i32, to: i32, millis: u64 } => "rolled back {projection} v{from} -> v{to} in {millis} ms   v{from} is rejected", "已回退 {projection} v{from} -> v{to}，用时 {millis} 毫秒   v{from} 已拒绝";
    SwapFirst { number: i32 } => "v{number} is in use: swap first", "v{number} 正在使用中：请先切换";
    RetiredAlready { number: i32 } => "v{number} is retired already", "v{number} 已经退役";
    TooYoung { number: i32, minutes: i64 } => "v{number} is only {minutes} min old, less than --min-age", "v{number} 只有 {minutes} 分钟，短于 --min-age";
    WouldRetire { number: i32 } => "would retire v{number}", "将退役 v{number}";
    Retired { number: i32 } => "retired v{number}", "已退役 v{number}";

    // `deploy`.
    Watching { seconds: u64 } => "watching for {seconds} s", "观察 {seconds} 秒";
    Alarm { figure: Word, value: i64, most: i64 } => "{figure} is {value}, more than {most}", "{figure}为 {value}，超过 {most}";
    GoingBack { why: Box<Sentence> } => "{why}: going back", "{why}：正在回退";
    MovedMeanwhile { number: i32 } => "somebody moved readers to v{number} meanwhile: nothing is watched", "期间读取方已被切换到 v{number}：不再观察";

    // `show`, `diff`, `step`.
    NoType { kind: String, known: String } => "there is no type {kind:?}: {known}", "没有类型 {kind:?}，现有：{known}";
    BadId { id: String } => "{id:?} is no id: a UUID", "{id:?} 不是编号：应为 UUID";
    NoAggregate { kind: String, id: String } => "there is no {kind} {id}", "没有 {kind} {id}";
    NothingYet => "there was nothing of this id yet at that point", "当时还没有这个编号的内容";
    NoVersion { version: i64, last: i64 } => "there is no version {version}: the last is {last}", "没有版本 {version}：最后的版本是 {last}";
    BeforeAll => "version 0 is before there was anything to show", "版本 0 在一切之前，没有可显示的内容";
    VersionsEqual { from: i64, to: i64 } => "version {from} and version {to} are equal", "版本 {from} 与版本 {to} 相同";
    Erased => "(erased)", "（已删除）";
    KeyNeeded => "--key names the row: an order's id, a SKU's stock", "--key 用来指明数据行：如订单编号、SKU 的库存";
    NothingTouches { key: String, projection: String } => "no event touches a row {key:?} of {projection}", "没有事件涉及 {projection} 的行 {key:?}";
    HasItAsAbove { name: String, rows: String } => "{name} has it as above\n{rows}", "{name} 中与上面相同\n{rows}";
    HasItOtherwise { name: String, rows: String } => "{name} has it otherwise\n{rows}", "{name} 中与上面不同\n{rows}";

    // `export`, `tail`.
    OutNeeded => "with --json standard output holds messages: say where the rows go with --out FILE", "使用 --json 时标准输出只有消息：请用 --out FILE 指定数据写到哪里";
    CannotSign { detail: String } => "it cannot be signed: {detail}", "无法签名：{detail}";
    KeyOfNobody { file: String, fingerprint: String } => "it cannot be signed: the log's seals are signed by {fingerprint}, and {file} does not have that key", "无法签名：日志的封条由 {fingerprint} 签名，而 {file} 中没有该密钥";
    TailParked { count: usize, first: i64, after: i64 } => "{count} events up to there are parked and were not shown, the first at {first}.  To see them later:  replay-tool tail --after {after}", "到此为止有 {count} 个事件被搁置而未显示，首个位于 {first}。以后查看：  replay-tool tail --after {after}";
    TailLate { position: i64 } => "position {position} was parked, and comes after its turn", "位置 {position} 曾被搁置，现在补上";
    Exporting { count: u64 } => "export: {count} rows", "导出：{count} 行";
    Exported { count: u64, file: String } => "{count} rows in {file}", "{count} 行已写入 {file}";
    FileUnwritten { file: String, detail: String } => "{file} cannot be written: {detail}", "无法写入 {file}：{detail}";
    ExportCutShort { detail: String } => "the export was not written whole: {detail}", "导出没有写完整：{detail}";
    TailResume { position: i64 } => "Resume:  replay-tool tail --follow --after {position}", "继续：  replay-tool tail --follow --after {position}";
    OnBehalfOf { who: String } => "for {who}", "代表 {who}";
    Through { channel: String } => "by {channel}", "渠道 {channel}";
    Because { code: String } => "because {code}", "原因 {code}";

    // `check`, `doctor`.
    Intact { log: String, from: i64, to: i64, rows: i64, seals: i64 } => "intact    {log}:{from} to {to}: {rows} events read, {seals} seals", "完整      {log}:{from} 至 {to}：读取 {rows} 个事件，{seals} 个封条";
    Broken { log: String, rows: i64, seals: i64 } => "BROKEN    {log}: {rows} events read, {seals} seals", "不一致    {log}：读取 {rows} 个事件，{seals} 个封条";
    Unproven { log: String, rows: i64, seals: i64 } => "UNPROVEN  {log}: not everything that was asked for is under a seal; {rows} events read, {seals} seals", "未证明    {log}：所要求的范围并非全部已封存；读取 {rows} 个事件，{seals} 个封条";
    NothingToCheck { log: String } => "NOTHING   {log}: there is neither an event nor a seal to check", "无内容    {log}：既没有事件也没有封条可核对";
    Found { log: String, position: i64, wrong: Word, said: String } => "  {log}:{position}  {wrong}: {said}", "  {log}:{position}  {wrong}：{said}";
    FoundMore { count: i64 } => "  and {count} more", "  另有 {count} 处";
    SealedUpTo { log: String, to: i64, at: String, hash: String } => "sealed    up to {log}:{to} at {at}, seal {hash}", "已封存    至 {log}:{to}，时间 {at}，封条 {hash}";
    SealKey { key: String } => "key       {key}", "密钥      {key}";
    KeyNotGiven => "          found in the seals, not given by you: compare it with the one you know", "          取自封条，不是您给出的：请与您所知的密钥比较";
    TailUnprovable { events: i64, since: String } => "tail      unprovable: {events} events since {since} are under no seal; whether more were there, nobody can tell", "尾部      无法证明：自 {since} 起有 {events} 个事件未封存；是否曾有更多，无从得知";
    TailUnseen => "tail      none was seen; had events been cut off after the last seal, nobody could tell", "尾部      没有；若最后的封条之后有事件被截去，无从得知";
    ExportIntact { count: u64, head: i64, fingerprint: String } => "intact    {count} rows at position {head}, signed by {fingerprint}", "完整      {count} 行，位置 {head}，由 {fingerprint} 签名";
    ExportUnsigned { count: u64, head: i64 } => "UNPROVEN  {count} rows at position {head} are what the manifest says, and nobody signed it", "未证明    {count} 行，位置 {head}，与清单相符，但没有签名";
    ExportOfOther { fingerprint: String } => "BROKEN    signed by {fingerprint}, which is not the key that you gave", "不一致    由 {fingerprint} 签名，而不是您给出的密钥";
    ExportBroken { detail: String } => "BROKEN    {detail}", "不一致    {detail}";
    Well { what: Word, said: Box<Sentence> } => "ok   {what:<22} {said}", "正常 {what:<22} {said}";
    Ill { what: Word, said: Box<Sentence> } => "FAIL {what:<22} {said}", "异常 {what:<22} {said}";
    LastPosition { position: i64 } => "its last position is {position}", "最后的位置是 {position}";
    CannotWriteLog => "cannot write the log", "不能写入日志";
    KeyThere => "there", "存在";
    Answers => "answers", "有响应";
    MadeAs { version: i32, shape: i32 } => "version {version}, shape {shape}", "版本 {version}，结构 {shape}";
    MadeOtherwise { version: i32, shape: i32 } => "version {version}, shape {shape}: this release makes another one, and can only read and drop it", "版本 {version}，结构 {shape}：与本版本所建不同，只能读取和删除";

    // `parked`.
    Cause { count: usize, cause: String } => "{count} × {cause}", "{count} × 原因：{cause}";
    ParkedRow { generation: String, position: i64, event: String, stream: String, attempts: i64 } => "    {generation}  {position}  {event}  {stream}  tried {attempts}×", "    {generation}  {position}  {event}  {stream}  已尝试 {attempts} 次";
    NothingParked => "nothing is parked", "没有搁置的事件";
    WouldRetry { count: usize } => "{count} would be tried again", "将重试 {count} 个";
    ToBeRetried { count: usize } => "{count} to be tried again by whoever keeps their generation", "{count} 个将由维护该世代的进程重试";
    WouldDiscard { count: usize } => "{count} would be given up", "将放弃 {count} 个";
    Discarded { count: usize } => "{count} given up", "已放弃 {count} 个";

    // `view`.
    ReadingRows { count: u64 } => "read: {count} rows", "读取：{count} 行";
    NotTrue { file: String, detail: String } => "{file}: {detail}", "{file} 与其清单不符：{detail}";
    NotListening { address: String, detail: String } => "{address} cannot be listened on: {detail}", "无法监听 {address}：{detail}";
    NotLoopback { detail: String } => "{detail}", "只能监听本机回环地址：{detail}";
    SignedBy { fingerprint: String } => "signed by {fingerprint}: compare it with the key of the shop's seals that you know", "由 {fingerprint} 签名：请与您所知的商店封条密钥比较";
    Showing { count: u64, head: i64, role: String } => "{count} events at position {head}, masked for {role}; Ctrl-C ends it", "{count} 个事件，位置 {head}，按 {role} 遮蔽；按 Ctrl-C 结束";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use soonshop_projections::generation;
    use soonshop_projections::runs;

    use super::*;

    /// Names of places, without how they are written.
    fn places(text: &str) -> BTreeSet<&str> {
        let named = text.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        named.map(|(place, _)| place.split(':').next().unwrap()).collect()
    }

    /// What is left of a text without its places.
    fn words(text: &str) -> String {
        text.split('{').map(|part| part.split_once('}').map_or(part, |(_, rest)| rest)).collect()
    }

    #[test]
    fn every_sentence_is_there_in_both_languages_with_the_same_places() {
        let names: BTreeSet<_> = CATALOGUE.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names.len(), CATALOGUE.len());
        for (name, english, chinese) in CATALOGUE {
            assert_eq!(places(english), places(chinese), "{name}");
            assert!(english.is_ascii() || english.contains(['×', '…']), "{name}");
            let same = words(chinese).chars().all(|sign| !sign.is_alphabetic()) || *name == "Ask";
            assert!(same || !words(chinese).is_ascii(), "{name} is not said in Chinese");
        }
    }

    #[test]
    fn no_sentence_is_there_that_nobody_says() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let source: String = files
            .filter(|path| !path.ends_with("words.rs"))
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        let said: BTreeSet<_> = source
            .split("Sentence::")
            .skip(1)
            .map(|rest| rest.split(|sign: char| !sign.is_alphanumeric()).next().unwrap())
            .collect();
        for (name, ..) in CATALOGUE {
            assert!(said.contains(name), "nobody says {name}");
        }
    }

    #[test]
    fn every_state_has_a_word() {
        use generation::State as Stands;
        use runs::State;
        let generations =
            [Stands::Building, Stands::Ready, Stands::Rejected, Stands::Retired, Stands::Scratch];
        let runs = [
            State::Running,
            State::Paused,
            State::Done,
            State::Found,
            State::Refused,
            State::Failed,
            State::Interrupted,
            State::Cancelled,
        ];
        let all = generations.iter().map(Word::of).chain(runs.iter().map(Word::of));
        for word in all.chain(["active", "previous", "rows", "index", "cache"].map(Word::of)) {
            assert!(!word.told(Language::Chinese).is_ascii(), "{word:?}");
            assert!(word.told(Language::English).is_ascii(), "{word:?}");
        }
        assert_eq!(Word::of("unheard").told(Language::Chinese), "unheard");
    }

    #[test]
    fn a_word_takes_as_many_columns_in_every_language() {
        let row = |language| format!("{:<9}|", Word::of("ready").say(language));
        assert_eq!(row(Language::English), "ready    |");
        assert_eq!(row(Language::Chinese), "就绪     |");
    }

    #[test]
    fn a_locale_names_a_language_that_can_be_read() {
        for locale in ["zh_CN.UTF-8", "zh_CN", "zh_TW.utf8", "zh-CN", "zh_CN.UTF-8@pinyin"] {
            assert_eq!(Language::of_locale(locale), Language::Chinese, "{locale}");
        }
        for locale in ["C", "POSIX", "en_GB.UTF-8", "zh_CN.GB18030", "de_DE@euro"] {
            assert_eq!(Language::of_locale(locale), Language::English, "{locale}");
        }
        let given = |words: &[&str]| Language::of_words(words.iter().map(|word| (*word).to_owned()));
        assert_eq!(given(&["replay-tool", "fly", "--lang", "zh-CN"]), Language::Chinese);
        assert_eq!(given(&["replay-tool", "--lang=zh-CN", "fly"]), Language::Chinese);
        assert_eq!(given(&["replay-tool", "--lang", "de"]), Language::English);
    }
}
