//! Refusals and mistakes as problem documents (RFC 9457).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rear_proto::{Code, Refusal};
use serde_json::json;

use crate::host::Ended;

/// A problem document to be.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    reason: &'static str,
    retry_after: Option<kernel::Span>,
}

impl Problem {
    /// The caller does not bear the token.
    pub(crate) fn unauthorised() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            title: "no valid token",
            detail: "send `Authorization: Bearer` with the token in the data directory's file api.token".to_owned(),
            reason: "Unauthorised",
            retry_after: None,
        }
    }

    /// The request makes no sense.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Refusal::new(Code::Malformed, detail).into()
    }

    /// There is nothing at this path.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Refusal::new(Code::NotFound, detail).into()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let code = refusal.code();
        Self {
            status: status_of(code),
            title: code.sentence(),
            detail: refusal.text(),
            reason: code.name(),
            retry_after: refusal.retry_after,
        }
    }
}

impl From<Ended> for Problem {
    fn from(ended: Ended) -> Self {
        Refusal::new(Code::Unavailable, ended.to_string()).into()
    }
}

const fn status_of(code: Code) -> StatusCode {
    match code {
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Malformed | Code::BelowMinimum | Code::NotAStep | Code::CurrencyMismatch | Code::UnsupportedVersion => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::NotAMember | Code::NotShared | Code::QuotaExceeded => StatusCode::FORBIDDEN,
        Code::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        Code::Timeout => StatusCode::GATEWAY_TIMEOUT,
        Code::Storage => StatusCode::INSUFFICIENT_STORAGE,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::PriceTooLow
        | Code::Expired
        | Code::Closed
        | Code::KeyReused
        | Code::LoopDetected
        | Code::HopLimit
        | Code::ClockSkew => StatusCode::CONFLICT,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "reason": self.reason,
            "retryAfterMs": self.retry_after.map(|span| span.0),
        });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(span) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(span.0.div_ceil(1000)));
        }
        response
    }
}
