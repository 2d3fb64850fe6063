//! Rows as PostgreSQL takes many of them in one statement: one array for each column.

use sea_orm::sea_query::ArrayType;
use sea_orm::{ColumnTrait, ColumnType, DbErr, EntityTrait, ModelTrait, Value};

/// How a column's values go to PostgreSQL: all of them in one array, which costs it half of what JSON does.
struct InArray {
    /// The SQL type of the array's elements.
    sql: &'static str,
    kind: ArrayType,
    /// The value in the array for a column without a value: the driver has no NULL in arrays, so a second array marks
    /// these.
    blank: Value,
}

impl InArray {
    fn of(column: &ColumnType) -> Option<Self> {
        let (sql, kind, blank) = match column {
            ColumnType::Text | ColumnType::String(_) | ColumnType::Json | ColumnType::JsonBinary => {
                ("text", ArrayType::String, "".into())
            }
            ColumnType::BigInteger => ("bigint", ArrayType::BigInt, 0_i64.into()),
            ColumnType::Integer => ("integer", ArrayType::Int, 0_i32.into()),
            ColumnType::Boolean => ("boolean", ArrayType::Bool, false.into()),
            _ => return None,
        };
        Some(Self { sql, kind, blank })
    }
}

/// The columns of a row type that PostgreSQL is given as arrays, and the SQL that makes rows of them.
pub(crate) struct Arrays<C> {
    columns: Vec<(C, InArray, bool)>,
}

impl<C: ColumnTrait> Arrays<C> {
    pub(crate) fn of(columns: &[C]) -> Result<Self, DbErr> {
        let one = |column: &C| {
            let (definition, name) = (column.def(), column.as_str());
            let array = InArray::of(definition.get_column_type()).ok_or_else(|| {
                DbErr::Custom(format!("the column {name} has a type that no array is made of"))
            })?;
            Ok((*column, array, definition.is_null()))
        };
        Ok(Self { columns: columns.iter().map(one).collect::<Result<_, DbErr>>()? })
    }

    /// The columns to select, and the source to select them from.
    pub(crate) fn source(&self) -> (String, String) {
        let (mut all, mut arrays, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (column, array, nullable)) in self.columns.iter().enumerate() {
            let mut place = |name: String, sql: &str| {
                names.push(name);
                arrays.push(format!("${}::{sql}[]", names.len()));
            };
            place(format!("c{number}"), array.sql);
            let value = match column.def().get_column_type() {
                ColumnType::Json => format!("c{number}::json"),
                ColumnType::JsonBinary => format!("c{number}::jsonb"),
                _ => format!("c{number}"),
            };
            if *nullable {
                place(format!("n{number}"), "boolean");
                all.push(format!("CASE WHEN NOT n{number} THEN {value} END"));
            } else {
                all.push(value);
            }
        }
        (all.join(", "), format!("unnest({}) AS given({})", arrays.join(", "), names.join(", ")))
    }

    /// The values for [`Arrays::source`].
    pub(crate) fn values<M: ModelTrait<Entity: EntityTrait<Column = C>>>(
        &self,
        rows: &[&M],
    ) -> Result<Vec<Value>, DbErr> {
        let mut given = Vec::with_capacity(self.columns.len());
        for (column, array, nullable) in &self.columns {
            let mut absent = Vec::with_capacity(if *nullable { rows.len() } else { 0 });
            let mut values = Vec::with_capacity(rows.len());
            for row in rows {
                let value = match row.get(*column) {
                    Value::Json(Some(json)) => json.to_string().into(),
                    Value::Json(None) => Value::String(None),
                    value => value,
                };
                let there = !matches!(
                    value,
                    Value::String(None) | Value::BigInt(None) | Value::Int(None) | Value::Bool(None)
                );
                if *nullable {
                    absent.push(Value::from(!there));
                } else if !there {
                    return Err(DbErr::Custom(format!("the column {} has to have a value", column.as_str())));
                }
                values.push(if there { value } else { array.blank.clone() });
            }
            given.push(Value::Array(array.kind.clone(), Some(Box::new(values))));
            if *nullable {
                given.push(Value::Array(ArrayType::Bool, Some(Box::new(absent))));
            }
        }
        Ok(given)
    }
}
