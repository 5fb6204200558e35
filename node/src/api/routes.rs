//! The handlers: each reads a request, puts it to the mind, and shows the answer.

use std::{str::FromStr, sync::Arc, time::Duration};

use agent::{Command, Managers, Response as Told};
use axum::{
    extract::{Path, State as Extract},
    http::StatusCode,
};
use kernel::{ContractId, FlavourId, IntentId, Key, NodeId, Quantity, Resources, Span, Time};
use orchestrator::intent::Intent;
use rear::offer::Offer;
use rear_proto::{Mode, Selector, membership::Role};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    State,
    body::{Asked, Json, Raw},
    problem::Problem,
    view,
};

/// What a handler gives.
pub(crate) type Answer = Result<axum::Json<Value>, Problem>;

/// The longest that an answer is held back for a change.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

// -- tables ---------------------------------------------------------------------------------------------------

/// Shows a table, as `look` renders it.
async fn table(state: &State, look: fn(&Managers, Time) -> Value) -> Answer {
    Ok(axum::Json(state.0.mind.look(look).await?))
}

pub(crate) async fn status(Extract(state): Extract<State>) -> Answer {
    let (id, domain, starts) = (state.0.id, state.0.domain, state.0.starts);
    let overloaded = state.0.mind.overloaded();
    let mut status = state.0.mind.look(move |managers, now| view::status(managers, now, &domain)).await?;
    if let Some(fields) = status.as_object_mut() {
        fields.insert("id".to_owned(), json!(id.to_string()));
        fields.insert("starts".to_owned(), json!(starts));
        fields.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
        fields.insert("turnedAway".to_owned(), json!(overloaded));
    }
    Ok(axum::Json(json!([status])))
}

pub(crate) async fn peers(Extract(state): Extract<State>) -> Answer {
    table(&state, view::peers).await
}

pub(crate) async fn members(Extract(state): Extract<State>) -> Answer {
    table(&state, view::members).await
}

pub(crate) async fn flavours(Extract(state): Extract<State>) -> Answer {
    table(&state, view::flavours).await
}

pub(crate) async fn candidates(Extract(state): Extract<State>) -> Answer {
    table(&state, view::candidates).await
}

pub(crate) async fn reservations(Extract(state): Extract<State>) -> Answer {
    table(&state, view::reservations).await
}

pub(crate) async fn contracts(Extract(state): Extract<State>) -> Answer {
    table(&state, view::contracts).await
}

pub(crate) async fn allocations(Extract(state): Extract<State>) -> Answer {
    table(&state, view::allocations).await
}

pub(crate) async fn routers(Extract(state): Extract<State>) -> Answer {
    table(&state, view::routers).await
}

pub(crate) async fn ratings(Extract(state): Extract<State>) -> Answer {
    table(&state, view::ratings).await
}

pub(crate) async fn intents(Extract(state): Extract<State>) -> Answer {
    table(&state, view::intents).await
}

// -- intents --------------------------------------------------------------------------------------------------

