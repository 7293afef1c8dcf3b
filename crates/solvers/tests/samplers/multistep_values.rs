//! Values of published code for the methods in the noise level and the multistep methods, from one start on one list of levels.

use std::sync::Arc;

use sde_core::Sde;
use solvers::{Coef, Draw, NoiseSource, SolveError, State};

use crate::common::{Batch, batch, oracle, rows, run, sampler, sde, sdes};
use crate::multistep::KINDS;

/// Noise levels that lie in the domain of all four SDEs.
const SIGMAS: &str = "[grid]\nkind = \"custom\"\nsigmas = [40.0, 20.0, 9.0, 4.0, 1.8, 0.8, 0.3, 0.1, 0.02]";
/// The start at the first of them, divided by `mean_coef`.
const START: [[f64; 2]; 3] = [[30.0, -20.0], [-12.5, 41.0], [3.0, 55.0]];

type Rows = [[f64; 2]; 3];

/// Normals that any language can write down: the `k`-th batch is `sin(1.7 k + 0.9 row + 0.4 column + 0.3)`.
struct Sines(std::cell::Cell<u32>);

impl NoiseSource<Batch> for Sines {
    fn normal(&self, _draw: Draw, out: &mut Batch) -> Result<(), SolveError> {
        let k = f64::from(self.0.replace(self.0.get() + 1));
        out.fill_rows(&mut |row, values| {
            for (d, value) in values.iter_mut().enumerate() {
                *value = (1.7 * k + 0.9 * row as f64 + 0.4 * d as f64 + 0.3).sin();
            }
        });
        Ok(())
    }
}

/// Runs from the start on the levels of the table's grid, and returns the end divided by its `mean_coef`.
fn end(table: &str, sde: &Arc<dyn Sde>) -> Vec<Vec<f64>> {
    let sampler = sampler(table, &**sde);
    let first = sde.marginal(sampler.t_start()).mean_coef;
    let mut x = batch(3, 2, |row, d| START[row][d] * first);
    run(&*sampler, &**sde, &oracle(sde), &Sines(0.into()), &mut x)
        .unwrap_or_else(|error| panic!("{table}: {error}"));
    if table.contains("final = \"none\"") {
        let last = table.trim_end_matches(']').rsplit(", ").next().expect("a list");
        let t = sde.time_at_sigma(last.parse().expect("a number"));
        x.scale(Coef::All(1.0 / sde.marginal(t).mean_coef));
    }
    rows(&x)
}

/// In `x/mean_coef` and `sigma` the methods do not see which SDE they run on: one list of values for all four.
fn expect(table: &str, published: &Rows) {
    for (name, sde) in sdes() {
        expect_on(name, &sde, table, published);
    }
}

fn expect_on(name: &str, sde: &Arc<dyn Sde>, table: &str, published: &Rows) {
    for (got, want) in end(table, sde).iter().flatten().zip(published.iter().flatten()) {
        assert!((got - want).abs() < 1e-9, "{name} {table}: {got} for {want}");
    }
}

