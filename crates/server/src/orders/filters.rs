//! Filters that operators write.

use rollout::filter::Filter;
use rollout::{Ms, Product};
use store::{Selection, Tx};

use super::failed;
use crate::error::OrderError;

/// Reads a filter over the devices of a product.
pub(super) async fn selection_in(
    tx: &mut Tx,
    product: &Product,
    text: &str,
    now: Ms,
) -> Result<Selection, OrderError> {
    let filter = parsed(text)?;
    let selection = store::groups::selection(tx, product.id, filter, now).await;
    let selection = selection.map_err(failed("read groups"))?;
    check_groups(tx, product, &selection).await?;
    Ok(selection)
}

fn parsed(text: &str) -> Result<Filter, OrderError> {
    Filter::parse(text).map_err(|error| {
        OrderError::invalid("filterInvalid", format!("the filter cannot be read {error}"))
            .with("at", error.at)
            .with("found", error.found.as_str())
            .with("expected", error.expected)
    })
}

/// The groups it names are there, and none of them is a filter itself.
async fn check_groups(tx: &mut Tx, product: &Product, selection: &Selection) -> Result<(), OrderError> {
    let Some(name) = selection.filter.groups().into_iter().find(|name| !selection.groups.contains_key(*name))
    else {
        return Ok(());
    };
    let found = store::groups::get(tx, product.id, name).await.map_err(failed("read groups"))?;
    let (code, text) = match found {
        Some(group) => (
            "filterNamesFilter",
            format!(
                "the filter names the group {name:?}, which is a filter itself: write its words in place of it: {}",
                group.filter.unwrap_or_default()
            ),
        ),
        None => (
            "groupNotFound",
            format!(
                "the filter names the group {name:?}, and the product {:?} has none of that name",
                product.product_key
            ),
        ),
    };
    Err(OrderError::invalid(code, text).with("group", name))
}
