//! gRPC without generated code: any RPC of the compiled descriptors, with its messages as JSON.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::{Buf, BufMut};
use prost::Message;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions,
};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// Messages that wait in one direction of a stream. A player sends a few at a time; when it is full, sending waits.
const STREAM_BUFFER: usize = 4096;

/// How long a connection or a unary call may take before the player gives up on the server.
const PATIENCE: Duration = Duration::from_secs(20);

/// The wire as compiled.
#[derive(Debug, Clone)]
pub struct Wire {
    pool: DescriptorPool,
}

/// What an RPC takes and gives.
#[derive(Debug, Clone)]
pub struct Rpc {
    path: http::uri::PathAndQuery,
    /// The request's type.
    pub request: MessageDescriptor,
    /// The answer's type.
    pub answer: MessageDescriptor,
    /// Whether the client sends a stream.
    pub client_streams: bool,
    /// Whether the server sends a stream.
    pub server_streams: bool,
}

impl Wire {
    /// The wire of the crate `proto`.
    ///
    /// # Errors
    /// Only when the descriptors that were compiled in cannot be read.
    pub fn compiled() -> Result<Wire> {
        Ok(Wire { pool: DescriptorPool::decode(proto::DESCRIPTORS)? })
    }

    /// The RPC of a name such as `pdpb.PD/GetMembers`.
    ///
    /// # Errors
    /// When no service or method is called so.
    pub fn rpc(&self, name: &str) -> Result<Rpc> {
        let (service, method) =
            name.split_once('/').with_context(|| format!("{name} is not service/method"))?;
        let service =
            self.pool.get_service_by_name(service).with_context(|| format!("no service {service}"))?;
        let method =
            service.methods().find(|m| m.name() == method).with_context(|| format!("no rpc {name}"))?;
        Ok(Rpc {
            path: format!("/{name}").parse()?,
            request: method.input(),
            answer: method.output(),
            client_streams: method.is_client_streaming(),
            server_streams: method.is_server_streaming(),
        })
    }

    /// The message type of a full name.
    ///
    /// # Errors
    /// When there is none.
    pub fn message(&self, name: &str) -> Result<MessageDescriptor> {
        self.pool.get_message_by_name(name).with_context(|| format!("no message {name}"))
    }
}

/// Reads protobuf's JSON. Unknown fields are refused: a record that the descriptors do not cover must not be cut short.
///
/// # Errors
/// Names the type and the JSON that does not fit it.
pub fn from_json(kind: &MessageDescriptor, json: &Value) -> Result<DynamicMessage> {
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    DynamicMessage::deserialize_with_options(kind.clone(), json, &options)
        .with_context(|| format!("{} from {json}", kind.full_name()))
}

/// Writes protobuf's JSON: names as in the .proto files, 64-bit numbers as strings, nothing that is zero.
///
/// # Errors
/// When the message holds what JSON cannot say.
pub fn to_json(message: &DynamicMessage) -> Result<Value> {
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .skip_default_fields(true)
        .stringify_64_bit_integers(true);
    Ok(message.serialize_with_options(serde_json::value::Serializer, &options)?)
}

/// One HTTP/2 connection to a server.
#[derive(Debug, Clone)]
pub struct Connection {
    channel: Channel,
    wire: Wire,
}

