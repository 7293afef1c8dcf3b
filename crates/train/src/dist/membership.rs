//! Which rank of which group this process is.

use std::net::{IpAddr, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use c10d::{Options, Store};

use crate::TrainError;
use crate::cli::RankArgs;

/// Finds a variable of the environment.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A rank's place in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Number of this rank, from 0.
    pub rank: u32,
    /// Ranks in all.
    pub world: u32,
    /// Its number among the ranks of its machine, from 0; that among all where nobody says.
    pub local_rank: u32,
    /// Where they meet.
    pub store: Store,
    /// How often the launcher has started the group again.
    pub restarts: u32,
    /// Keeps the groups apart that meet at one store one after the other.
    pub prefix: String,
    /// How long ranks wait for each other.
    pub timeout: Duration,
    /// Network interface.
    pub interface: Option<String>,
    /// Whether ranks that are all on one machine sum through memory that they share.
    pub shared_memory: bool,
    /// Whether tensors of GPUs may go by NCCL.
    pub nccl: bool,
}

impl Membership {
    /// From arguments, else from what `torchrun` (or whoever sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT) or Slurm's `srun`
    /// says; `None` for a process by itself.
    ///
    /// # Errors
    /// [`TrainError::Usage`] naming the argument or variable that lacks or makes no sense.
    pub fn find(args: &RankArgs, lookup: Lookup<'_>) -> Result<Option<Self>, TrainError> {
        let found = match (args.rank, args.world_size, &args.meet) {
            (Some(rank), Some(world), Some(meet)) => Some(Found {
                rank,
                world,
                local_rank: None,
                store: meeting(meet, rank)?,
            }),
            (None, None, None) => match launcher(lookup)? {
                None => of_slurm(lookup)?,
                found => found,
            },
            _ => {
                let reason = "--rank, --world-size and --meet go together: give all three or none";
                return Err(TrainError::Usage(reason.to_owned()));
            }
        };
        let Some(found) = found else {
            return Ok(None);
        };
        let Found { rank, world, .. } = found;
        if world == 0 || rank >= world {
            return Err(TrainError::Usage(format!(
                "rank {rank} of {world} ranks: ranks are numbered from 0, and there is one at least"
            )));
        }
        let restarts = number(lookup, "TORCHELASTIC_RESTART_COUNT")?.unwrap_or(0);
        let run = lookup("TORCHELASTIC_RUN_ID").unwrap_or_default();
        Ok(Some(Self {
            rank,
            world,
            local_rank: found.local_rank.unwrap_or(rank),
            store: found.store,
            restarts,
            prefix: format!("sde/{run}/{restarts}"),
            timeout: Duration::from_secs(args.rank_timeout),
            interface: args
                .interface
                .clone()
                .or_else(|| lookup("GLOO_SOCKET_IFNAME").filter(|name| !name.is_empty())),
            shared_memory: !is_set(lookup, "SDE_SHM_DISABLE"),
            nccl: !is_set(lookup, "SDE_NCCL_DISABLE"),
        }))
    }

    /// What the engine needs to know.
    pub fn options(&self) -> Options {
        let address = match (&self.interface, &self.store) {
            (Some(_), _) => None,
            (None, Store::Tcp { host, port, .. }) => address_towards(host, *port),
            // A file that all ranks reach without a word about a network: one machine.
            (None, Store::File { .. }) => Some("127.0.0.1".to_owned()),
        };
        Options {
            prefix: self.prefix.clone(),
            timeout: self.timeout,
            interface: self.interface.clone(),
            address,
            ..Options::new(self.store.clone(), self.rank, self.world)
        }
    }
}

/// `tcp://HOST:PORT`, which rank 0 serves, or `file:///PATH`.
fn meeting(text: &str, rank: u32) -> Result<Store, TrainError> {
    let refused = || {
        TrainError::Usage(format!(
            "--meet {text}: need tcp://HOST:PORT, HOST being that of rank 0, or file:///PATH, a new file that all ranks reach"
        ))
    };
    if let Some(path) = text.strip_prefix("file://") {
        return match path.starts_with('/') {
            true => Ok(Store::File {
                path: PathBuf::from(path),
            }),
            false => Err(refused()),
        };
    }
    let (host, port) = text
        .strip_prefix("tcp://")
        .and_then(|place| place.rsplit_once(':'))
        .ok_or_else(refused)?;
    match (host.trim_matches(['[', ']']), port.parse()) {
        ("", _) | (_, Err(_) | Ok(0)) => Err(refused()),
        (host, Ok(port)) => Ok(Store::Tcp {
            host: host.to_owned(),
            port,
            serve: rank == 0,
        }),
    }
}

/// What is found out about a rank.
struct Found {
    rank: u32,
    world: u32,
    local_rank: Option<u32>,
    store: Store,
}