/// k-diffusion 0.1.1.post1 in double precision, `sample_euler`, `sample_heun`, `sample_dpm_2` and `sample_lms`: on the levels alone, and
/// with 0 appended.
#[test]
fn values_of_k_diffusion() {
    #[rustfmt::skip]
    let published: [(&str, Rows, Rows); 7] = [
        ("kind = \"euler\"",
            [[0.9114889402697068, 0.18098692258259746], [-0.7261597722791824, 0.7493809661349873], [-0.343273423209535, 0.9447981657434812]],
            [[0.9148351916811798, 0.18387722793109693], [-0.7268451586286054, 0.7485665001028623], [-0.3454672516735423, 0.943949560757658]]),
        ("kind = \"heun\"",
            [[1.2184155911030627, 0.28306045593253476], [-0.8334747897578522, 0.8339306712846798], [-0.41201575458164447, 1.1015560236681508]],
            [[1.2192499046892245, 0.2849857485006701], [-0.8332373301974112, 0.8321216508053773], [-0.4132501866125336, 1.0993308892537734]]),
        ("kind = \"dpm-2\"",
            [[1.162177125634352, 0.20988514712505296], [-0.8217420399056051, 0.8162019903891347], [-0.33582656596275284, 1.0834995370992655]],
            [[1.1635742857592009, 0.2121937911838524], [-0.821635929562193, 0.814562857138808], [-0.33756553723829225, 1.0816780042419183]]),
        ("kind = \"lms\"\norder = 1",
            [[0.9114889402697068, 0.18098692258259746], [-0.7261597722791824, 0.7493809661349873], [-0.343273423209535, 0.9447981657434812]],
            [[0.9148351916811798, 0.18387722793109693], [-0.7268451586286054, 0.7485665001028623], [-0.3454672516735423, 0.943949560757658]]),
        ("kind = \"lms\"\norder = 2",
            [[1.0023261074283378, 0.20095675819015596], [-0.7647602694220087, 0.7663448065268484], [-0.35841897956169566, 0.9839386318404157]],
            [[1.0037373259315323, 0.20233640911144862], [-0.7649594047150244, 0.7657767175135163], [-0.3594415057008289, 0.9833357408874329]]),
        ("kind = \"lms\"\norder = 3",
            [[1.028725188783911, 0.20909324665814416], [-0.774663673282731, 0.7701578763870702], [-0.36351733013668724, 0.9945772737784253]],
            [[1.0298670058327162, 0.21018724857334659], [-0.7748377959131447, 0.7696127223297577], [-0.3644465119314716, 0.9940082751957638]]),
        ("kind = \"lms\"",
            [[1.0382658911279834, 0.2124185326340474], [-0.7779786085085587, 0.7714857798122862], [-0.36542171242062876, 0.9984321799549803]],
            [[1.0393953795562392, 0.21346781625425879], [-0.7781532577322959, 0.7709363276206598], [-0.3663864655298028, 0.9978761287480956]]),
    ];
    for (table, levels, with_zero) in published {
        expect(&format!("{table}\nfinal = \"none\"\n{SIGMAS}"), &levels);
        expect(&format!("{table}\n{SIGMAS}"), &with_zero);
    }
}

/// The same code with `s_churn = 3`, `s_tmin = 0.05`, `s_tmax = 20`, `s_noise = 1.003`, 0 appended, and its `randn_like` replaced by
/// [`Sines`]: nine draws, of which the outer ones go unused.
#[test]
fn values_of_k_diffusion_with_churn() {
    #[rustfmt::skip]
    let published: [(&str, Rows); 3] = [
        ("euler", [[0.03490415830787432, 0.5678739133837825], [-0.749479245904072, 0.5272540192918219], [-0.7579745003587974, 0.5501717165160038]]),
        ("heun", [[1.0351319544670732, 0.6448932436747523], [-0.9575571786287685, 0.5764594291771022], [-0.841990687270992, 0.6611802612873633]]),
        ("dpm-2", [[1.0333321808840046, 0.6481932412300437], [-0.9582230903451654, 0.555842362561859], [-0.9092550316893485, 0.6202026282238877]]),
    ];
    for (kind, values) in published {
        let churn = "s_churn = 3.0\ns_min = 0.05\ns_max = 20.0\ns_noise = 1.003";
        expect(&format!("kind = \"{kind}\"\n{churn}\n{SIGMAS}"), &values);
    }
}

/// iPNDM in the variables of Karras et al., as in the diff-solvers code of Zhou et al. 2024: `x' = x + (sigma' - sigma) sum_j b_j d_j`. Computed
/// in double precision by a program of a few lines.
#[test]
fn values_of_ipndm() {
    #[rustfmt::skip]
    let published: [(usize, Rows, Rows); 4] = [
        (1, [[0.9114889402697068, 0.18098692258259746], [-0.7261597722791824, 0.7493809661349873], [-0.343273423209535, 0.9447981657434812]],
            [[0.9148351916811798, 0.18387722793109693], [-0.7268451586286054, 0.7485665001028623], [-0.3454672516735423, 0.943949560757658]]),
        (2, [[1.096972229522757, 0.2290821694451664], [-0.7964158708326141, 0.7849493086756987], [-0.3790616598934491, 1.0263192034643551]],
            [[1.0988260485401995, 0.23144082145974426], [-0.7965681061274565, 0.7836263241144031], [-0.3807563335642808, 1.0247546015183941]]),
        (3, [[1.1311883005713914, 0.2466220634594011], [-0.8050986706035762, 0.7950382285687326], [-0.3763118015278018, 1.0472248233322259]],
            [[1.132750487754709, 0.24884977766243616], [-0.8051645808039319, 0.7936113656158755], [-0.3779473101735514, 1.0455194191630364]]),
        (4, [[1.1057441492087066, 0.2318129044946986], [-0.8084149839697397, 0.8060251891885921], [-0.34654670916573227, 1.0460627510718161]],
            [[1.1075265286401719, 0.23414468373879097], [-0.8084223187073928, 0.8045072372135575], [-0.3483581794833721, 1.0444725572931088]]),
    ];
    for (order, levels, denoised) in published {
        let table = format!("kind = \"ipndm\"\norder = {order}");
        expect(&format!("{table}\nfinal = \"none\"\n{SIGMAS}"), &levels);
        expect(&format!("{table}\n{SIGMAS}"), &denoised);
    }
}

