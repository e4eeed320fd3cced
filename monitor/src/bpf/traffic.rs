//! What was sent where, as the kernel side counted it.

use std::net::{IpAddr, Ipv6Addr};

use aya::maps::HashMap;
use monitor_common::label::{ActorId, ScopeId, TreeId};
use monitor_common::socket::{self, FlowKey, NameText};

use super::load::Kernel;

/// What a scope sent to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Tree.
    pub tree: TreeId,
    /// Scope, or the tree for a manager of its own.
    pub scope: ScopeId,
    /// Actor.
    pub actor: ActorId,
    /// Address; IPv4 is unwrapped from its mapped form.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Number of the protocol.
    pub protocol: u8,
    /// A name that the address was met under; empty if none.
    pub domain: Vec<u8>,
    /// Bytes of payload that left.
    pub sent: u64,
    /// Packets that were refused.
    pub refused: u64,
}

impl Kernel {
    /// Everything that was counted so far. What cannot be read is left out, and logged.
    #[must_use]
    pub fn traffic(&self) -> Vec<Flow> {
        let table =
            self.ebpf.map("TRAFFIC").and_then(|map| HashMap::<_, FlowKey, socket::Flow>::try_from(map).ok());
        let Some(table) = table else {
            tracing::warn!("the kernel object has no table of what was sent");
            return Vec::new();
        };
        let texts =
            self.ebpf.map("NAME_TEXTS").and_then(|map| HashMap::<_, u64, NameText>::try_from(map).ok());
        let name = |hash: u64| -> Vec<u8> {
            let text = texts.as_ref().filter(|_| hash != 0).and_then(|texts| texts.get(&hash, 0).ok());
            text.map_or_else(Vec::new, |text| {
                let length = usize::try_from(text.length).unwrap_or_default().min(text.text.len());
                text.text[..length].to_vec()
            })
        };
        table
            .iter()
            .filter_map(Result::ok)
            .map(|(key, flow)| Flow {
                tree: key.tree,
                scope: key.scope,
                actor: key.actor,
                address: Ipv6Addr::from(key.address).to_canonical(),
                port: key.port,
                protocol: key.protocol,
                domain: name(flow.name),
                sent: flow.sent,
                refused: flow.refused,
            })
            .collect()
    }
}
