//! The last place before the network: what is final is handed on as such, and what changes a table waits for a young look at the claim.

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use reqwest::StatusCode;

use super::client::FINAL;
use crate::storage::look::Look;

/// Connects as `object_store` does.
#[derive(Debug, Default)]
pub(in crate::storage) struct Connector(ReqwestConnector);

#[derive(Debug)]
struct Client(HttpClient);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = self.0.connect(options)?;
        Ok(HttpClient::new(Client(client)))
    }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if let Some(look) = Look::held() {
            look.check()
                .map_err(|aged| HttpError::new(HttpErrorKind::Unknown, aged))?;
        }
        let mut response = self.0.execute(request).await?;
        let status = response.status().as_u16();
        let instead = FINAL.into_iter().find(|(is_final, _)| *is_final == status);
        if let Some(instead) = instead.and_then(|(_, instead)| StatusCode::from_u16(instead).ok()) {
            *response.status_mut() = instead;
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use object_store::client::HttpResponseBody;

    use super::*;
    use crate::storage::bucket::client::answered;

    #[derive(Debug)]
    struct Answers(u16);

    #[async_trait]
    impl HttpService for Answers {
        async fn call(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
            let mut response = HttpResponse::new(HttpResponseBody::from(bytes::Bytes::new()));
            *response.status_mut() = StatusCode::from_u16(self.0).unwrap();
            Ok(response)
        }
    }

    #[tokio::test]
    async fn what_is_final_is_not_asked_again_and_still_called_by_its_name() {
        for (status, is_final) in [(200, false), (503, false), (501, true), (507, true)] {
            let client = Client(HttpClient::new(Answers(status)));
            let request = HttpRequest::new(object_store::client::HttpRequestBody::empty());
            let handed_on = client.call(request).await.unwrap().status();
            assert_eq!(handed_on.is_server_error(), status >= 500 && !is_final, "{status}");
            assert_eq!(answered(handed_on.as_u16()), status);
        }
    }
}
