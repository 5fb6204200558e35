//! offer
/// x
#[derive(Debug, Clone)]
pub struct Offer;
