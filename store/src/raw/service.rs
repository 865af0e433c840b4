//! `tikvpb.Tikv`: decode, read or write, encode. Errors of a Region go into `region_error`, refusals that no retry
//! mends into `error`.

use std::sync::Arc;

use proto::kvrpcpb::{
    KvPair, RawBatchDeleteRequest, RawBatchDeleteResponse, RawBatchGetRequest, RawBatchGetResponse,
    RawBatchPutRequest, RawBatchPutResponse, RawDeleteRequest, RawDeleteResponse, RawGetRequest,
    RawGetResponse, RawPutRequest, RawPutResponse, RawScanRequest, RawScanResponse,
};
use proto::tikvpb::tikv_server::Tikv;
use tonic::{Request, Response, Status};

use super::request::{Admitted, check_cf};
use super::scan::MAX_LIMIT;
use super::{read, scan, write};
use crate::StoreCore;
use crate::region::Mutation;
use crate::region_error::RegionError;

/// Most keys of a batch request. Above it: `error`, nothing done.
const MAX_BATCH: usize = 16_384;

/// The service of one Store.
#[derive(Clone)]
pub struct RawService {
    core: Arc<StoreCore>,
}

impl RawService {
    /// Serves the Regions of `core`.
    pub fn new(core: Arc<StoreCore>) -> Self {
        Self { core }
    }

    async fn mutate(
        &self,
        context: Option<&proto::kvrpcpb::Context>,
        mutations: Vec<Mutation>,
    ) -> Option<RegionError> {
        let admitted = match Admitted::new(&self.core, context) {
            Ok(admitted) => admitted,
            Err(error) => return Some(error),
        };
        write::write(&self.core, &admitted, mutations).await.err()
    }

    async fn get(
        &self,
        context: Option<&proto::kvrpcpb::Context>,
        keys: &[bytes::Bytes],
    ) -> Result<Vec<Option<bytes::Bytes>>, RegionError> {
        let admitted = Admitted::new(&self.core, context)?;
        read::get(&self.core, &admitted, keys).await
    }
}

/// What is not kept here: a time to live, and writes that compare first.
fn check_write(cf: &str, ttl: bool, for_cas: bool) -> Result<(), String> {
    check_cf(cf)?;
    if ttl {
        return Err("a time to live is not kept here; ttl must be 0".into());
    }
    if for_cas {
        return Err("writes that compare first are not served; for_cas must be false".into());
    }
    Ok(())
}

fn check_count(count: usize) -> Result<(), String> {
    if count > MAX_BATCH {
        Err(format!("{count} keys in one request; at most {MAX_BATCH} are possible"))
    } else {
        Ok(())
    }
}

#[tonic::async_trait]
impl Tikv for RawService {
    async fn raw_get(&self, request: Request<RawGetRequest>) -> Result<Response<RawGetResponse>, Status> {
        let ask = request.into_inner();
        let mut answer = RawGetResponse::default();
        if let Err(text) = check_cf(&ask.cf) {
            answer.error = text;
            return Ok(Response::new(answer));
        }
        match self.get(ask.context.as_ref(), &[ask.key]).await {
            Ok(values) => match values.into_iter().next().flatten() {
                Some(value) => answer.value = value,
                None => answer.not_found = true,
            },
            Err(error) => answer.region_error = Some(*error),
        }
        Ok(Response::new(answer))
    }

    async fn raw_batch_get(
        &self,
        request: Request<RawBatchGetRequest>,
    ) -> Result<Response<RawBatchGetResponse>, Status> {
        let ask = request.into_inner();
        // The answer has no place for an error of its own.
        check_cf(&ask.cf).and_then(|()| check_count(ask.keys.len())).map_err(Status::invalid_argument)?;
        let mut answer = RawBatchGetResponse::default();
        match self.get(ask.context.as_ref(), &ask.keys).await {
            Ok(values) => {
                let found = ask.keys.into_iter().zip(values);
                let pair = |(key, value): (_, Option<_>)| {
                    value.map(|value| KvPair { key, value, ..KvPair::default() })
                };
                answer.pairs = found.filter_map(pair).collect();
            }
            Err(error) => answer.region_error = Some(*error),
        }
        Ok(Response::new(answer))
    }

