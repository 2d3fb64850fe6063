//! Rows in PostgreSQL's binary format (its manual, COPY, "Binary Format"): much less work for client and server than
//! a statement with the rows as values.

use sea_orm::{ColumnTrait, ColumnType, DbErr, EntityTrait, IdenStatic as _, Iterable as _, ModelTrait};
use serde::ser::{Error as _, Impossible, SerializeStruct};
use serde::{Serialize, Serializer};
use soonshop_event_log::Db;

use crate::row::{Row, column_names, table_of};
use crate::transaction::Write;

/// The start of the data: the signature, no flags, no extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: &[u8] = &(-1_i16).to_be_bytes();

/// The usual size of a row, in bytes.
const USUAL: usize = 1_024;

/// The write that inserts new rows.
pub(crate) fn copy_in<'a, M: Row>(
    db: &Db,
    rows: impl ExactSizeIterator<Item = &'a M>,
) -> Result<Write, DbErr> {
    let columns: Vec<_> = <<M as ModelTrait>::Entity as EntityTrait>::Column::iter().collect();
    let kinds: Vec<(&str, Kind)> = columns.iter().map(|column| (column.as_str(), Kind::of(column))).collect();
    let mut bytes = Vec::with_capacity(HEAD.len() + rows.len() * USUAL);
    bytes.extend(HEAD);
    let width = i16::try_from(columns.len()).map_err(|_| custom("a row is too wide"))?;
    for row in rows {
        bytes.extend(width.to_be_bytes());
        row.serialize(RowSerializer { into: &mut bytes, kinds: &kinds, at: 0 }).map_err(custom)?;
    }
    bytes.extend(END);
    let sql = format!("COPY @{} ({}) FROM STDIN (FORMAT BINARY)", table_of::<M>(), column_names(&columns));
    Ok(Write::Copy(db.sql(&sql), bytes))
}

fn custom(error: impl ToString) -> DbErr {
    DbErr::Custom(error.to_string())
}

type Failed = serde::de::value::Error;

/// How a column's values are written.
#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Json,
    JsonBinary,
}

impl Kind {
    fn of(column: &impl ColumnTrait) -> Self {
        match column.def().get_column_type() {
            ColumnType::Json => Self::Json,
            ColumnType::JsonBinary => Self::JsonBinary,
            _ => Self::Plain,
        }
    }
}

/// A value is its length and its bytes.
fn put(into: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Failed> {
    let length = i32::try_from(bytes.len()).map_err(|_| Failed::custom("a value is too long"))?;
    into.extend(length.to_be_bytes());
    into.extend(bytes);
    Ok(())
}

/// A missing value has the length -1.
fn absent(into: &mut Vec<u8>) {
    into.extend((-1_i32).to_be_bytes());
}

/// A row: a structure whose fields are the columns, in their order.
struct RowSerializer<'a> {
    into: &'a mut Vec<u8>,
    kinds: &'a [(&'a str, Kind)],
    at: usize,
}

impl SerializeStruct for RowSerializer<'_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
        let Some((_, kind)) = self.kinds.get(self.at).filter(|(column, _)| *column == name) else {
            return Err(Failed::custom(format!("the column {name} is not in its position")));
        };
        self.at += 1;
        let version: &[u8] = match kind {
            Kind::Plain => return value.serialize(Field(self.into)),
            Kind::Json => &[],
            Kind::JsonBinary => &[1],
        };
        let json = serde_json::to_vec(value).map_err(Failed::custom)?;
        if json == b"null" {
            absent(self.into);
            return Ok(());
        }
        put(self.into, &[version, &json].concat())
    }

    fn end(self) -> Result<(), Failed> {
        if self.at == self.kinds.len() { Ok(()) } else { Err(Failed::custom("a column has no value")) }
    }
}

/// A value of a column.
struct Field<'a>(&'a mut Vec<u8>);

/// The methods that both a row and a column's value refuse.
macro_rules! refused {
    ($($method:ident($($kind:ty),*) $(-> $what:ident)?;)+) => {
        $(fn $method(self, $(_: $kind),*) -> Result<refused!(@ $($what)?), Failed> {
            Err(Failed::custom("a row has a value of a type that is not bytes"))
        })+
    };
    (@) => { () };
    (@ $what:ident) => { Self::$what };
}

/// The types that both of them refuse.
macro_rules! neither {
    () => {
        type Ok = ();
        type Error = Failed;
        type SerializeSeq = Impossible<(), Failed>;
        type SerializeTuple = Impossible<(), Failed>;
        type SerializeTupleStruct = Impossible<(), Failed>;
        type SerializeTupleVariant = Impossible<(), Failed>;
        type SerializeMap = Impossible<(), Failed>;
        type SerializeStructVariant = Impossible<(), Failed>;

        refused! {
            serialize_i8(i8);
            serialize_i16(i16);
            serialize_u8(u8);
            serialize_u16(u16);
            serialize_u32(u32);
            serialize_u64(u64);
            serialize_f32(f32);
            serialize_f64(f64);
            serialize_char(char);
            serialize_bytes(&[u8]);
            serialize_unit();
            serialize_unit_struct(&'static str);
            serialize_unit_variant(&'static str, u32, &'static str);
            serialize_seq(Option<usize>) -> SerializeSeq;
            serialize_tuple(usize) -> SerializeTuple;
            serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
            serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
            serialize_map(Option<usize>) -> SerializeMap;
            serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
        }

        fn serialize_newtype_struct<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            value: &T,
        ) -> Result<(), Failed> {
            value.serialize(self)
        }

        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<(), Failed> {
            self.serialize_unit()
        }
    };
}

impl<'a> Serializer for RowSerializer<'a> {
    type SerializeStruct = RowSerializer<'a>;

    neither!();

    refused! {
        serialize_bool(bool);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_str(&str);
        serialize_none();
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Failed> {
        self.serialize_none()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Failed> {
        Ok(self)
    }
}

impl Serializer for Field<'_> {
    type SerializeStruct = Impossible<(), Failed>;

    neither!();

    refused! { serialize_struct(&'static str, usize) -> SerializeStruct; }

    fn serialize_bool(self, truth: bool) -> Result<(), Failed> {
        put(self.0, &[u8::from(truth)])
    }

    fn serialize_i32(self, number: i32) -> Result<(), Failed> {
        put(self.0, &number.to_be_bytes())
    }

    fn serialize_i64(self, number: i64) -> Result<(), Failed> {
        put(self.0, &number.to_be_bytes())
    }

    fn serialize_str(self, text: &str) -> Result<(), Failed> {
        put(self.0, text.as_bytes())
    }

    fn serialize_none(self) -> Result<(), Failed> {
        absent(self.0);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failed> {
        value.serialize(self)
    }
}
