//! Names of the variants of enums, as the command-line tool and the bindings read and print them.

/// The error of parsing a name that is not the name of a variant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{enumeration} has no variant `{name}`: expected one of {}", expected.join(", "))]
#[non_exhaustive]
pub struct UnknownName {
    /// The name of the enum.
    pub enumeration: &'static str,
    /// The name that was parsed.
    pub name: String,
    /// The names of all variants.
    pub expected: &'static [&'static str],
}

/// Defines the names of an enum's variants: `name`, `Display` and `FromStr`.
macro_rules! names {
    ($type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// Returns the variant's name, which [`FromStr`](std::str::FromStr) parses.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::names::UnknownName;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                match name {
                    $($name => Ok(Self::$variant),)+
                    _ => Err($crate::names::UnknownName {
                        enumeration: stringify!($type),
                        name: name.to_owned(),
                        expected: &[$($name),+],
                    }),
                }
            }
        }
    };
}

pub(crate) use names;
