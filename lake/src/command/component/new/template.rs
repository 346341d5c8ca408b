//! A new crate's files, made of an example that is tested in this checkout.

use super::{
    Name,
    files::{PARSER, ROUTER, VENDORED},
};

/// HEP protocol type of the examples.
const PROTO_TYPE: u8 = 200;

/// The kind of component that a new crate has.
#[derive(Clone, Copy)]
pub(super) enum Template<'a> {
    /// A parser of payloads.
    Parser,
    /// A router of the rows of the parser of this name.
    Router(&'a Name),
}

impl Template<'_> {
    /// All files of the crate, by path.
    pub(super) fn files(self, Name(name): &Name, proto_type: u8) -> Vec<(&'static str, String)> {
        let ident = name.replace('-', "_");
        let render = |text: &str| {
            let text = match self {
                Self::Parser => text
                    .replace("heplake-readings", name)
                    .replace("heplake_readings", &ident)
                    .replace("\"readings\"", &format!("\"{name}\"")),
                // The longer names first: the parser's is the beginning of the router's.
                Self::Router(Name(routes)) => text
                    .replace("heplake-readings-router", name)
                    .replace("heplake_readings_router", &ident)
                    .replace("\"readings-router\"", &format!("\"{name}\""))
                    .replace("\"readings\"", &format!("\"{routes}\""))
                    .replace("`readings`", &format!("`{routes}`")),
            };
            text.replace(
                &format!("const PROTO_TYPE: u32 = {PROTO_TYPE};"),
                &format!("const PROTO_TYPE: u32 = {proto_type};"),
            )
            .replace("{proto_type}", &proto_type.to_string())
        };
        let own = match self {
            Self::Parser => PARSER,
            Self::Router(_) => ROUTER,
        };
        let own = own.iter().map(|(path, text)| (*path, render(text)));
        // Beside the SDK stands the contract, and not two directories above.
        let vendored = VENDORED.iter().map(|(path, text)| {
            let text = text.replace("path: \"../../wit\"", "path: \"../wit\"");
            (*path, text)
        });
        own.chain(vendored).collect()
    }
}
