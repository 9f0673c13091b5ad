//! Who sends a request.

use std::sync::Arc;

use model::ResourceId;

use crate::Claims;

/// Who a verified token speaks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Principal {
    /// The id that role assignments name: `oid`, for issuers without it `sub`. A GUID is in lower case.
    pub object_id: String,
    /// The application (client id).
    pub app_id: Option<String>,
    /// The directory.
    pub tenant_id: Option<String>,
    /// A managed identity's ARM id.
    pub mi_resource_id: Option<ResourceId>,
    /// The issuer that vouches for it, as configured.
    pub issuer: Arc<str>,
    /// A short name for logs. Comes out of the token: never decide by it.
    pub name: String,
}

impl Principal {
    /// From verified claims, for the principal that `object_id` names.
    pub(crate) fn new(object_id: &str, claims: &Claims, issuer: Arc<str>) -> Self {
        let object_id = if is_guid(object_id) { object_id.to_ascii_lowercase() } else { object_id.to_owned() };
        let mi_resource_id: Option<ResourceId> = claims.mi_resource_id.as_deref().and_then(|id| id.parse().ok());
        let name = mi_resource_id.as_ref().map(ResourceId::name).filter(|name| !name.is_empty());
        let name = name
            .or(claims.display_name.as_deref())
            .or(claims.app_id.as_deref())
            .unwrap_or(&object_id)
            .chars()
            .filter(|character| !character.is_control())
            .take(NAME_CHARS_MAX)
            .collect();
        let (app_id, tenant_id) = (claims.app_id.clone(), claims.tenant_id.clone());
        Self { object_id, app_id, tenant_id, mi_resource_id, issuer, name }
    }
}

/// Whether `text` is a hyphenated GUID; only those compare without regard to case.
pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

const NAME_CHARS_MAX: usize = 128;
