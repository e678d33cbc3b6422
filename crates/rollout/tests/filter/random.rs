//! Text and filter are inverse.

use otaru_rollout::filter::{Condition, Field, Filter, Moment, Order, Status, TimeField};
use proptest::prelude::*;

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        Just(Field::Name),
        Just(Field::Group),
        "[a-zA-Z0-9._-]{1,9}".prop_map(Field::Tag),
        "[a-zA-Z0-9._-]{1,9}".prop_map(Field::Module),
    ]
}

fn moment() -> impl Strategy<Value = Moment> {
    prop_oneof![
        (0..=253_402_300_799_999_i64).prop_map(Moment::At),
        (0..100 * 366 * 86_400_i64).prop_map(|seconds| Moment::Ago(seconds * 1_000)),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let text = prop_oneof!["[a-z]{0,5}", "[^\0]{0,5}", Just("or".to_owned())];
    let order = prop::sample::select(Order::ALL.to_vec());
    prop_oneof![
        (field(), prop::collection::vec(text, 1..4))
            .prop_map(|(field, values)| Condition::OneOf { field, values }),
        "[a-zA-Z0-9*?_@.:-]{1,9}".prop_map(Condition::Like),
        any::<bool>().prop_map(Condition::Enabled),
        prop::collection::vec(prop::sample::select(Status::ALL.to_vec()), 1..4).prop_map(Condition::Status),
        (prop::bool::ANY, order, moment()).prop_map(|(seen, order, at)| {
            let field = if seen { TimeField::LastSeen } else { TimeField::Created };
            Condition::Time { field, order, at }
        }),
        "[a-zA-Z0-9._-]{1,9}".prop_map(Condition::HasTag),
        "[a-zA-Z0-9._-]{1,9}".prop_map(Condition::HasModule),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    condition().prop_map(Filter::Is).prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::Or),
            inner.prop_map(|one| Filter::Not(Box::new(one))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(filter in filter()) {
        let text = filter.to_string();
        prop_assert_eq!(Filter::parse(&text), Ok(filter), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused_in_its_place(text in "([ ()'\",=!<>a-z0-9.-]|and |tag\\.a|has |\\PC){0,60}") {
        match Filter::parse(&text) {
            Ok(filter) => prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter)),
            Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.at)),
        }
    }
}
