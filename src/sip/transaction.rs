//! What a [`Stack`](super::Stack) keeps of each transaction: the machine, and what is needed to serve it.

use super::{
    ClientTx, Hop, Method, Request, ServerTx,
    client::{self, Client},
    follow_up,
    invite_client::{self, InviteClient},
    invite_server::{self, InviteServer},
    large::Fallback,
    routing::Key,
    server::{self, Server},
};
use crate::time::Time;

/// Any transaction of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tx {
    /// A request of the user's.
    Client(ClientTx),
    /// The CANCEL of that request. The user never hears of it.
    Cancel(ClientTx),
    /// A request of a peer's.
    Server(ServerTx),
}

/// A request of ours in work.
#[derive(Debug)]
pub struct ClientEntry {
    /// Where it went.
    pub hop: Hop,
    /// Its method; answers must name it.
    pub method: Method,
    /// The machine.
    pub machine: ClientMachine,
    /// Where the request went over TCP for its size, and nobody has answered yet.
    pub fallback: Option<Fallback>,
    /// The deadline it has in the stack's set.
    pub armed: Option<Time>,
}

impl ClientEntry {
    /// When something is to be done about it.
    pub fn timeout(&self) -> Option<Time> {
        Time::soonest(self.machine.timeout(), self.fallback.as_ref().map(|fallback| fallback.at))
    }
}

/// The two client machines.
#[derive(Debug)]
pub enum ClientMachine {
    /// INVITE, with what ACK and CANCEL are made from; dropped at the final answer.
    Invite {
        /// The machine.
        machine: InviteClient,
        /// The INVITE without its body.
        invite: Option<Box<Request>>,
        /// Value of Reason for the CANCEL.
        reason: Option<String>,
    },
    /// All others.
    Other(Client),
}

impl ClientMachine {
    /// See [`InviteClient::handle_transport_failed`].
    pub fn handle_transport_failed(&mut self) {
        match self {
            ClientMachine::Invite { machine, .. } => machine.handle_transport_failed(),
            ClientMachine::Other(machine) => machine.handle_transport_failed(),
        }
    }

    /// See [`InviteClient::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Time) {
        match self {
            ClientMachine::Invite { machine, .. } => machine.handle_timeout(now),
            ClientMachine::Other(machine) => machine.handle_timeout(now),
        }
    }

    /// See [`InviteClient::timeout`].
    pub fn timeout(&self) -> Option<Time> {
        match self {
            ClientMachine::Invite { machine, .. } => machine.timeout(),
            ClientMachine::Other(machine) => machine.timeout(),
        }
    }

    /// See [`InviteClient::poll`].
    pub fn poll(&mut self) -> Option<invite_client::Output> {
        match self {
            ClientMachine::Invite { machine, .. } => machine.poll(),
            ClientMachine::Other(machine) => machine.poll().map(|output| match output {
                client::Output::Send(bytes) => invite_client::Output::Send(bytes),
                client::Output::Resend(bytes) => invite_client::Output::Resend(bytes),
                client::Output::Failed(why) => invite_client::Output::Failed(why),
            }),
        }
    }

    /// The CANCEL of the INVITE.
    pub fn cancel_request(&self) -> Option<Request> {
        match self {
            ClientMachine::Invite { invite, reason, .. } => {
                invite.as_ref().map(|invite| follow_up::cancel(invite, reason.as_deref()))
            }
            ClientMachine::Other(_) => None,
        }
    }

    /// Lets go of what a decided INVITE does not need any more.
    pub fn shed(&mut self) {
        match self {
            ClientMachine::Invite { machine, invite, .. } if machine.is_decided() => *invite = None,
            ClientMachine::Invite { .. } | ClientMachine::Other(_) => {}
        }
    }

    /// See [`InviteClient::is_terminated`].
    pub fn is_terminated(&self) -> bool {
        match self {
            ClientMachine::Invite { machine, .. } => machine.is_terminated(),
            ClientMachine::Other(machine) => machine.is_terminated(),
        }
    }
}

/// A request of a peer's in work.
#[derive(Debug)]
pub struct ServerEntry {
    /// Where answers go.
    pub hop: Hop,
    /// What the peer's resends are known by.
    pub key: Key,
    /// What copies that come another way are known by.
    pub merge: Option<Box<str>>,
    /// The To-tag of our answers, once there was one.
    pub tag: Option<String>,
    /// The machine.
    pub machine: ServerMachine,
    /// The deadline it has in the stack's set.
    pub armed: Option<Time>,
}

/// The two server machines.
#[derive(Debug)]
pub enum ServerMachine {
    /// INVITE.
    Invite(InviteServer),
    /// All others.
    Other(Server),
}

impl ServerMachine {
    /// See [`InviteServer::handle_request`].
    pub fn handle_request(&mut self) {
        match self {
            ServerMachine::Invite(machine) => machine.handle_request(),
            ServerMachine::Other(machine) => machine.handle_request(),
        }
    }

    /// See [`InviteServer::respond`].
    pub fn respond(&mut self, now: Time, code: u16, response: bytes::Bytes) {
        match self {
            ServerMachine::Invite(machine) => machine.respond(now, code, response),
            ServerMachine::Other(machine) => machine.respond(now, code, response),
        }
    }

    /// See [`InviteServer::handle_transport_failed`]. The others have nothing to lose.
    pub fn handle_transport_failed(&mut self) {
        match self {
            ServerMachine::Invite(machine) => machine.handle_transport_failed(),
            ServerMachine::Other(_) => {}
        }
    }

    /// See [`InviteServer::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Time) {
        match self {
            ServerMachine::Invite(machine) => machine.handle_timeout(now),
            ServerMachine::Other(machine) => machine.handle_timeout(now),
        }
    }

    /// See [`InviteServer::timeout`].
    pub fn timeout(&self) -> Option<Time> {
        match self {
            ServerMachine::Invite(machine) => machine.timeout(),
            ServerMachine::Other(machine) => machine.timeout(),
        }
    }

    /// See [`InviteServer::poll`].
    pub fn poll(&mut self) -> Option<invite_server::Output> {
        match self {
            ServerMachine::Invite(machine) => machine.poll(),
            ServerMachine::Other(machine) => machine.poll().map(|output| match output {
                server::Output::Send(bytes) => invite_server::Output::Send(bytes),
                server::Output::Resend(bytes) => invite_server::Output::Resend(bytes),
                server::Output::Lost(why) => invite_server::Output::Lost(why),
            }),
        }
    }

    /// See [`InviteServer::is_terminated`].
    pub fn is_terminated(&self) -> bool {
        match self {
            ServerMachine::Invite(machine) => machine.is_terminated(),
            ServerMachine::Other(machine) => machine.is_terminated(),
        }
    }
}