/// A component that was handed over.
pub(crate) async fn upload(Extract(state): Extract<State>, Raw(bytes): Raw) -> Answer {
    let size = bytes.len();
    let cache = Arc::clone(&state.0.cache);
    // Hashing and writing megabytes is no work for the tasks that serve.
    let kept = tokio::task::spawn_blocking(move || {
        runtime::inspect(&bytes).map_err(|error| Problem::malformed(error.to_string()))?;
        cache.put(&bytes).map_err(|error| Problem::malformed(error.to_string()))
    });
    let digest = kept.await.map_err(|error| Problem::malformed(error.to_string()))??;
    Ok(axum::Json(json!({ "digest": digest.to_string(), "size": size })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubmitBody {
    intent: Intent,
    contract: Option<String>,
}

pub(crate) async fn submit(Extract(state): Extract<State>, Json(body): Json<SubmitBody>) -> Answer {
    let contract = body.contract.map(|id| read::<ContractId>(&id)).transpose()?;
    let id = IntentId(rand::random());
    let command = Command::Submit { id, intent: body.intent, contract };
    state.0.mind.command(command).await?;
    Ok(axum::Json(json!({ "id": id.to_string() })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Wait {
    after: Option<u64>,
    wait_ms: Option<u64>,
}

pub(crate) async fn intent(Extract(state): Extract<State>, Path(id): Path<String>, Asked(wait): Asked<Wait>) -> Answer {
    let id = read::<IntentId>(&id)?;
    if let Some(after) = wait.after {
        let time = Duration::from_millis(wait.wait_ms.unwrap_or(0)).min(LONGEST_WAIT);
        state.0.seen.wait(&id, after, time).await;
    }
    // Read before looking: a change in between is then seen again, and never missed.
    let version = state.0.seen.of(&id);
    let seen = state.0.mind.look(move |managers, _| view::intent(managers, &id)).await?;
    let mut intent = seen.ok_or_else(|| Problem::not_found(format!("there is no intent {id}")))?;
    if let Some(fields) = intent.as_object_mut() {
        fields.insert("version".to_owned(), json!(version));
    }
    Ok(axum::Json(intent))
}

pub(crate) async fn delete_intent(Extract(state): Extract<State>, Path(id): Path<String>) -> Answer {
    let id = read::<IntentId>(&id)?;
    state.0.mind.command(Command::Delete(id)).await?;
    Ok(axum::Json(json!({ "id": id.to_string() })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LogsQuery {
    workload: Option<String>,
    #[serde(default)]
    from: u64,
    #[serde(default)]
    wait_ms: u64,
}

pub(crate) async fn logs(
    Extract(state): Extract<State>,
    Path(id): Path<String>,
    Asked(query): Asked<LogsQuery>,
) -> Answer {
    let intent = read::<IntentId>(&id)?;
    let longest = u64::try_from(LONGEST_WAIT.as_millis()).unwrap_or(u64::MAX);
    let wait = Span::millis(query.wait_ms.min(longest));
    let command = Command::Logs { intent, workload: query.workload, from: query.from, wait };
    match state.0.mind.command(command).await? {
        Told::Logs(lines, next) => Ok(axum::Json(view::logs(&lines, next))),
        other => Err(unexpected(&other)),
    }
}

// -- the market -----------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiscoverBody {
    #[serde(default)]
    selector: String,
    limit: Option<usize>,
    #[serde(default)]
    explain: bool,
}

/// As many flavours as `discover` shows where nothing is said, and at most.
const DISCOVER_LIMIT: usize = 256;

pub(crate) async fn discover(Extract(state): Extract<State>, Json(body): Json<DiscoverBody>) -> Answer {
    let selector = Selector::from_str(&body.selector).map_err(|error| Problem::malformed(error.to_string()))?;
    let k = body.limit.unwrap_or(DISCOVER_LIMIT).clamp(1, DISCOVER_LIMIT);
    let command = Command::Discover { selector, k, explain: body.explain };
    match state.0.mind.command(command).await? {
        Told::Discovered(found) => {
            let shown = state.0.mind.look(move |managers, now| view::discovered(managers, now, &found)).await?;
            Ok(axum::Json(shown))
        }
        other => Err(unexpected(&other)),
    }
}

pub(crate) async fn offer(Extract(state): Extract<State>, Json(offer): Json<Offer>) -> Answer {
    rear(state.0.mind.command(Command::Offer(Box::new(offer))).await?)
}

pub(crate) async fn withdraw(Extract(state): Extract<State>, Path(id): Path<String>) -> Answer {
    rear(state.0.mind.command(Command::Withdraw(read::<FlavourId>(&id)?)).await?)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ReserveBody {
    flavour: String,
    provider: Option<String>,
    #[serde(default)]
    resources: Amounts,
    #[serde(default)]
    hold: bool,
    #[serde(default = "an_hour")]
    term: Span,
    #[serde(default = "five_minutes")]
    activate_within: Span,
}

pub(crate) const fn an_hour() -> Span {
    Span::secs(3600)
}

const fn five_minutes() -> Span {
    Span::secs(300)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Amounts {
    cpu: Option<Quantity>,
    memory: Option<Quantity>,
    pods: Option<Quantity>,
    storage: Option<Quantity>,
    gpu: Option<Quantity>,
}

pub(crate) async fn reserve(Extract(state): Extract<State>, Json(body): Json<ReserveBody>) -> Answer {
    let Amounts { cpu, memory, pods, storage, gpu } = body.resources;
    // Amounts that are named are meant: they are asked for as they are, and refused where they are no partition.
    let exactly = [cpu, memory, storage, gpu].iter().any(Option::is_some);
    let need = Resources {
        cpu: cpu.unwrap_or_default(),
        memory: memory.unwrap_or_default(),
        pods: pods.unwrap_or(Quantity::units(1)),
        storage: storage.unwrap_or_default(),
        gpu: gpu.unwrap_or_default(),
    };
    let command = Command::Reserve {
        flavour: read(&body.flavour)?,
        provider: body.provider.map(|node| read::<NodeId>(&node)).transpose()?,
        need,
        exactly,
        mode: if body.hold { Mode::Hold } else { Mode::Direct },
        term: body.term,
        activate_within: body.activate_within,
        key: Key(rand::random()),
    };
    rear(state.0.mind.command(command).await?)
}

pub(crate) async fn purchase(Extract(state): Extract<State>, Path(id): Path<String>) -> Answer {
    rear(state.0.mind.command(Command::Purchase(read::<Key>(&id)?)).await?)
}

pub(crate) async fn renew(Extract(state): Extract<State>, Path(id): Path<String>) -> Answer {
    state.0.mind.command(Command::Renew(read::<ContractId>(&id)?)).await?;
    Ok(axum::Json(json!({ "contract": id, "renewed": true })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseBody {
    id: String,
}

pub(crate) async fn release(Extract(state): Extract<State>, Json(body): Json<ReleaseBody>) -> Answer {
    rear(state.0.mind.command(Command::Release(read::<Key>(&body.id)?.0)).await?)
}

/// Shows what REAR said.
fn rear(told: Told) -> Answer {
    match told {
        Told::Rear(response) => Ok(axum::Json(view::rear_response(&response))),
        other => Err(unexpected(&other)),
    }
}

// -- the domain -----------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InviteBody {
    role: Option<Role>,
    ttl: Option<Span>,
}

pub(crate) async fn invite(Extract(state): Extract<State>, Json(body): Json<InviteBody>) -> Answer {
    let role = body.role.unwrap_or(Role::Node);
    let command = Command::Invite { role, ttl: body.ttl.unwrap_or_else(an_hour) };
    match state.0.mind.command(command).await? {
        Told::Invited(token) => Ok(axum::Json(json!({
            "token": token.to_string(),
            "domain": token.domain.name,
            "role": token.role.name(),
            "issuer": token.issuer.node.to_string(),
        }))),
        other => Err(unexpected(&other)),
    }
}

pub(crate) async fn remove(Extract(state): Extract<State>, Path(node): Path<String>) -> Answer {
    state.0.mind.command(Command::Remove(read::<NodeId>(&node)?)).await?;
    Ok(axum::Json(json!({ "node": node, "removed": true })))
}

// -- the machine ----------------------------------------------------------------------------------------------

pub(crate) async fn healthy() -> &'static str {
    "ok\n"
}

/// Ready when the mind answers.
pub(crate) async fn ready(Extract(state): Extract<State>) -> Result<&'static str, StatusCode> {
    state.0.mind.look(|_, _| ()).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok("ready\n")
}

pub(crate) async fn unknown(uri: axum::http::Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}", uri.path()))
}

/// Reads an id of the kind wanted.
fn read<T: FromStr<Err = kernel::ParseIdError>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: kernel::ParseIdError| Problem::malformed(error.to_string()))
}

/// What the mind said is no answer to what was asked.
pub(crate) fn unexpected(told: &Told) -> Problem {
    tracing::error!(?told, "the mind gave an answer of another kind");
    Problem::malformed("the node gave an answer of another kind")
}
