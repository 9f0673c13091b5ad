//! What every store does, whatever keeps its tables. Each part gets a store of its own.

pub(crate) mod general;
pub(crate) mod workspaces;

/// Runs all of it on one backend.
#[macro_export]
macro_rules! store_contract {
    ($name:ident, $backend:expr) => {
        mod $name {
            $crate::store_contract_parts!($backend;
                general {
                    makes_finds_and_keeps,
                    etags_and_preconditions,
                    observers_hear_in_order_after_publication,
                    many_at_once_are_all_or_nothing,
                    declares_once,
                    refuses_after_close,
                }
                workspaces {
                    come_with_defaults,
                    get_free_handles,
                    never_move,
                    keep_what_is_not_said,
                    say_everything_that_is_wrong,
                    managed_resources_change_with_them_alone,
                    have_limits,
                }
            );
        }
    };
}

/// One test for each part.
#[macro_export]
macro_rules! store_contract_parts {
    ($backend:expr; $($module:ident { $($part:ident,)* })*) => {
        $(mod $module {
            $(#[test]
            fn $part() {
                $crate::contract::$module::$part($crate::fixture::Fixture::new($backend));
            })*
        })*
    };
}
