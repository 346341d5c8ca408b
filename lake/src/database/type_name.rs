//! DuckDB's names of types, as DESCRIBE gives them.

use duckdb::core::{LogicalTypeHandle, LogicalTypeId};

/// The name of a type.
pub(super) fn type_name(of: &LogicalTypeHandle) -> String {
    // JSON is text by another name.
    if let Some(alias) = of.get_alias() {
        return alias;
    }
    let child = |index| type_name(&of.child(index));
    let fields = || {
        let field = |index| format!("\"{}\" {}", of.child_name(index), child(index));
        let fields = (0..of.num_children()).map(field);
        fields.collect::<Vec<_>>().join(", ")
    };
    let name = match of.id() {
        LogicalTypeId::Decimal => {
            return format!("DECIMAL({},{})", of.decimal_width(), of.decimal_scale());
        }
        LogicalTypeId::List | LogicalTypeId::Array => return format!("{}[]", child(0)),
        LogicalTypeId::Map => return format!("MAP({}, {})", child(0), child(1)),
        LogicalTypeId::Struct => return format!("STRUCT({})", fields()),
        LogicalTypeId::Union => return format!("UNION({})", fields()),
        LogicalTypeId::TimestampTZ => "TIMESTAMP WITH TIME ZONE",
        LogicalTypeId::TimeTZ => "TIME WITH TIME ZONE",
        LogicalTypeId::TimestampS => "TIMESTAMP_S",
        LogicalTypeId::TimestampMs => "TIMESTAMP_MS",
        LogicalTypeId::TimestampNs => "TIMESTAMP_NS",
        // The others are called as the crate calls them.
        other => return format!("{other:?}").to_ascii_uppercase(),
    };
    name.into()
}
