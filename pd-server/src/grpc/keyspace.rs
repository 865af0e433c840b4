//! Keyspaces: the one that is always there. Leader only; calls are not passed on.

use prost::Message;
use proto::keyspacepb::{self as wire, keyspace_server::Keyspace};
use proto::pdpb::{self, ErrorType};
use tonic::{Request, Response, Status};

use super::gate::Gate;
use super::header::{self, Refusal};
use crate::keys::{self, Keys};
use crate::state::Kv;

/// What tools read when a keyspace is not there.
const NOT_FOUND: &str = "[PD:keyspace:ErrKeyspaceNotFound]keyspace does not exist";

/// The service.
pub struct Service(pub Gate);

#[tonic::async_trait]
impl Keyspace for Service {
    async fn load_keyspace(
        &self,
        request: Request<wire::LoadKeyspaceRequest>,
    ) -> Result<Response<wire::LoadKeyspaceResponse>, Status> {
        let tenure = self.0.tenures.serve().await?;
        let asked = request.into_inner();
        tenure.check_cluster_id(asked.header.as_ref().map_or(0, |header| header.cluster_id))?;
        let keys = tenure.keys.clone();
        let read = move |kv: &Kv| Ok(load(kv, &keys, &asked.name));
        let result = self.0.pd.kv.off_thread(read).await.map_err(Refusal::from).flatten();
        tenure.check_lead().await?;
        header::answer(tenure.cluster_id, result)
    }
}

fn load(kv: &Kv, keys: &Keys, name: &str) -> Result<wire::LoadKeyspaceResponse, Refusal> {
    let missing = || Refusal::Header(ErrorType::EntryNotFound, NOT_FOUND.to_owned());
    let broken = |what: String| Refusal::unknown(format!("keyspace {name}: {what}"));
    let id = kv.get(&keys.keyspace_id(name))?.ok_or_else(missing)?;
    let id = keys::decode_decimal(&id.value).map_err(|error| broken(error.to_string()))?;
    let id = u32::try_from(id).map_err(|_| broken(format!("{id} is no keyspace id")))?;
    let meta = kv.get(&keys.keyspace_meta(id))?.ok_or_else(missing)?;
    let meta = wire::KeyspaceMeta::decode(meta.value).map_err(|error| broken(error.to_string()))?;
    Ok(wire::LoadKeyspaceResponse { header: None, keyspace: Some(meta) })
}

impl header::Answer for wire::LoadKeyspaceResponse {
    fn header_mut(&mut self) -> &mut Option<pdpb::ResponseHeader> {
        &mut self.header
    }
}
