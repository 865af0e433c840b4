//! The compiled descriptors against the tables of the wire under `tests/data`: every row must be there exactly as
//! written, and nothing may be there that no row names. A number or a type that drifts would cut us off from every
//! store, client and tool of the ecosystem without a compile error anywhere.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};

/// The tables, by the name that a failure shows.
const TABLES: [(&str, &str); 2] = [
    ("wire-pd.tsv", include_str!("data/wire-pd.tsv")),
    ("wire-etcd.tsv", include_str!("data/wire-etcd.tsv")),
];

/// The tables reach two types of Raft's own package; the rest of it travels in our envelope, which no table describes.
/// A surplus message is no error there; a surplus field of a listed message is one everywhere.
const PACKAGES_LISTED_IN_PART: [&str; 1] = ["eraftpb"];

/// One statement about the wire, in the words of the tables.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Row {
    Rpc { service: String, method: String, request: String, response: String },
    Field { message: String, number: u32, name: String, kind: String, label: String, oneof: String },
    EnumValue { enumeration: String, number: i32, name: String },
    EmptyMessage { message: String },
}

impl Row {
    /// Reads one line; `None` for comments and blank lines.
    ///
    /// # Errors
    /// Names the line when it is no row of a kind known here.
    fn parse(line: &str) -> Result<Option<Row>, String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let columns: Vec<&str> = line.split('\t').collect();
        let own = |column: &str| column.to_string();
        Ok(Some(match columns.as_slice() {
            ["rpc", service, method, request, response] => Row::Rpc {
                service: own(service),
                method: own(method),
                request: own(request),
                response: own(response),
            },
            ["field", message, number, name, kind, label, oneof] => Row::Field {
                message: own(message),
                number: number.parse().map_err(|_| format!("no field number: {line:?}"))?,
                name: own(name),
                kind: own(kind),
                label: own(label),
                oneof: own(oneof),
            },
            ["enum", enumeration, number, name] => Row::EnumValue {
                enumeration: own(enumeration),
                number: number.parse().map_err(|_| format!("no enum number: {line:?}"))?,
                name: own(name),
            },
            ["message", message, "(empty)"] => Row::EmptyMessage { message: own(message) },
            _ => return Err(format!("a row of a kind this test does not know: {line:?}")),
        }))
    }

    /// What a row is about, without what it says about it: rows of the same subject contradict each other.
    fn subject(&self) -> String {
        match self {
            Row::Rpc { service, method, .. } => format!("rpc {service}/{method}"),
            Row::Field { message, number, .. } => format!("field {number} of {message}"),
            Row::EnumValue { enumeration, number, name } => format!("enum {enumeration}.{name} = {number}"),
            Row::EmptyMessage { message } => format!("message {message}"),
        }
    }

    /// The message, service or enum that the row belongs to.
    fn owner(&self) -> &str {
        match self {
            Row::Rpc { service, .. } => service,
            Row::Field { message, .. } | Row::EmptyMessage { message } => message,
            Row::EnumValue { enumeration, .. } => enumeration,
        }
    }
}

