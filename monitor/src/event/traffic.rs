//! What was sent where: the network of a run, as its end tells it.

use std::net::IpAddr;

use monitor_common::label::TreeId;
use serde::{Deserialize, Serialize};

use super::model::{Package, Scope};
use super::text::Text;

/// What a scope sent to an address, refused packets left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// In which tree.
    pub tree: TreeId,
    /// In which scope; a manager and its helpers have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// As what the process acted.
    pub actor: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
    /// IPv4 or IPv6.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Number of the protocol: 6 is TCP, 17 is UDP.
    pub protocol: u64,
    /// A name that a resolver of this machine gave the address to; none was seen if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Text>,
    /// Bytes of payload that left, those that were sent again included.
    pub sent: u64,
    /// Packets that were refused.
    #[serde(default)]
    pub refused: u64,
}
