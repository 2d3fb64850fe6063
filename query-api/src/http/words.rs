//! The words of the pages, in every language that they speak, and the sentence of every event. Nothing is put together
//! from parts of sentences: a sentence has places, by the names of an event's fields.

use serde_json::{Map, Value};

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

impl Language {
    /// Its tag, as a parameter and in `lang`.
    pub(super) const TAGS: &'static [&'static str] = &["en", "zh-CN"];

    pub(super) fn of(tag: &str) -> Self {
        if tag.to_lowercase().starts_with("zh") { Self::Chinese } else { Self::English }
    }

    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// Its own one of two texts.
    fn pick(self, english: &'static str, chinese: &'static str) -> &'static str {
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }

    /// A word of the pages; one that is missing is shown by its name.
    pub(super) fn word(self, name: &'static str) -> &'static str {
        let found = WORDS.iter().find(|(word, ..)| *word == name);
        found.map_or(name, |(_, english, chinese)| self.pick(english, chinese))
    }

    /// The sentence of an event, with its fields filled in; an event that has none is shown by its type.
    pub(super) fn sentence(self, event: &str, fields: &Value) -> String {
        let none = Map::new();
        let fields = fields.as_object().unwrap_or(&none);
        let Some((_, english, chinese)) = SENTENCES.iter().find(|(name, ..)| *name == event) else {
            return event.to_owned();
        };
        let (mut said, mut rest) = (String::new(), self.pick(english, chinese));
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            said.push_str(before);
            said.push_str(&fields.get(name).map_or_else(|| "–".to_owned(), value));
            rest = after;
        }
        said.push_str(rest);
        said
    }
}

/// A value as people read it.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(self::value).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => match (fields.get("amount"), fields.get("currency")) {
            (Some(Value::Number(amount)), Some(Value::String(currency))) => {
                amount.as_i64().map_or_else(|| value.to_string(), |amount| money(amount, currency))
            }
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

/// Currencies that have no minor unit, of those that ISO 4217 knows.
const WHOLE: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF",
    "XPF",
];
/// Those whose minor unit is a thousandth.
const THOUSANDTHS: &[&str] = &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

fn money(amount: i64, currency: &str) -> String {
    let (unit, places) = match currency {
        code if WHOLE.contains(&code) => return format!("{currency} {amount}"),
        code if THOUSANDTHS.contains(&code) => (1_000, 3),
        _ => (100, 2),
    };
    let sign = if amount < 0 { "−" } else { "" };
    let amount = amount.unsigned_abs();
    format!("{currency} {sign}{}.{:0places$}", amount / unit, amount % unit)
}