/// tAB-DEIS with the integrals of its weights taken in `t` with thirty digits (mpmath, tanh-sinh in four panels a step), the rest in
/// double precision. Polynomials in `t` see the SDE; for EDM they are those of LMS.
#[test]
fn values_of_deis() {
    #[rustfmt::skip]
    let published: [(&str, [Rows; 4]); 3] = [
        ("vp", [
            [[0.9114889402697068, 0.18098692258259746], [-0.7261597722791824, 0.7493809661349872], [-0.343273423209535, 0.9447981657434811]],
            [[1.0428919308658633, 0.20910393653719672], [-0.7874428982519003, 0.7687020751612674], [-0.3516883524820889, 1.0002899888423196]],
            [[1.0993224984216092, 0.22860346037100937], [-0.8140334595831976, 0.7695657497665869], [-0.35676240688667815, 1.0195460281704114]],
            [[1.1299037261112828, 0.24434560543604275], [-0.8277640465025249, 0.766629233093661], [-0.3656546175236257, 1.0268777540275822]],
        ]),
        ("subvp", [
            [[0.9114889402697068, 0.18098692258259746], [-0.7261597722791824, 0.7493809661349872], [-0.343273423209535, 0.9447981657434811]],
            [[1.0514532230495168, 0.2127647705661878], [-0.7853071557825131, 0.7747599839758281], [-0.36048130228047787, 1.006827517640671]],
            [[1.0982512676966851, 0.2296162252870542], [-0.8036927257164743, 0.779881103104069], [-0.3635676108231799, 1.0271445667427115]],
            [[1.1157309630824392, 0.238324687954363], [-0.8115798010022748, 0.7812920705751137], [-0.3641382771523289, 1.034631099206821]],
        ]),
        ("ve", [
            [[0.9114889402697068, 0.18098692258259746], [-0.7261597722791824, 0.7493809661349872], [-0.343273423209535, 0.9447981657434811]],
            [[1.0843778267946274, 0.22111779180289337], [-0.794976423204384, 0.7847925867616897], [-0.37322933649237267, 1.0242819757952535]],
            [[1.0942982566563113, 0.22211542914844307], [-0.8018731987636819, 0.7963689906966365], [-0.3533817587381321, 1.0409706211778516]],
            [[1.0211105256489483, 0.1556425181413361], [-0.8260599345525855, 0.81603958627969], [-0.2696124375803338, 1.03273987166395]],
        ]),
    ];
    for (name, orders) in published {
        let sde = sde(&format!("kind = \"{name}\""));
        for (order, values) in (1..).zip(orders) {
            let table = format!("kind = \"deis\"\norder = {order}\nfinal = \"none\"\n{SIGMAS}");
            expect_on(name, &sde, &table, &values);
        }
    }
    let edm = sde("kind = \"edm\"");
    let levels = |kind| {
        end(
            &format!("kind = \"{kind}\"\norder = 4\nfinal = \"none\"\n{SIGMAS}"),
            &edm,
        )
    };
    for (deis, lms) in levels("deis")
        .iter()
        .flatten()
        .zip(levels("lms").iter().flatten())
    {
        assert!((deis - lms).abs() < 1e-12, "{deis} {lms}");
    }
}

