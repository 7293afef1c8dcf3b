//! Who a process is, by arguments and by launchers' variables.

use super::*;

fn find(args: &RankArgs, set: &[(&str, &str)]) -> Result<Option<Membership>, String> {
    let lookup = |name: &str| {
        let found = set.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Membership::find(args, &lookup).map_err(|error| error.to_string())
}

fn tcp(host: &str, port: u16, serve: bool) -> Store {
    Store::Tcp {
        host: host.to_owned(),
        port,
        serve,
    }
}

#[test]
fn arguments_come_before_launchers_and_those_before_slurm() {
    let torchrun = [
        ("RANK", "1"),
        ("WORLD_SIZE", "4"),
        ("MASTER_ADDR", "node7"),
        ("MASTER_PORT", "29500"),
    ];
    let slurm = [
        ("SLURM_PROCID", "2"),
        ("SLURM_STEP_NUM_TASKS", "3"),
        ("SLURM_STEP_NODELIST", "node[003-005,7],other"),
        ("SLURM_JOB_ID", "20007"),
    ];
    let args = RankArgs {
        rank: Some(0),
        world_size: Some(2),
        meet: Some("tcp://[fe80::1]:300".to_owned()),
        ..RankArgs::default()
    };
    let both = [&torchrun[..], &slurm[..]].concat();
    let who = |found: Membership| (found.rank, found.world, found.store);
    let none = RankArgs::default();
    assert_eq!(
        who(find(&args, &both).unwrap().unwrap()),
        (0, 2, tcp("fe80::1", 300, true))
    );
    assert_eq!(
        who(find(&none, &both).unwrap().unwrap()),
        (1, 4, tcp("node7", 29500, false))
    );
    assert_eq!(
        who(find(&none, &slurm).unwrap().unwrap()),
        (2, 3, tcp("node003", 20_007, false))
    );
    assert_eq!(find(&none, &[]).unwrap(), None);
    // The batch script of a job, which is no task of a step.
    assert_eq!(
        find(&none, &[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8")]).unwrap(),
        None
    );
}

#[test]
fn memory_and_nccl_are_used_unless_the_environment_forbids() {
    let used = |name, value: Option<&'static str>| {
        let mut set = vec![
            ("RANK", "0"),
            ("WORLD_SIZE", "2"),
            ("MASTER_ADDR", "h"),
            ("MASTER_PORT", "1"),
        ];
        set.extend(value.map(|value| (name, value)));
        let found = find(&RankArgs::default(), &set).unwrap().unwrap();
        (found.shared_memory, found.nccl)
    };
    for (value, use_it) in [
        (None, true),
        (Some(""), true),
        (Some("0"), true),
        (Some("1"), false),
        (Some("yes"), false),
    ] {
        assert_eq!(used("SDE_SHM_DISABLE", value), (use_it, true));
        assert_eq!(used("SDE_NCCL_DISABLE", value), (true, use_it));
    }
}

#[test]
fn the_number_on_the_machine_is_the_launchers() {
    let local = |args: &RankArgs, set: &[(&str, &str)]| find(args, set).unwrap().unwrap().local_rank;
    let torchrun = |more: &[(&'static str, &'static str)]| {
        let rank = [
            ("RANK", "5"),
            ("WORLD_SIZE", "8"),
            ("MASTER_ADDR", "h"),
            ("MASTER_PORT", "1"),
        ];
        local(&RankArgs::default(), &[&rank[..], more].concat())
    };
    let task = |number| [("SLURM_PROCID", number), ("SLURM_LOCALID", "2")];
    assert_eq!(torchrun(&[&[("LOCAL_RANK", "1")][..], &task("5")].concat()), 1);
    assert_eq!(torchrun(&task("5")), 2);
    // A shell within a job of Slurm.
    assert_eq!(torchrun(&task("0")), 5);
    assert_eq!(torchrun(&[]), 5);
    let of_slurm = [("SLURM_STEP_NUM_TASKS", "8"), ("SLURM_STEP_NODELIST", "h")];
    assert_eq!(
        local(&RankArgs::default(), &[&of_slurm[..], &task("6")].concat()),
        2
    );
    let args = RankArgs {
        rank: Some(3),
        world_size: Some(4),
        meet: Some("tcp://h:1".to_owned()),
        ..RankArgs::default()
    };
    assert_eq!(
        local(&args, &[&[("LOCAL_RANK", "1")][..], &task("0")].concat()),
        3
    );
}

#[test]
fn rank_0_serves_unless_the_agent_does() {
    let env = |agent| {
        [
            ("RANK", "0"),
            ("WORLD_SIZE", "2"),
            ("MASTER_ADDR", "127.0.0.1"),
            ("MASTER_PORT", "29500"),
            ("TORCHELASTIC_USE_AGENT_STORE", agent),
            ("TORCHELASTIC_RESTART_COUNT", "3"),
            ("TORCHELASTIC_RUN_ID", "job"),
            ("GLOO_SOCKET_IFNAME", "eth1"),
        ]
    };
    let args = RankArgs::default();
    let served = find(&args, &env("False")).unwrap().unwrap();
    let client = find(&args, &env("True")).unwrap().unwrap();
    assert_eq!(served.store, tcp("127.0.0.1", 29500, true));
    assert_eq!(client.store, tcp("127.0.0.1", 29500, false));
    assert_eq!((client.restarts, client.prefix.as_str()), (3, "sde/job/3"));
    let options = client.options();
    assert_eq!(
        (options.interface.as_deref(), options.address),
        (Some("eth1"), None)
    );
}

#[test]
fn what_lacks_or_makes_no_sense_is_named() {
    let none = RankArgs::default();
    let message = |set: &[(&str, &str)]| find(&none, set).unwrap_err();
    assert!(message(&[("RANK", "0"), ("WORLD_SIZE", "2")]).contains("MASTER_ADDR is not"));
    assert!(message(&[("RANK", "x"), ("WORLD_SIZE", "2")]).contains("RANK = \"x\" is no number"));
    let far = [
        ("RANK", "2"),
        ("WORLD_SIZE", "2"),
        ("MASTER_ADDR", "a"),
        ("MASTER_PORT", "1"),
    ];
    assert!(message(&far).contains("rank 2 of 2 ranks"));
    let port = [
        ("RANK", "1"),
        ("WORLD_SIZE", "2"),
        ("MASTER_ADDR", "a"),
        ("MASTER_PORT", "99999"),
    ];
    assert!(message(&port).contains("MASTER_PORT = 99999 is no port"));
    for meet in [
        "node:300",
        "tcp://node",
        "tcp://:300",
        "tcp://node:0",
        "file://relative",
    ] {
        let args = RankArgs {
            rank: Some(0),
            world_size: Some(1),
            meet: Some(meet.to_owned()),
            ..RankArgs::default()
        };
        assert!(
            find(&args, &[]).unwrap_err().contains("tcp://HOST:PORT"),
            "{meet}"
        );
    }
    let half = RankArgs {
        rank: Some(0),
        ..RankArgs::default()
    };
    assert!(find(&half, &[]).unwrap_err().contains("go together"));
}

#[test]
fn hosts_of_slurm() {
    for (list, first) in [
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("n[1-4]", "n1"),
        ("n[007,9]-ib,x", "n007-ib"),
        ("a[2]b,c", "a2b"),
    ] {
        assert_eq!(first_host(list).as_deref(), Some(first));
    }
    assert_eq!(first_host(""), None);
    assert_eq!(first_host("n[1"), None);
}

#[test]
fn the_own_address_is_that_of_the_route() {
    assert_eq!(address_towards("127.0.0.1", 9), Some("127.0.0.1".to_owned()));
}
