//! Bodies of requests: JSON into a type, or a problem that says what and where.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request, rejection::BytesRejection},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|error| too_large(&error))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| Problem::malformed(format!("the body: {error}")))
    }
}

/// A raw body.
pub(crate) struct Raw(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Bytes::from_request(request, state).await.map(Self).map_err(|error| too_large(&error))
    }
}

/// The query behind a path.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(query) = Query::from_request_parts(parts, state)
            .await
            .map_err(|error| Problem::malformed(format!("the query: {}", error.body_text())))?;
        Ok(Self(query))
    }
}

fn too_large(error: &BytesRejection) -> Problem {
    if error.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        rear_proto::Refusal::new(rear_proto::Code::TooLarge, "the body is larger than is allowed here").into()
    } else {
        Problem::malformed(format!("the body can not be read: {}", error.body_text()))
    }
}