    async fn raw_put(&self, request: Request<RawPutRequest>) -> Result<Response<RawPutResponse>, Status> {
        let ask = request.into_inner();
        let mut answer = RawPutResponse::default();
        if let Err(text) = check_write(&ask.cf, ask.ttl != 0, ask.for_cas) {
            answer.error = text;
            return Ok(Response::new(answer));
        }
        let mutation = Mutation { key: ask.key, value: Some(ask.value) };
        let failed = self.mutate(ask.context.as_ref(), vec![mutation]).await;
        answer.region_error = failed.map(|error| *error);
        Ok(Response::new(answer))
    }

    async fn raw_batch_put(
        &self,
        request: Request<RawBatchPutRequest>,
    ) -> Result<Response<RawBatchPutResponse>, Status> {
        let ask = request.into_inner();
        let mut answer = RawBatchPutResponse::default();
        #[allow(deprecated, reason = "old clients still send `ttl`")]
        let ttl = ask.ttl != 0 || ask.ttls.iter().any(|ttl| *ttl != 0);
        if let Err(text) = check_write(&ask.cf, ttl, ask.for_cas).and_then(|()| check_count(ask.pairs.len()))
        {
            answer.error = text;
            return Ok(Response::new(answer));
        }
        let mutations = ask.pairs.into_iter().map(|pair| Mutation { key: pair.key, value: Some(pair.value) });
        let failed = self.mutate(ask.context.as_ref(), mutations.collect()).await;
        answer.region_error = failed.map(|error| *error);
        Ok(Response::new(answer))
    }

    async fn raw_delete(
        &self,
        request: Request<RawDeleteRequest>,
    ) -> Result<Response<RawDeleteResponse>, Status> {
        let ask = request.into_inner();
        let mut answer = RawDeleteResponse::default();
        if let Err(text) = check_write(&ask.cf, false, ask.for_cas) {
            answer.error = text;
            return Ok(Response::new(answer));
        }
        let mutation = Mutation { key: ask.key, value: None };
        let failed = self.mutate(ask.context.as_ref(), vec![mutation]).await;
        answer.region_error = failed.map(|error| *error);
        Ok(Response::new(answer))
    }

    async fn raw_batch_delete(
        &self,
        request: Request<RawBatchDeleteRequest>,
    ) -> Result<Response<RawBatchDeleteResponse>, Status> {
        let ask = request.into_inner();
        let mut answer = RawBatchDeleteResponse::default();
        if let Err(text) = check_write(&ask.cf, false, ask.for_cas).and_then(|()| check_count(ask.keys.len()))
        {
            answer.error = text;
            return Ok(Response::new(answer));
        }
        let mutations = ask.keys.into_iter().map(|key| Mutation { key, value: None });
        let failed = self.mutate(ask.context.as_ref(), mutations.collect()).await;
        answer.region_error = failed.map(|error| *error);
        Ok(Response::new(answer))
    }

    async fn raw_scan(&self, request: Request<RawScanRequest>) -> Result<Response<RawScanResponse>, Status> {
        let ask = request.into_inner();
        check_cf(&ask.cf).map_err(Status::invalid_argument)?;
        if ask.limit > MAX_LIMIT {
            return Err(Status::invalid_argument(format!("limit {} is above {MAX_LIMIT}", ask.limit)));
        }
        let mut answer = RawScanResponse::default();
        let scanned = match Admitted::new(&self.core, ask.context.as_ref()) {
            Ok(admitted) => scan::scan(&self.core, &admitted, &ask).await,
            Err(error) => Err(error),
        };
        match scanned {
            Ok(kvs) => answer.kvs = kvs,
            Err(error) => answer.region_error = Some(*error),
        }
        Ok(Response::new(answer))
    }
}
