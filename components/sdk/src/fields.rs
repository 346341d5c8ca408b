//! A table of fields that names each once.

/// Makes, of lines `NAME, "name", Kind;`, a public constant for the place of each field,
/// `COUNT`, and a function `fields()` that gives the [`Field`](crate::Field)s in that
/// order: the places can not drift from the description.
///
/// ```
/// mod field {
///     heplake_sdk::fields! {
///         /// The key.
///         KEY, "key", Text;
///         /// The value.
///         VALUE, "value", Number;
///     }
/// }
/// assert_eq!((field::KEY, field::VALUE, field::COUNT), (0, 1, 2));
/// assert_eq!(field::fields().nth(1).map(|field| field.name), Some("value".into()));
/// ```
#[macro_export]
macro_rules! fields {
    ($($(#[$doc:meta])* $constant:ident, $name:literal, $kind:ident;)*) => {
        #[allow(
            non_camel_case_types,
            clippy::upper_case_acronyms,
            reason = "places are named as the constants are"
        )]
        enum Place { $($constant),* }

        $($(#[$doc])* pub const $constant: usize = Place::$constant as usize;)*

        /// Number of fields.
        pub const COUNT: usize = [$(Place::$constant as usize),*].len();

        /// All fields, in the order of their places.
        pub fn fields() -> impl Iterator<Item = $crate::Field> {
            [$(($name, $crate::Kind::$kind)),*]
                .into_iter()
                .map(|(name, kind)| $crate::Field::new(name, kind))
        }
    };
}
