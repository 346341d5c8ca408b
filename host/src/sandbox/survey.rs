//! What a component is, whatever its world: for those who look at a file.

use super::{
    engine::{Compiled, ComponentError, Engine, Limits, World},
    parser::ParserComponent,
    router::RouterComponent,
};
use wasmtime::component::types::{ComponentItem, Type};

/// A component of either world.
#[derive(Clone)]
pub enum AnyComponent {
    /// A parser.
    Parser(ParserComponent),
    /// A router.
    Router(RouterComponent),
}

impl AnyComponent {
    /// Makes an instance of a compiled component, of the world that its exports tell,
    /// configures it, and reads its description. `configuration` is a JSON object.
    ///
    /// # Errors
    /// Says what of the contract it does not keep.
    pub fn of(
        compiled: Compiled,
        configuration: &str,
        limits: Limits,
    ) -> Result<Self, ComponentError> {
        Ok(match compiled.world()? {
            World::Parser => Self::Parser(ParserComponent::of(compiled, configuration, limits)?),
            World::Router => Self::Router(RouterComponent::of(compiled, configuration, limits)?),
        })
    }
}

/// An export of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// Its type, as WIT writes it.
    pub signature: String,
}

/// A component, and what it exports.
#[derive(Clone)]
pub struct Survey {
    /// The component, loaded as the edge loads it.
    pub component: AnyComponent,
    /// What it exports.
    pub exports: Vec<Export>,
}

impl Survey {
    /// Loads a component, of the world that its exports tell. `configuration` is a JSON object.
    ///
    /// # Errors
    /// Says what of the contract it does not keep.
    pub fn of(
        engine: &Engine,
        bytes: &[u8],
        configuration: &str,
        limits: Limits,
    ) -> Result<Self, ComponentError> {
        let compiled = engine.compile(bytes)?;
        let exports = compiled
            .exports()
            .into_iter()
            .map(|(name, item)| Export {
                signature: signature(&item),
                name,
            })
            .collect();
        let component = AnyComponent::of(compiled, configuration, limits)?;
        Ok(Self { component, exports })
    }
}

/// The type of an export, as WIT writes it. What no world of the contract exports is only named.
fn signature(item: &ComponentItem) -> String {
    let ComponentItem::ComponentFunc(function) = item else {
        return "not a function".into();
    };
    let params: Vec<String> = function
        .params()
        .map(|(name, of)| format!("{name}: {}", type_name(&of)))
        .collect();
    let results: Vec<String> = function.results().map(|of| type_name(&of)).collect();
    let arrow = if results.is_empty() { "" } else { " -> " };
    format!("func({}){arrow}{}", params.join(", "), results.join(", "))
}

fn type_name(of: &Type) -> String {
    match of {
        Type::Bool => "bool".into(),
        Type::S8 => "s8".into(),
        Type::U8 => "u8".into(),
        Type::S16 => "s16".into(),
        Type::U16 => "u16".into(),
        Type::S32 => "s32".into(),
        Type::U32 => "u32".into(),
        Type::S64 => "s64".into(),
        Type::U64 => "u64".into(),
        Type::Float32 => "f32".into(),
        Type::Float64 => "f64".into(),
        Type::Char => "char".into(),
        Type::String => "string".into(),
        Type::List(list) => format!("list<{}>", type_name(&list.ty())),
        Type::Option(option) => format!("option<{}>", type_name(&option.ty())),
        Type::Tuple(tuple) => {
            let types: Vec<String> = tuple.types().map(|of| type_name(&of)).collect();
            format!("tuple<{}>", types.join(", "))
        }
        Type::Result(result) => {
            let ok = result.ok().map_or_else(|| "_".into(), |of| type_name(&of));
            match result.err() {
                Some(error) => format!("result<{ok}, {}>", type_name(&error)),
                None if ok == "_" => "result".into(),
                None => format!("result<{ok}>"),
            }
        }
        _ => "…".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heplake_components::shipped;

    fn survey(bytes: &[u8]) -> Result<Survey, ComponentError> {
        Survey::of(&Engine::new().unwrap(), bytes, "{}", Limits::default())
    }

    #[test]
    fn exports_read_as_the_contract_writes_them() {
        let written = include_str!("../../../wit/heplake.wit");
        let (parser, router) = written.split_once("world router").unwrap();
        for (name, world) in [("hep", parser), ("sip", parser), ("sip-router", router)] {
            let survey = survey(shipped(name).unwrap().bytes).unwrap();
            assert_eq!(
                matches!(survey.component, AnyComponent::Router(_)),
                name == "sip-router"
            );
            // Blanks and the last comma are a matter of layout.
            let plain = |text: &str| text.replace(char::is_whitespace, "").replace(",)", ")");
            assert_eq!(survey.exports.len(), 3);
            for Export { name, signature } in &survey.exports {
                let export = plain(&format!("export {name}: {signature};"));
                assert!(plain(world).contains(&export), "{export}");
            }
        }
    }

    #[test]
    fn a_component_of_no_world_is_refused() {
        // The smallest component: its header.
        let refused = survey(b"\0asm\x0d\0\x01\0").map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("no function"), "{refused}");
        let refused = survey(b"\0asm\x01\0\0\0").map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("not a valid"), "{refused}");
    }
}