/// The authors' program of UniPC (Zhao et al. 2023) in double precision, `NoiseScheduleVP("linear", 0.1, 20)`, data prediction, `multistep`,
/// `lower_order_final`, at the times of these levels; and with `denoise_to_zero`.
#[test]
fn values_of_unipc() {
    #[rustfmt::skip]
    let published: [(&str, usize, Rows, Rows); 6] = [
        ("bh1", 1, [[1.0412201952626843, 0.21082609308679345], [-0.7804949144084175, 0.7716727728791226], [-0.3667664973137338, 0.9973087546877171]],
            [[1.0435297609780507, 0.21335895466117388], [-0.7807866914024454, 0.7705026203983981], [-0.3686362595293817, 0.9959973692462395]]),
        ("bh1", 2, [[1.3584330828227882, 0.2989502165038289], [-0.9297297263812002, 0.7831366845116375], [-0.4266958447913374, 1.1061743979085394]],
            [[1.358179237993593, 0.30055158335200866], [-0.9291190400960518, 0.7813482642621092], [-0.4278289733491771, 1.1038632868313387]]),
        ("bh1", 3, [[1.377325531505907, 0.3042877385724932], [-0.9663703636254857, 0.7625503852051609], [-0.44803759527626635, 1.0928712246746037]],
            [[1.3769188482995527, 0.3058332901371035], [-0.9656220939063285, 0.7607788225180971], [-0.44909529757144384, 1.0905793916544808]]),
        ("bh2", 1, [[0.9949342400146558, 0.19975962433765074], [-0.7615918374075161, 0.7634885878729195], [-0.3573015071694445, 0.9781819825325286]],
            [[0.9976144695570801, 0.2024216096768777], [-0.7620220897246637, 0.7624452692250117], [-0.3592945482401018, 0.9770424211192106]]),
        ("bh2", 2, [[1.2179321520363866, 0.26543588742767826], [-0.8600695976420083, 0.77868876128127], [-0.4089644032713695, 1.0527626171570563]],
            [[1.2188033098398023, 0.2674289138322878], [-0.8598769230802957, 0.7771824275424871], [-0.41039157915946317, 1.0509001015876656]]),
        ("bh2", 3, [[1.284044889550888, 0.2681964253008256], [-0.9324350224667767, 0.754997652038959], [-0.39553748351310275, 1.0671130317390254]],
            [[1.2844111768091377, 0.27005448217472977], [-0.9319097210821591, 0.753402327038381], [-0.396990645986013, 1.0651952818901809]]),
    ];
    for (variant, order, levels, denoised) in published {
        let table = format!("kind = \"unipc\"\norder = {order}\nvariant = \"{variant}\"");
        expect(&format!("{table}\nfinal = \"none\"\n{SIGMAS}"), &levels);
        expect(&format!("{table}\n{SIGMAS}"), &denoised);
    }
    // One, two and three steps with as many orders, also where more are asked for.
    #[rustfmt::skip]
    let few: [(&str, Rows); 3] = [
        ("40.0, 0.05", [[-0.06399412909403429, 0.23867786945574757], [-0.14191536270553443, 0.33479463806256793], [-0.11193239503844754, 0.3578328578686583]]),
        ("40.0, 6.0, 0.05", [[0.03364091790851609, 0.2057289297734278], [-0.1834621406518534, 0.4084976390501437], [-0.09027509897680837, 0.45999952117150744]]),
        ("40.0, 6.0, 0.7, 0.05", [[0.5128130521704578, 0.036383630522258854], [-0.683901729883476, 0.6847208032177766], [-0.17925297090182163, 0.8315366913793271]]),
    ];
    for (sigmas, values) in few {
        let grid = format!("[grid]\nkind = \"custom\"\nsigmas = [{sigmas}]");
        expect(&format!("kind = \"unipc\"\nfinal = \"none\"\n{grid}"), &values);
    }
}

/// Where the list of levels ends in 0, that step is the published one, whatever the ending, and nothing is evaluated at 0.
#[test]
fn a_grid_down_to_no_noise_is_the_step_to_zero() {
    let with_zero = SIGMAS.replace("0.02]", "0.02, 0.0]");
    for kind in ["vp", "subvp", "edm"] {
        let sde = sde(&format!("kind = \"{kind}\""));
        for table in [
            "kind = \"euler\"",
            "kind = \"heun\"",
            "kind = \"dpm-2\"",
            "kind = \"lms\"",
            "kind = \"dpm-2\"\ns_churn = 3.0",
        ] {
            let appended = end(&format!("{table}\n{SIGMAS}"), &sde);
            for ending in ["tweedie", "mean"] {
                let own = end(&format!("{table}\nfinal = \"{ending}\"\n{with_zero}"), &sde);
                for (own, appended) in own.iter().flatten().zip(appended.iter().flatten()) {
                    assert!((own - appended).abs() < 1e-12, "{kind} {table}: {own} {appended}");
                }
            }
        }
        for table in KINDS {
            let ended = end(&format!("{table}\nfinal = \"mean\"\n{with_zero}"), &sde);
            let all_there = ended.iter().flatten().all(|value| value.abs() < 2.0);
            assert!(all_there, "{kind} {table}: {ended:?}");
        }
    }
}
