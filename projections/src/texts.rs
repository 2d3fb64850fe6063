//! An index for full-text searches.
//!
//! The log's positions are divided into blocks. Once a block is complete, every distinct line of its rows' texts is
//! stored once, joined into one text: a word that is not in it is in none of the rows, so they need not be read.
//! (Shops repeat themselves: this is a fiftieth of the rows.) The lines of a block are gathered while its rows are
//! projected, or read from the rows if that was interrupted. A block with a parked event waits for it; a block
//! without lines is searched row by row.

use std::collections::HashSet;

use async_trait::async_trait;
use foldhash::fast::RandomState;
use sea_orm::{ConnectionTrait as _, DatabaseBackend, DbErr, Statement};
use soonshop_event_log::Db;

use crate::row::{Row, table_of};
use crate::unit::Unit;

/// Positions per block.
pub const BLOCK: i64 = 16_384;

/// SQL for the table.
pub(crate) fn create(db: &Db) -> Vec<Statement> {
    let table = "CREATE TABLE @texts (block BIGINT PRIMARY KEY, lines TEXT NOT NULL)";
    // Decompressing would take longer than searching.
    let plain = "ALTER TABLE @texts ALTER COLUMN lines SET STORAGE EXTERNAL";
    let plain = (db.backend() == DatabaseBackend::Postgres).then_some(plain);
    [table].into_iter().chain(plain).map(|sql| db.statement(sql, [])).collect()
}

/// SQL that names each block, in order, and whether all of the texts `$1`, `$2` and so on are in its lines.
pub fn blocks_with(db: &Db, texts: usize) -> String {
    let find = if db.backend() == DatabaseBackend::Postgres { "strpos" } else { "instr" };
    let all: Vec<String> = (1..=texts).map(|number| format!("{find}(lines, ${number}) > 0")).collect();
    format!("SELECT block, CASE WHEN {} THEN 1 ELSE 0 END FROM @texts ORDER BY block", all.join(" AND "))
}

/// Rows with searchable texts. They are only ever added, in the order of their positions.
pub trait Searched: Row {
    fn position(&self) -> i64;
    /// Every text by which a search can find it.
    fn texts(&self) -> Vec<&str>;
}

/// The texts of a read model.
#[async_trait]
pub trait Texts: Send + Sync {
    /// The texts of the rows that a batch adds.
    fn added(&self, unit: &Unit, each: &mut dyn FnMut(i64, &str));
    /// The texts of the rows of a block.
    async fn of_block(&self, db: &Db, block: i64) -> Result<BlockTexts, DbErr>;
}

/// The texts of a row type.
pub struct TextsOf<M>(std::marker::PhantomData<fn() -> M>);

impl<M> TextsOf<M> {
    #[expect(clippy::new_ret_no_self, reason = "it is only ever used as the port")]
    pub fn new() -> Box<dyn Texts>
    where
        M: Searched,
    {
        Box::new(Self(std::marker::PhantomData))
    }
}

#[async_trait]
impl<M: Searched> Texts for TextsOf<M> {
    fn added(&self, unit: &Unit, each: &mut dyn FnMut(i64, &str)) {
        for row in unit.added::<M>() {
            row.texts().into_iter().for_each(|text| each(row.position(), text));
        }
    }

    async fn of_block(&self, db: &Db, block: i64) -> Result<BlockTexts, DbErr> {
        let sql = format!("SELECT * FROM @{} WHERE position >= $1 AND position < $2", table_of::<M>());
        let rows = db.statement(&sql, [(block * BLOCK).into(), ((block + 1) * BLOCK).into()]);
        let mut gathered = BlockTexts::new(block);
        for row in M::find_by_statement(rows).all(&db.connection).await? {
            row.texts().into_iter().for_each(|text| gathered.add(text));
        }
        Ok(gathered)
    }
}

/// The text index of a generation, in the process that moves its rows.
pub(crate) struct Index {
    texts: Box<dyn Texts>,
    /// The lines of the current block up to the folded position; `None` if they are unknown.
    gathered: Option<BlockTexts>,
    /// A complete block may have no lines.
    incomplete: bool,
}

impl Index {
    pub(crate) fn new(texts: Box<dyn Texts>) -> Self {
        Self { texts, gathered: None, incomplete: true }
    }

    /// Takes the gathered lines out until the batch is committed: if they are not put back, they are unknown.
    pub(crate) fn let_go(&mut self) -> Option<BlockTexts> {
        self.gathered.take()
    }

    pub(crate) fn hold(&mut self, gathered: BlockTexts) {
        self.gathered = Some(gathered);
    }

    /// Drops the gathered lines: they no longer match the rows.
    pub(crate) fn break_off(&mut self) {
        (self.gathered, self.incomplete) = (None, true);
    }

    /// Gathers the lines that a batch adds between two positions; returns the writes of the blocks that it completes.
    pub(crate) fn gather(
        &mut self,
        db: &Db,
        gathered: Option<BlockTexts>,
        unit: &Unit,
        (from, to): (i64, i64),
    ) -> (Vec<Statement>, BlockTexts) {
        self.incomplete |= gathered.is_none();
        let mut gathered = gathered.unwrap_or_else(|| BlockTexts::after(from));
        let complete = gathered.take(&*self.texts, unit, to);
        (complete.into_iter().map(|block| block.write(db)).collect(), gathered)
    }

