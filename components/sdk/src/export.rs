//! The exports of a component, generated from `wit/` and made of an author's type.

/// What `wit-bindgen` makes of the contract.
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
#[allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::all,
    reason = "wit-bindgen-generated code"
)]
pub mod bindings {
    pub mod parser {
        wit_bindgen::generate!({
            world: "parser",
            path: "../../wit",
            pub_export_macro: true,
            export_macro_name: "export_parser_world",
            default_bindings_module: "heplake_sdk::bindings::parser",
        });
    }
    pub mod router {
        wit_bindgen::generate!({
            world: "router",
            path: "../../wit",
            pub_export_macro: true,
            export_macro_name: "export_router_world",
            default_bindings_module: "heplake_sdk::bindings::router",
        });
    }

    pub use wit_bindgen;

    /// A parser with what is kept between calls.
    pub struct ParserState<P> {
        pub parser: P,
        pub width: usize,
    }

    impl<P: crate::Parser> Default for ParserState<P> {
        fn default() -> Self {
            // The width follows from the configuration, which is handed over before all else.
            Self {
                parser: P::default(),
                width: 0,
            }
        }
    }

    impl<P: crate::Parser> ParserState<P> {
        pub fn configure(&mut self, configuration: &str) -> Result<(), String> {
            self.parser.configure(configuration)?;
            self.width = self.parser.describe().fields.len();
            Ok(())
        }

        pub fn parse(&mut self, batch: &crate::Batch<'_>) -> crate::Parsed {
            crate::batch::run_with_width(&mut self.parser, batch, self.width)
        }
    }
}

/// Exports a [`Parser`](crate::Parser) as a component. Does nothing in a native build.
#[macro_export]
macro_rules! export_parser {
    ($parser:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, missing_docs, reason = "wit-bindgen-generated exports")]
        mod component_exports {
            use super::*;
            use ::std::cell::RefCell;
            use $crate::bindings::ParserState;

            ::std::thread_local! {
                static STATE: RefCell<ParserState<$parser>> = RefCell::default();
            }

            struct Component;

            impl $crate::bindings::parser::Guest for Component {
                fn configure(configuration: String) -> Result<(), String> {
                    STATE.with_borrow_mut(|state| state.configure(&configuration))
                }
                fn describe() -> String {
                    STATE
                        .with_borrow(|state| $crate::json(&$crate::Parser::describe(&state.parser)))
                }
                fn parse(
                    bytes: Vec<u8>,
                    ends: Vec<u32>,
                    received: Vec<u64>,
                    context: Vec<u64>,
                    context_bytes: Vec<u8>,
                ) -> (Vec<u64>, Vec<u32>, Vec<u32>, Vec<u8>) {
                    let batch = $crate::Batch {
                        bytes: bytes.into(),
                        ends: ends.into(),
                        received: received.into(),
                        context: context.into(),
                        context_bytes: context_bytes.into(),
                    };
                    let parsed = STATE.with_borrow_mut(|state| state.parse(&batch));
                    (parsed.cells, parsed.items, parsed.verdicts, parsed.scratch)
                }
            }

            $crate::bindings::parser::export_parser_world!(Component);
        }
    };
}

/// Exports a [`Router`](crate::Router) as a component. Does nothing in a native build.
#[macro_export]
macro_rules! export_router {
    ($router:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, missing_docs, reason = "wit-bindgen-generated exports")]
        mod component_exports {
            use super::*;
            use ::std::cell::RefCell;

            ::std::thread_local! {
                static ROUTER: RefCell<$router> = RefCell::default();
            }

            struct Component;

            impl $crate::bindings::router::Guest for Component {
                fn configure(configuration: String) -> Result<(), String> {
                    ROUTER
                        .with_borrow_mut(|router| $crate::Router::configure(router, &configuration))
                }
                fn describe() -> String {
                    ROUTER.with_borrow(|router| $crate::json(&$crate::Router::describe(router)))
                }
                fn route(bytes: Vec<u8>, cells: Vec<u64>, rows: u32) -> Vec<u32> {
                    let batch = $crate::RouteBatch {
                        bytes: &bytes,
                        cells: &cells,
                        rows,
                    };
                    ROUTER.with_borrow_mut(|router| $crate::route(router, &batch))
                }
            }

            $crate::bindings::router::export_router_world!(Component);
        }
    };
}