#[test]
fn every_row_of_the_tables_is_compiled_as_written() {
    let compiled = compiled_rows();
    let by_subject: BTreeMap<String, &Row> = compiled.iter().map(|row| (row.subject(), row)).collect();
    let mut wrong = Vec::new();
    for (table, text) in TABLES {
        let rows = rows_of(text);
        assert!(rows.len() > 100, "{table} has only {} rows: was it cut?", rows.len());
        let differing = rows.iter().filter(|row| !compiled.contains(row));
        wrong.extend(differing.map(|row| match by_subject.get(&row.subject()) {
            Some(found) => format!("{table} says {row:?}, compiled is {found:?}"),
            None => format!("{table} says {row:?}, nothing of that is compiled"),
        }));
        println!("{table}: {} rows checked", rows.len());
    }
    assert!(wrong.is_empty(), "{} rows differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nothing_is_compiled_that_the_tables_do_not_name() {
    let listed: BTreeSet<Row> = TABLES.iter().flat_map(|(_, text)| rows_of(text)).collect();
    let owners: BTreeSet<&str> = listed.iter().map(Row::owner).collect();
    let packages: BTreeSet<&str> = owners.iter().map(|owner| package_of(owner)).collect();
    let surplus: Vec<String> = compiled_rows()
        .iter()
        .filter(|row| {
            let package = package_of(row.owner());
            let known_owner = owners.contains(row.owner());
            packages.contains(package) && (known_owner || !PACKAGES_LISTED_IN_PART.contains(&package))
        })
        .filter(|row| !listed.contains(row))
        .map(|row| format!("{row:?}"))
        .collect();
    println!("{} packages checked for what the tables do not name", packages.len());
    assert!(surplus.is_empty(), "{} surplus:\n{}", surplus.len(), surplus.join("\n"));
}

#[test]
fn every_file_is_proto3() {
    for file in pool().files() {
        assert_eq!(file.syntax(), prost_reflect::Syntax::Proto3, "{}", file.name());
    }
}

fn rows_of(table: &str) -> Vec<Row> {
    let rows: Result<Vec<Option<Row>>, String> = table.lines().map(Row::parse).collect();
    rows.expect("a well-formed table").into_iter().flatten().collect()
}

/// Everything compiled, in the words of the tables.
fn compiled_rows() -> BTreeSet<Row> {
    let pool = pool();
    let rpcs = pool.services().flat_map(|service| service.methods().map(|m| rpc_row(&m)).collect::<Vec<_>>());
    let messages = pool.all_messages().flat_map(|message| message_rows(&message));
    let enums = pool.all_enums().flat_map(|enumeration| enum_rows(&enumeration));
    rpcs.chain(messages).chain(enums).collect()
}

fn pool() -> DescriptorPool {
    DescriptorPool::decode(proto::DESCRIPTORS).expect("the descriptors are readable")
}

fn rpc_row(method: &MethodDescriptor) -> Row {
    let side = |streams: bool, message: MessageDescriptor| match streams {
        true => format!("stream {}", message.full_name()),
        false => message.full_name().to_string(),
    };
    Row::Rpc {
        service: method.parent_service().full_name().to_string(),
        method: method.name().to_string(),
        request: side(method.is_client_streaming(), method.input()),
        response: side(method.is_server_streaming(), method.output()),
    }
}

fn message_rows(message: &MessageDescriptor) -> Vec<Row> {
    let rows: Vec<Row> = message.fields().map(|field| field_row(&field)).collect();
    match rows.is_empty() {
        true => vec![Row::EmptyMessage { message: message.full_name().to_string() }],
        false => rows,
    }
}

fn field_row(field: &FieldDescriptor) -> Row {
    let label = match field.cardinality() {
        Cardinality::Optional => "optional",
        Cardinality::Required => "required",
        Cardinality::Repeated => "repeated",
    };
    Row::Field {
        message: field.parent_message().full_name().to_string(),
        number: field.number(),
        name: field.name().to_string(),
        kind: kind_name(&field.kind()),
        label: label.to_string(),
        oneof: field.containing_oneof().map(|oneof| oneof.name().to_string()).unwrap_or_default(),
    }
}

fn enum_rows(enumeration: &EnumDescriptor) -> Vec<Row> {
    let row = |value: prost_reflect::EnumValueDescriptor| Row::EnumValue {
        enumeration: enumeration.full_name().to_string(),
        number: value.number(),
        name: value.name().to_string(),
    };
    enumeration.values().map(row).collect()
}

fn kind_name(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => message.full_name().to_string(),
        Kind::Enum(enumeration) => enumeration.full_name().to_string(),
        Kind::Double => "double".into(),
        Kind::Float => "float".into(),
        Kind::Int32 => "int32".into(),
        Kind::Int64 => "int64".into(),
        Kind::Uint32 => "uint32".into(),
        Kind::Uint64 => "uint64".into(),
        Kind::Sint32 => "sint32".into(),
        Kind::Sint64 => "sint64".into(),
        Kind::Fixed32 => "fixed32".into(),
        Kind::Fixed64 => "fixed64".into(),
        Kind::Sfixed32 => "sfixed32".into(),
        Kind::Sfixed64 => "sfixed64".into(),
        Kind::Bool => "bool".into(),
        Kind::String => "string".into(),
        Kind::Bytes => "bytes".into(),
    }
}

/// The package of a full name: what stands before its first dot (no package of the wire has one itself).
fn package_of(full_name: &str) -> &str {
    full_name.split('.').next().unwrap_or(full_name)
}
