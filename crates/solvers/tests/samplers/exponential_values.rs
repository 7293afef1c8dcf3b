//! DDIM and DPM-Solver against values of the published programs.

use crate::common::{Batch, batch, oracle, rows, run, sampler, sde};
use crate::exponential::STARTS;
use crate::orders::NoNoise;

/// Largest difference of a value.
pub fn distance(x: &Batch, expected: &[[f64; 2]]) -> f64 {
    let pairs = rows(x)
        .into_iter()
        .flatten()
        .zip(expected.iter().flatten().copied().collect::<Vec<_>>());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The results of the authors' code (LuChengTHU/dpm-solver, dpm_solver_pytorch.py, commit 0fdeb80) run in float64 on the mixture
/// oracle under VP, from the same three points: `skip_type` logSNR or, with 6 steps, time_uniform; singlestep as
/// `singlestep_fixed`, or `singlestep` where the last steps are of lower order; `denoise_to_zero` with 12 steps. The adaptive
/// mode was run row by row, and without its rounding of the step factor to float32.
#[test]
#[allow(clippy::excessive_precision)]
fn published_values() {
    let vp = sde("kind = \"vp\"");
    for (table, expected) in published() {
        let table = format!("kind = \"dpm-solver\"\n{table}");
        let mut x = batch(3, 2, |row, d| STARTS[row][d]);
        run(&*sampler(&table, &*vp), &*vp, &oracle(&vp), &NoNoise, &mut x).expect("the problem is regular");
        let distance = distance(&x, &expected);
        assert!(distance < 1e-9, "{table}: {distance:e}");
        // An error of a third order is larger: the values tell the methods apart.
        assert!(
            published()
                .iter()
                .filter(|other| self::distance(&x, &other.1) < 1e-9)
                .count()
                <= 2
        );
    }
}

fn published() -> Vec<(&'static str, [[f64; 2]; 3])> {
    vec![
        (
            "algorithm = \"dpmsolver++\"\norder = 1\nsteps = 12",
            [
                [0.10451425142043119, -1.0111919432634957],
                [1.1728043824345862, 0.7683506995420187],
                [-0.9225409438128797, 0.6737297596320478],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\norder = 2\nsteps = 12",
            [
                [0.16382952758181457, -1.192721060820181],
                [1.3296578952347096, 0.8288159266925959],
                [-1.0259963605960782, 0.7093195546434937],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\norder = 3\nsteps = 12",
            [
                [0.16244656752728132, -1.1192842496561222],
                [1.2627839829403062, 0.8010238148953652],
                [-0.9859096848711786, 0.6984911803897826],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\norder = 2\nsteps = 6\nfinal = \"none\"\n[grid]\nkind = \"uniform\"",
            [
                [0.10054593326593898, -1.0285049514889912],
                [1.2017582178927408, 0.786496089710504],
                [-0.955175831971939, 0.5970478159914637],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\norder = 3\nsteps = 6\nfinal = \"none\"\n[grid]\nkind = \"uniform\"",
            [
                [0.10374856866883199, -1.0349127181547997],
                [1.2071431797624363, 0.7879072234678912],
                [-0.9586485580406869, 0.5966207982732591],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\nmode = \"singlestep\"\norder = 2\nsteps = 5\nfinal = \"none\"",
            [
                [0.1080924212807723, -1.0201798918370684],
                [1.1914546135418254, 0.7749798644650228],
                [-0.940886505338449, 0.6836106353409689],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\nmode = \"singlestep\"\norder = 3\nsteps = 5\nfinal = \"none\"",
            [
                [0.14413128246361917, -1.1271796210948735],
                [1.30104744002495, 0.8181158711934599],
                [-1.0127957528648202, 0.702032302541002],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\nmode = \"singlestep\"\norder = 3\nsteps = 5\nlower_order_final = true\nfinal = \"none\"",
            [
                [0.13985446183321182, -1.1225131804981703],
                [1.2867544428691362, 0.8147918780158084],
                [-1.0069153909915454, 0.6751510139275008],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\nmode = \"singlestep\"\norder = 2\nsteps = 5\nlower_order_final = true\nfinal = \"none\"",
            [
                [0.10805145588536438, -1.0221010816847191],
                [1.1917255519955245, 0.775255039743353],
                [-0.9401464129475005, 0.6808826413522558],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\nmode = \"adaptive\"\norder = 2\natol = 1e-3\nrtol = 1e-2\nfinal = \"none\"",
            [
                [0.1537462955431349, -1.1275316464799379],
                [1.27165100793475, 0.8053492365598721],
                [-0.9876857343137476, 0.6979122921009276],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\nmode = \"adaptive\"\norder = 3\natol = 1e-3\nrtol = 1e-2\nfinal = \"none\"",
            [
                [0.15493807177567478, -1.1296999294965187],
                [1.2766235051593406, 0.8065000814340927],
                [-0.9895835394147154, 0.7016977581658057],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\norder = 1\nsteps = 12",
            [
                [0.10451425142043108, -1.0111919432634953],
                [1.172804382434586, 0.7683506995420186],
                [-0.9225409438128797, 0.6737297596320473],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\norder = 2\nsteps = 12",
            [
                [0.14645520771412696, -1.1271498531820103],
                [1.272047665618619, 0.8060512833356934],
                [-0.9880494654059098, 0.6967215723611809],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\norder = 3\nsteps = 12",
            [
                [0.15105206108961386, -1.1253867391422983],
                [1.270608102272058, 0.8049636435668044],
                [-0.9875899995534896, 0.697764561922503],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\norder = 2\nsteps = 6\nfinal = \"none\"\n[grid]\nkind = \"uniform\"",
            [
                [0.09823535562617522, -1.0238355588261219],
                [1.197970220580213, 0.7855551269873023],
                [-0.9527344391245056, 0.5969691095379126],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\norder = 3\nsteps = 6\nfinal = \"none\"\n[grid]\nkind = \"uniform\"",
            [
                [0.0990738269121017, -1.0254607669226183],
                [1.1993552450552938, 0.7859050982846276],
                [-0.9535586481890036, 0.5967917392770398],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\nmode = \"singlestep\"\norder = 2\nsteps = 5\nfinal = \"none\"",
            [
                [0.17481828214500864, -1.2930289626923754],
                [1.5885068943397715, 0.9314544971923527],
                [-1.2461182928736296, 0.7956716940037992],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\nmode = \"singlestep\"\norder = 3\nsteps = 5\nfinal = \"none\"",
            [
                [0.1710225996932321, -1.2213999355199072],
                [1.3585215009939182, 0.8475030264460326],
                [-1.0491063058416354, 0.685805677523643],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\nmode = \"singlestep\"\norder = 3\nsteps = 5\nlower_order_final = true\nfinal = \"none\"",
            [
                [0.18055112487157363, -1.2444049228143312],
                [1.3886327741685787, 0.8570258468203288],
                [-1.0597130002988864, 0.7185001536172264],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\nmode = \"singlestep\"\norder = 2\nsteps = 5\nlower_order_final = true\nfinal = \"none\"",
            [
                [0.17383938336891047, -1.2813549186538322],
                [1.5687849896605766, 0.9238613698718063],
                [-1.2309913750987507, 0.7773041693202799],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\nmode = \"adaptive\"\norder = 2\natol = 1e-3\nrtol = 1e-2\nfinal = \"none\"",
            [
                [0.15623001269214287, -1.1323721856578952],
                [1.2827462586326182, 0.8081102369661595],
                [-0.9920280554390659, 0.7053070587643409],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\nmode = \"adaptive\"\norder = 3\natol = 1e-3\nrtol = 1e-2\nfinal = \"none\"",
            [
                [0.15535015864430618, -1.130631724417052],
                [1.2769838567529348, 0.8066528590696571],
                [-0.9898948136097165, 0.7015651500460905],
            ],
        ),
    ]
}