    /// The blocks up to a position that have no lines and could have them: the caller writes them.
    pub(crate) async fn missing(&mut self, db: &Db, position: i64) -> Result<Vec<i64>, DbErr> {
        if !self.incomplete {
            return Ok(Vec::new());
        }
        let there = positions(db, "SELECT block FROM @texts").await?;
        let missing = (0..(position + 1) / BLOCK).filter(|block| !there.contains(block));
        let parked = positions(db, "SELECT position FROM @parked").await?;
        let parked: HashSet<i64> = parked.into_iter().map(|position| position / BLOCK).collect();
        let (waiting, missing): (Vec<_>, Vec<_>) = missing.partition(|block| parked.contains(block));
        self.incomplete = !waiting.is_empty();
        Ok(missing)
    }

    /// The write of a block, made from its rows.
    pub(crate) async fn again(&self, db: &Db, block: i64) -> Result<Statement, DbErr> {
        Ok(self.texts.of_block(db, block).await?.write(db))
    }
}

async fn positions(db: &Db, sql: &str) -> Result<HashSet<i64>, DbErr> {
    let rows = db.connection.query_all(db.statement(sql, [])).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// The lines of one block, up to the position that was read.
pub struct BlockTexts {
    block: i64,
    lines: HashSet<Box<str>, RandomState>,
}

impl BlockTexts {
    fn new(block: i64) -> Self {
        Self { block, lines: HashSet::default() }
    }

    /// The first block after this position that can be gathered completely. (There is no position 0.)
    fn after(position: i64) -> Self {
        Self::new(if position == 0 { 0 } else { position / BLOCK + 1 })
    }

    fn add(&mut self, text: &str) {
        for line in text.split('\n').filter(|line| !line.is_empty()) {
            if !self.lines.contains(line) {
                self.lines.insert(line.into());
            }
        }
    }

    /// Adds the lines of a batch that ends at this position; returns the blocks that it completes, and continues with
    /// the next one.
    fn take(&mut self, texts: &dyn Texts, unit: &Unit, to: i64) -> Vec<Self> {
        let mut complete = Vec::new();
        texts.added(unit, &mut |position, text| {
            complete.extend(self.up_to(position));
            if position / BLOCK == self.block {
                self.add(text);
            }
        });
        complete.extend(self.up_to(to + 1));
        complete
    }

    /// Moves to the block of this position; returns the blocks that end before it.
    fn up_to(&mut self, position: i64) -> Vec<Self> {
        let blocks = self.block..position / BLOCK;
        blocks.map(|block| std::mem::replace(self, Self::new(block + 1))).collect()
    }

    /// The write of this block; it writes nothing if an event of the block is parked.
    fn write(self, db: &Db) -> Statement {
        let sql = "INSERT INTO @texts (block, lines) SELECT $1, $2 WHERE NOT EXISTS \
                   (SELECT 1 FROM @parked WHERE position >= $3 AND position < $4) ON CONFLICT DO NOTHING";
        let lines = self.lines.into_iter().collect::<Vec<_>>().join("\n");
        let (from, to) = (self.block * BLOCK, (self.block + 1) * BLOCK);
        db.statement(sql, [self.block.into(), lines.into(), from.into(), to.into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct FixedTexts(Vec<(i64, &'static str)>);

    #[async_trait]
    impl Texts for FixedTexts {
        fn added(&self, _: &Unit, each: &mut dyn FnMut(i64, &str)) {
            self.0.iter().for_each(|(position, text)| each(*position, text));
        }

        async fn of_block(&self, _: &Db, block: i64) -> Result<BlockTexts, DbErr> {
            Ok(BlockTexts::new(block))
        }
    }

    fn took(gathered: &mut BlockTexts, message: &[(i64, &'static str)], to: i64) -> Vec<(i64, Vec<String>)> {
        let complete = gathered.take(&FixedTexts(message.to_vec()), &Unit::default(), to);
        let lines = |one: BlockTexts| {
            let mut lines: Vec<_> = one.lines.into_iter().map(String::from).collect();
            lines.sort();
            (one.block, lines)
        };
        complete.into_iter().map(lines).collect()
    }

    #[test]
    fn a_block_is_complete_once_its_last_position_is_passed() {
        let mut gathered = BlockTexts::after(0);
        assert_eq!(took(&mut gathered, &[(1, "tea\npot"), (3, "tea")], BLOCK - 2), []);
        let done = took(&mut gathered, &[], BLOCK - 1);
        assert_eq!(done, [(0, vec!["pot".to_owned(), "tea".to_owned()])]);
        let done = took(&mut gathered, &[(BLOCK, "a"), (3 * BLOCK, "b")], 3 * BLOCK);
        assert_eq!(done, [(1, vec!["a".to_owned()]), (2, vec![])]);
        assert_eq!(took(&mut gathered, &[], 4 * BLOCK - 1), [(3, vec!["b".to_owned()])]);
    }

    #[test]
    fn a_block_that_began_earlier_is_not_gathered() {
        let mut gathered = BlockTexts::after(5);
        assert_eq!(took(&mut gathered, &[(6, "a"), (BLOCK, "b")], BLOCK), []);
        assert_eq!(took(&mut gathered, &[], 2 * BLOCK), [(1, vec!["b".to_owned()])]);
        assert_eq!(BlockTexts::after(BLOCK - 1).block, 1);
        assert_eq!(BlockTexts::after(BLOCK).block, 2);
    }
}