/// Name, English, Chinese.
pub(super) const WORDS: &[(&str, &str, &str)] = &[
    ("audit", "Audit", "审计"),
    ("timeline", "Timeline", "时间线"),
    ("projections", "Read models", "读模型"),
    ("read-model", "Read model", "读模型名称"),
    ("healthy", "Every read model is as it should be.", "所有读模型状态正常。"),
    ("unhealthy", "Something is not as it should be.", "有读模型状态异常。"),
    ("in-use", "in use", "使用中"),
    ("way-back", "kept as the way back", "保留以便回退"),
    ("candidate", "new, not in use yet", "新建，尚未启用"),
    ("seen", "Seen of the log", "已处理位置"),
    ("lag", "Behind", "落后"),
    ("parked", "Parked", "搁置"),
    ("kept-by", "Kept by", "维护进程"),
    ("nobody", "nobody", "无"),
    ("command", "More, at the command line", "命令行查看详情"),
    ("skip", "Skip to content", "跳到正文"),
    ("search", "Search", "搜索"),
    (
        "search-hint",
        "type:Stock* agg:order actor:staff \"a text\"",
        "type:Stock* agg:order actor:staff \"文本\"",
    ),
    ("unknown-actor", "not recorded", "未记录"),
    ("on-behalf-of", "on behalf of", "代表"),
    ("reason", "Reason", "原因"),
    ("correlation", "All that followed", "全部后续"),
    ("older", "Further", "继续"),
    ("nothing", "Nothing matches. Drop a filter:", "没有匹配的事件。请移除条件："),
    ("all", "Show everything", "显示全部"),
    ("masked", "masked", "已遮蔽"),
    ("erased", "erased", "已删除"),
    ("hidden", "personal", "个人信息"),
    ("version", "Version", "版本"),
    ("previous", "Version before", "上一版本"),
    ("next", "Version after", "下一版本"),
    ("go", "Go", "前往"),
    ("changes", "What changed", "变更"),
    ("no-changes", "Nothing changed.", "没有变更。"),
    ("field", "Field", "字段"),
    ("before", "Before", "之前"),
    ("after", "After", "之后"),
    ("state", "State", "状态"),
    ("set-by", "Set by", "由此事件设定"),
    ("value", "Value", "值"),
    ("history", "History", "历史"),
    ("earlier", "Earlier events", "更早的事件"),
    ("because", "Took", "耗时"),
    ("root", "began it", "起点"),
    ("cause-missing", "its cause is not here", "原因不在此处"),
    ("cause-later", "its cause stands after it", "原因位于其后"),
    ("as-of", "As of position", "截至位置"),
    ("role", "Read as support: personal values are masked", "以客服身份查看：个人信息已遮蔽"),
    ("refused", "This cannot be shown", "无法显示"),
    ("theme-light", "Light", "浅色"),
    ("theme-dark", "Dark", "深色"),
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
];

/// An event's type, and its sentence in English and Chinese.
pub(super) const SENTENCES: &[(&str, &str, &str)] = &[
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
    use soonshop_domain::{inventory, order, product, user};
    use strum::VariantNames as _;

    use super::*;

    fn places(sentence: &str) -> BTreeSet<&str> {
        sentence.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect()
    }

    #[test]
    fn every_event_has_a_sentence_in_both_languages_with_the_same_places() {
        let events = [
            user::Event::VARIANTS,
            user::person::Event::VARIANTS,
            product::Event::VARIANTS,
            inventory::Event::VARIANTS,
            order::Event::VARIANTS,
            order::credit_note::Event::VARIANTS,
        ]
        .concat();
        assert_eq!(events.len(), SENTENCES.len());
        for event in events {
            let (_, english, chinese) =
                SENTENCES.iter().find(|(name, ..)| *name == event).unwrap_or_else(|| panic!("{event}"));
            assert_eq!(places(english), places(chinese), "{event}");
            assert!(!chinese.is_ascii() && !english.is_empty(), "{event}");
        }
    }

    #[test]
    fn every_word_of_the_pages_is_there_once_and_all_are_used() {
        let source = include_str!("pages.rs");
        let used: BTreeSet<_> =
            source.split("word(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect();
        let names: BTreeSet<_> = WORDS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names.len(), WORDS.len());
        for word in used {
            assert!(names.contains(word), "{word} is in no language");
        }
        for (name, english, chinese) in WORDS {
            assert!(!english.is_empty() && !chinese.is_ascii(), "{name}");
            assert!(source.contains(&format!("\"{name}\"")), "{name} is not used");
        }
    }

    #[test]
    fn a_sentence_is_filled_in_and_a_place_without_a_value_is_a_dash() {
        let fields = json!({ "number": "S-1", "lines": 2, "total": { "amount": 1299, "currency": "GBP" } });
        let said = Language::English.sentence("OrderPlaced", &fields);
        assert_eq!(said, "Order S-1 was placed, lines: 2, GBP 12.99");
        assert_eq!(Language::Chinese.sentence("OrderCancelled", &json!({})), "订单已取消：–");
        assert_eq!(Language::English.sentence("Unheard", &json!({})), "Unheard");
        assert_eq!((money(-5, "EUR").as_str(), money(7, "JPY").as_str()), ("EUR −0.05", "JPY 7"));
    }
}
