//! What every store does, whatever keeps its tables. Each part gets a store of its own.

pub(crate) mod assignments;
pub(crate) mod audit;
pub(crate) mod deletion;
pub(crate) mod general;
pub(crate) mod groups;
pub(crate) mod principals;
pub(crate) mod rules;
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
                groups {
                    need_their_subscription,
                    go_with_everything_in_them,
                    stay_while_others_need_what_is_inside,
                }
                deletion {
                    takes_and_restores_everything,
                    frees_names_at_once,
                    lets_go_of_rules_and_gets_them_back,
                    ends_for_good,
                    of_endpoints_waits_for_rules,
                }
                rules {
                    route_to_workspaces,
                    say_everything_that_is_wrong,
                    keep_what_is_not_served,
                    outlive_their_destination,
                }
                assignments {
                    are_unique_and_never_change,
                    need_their_scope,
                    are_found_by_principal,
                    go_with_their_scope,
                }
                principals {
                    applications_keep_digests_only,
                    identities_are_found_by_their_ids,
                    certificates_change_all_or_nothing,
                    credentials_have_bounds,
                }
                audit {
                    says_who_what_and_from_where,
                    takes_notes_of_what_changes_nothing_here,
                    pages_backwards,
                    forgets_in_time,
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