/// What `torchrun` and its like say.
fn launcher(lookup: Lookup<'_>) -> Result<Option<Found>, TrainError> {
    let (Some(rank), Some(world)) = (number(lookup, "RANK")?, number(lookup, "WORLD_SIZE")?) else {
        return Ok(None);
    };
    let missing = |name: &str| {
        TrainError::Usage(format!(
            "RANK and WORLD_SIZE are set, {name} is not: it says where rank 0 is to be reached"
        ))
    };
    let host = lookup("MASTER_ADDR").ok_or_else(|| missing("MASTER_ADDR"))?;
    let port = number(lookup, "MASTER_PORT")?.ok_or_else(|| missing("MASTER_PORT"))?;
    // The launcher's agent holds the port already and serves the store; then every rank is a client.
    let agent =
        lookup("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    // A shell that Slurm started has a number, too, which is not that of what is started there by hand.
    let local_rank = match number(lookup, "LOCAL_RANK")? {
        None if number(lookup, "SLURM_PROCID")? == Some(rank) => number(lookup, "SLURM_LOCALID")?,
        found => found,
    };
    Ok(Some(Found {
        rank,
        world,
        local_rank,
        store: Store::Tcp {
            host,
            port: port_of(port, "MASTER_PORT")?,
            serve: rank == 0 && !agent,
        },
    }))
}

/// What `srun` says to the tasks of a step; a batch script itself is no task of one.
fn of_slurm(lookup: Lookup<'_>) -> Result<Option<Found>, TrainError> {
    let (Some(rank), Some(world)) = (
        number(lookup, "SLURM_PROCID")?,
        number(lookup, "SLURM_STEP_NUM_TASKS")?,
    ) else {
        return Ok(None);
    };
    if world < 2 {
        return Ok(None);
    }
    let nodes = lookup("SLURM_STEP_NODELIST").or_else(|| lookup("SLURM_JOB_NODELIST"));
    let host = lookup("MASTER_ADDR")
        .or_else(|| nodes.as_deref().and_then(first_host))
        .ok_or_else(|| {
            TrainError::Usage(
                "SLURM_STEP_NODELIST names no host; set MASTER_ADDR to that of rank 0".to_owned(),
            )
        })?;
    let port = match number(lookup, "MASTER_PORT")? {
        Some(port) => port_of(port, "MASTER_PORT")?,
        // Jobs of one host get different ports.
        None => 20_000 + (number(lookup, "SLURM_JOB_ID")?.unwrap_or(0) % 20_000) as u16,
    };
    let serve = rank == 0;
    Ok(Some(Found {
        rank,
        world,
        local_rank: number(lookup, "SLURM_LOCALID")?,
        store: Store::Tcp { host, port, serve },
    }))
}

/// Whether a variable says yes: anything but nothing and 0.
fn is_set(lookup: Lookup<'_>, name: &str) -> bool {
    lookup(name).is_some_and(|value| !["", "0"].contains(&value.as_str()))
}

fn number(lookup: Lookup<'_>, name: &str) -> Result<Option<u32>, TrainError> {
    lookup(name)
        .map(|text| {
            text.trim()
                .parse()
                .map_err(|_| TrainError::Usage(format!("{name} = {text:?} is no number")))
        })
        .transpose()
}

fn port_of(number: u32, name: &str) -> Result<u16, TrainError> {
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(TrainError::Usage(format!(
            "{name} = {number} is no port: need 1 to 65535"
        ))),
    }
}

/// The first host of a list in Slurm's way of writing: `node[003-005,7],other` is `node003`.
fn first_host(list: &str) -> Option<String> {
    let end = list.find([',', '[']).unwrap_or(list.len());
    let (name, rest) = list.split_at(end);
    let host = match rest.strip_prefix('[') {
        Some(numbers) => {
            let (numbers, after) = numbers.split_once(']')?;
            let first = numbers.split([',', '-']).next()?;
            let after = after.split(',').next().unwrap_or_default();
            format!("{name}{first}{after}")
        }
        None => name.to_owned(),
    };
    (!host.is_empty()).then_some(host)
}

/// The own address from which a host is reached: what the other ranks can reach this one by. `None` leaves the choice to the engine.
fn address_towards(host: &str, port: u16) -> Option<String> {
    let there = (host, port).to_socket_addrs().ok()?.next()?;
    let any = match there.ip() {
        IpAddr::V4(_) => "0.0.0.0:0",
        IpAddr::V6(_) => "[::]:0",
    };
    // Connecting a datagram socket sends nothing; it asks the system for the route.
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(there).ok()?;
    let own = socket.local_addr().ok()?.ip();
    let said_so = host == "localhost" || host.parse::<IpAddr>().is_ok();
    // A name that leads to the loopback on its own machine leads elsewhere on others.
    (!own.is_loopback() || said_so).then(|| own.to_string())
}

#[cfg(test)]
mod tests;
