//! JSON Schemas from the same descriptions, for editors.

use serde_json::{Map, Value, json};

use super::{Need, Table, Type};

/// The JSON Schema of a kind of file.
pub(crate) fn schema(title: &str, root: &'static Table) -> Value {
    let mut maker = Maker { definitions: Map::new() };
    let mut schema = maker.table(root);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        schema.insert("title".to_owned(), title.into());
        schema.insert("$defs".to_owned(), Value::Object(maker.definitions));
    }
    schema
}

struct Maker {
    definitions: Map<String, Value>,
}

// === impl Maker ===

impl Maker {
    fn table(&mut self, table: &'static Table) -> Value {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for key in table.keys {
            let mut schema = self.of(key.of);
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("description".to_owned(), key.doc.into());
            }
            properties.insert(key.name.to_owned(), schema);
            if key.need == Need::Must {
                required.push(Value::from(key.name));
            }
        }
        json!({
            "type": "object",
            "description": table.what,
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }

    fn of(&mut self, of: &'static Type) -> Value {
        match of {
            Type::Text => json!({ "type": ["string", "number"] }),
            Type::Bool => json!({ "type": "boolean" }),
            Type::Integer => json!({ "type": "integer", "minimum": 0 }),
            Type::Number => json!({ "type": "number" }),
            Type::Size => json!({ "type": ["string", "integer"], "examples": ["1MiB"] }),
            Type::Period => json!({ "type": "string", "examples": ["30s", "7d"] }),
            Type::Choice(words) => json!({ "enum": words }),
            Type::Any => json!({}),
            Type::List(of) => json!({ "type": "array", "items": self.of(of) }),
            Type::Map(of) => json!({ "type": "object", "additionalProperties": self.of(of) }),
            Type::Table(table) => self.reference(table),
            Type::Either(types) => {
                let any: Vec<Value> = types.iter().map(|of| self.of(of)).collect();
                json!({ "anyOf": any })
            }
        }
    }

    /// Tables that are used within themselves make references necessary; so all but the root are definitions.
    fn reference(&mut self, table: &'static Table) -> Value {
        let name = table.what.trim_start_matches("a ").trim_start_matches("an ").replace(' ', "_");
        if !self.definitions.contains_key(&name) {
            self.definitions.insert(name.clone(), Value::Null);
            let schema = self.table(table);
            self.definitions.insert(name.clone(), schema);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }
}