impl Connection {
    /// Connects to `address` (`host:port`) at once.
    ///
    /// # Errors
    /// When nobody answers there.
    pub async fn open(wire: &Wire, address: &str) -> Result<Connection> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .tcp_nodelay(true)
            .connect_timeout(PATIENCE)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(3))
            .keep_alive_while_idle(true);
        let channel = endpoint.connect().await.with_context(|| format!("connecting to {address}"))?;
        Ok(Connection { channel, wire: wire.clone() })
    }

    /// One question, one answer.
    ///
    /// # Errors
    /// The server's status; `DeadlineExceeded` when it says nothing within the player's patience.
    pub async fn ask(&self, rpc: &Rpc, request: DynamicMessage) -> Result<DynamicMessage, Status> {
        let mut client = Grpc::new(self.channel.clone()).max_decoding_message_size(usize::MAX);
        let call = async {
            client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let codec = DynamicCodec { answer: rpc.answer.clone() };
            client.unary(Request::new(request), rpc.path.clone(), codec).await
        };
        let answer = tokio::time::timeout(PATIENCE, call).await;
        answer
            .map_err(|_| Status::deadline_exceeded("no answer within the player's patience"))?
            .map(tonic::Response::into_inner)
    }

    /// One question in JSON, one answer in JSON; a status becomes an error that names the call.
    ///
    /// # Errors
    /// When the JSON does not fit the RPC, or the server answers with a status.
    pub async fn ask_json(&self, name: &str, request: &Value) -> Result<Value> {
        let rpc = self.wire.rpc(name)?;
        let answer = self.ask(&rpc, from_json(&rpc.request, request)?).await;
        to_json(&answer.map_err(|status| anyhow!("{name}: {:?} {}", status.code(), status.message()))?)
    }

    /// Opens a stream (in either or both directions). It does not wait for the server: stores send before they hear.
    #[must_use]
    pub fn stream(&self, rpc: &Rpc) -> Stream {
        let (requests, outgoing) = mpsc::channel(STREAM_BUFFER);
        let (incoming, events) = mpsc::channel(STREAM_BUFFER);
        let channel = self.channel.clone();
        let rpc = rpc.clone();
        let task = tokio::spawn(async move {
            let end = listen(channel, &rpc, outgoing, &incoming).await;
            // The listener may be gone already: then nobody cares how the stream ended.
            let _ = incoming.send(Event::End(end)).await;
        });
        Stream { requests: Some(requests), events, task }
    }

    /// The wire that this connection speaks.
    #[must_use]
    pub fn wire(&self) -> &Wire {
        &self.wire
    }
}

async fn listen(
    channel: Channel,
    rpc: &Rpc,
    outgoing: mpsc::Receiver<DynamicMessage>,
    incoming: &mpsc::Sender<Event>,
) -> Status {
    let mut client = Grpc::new(channel).max_decoding_message_size(usize::MAX);
    if let Err(error) = client.ready().await {
        return Status::unavailable(error.to_string());
    }
    let codec = DynamicCodec { answer: rpc.answer.clone() };
    let opened = client.streaming(Request::new(ReceiverStream::new(outgoing)), rpc.path.clone(), codec).await;
    let mut answers = match opened {
        Ok(response) => response.into_inner(),
        Err(status) => return status,
    };
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(message) => {
                if incoming.send(Event::Answer(message)).await.is_err() {
                    return Status::cancelled("the listener is gone");
                }
            }
            Err(status) => return status,
        }
    }
    Status::ok("")
}

/// What comes back on a stream.
#[derive(Debug)]
pub enum Event {
    /// A message of the server.
    Answer(DynamicMessage),
    /// The stream is over; nothing follows.
    End(Status),
}

/// An open stream. Dropping it cancels the call.
#[derive(Debug)]
pub struct Stream {
    requests: Option<mpsc::Sender<DynamicMessage>>,
    events: mpsc::Receiver<Event>,
    task: tokio::task::JoinHandle<()>,
}

impl Stream {
    /// Sends one message; waits while the buffer is full.
    ///
    /// # Errors
    /// When this side was closed or the call is over.
    pub async fn send(&self, message: DynamicMessage) -> Result<()> {
        let requests = self.requests.as_ref().context("this side of the stream is closed")?;
        requests.send(message).await.map_err(|_| anyhow!("the stream is over"))
    }

    /// Closes our side: the server sees the end of the requests.
    pub fn close(&mut self) {
        self.requests = None;
    }

    /// The next event. After [`Event::End`] it is `None`.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// The next event if one is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A status code as the record spells it.
#[must_use]
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[derive(Debug, Clone)]
struct DynamicCodec {
    answer: MessageDescriptor,
}

impl Codec for DynamicCodec {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = DynamicEncoder;
    type Decoder = DynamicDecoder;

    fn encoder(&mut self) -> DynamicEncoder {
        DynamicEncoder
    }

    fn decoder(&mut self) -> DynamicDecoder {
        DynamicDecoder { answer: self.answer.clone() }
    }
}

#[derive(Debug)]
struct DynamicEncoder;

impl Encoder for DynamicEncoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, message: DynamicMessage, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let mut bytes = Vec::with_capacity(message.encoded_len());
        message.encode(&mut bytes).map_err(|error| Status::internal(error.to_string()))?;
        to.put_slice(&bytes);
        Ok(())
    }
}

#[derive(Debug)]
struct DynamicDecoder {
    answer: MessageDescriptor,
}

impl Decoder for DynamicDecoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        let message = DynamicMessage::decode(self.answer.clone(), bytes);
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
