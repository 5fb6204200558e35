//! intent
/// x
#[derive(Debug, Clone)]
pub struct Intent;
