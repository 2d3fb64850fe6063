//! Numbers without a sign in the API's description. The schema of a `u32` comes with the format `int32`, which ends where
//! the upper half of its values begins.

use utoipa::Number;
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems};
use utoipa::openapi::{KnownFormat, RefOr, Schema, SchemaFormat};

/// The format of a `u32`.
pub fn uint32() -> SchemaFormat {
    SchemaFormat::Custom("uint32".to_owned())
}

/// Gives every number from 0 on that is described as `int32` the format `uint32`.
pub(super) fn widen(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            let unsigned = match &object.minimum {
                Some(Number::Int(least)) => *least >= 0,
                Some(Number::UInt(_)) => true,
                Some(Number::Float(least)) => *least >= 0.0,
                None => false,
            };
            if unsigned && object.format == Some(SchemaFormat::KnownFormat(KnownFormat::Int32)) {
                object.format = Some(uint32());
            }
            object.properties.values_mut().for_each(widen);
            if let Some(AdditionalProperties::RefOr(values)) = object.additional_properties.as_deref_mut() {
                widen(values);
            }
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                widen(items);
            }
        }
        Schema::OneOf(some) => some.items.iter_mut().for_each(widen),
        Schema::AllOf(all) => all.items.iter_mut().for_each(widen),
        Schema::AnyOf(some) => some.items.iter_mut().for_each(widen),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;

    use super::*;

    #[derive(utoipa::ToSchema)]
    #[expect(dead_code, reason = "it is only described")]
    struct Numbers {
        unsigned: u32,
        signed: i32,
        many: Vec<Option<u32>>,
    }

    #[test]
    fn a_number_without_a_sign_is_no_int32() {
        let mut schema = Numbers::schema();
        widen(&mut schema);
        let json = serde_json::to_value(&schema).unwrap();
        let format = |pointer: &str| json.pointer(pointer).and_then(|format| format.as_str());
        assert_eq!(format("/properties/unsigned/format"), Some("uint32"));
        assert_eq!(format("/properties/signed/format"), Some("int32"));
        assert_eq!(format("/properties/many/items/format"), Some("uint32"));
    }
}
