//! Codes without a number: words that programs may rely on, each of which has a page under `docs/codes`.
//!
//! A code is a value of an enum and never a bare text, so that there is a list of all of them, and no code can be told that
//! is not in it. Rejected: constants of text, of which nobody can say whether the list is whole.

/// Writes an enum whose variants each have one stable code: `ALL`, `as_str`, `from_code` and `Display` come with it.
#[macro_export]
macro_rules! code_enum {
    ($(#[$doc:meta])* $vis:vis enum $name:ident { $($(#[$vdoc:meta])* $variant:ident $code:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $($(#[$vdoc])* $variant),+ }

        #[allow(dead_code, reason = "one that a crate keeps to itself need not use all of them")]
        impl $name {
            /// Every code.
            $vis const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as it is told.
            #[must_use]
            $vis const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The value of a code.
            #[must_use]
            $vis fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

#[cfg(test)]
mod tests {
    code_enum! {
        /// Two of them.
        pub(crate) enum Two {
            /// One.
            One "one",
            /// The other.
            Other "the_other",
        }
    }

    #[test]
    fn every_code_leads_back_to_its_value() {
        assert_eq!(Two::ALL, [Two::One, Two::Other]);
        for two in Two::ALL {
            assert_eq!(Two::from_code(two.as_str()), Some(*two));
        }
        assert_eq!((Two::from_code("three"), format!("{:>10}", Two::Other)), (None, " the_other".to_owned()));
    }
}
