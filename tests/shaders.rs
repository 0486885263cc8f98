//! Every shader that any op can ask for, on any class of device: it parses, validates, fits its op, and every backend's
//! writer takes it. No adapter is needed: this is what stands in for Metal and DX12 where there are none.

#[path = "support/require.rs"]
mod require;
#[path = "support/variants.rs"]
mod variants;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use wgrad::config::{Config, Task};
use wgrad::gpu::{GPU_THREADS, VECTOR, grid, join, layout_of};
use wgrad::layers::{self, DataShape};
use wgrad::model::activations::ACTIVATIONS;
use wgrad::model::optimizers::OPTIMIZERS;
use wgrad::ops::input::Encoding;
use wgrad::ops::{Access, Batch, Class, Op};
use wgrad::plan::{MAX_BINDINGS, Plan, Step};

/// Bytes of immediates that every Vulkan device has.
const MAX_IMMEDIATES: usize = 128;

const BATCH: Batch = Batch {
    first: 0,
    count: 1,
    slot: 0,
    scale: 1.0,
    learning_rate: 0.1,
    correction1: 1.0,
    correction2: 1.0,
    counter: 0,
    group: 0,
};

/// The source of a kernel.
struct Shader {
    name: String,
    source: String,
}

impl Shader {
    fn module(&self) -> Result<(naga::Module, ModuleInfo), Failed> {
        let module = naga::front::wgsl::parse_str(&self.source)
            .map_err(|error| format!("{}: {}", self.name, error.emit_to_string(&self.source)))?;
        let info = Validator::new(
            ValidationFlags::all(),
            Capabilities::IMMEDIATES | Capabilities::SUBGROUP | Capabilities::SHADER_INT64,
        )
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|error| format!("{}: {}", self.name, error.emit_to_string(&self.source)))?;
        Ok((module, info))
    }
}

/// Distinct sources for every class of device, each with an op that uses it.
fn shaders() -> Vec<(Shader, Box<dyn Op>)> {
    let mut found: BTreeMap<String, (Shader, Box<dyn Op>)> = BTreeMap::new();
    for class in [Class::Software, Class::SoftwareLanes, Class::Hardware, Class::Tiny] {
        for op in variants::variants() {
            let source = op.source(class);
            let name = format!("{class:?} {op:?}");
            found.entry(source.clone()).or_insert((Shader { name, source }, op));
        }
    }
    found.into_values().collect()
}

/// Layers of tiny networks that together have every op that is joined, in most of its variants.
fn layers() -> Vec<String> {
    let mut all: Vec<String> = (ACTIVATIONS.iter())
        .filter(|activation| activation.name != "identity")
        .map(|activation| {
            format!(
                "{{ type = \"dense\", units = 4, activation = \"{}\" }}, {{ type = \"dense\", bias = false }}",
                activation.name
            )
        })
        .collect();
    let others = [
        r#"{ type = "dropout", rate = 0.1 }, { type = "dense", units = 5, activation = "tanh" }, { type = "dense" }"#,
        r#"{ type = "dense", units = 5, activation = "gelu" }, { type = "dropout", rate = 0.1 }, { type = "dense" }"#,
        r#"{ type = "batch_norm" }, { type = "dense", units = 3, activation = "relu" }, { type = "dense" }"#,
        r#"{ type = "dense", units = 3, activation = "relu" }, { type = "batch_norm" }, { type = "dense" }"#,
    ];
    all.extend(others.map(str::to_owned));
    all
}

/// The plan of a tiny network on a table of 60 rows.
fn tiny(run: &str, task: Task, encoding: Encoding, max_binding: u64) -> Plan {
    let config: Config = toml::from_str(run).unwrap_or_else(|error| panic!("{run}: {error}"));
    let outputs = if task == Task::Classification { 3 } else { 1 };
    let shape = DataShape {
        rows: 60,
        features: 5,
        encoding,
        task,
        target_columns: 1,
        outputs,
        train_rows: 60,
        largest_set: 60,
    };
    layers::compile(&config, shape, max_binding).unwrap_or_else(|(key, error)| panic!("{run}: {key}: {error}"))
}

/// Kernels of whole training lists, for both sizes of workgroup.
fn joined() -> Result<Vec<Shader>, Failed> {
    let bytes = Encoding::U8 { scale: 0.5, shift: -1.0 };
    let mut plans: Vec<Plan> = Vec::new();
    for (i, layers) in layers().iter().enumerate() {
        let optimizer = OPTIMIZERS[i % OPTIMIZERS.len()].name;
        let run = format!("model.layers = [{layers}]\noptimizer.name = \"{optimizer}\"");
        plans.push(tiny(&run, Task::Classification, if i % 2 == 0 { Encoding::F32 } else { bytes }, 1 << 20));
    }
    let dense = r#"model.layers = [{ type = "dense", units = 4, activation = "relu" }, { type = "dense" }]"#;
    for (loss, task) in [("mse", Task::Regression), ("mae", Task::Regression), ("huber", Task::Regression)] {
        plans.push(tiny(&format!("{dense}\nloss.name = \"{loss}\""), task, Encoding::F32, 1 << 20));
    }
    plans.push(tiny(dense, Task::Binary, Encoding::F32, 1 << 20));
    // The data set in two blocks.
    plans.push(tiny(&format!("{dense}\ntrain.batch_size = 16"), Task::Binary, Encoding::F32, 1100));
    let mut shaders: BTreeMap<String, Shader> = BTreeMap::new();
    for (i, plan) in plans.iter().enumerate() {
        for threads in [VECTOR, GPU_THREADS] {
            let joined = join(plan, threads)?.ok_or_else(|| format!("network {i} is not joined"))?;
            let name = format!("network {i} in {threads} invocations");
            shaders.insert(joined.source.clone(), Shader { name, source: joined.source });
        }
    }
    Ok(shaders.into_values().collect())
}

fn every_shader(check: impl Fn(&Shader) -> Result<(), Failed>) -> Result<(), Failed> {
    let (shaders, joined) = (shaders(), joined()?);
    shaders.iter().map(|(shader, _)| shader).chain(&joined).try_for_each(check)?;
    // Fewer would mean that the enumeration has lost rows.
    let (all, joined) = (shaders.len(), joined.len());
    ensure(all >= 300 && joined >= 30, || format!("only {all} distinct shaders and {joined} joined ones"))
}

fn every_op(check: impl Fn(&Shader, &dyn Op) -> Result<(), Failed>) -> Result<(), Failed> {
    shaders().iter().try_for_each(|(shader, op)| check(shader, op.as_ref()))
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(what().into()) }
}

fn parses_and_validates(shader: &Shader) -> Result<(), Failed> {
    shader.module().map(|_| ())
}

fn fits_its_op(shader: &Shader, op: &dyn Op) -> Result<(), Failed> {
    let name = &shader.name;
    let layout = layout_of(&shader.source).map_err(|error| format!("{name}: {error}"))?;
    let arguments = op.arguments();
    ensure(layout.bindings.len() == arguments.len(), || {
        format!("{name}: {} bindings, {} arguments", layout.bindings.len(), arguments.len())
    })?;
    // WebGPU's default, which the smallest devices have.
    ensure(arguments.len() <= MAX_BINDINGS.min(8), || format!("{name}: {} bindings", arguments.len()))?;
    for ((binding, access), argument) in layout.bindings.iter().zip(&arguments) {
        let (shader_writes, op_writes) = (*access != Access::Read, argument.access != Access::Read);
        ensure(shader_writes == op_writes, || {
            format!("{name}: binding {binding} is {access:?}, its argument {argument:?}")
        })?;
    }
    // WebGPU's default, too.
    ensure(layout.tile.threads <= 256, || format!("{name}: {} invocations", layout.tile.threads))?;
    let bytes = op.immediates(&BATCH).bytes().len();
    ensure(layout.immediates as usize == bytes && bytes <= MAX_IMMEDIATES, || {
        format!("{name}: Params has {} bytes, the op sends {bytes}", layout.immediates)
    })
}

/// WebGPU's default, which the smallest devices have.
const MAX_WORKGROUP_MEMORY: u32 = 16_384;

fn workgroup_memory(module: &naga::Module) -> u32 {
    let variables = module.global_variables.iter().map(|(_, variable)| variable);
    let shared = variables.filter(|variable| variable.space == naga::AddressSpace::WorkGroup);
    shared.map(|variable| module.types[variable.ty].inner.size(module.to_ctx()).next_multiple_of(16)).sum()
}

fn fits_into_workgroup_memory(shader: &Shader) -> Result<(), Failed> {
    let bytes = workgroup_memory(&shader.module()?.0);
    ensure(bytes <= MAX_WORKGROUP_MEMORY, || format!("{}: {bytes} bytes of workgroup memory", shader.name))
}

fn a_larger_tile_does_not_fit() -> Result<(), Failed> {
    let line = "4u * (TILE_ROWS + TILE_COLUMNS)>";
    let shaders = shaders().into_iter().map(|(shader, _)| shader);
    let mut widest =
        shaders.filter(|shader| shader.source.contains("TILE_ROWS: u32 = 128u") && shader.source.contains(line));
    let shader = widest.next().ok_or("no shader has the widest tile")?;
    fits_into_workgroup_memory(&shader)?;
    let source = shader.source.replace(line, "4u * (TILE_ROWS + TILE_COLUMNS) + 16u>");
    let found = fits_into_workgroup_memory(&Shader { source, ..shader });
    ensure(found.is_err(), || "16,640 bytes were accepted".to_owned())
}

fn begins_with_its_formula(shader: &Shader, op: &dyn Op) -> Result<(), Failed> {
    for source in op.sources(Class::Software).into_iter().filter(|source| source.contains("@compute")) {
        let first = source.lines().next().unwrap_or_default().to_owned();
        ensure(first.starts_with("// ") && first.contains(['=', '←']), || {
            format!("{}: begins with `{first}`", shader.name)
        })?;
    }
    Ok(())
}

fn spirv(shader: &Shader) -> Result<Vec<u32>, Failed> {
    let (module, info) = shader.module()?;
    let options = spv::Options { lang_version: (1, 3), ..spv::Options::default() };
    Ok(spv::write_vec(&module, &info, &options, None).map_err(|error| format!("{}: {error}", shader.name))?)
}

fn msl_takes_it(shader: &Shader) -> Result<(), Failed> {
    let (module, info) = shader.module()?;
    let options = msl::Options { lang_version: (2, 1), ..msl::Options::default() };
    let (text, _) = msl::write_string(&module, &info, &options, &msl::PipelineOptions::default())
        .map_err(|error| format!("{}: {error}", shader.name))?;
    ensure(text.contains("kernel void"), || format!("{}: no kernel in the MSL", shader.name))
}

fn hlsl_takes_it(shader: &Shader) -> Result<(), Failed> {
    let (module, info) = shader.module()?;
    let target = hlsl::BindTarget { space: 1, ..hlsl::BindTarget::default() };
    let options = hlsl::Options {
        fake_missing_bindings: true,
        immediates_target: Some(target),
        special_constants_binding: Some(hlsl::BindTarget { space: 2, ..hlsl::BindTarget::default() }),
        ..hlsl::Options::default()
    };
    let mut text = String::new();
    hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions::default())
        .write(&module, &info, None)
        .map_err(|error| format!("{}: {error}", shader.name))?;
    ensure(text.contains("numthreads"), || format!("{}: no kernel in the HLSL", shader.name))
}

fn spirv_val_accepts_it(shader: &Shader) -> Result<(), Failed> {
    let bytes: Vec<u8> = spirv(shader)?.iter().flat_map(|word| word.to_le_bytes()).collect();
    accepted(&bytes).map_err(|error| format!("{}: {error}", shader.name).into())
}

/// What `spirv-val` says about a module.
fn accepted(bytes: &[u8]) -> Result<(), String> {
    let mut child = Command::new("spirv-val")
        .args(["--target-env", "vulkan1.1", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut stdin = child.stdin.take().ok_or("spirv-val has no input")?;
    stdin.write_all(bytes).map_err(|error| error.to_string())?;
    drop(stdin);
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Rows of the tiles of a network's `dense` and `dense_grad`, in training and in evaluation. Checked here because the
/// kernel tests cannot see which tile a layer got.
fn tiles_fit_the_work() -> Result<(), Failed> {
    for (class, layers, batch_size, train, evaluate) in [
        (Class::Hardware, [784, 128, 64, 10], 64, [16; 6], [16; 3]),
        (Class::Hardware, [784, 1024, 1024, 10], 1024, [64, 64, 16, 16, 64, 32], [64, 64, 16]),
        (Class::Hardware, [784, 1024, 1024, 10], 64, [16, 16, 16, 16, 16, 32], [64, 64, 16]),
        (Class::Hardware, [4096, 4096, 2048, 513], 4096, [128, 128, 64, 64, 128, 128], [128, 64, 32]),
        (Class::SoftwareLanes, [784, 128, 64, 10], 64, [32, 16, 16, 16, 16, 32], [32, 16, 16]),
        (Class::Software, [784, 128, 64, 10], 64, [16; 6], [16; 3]),
    ] {
        let [features, first, second, outputs] = layers;
        let run = format!(
            "model.layers = [{{ type = \"dense\", units = {first}, activation = \"relu\" }},
                {{ type = \"dense\", units = {second}, activation = \"relu\" }}, {{ type = \"dense\" }}]
             train.batch_size = {batch_size}"
        );
        let config: Config = toml::from_str(&run).map_err(|error| error.to_string())?;
        let rows = 50_000;
        let shape = DataShape {
            rows,
            features,
            encoding: Encoding::F32,
            task: Task::Classification,
            target_columns: 1,
            outputs,
            train_rows: rows,
            largest_set: rows,
        };
        let plan = layers::compile(&config, shape, 1 << 31).map_err(|(_, error)| error.to_string())?;
        let rows = |steps: &[Step]| -> wgrad::Result<Vec<u32>> {
            let dense = steps.iter().filter(|step| step.op.name().starts_with("dense"));
            dense.map(|step| Ok(layout_of(&step.op.source(class))?.tile.rows)).collect()
        };
        let found = (rows(&plan.train)?, rows(&plan.evaluate)?);
        ensure(found == (train.to_vec(), evaluate.to_vec()), || format!("{class:?}, {layers:?}: tiles of {found:?}"))?;
    }
    Ok(())
}

fn spirv_val_refuses_a_broken_module() -> Result<(), Failed> {
    let shaders = shaders();
    let mut words = spirv(&shaders[0].0)?;
    // Without its last word, OpFunctionEnd, the function does not end.
    words.pop();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    ensure(accepted(&bytes).is_err(), || "a function without an end was accepted".to_owned())
}

/// Data sets and networks at the ends of what a binding of 2 GiB holds: rows, features, units, batch size.
const HUGE: [(usize, usize, usize, usize); 5] = [
    (100_000_000, 4, 4, 100_000_000),
    (134_000_000, 1, 1, 134_000_000),
    (4_000_000, 100, 128, 4_000_000),
    (2_000, 4_096, 131_000, 2_000),
    (100_000, 200_000, 2_000, 64),
];

/// The largest grids of a plan, found without a device: for every class of device, every step of the largest batch.
fn no_dispatch_is_beyond_65535_workgroups_a_dimension() -> Result<(), Failed> {
    let (mut largest, mut folded) = (0, 0);
    for (rows, features, units, batch_size) in HUGE {
        let run = format!(
            "model.layers = [{{ type = \"dense\", units = {units}, activation = \"tanh\" }}, {{ type = \"batch_norm\" }},
                {{ type = \"dropout\", rate = 0.5 }}, {{ type = \"dense\" }}]
             regularization.clip_norm = 1.0
             train.batch_size = {batch_size}"
        );
        let config: Config = toml::from_str(&run).map_err(|error| error.to_string())?;
        let shape = DataShape {
            rows,
            features,
            encoding: Encoding::F32,
            task: Task::Regression,
            target_columns: 1,
            outputs: 1,
            train_rows: rows,
            largest_set: rows,
        };
        let plan =
            layers::compile(&config, shape, (1 << 31) - 256).map_err(|(_, error)| format!("{units}: {error}"))?;
        for class in [Class::Software, Class::SoftwareLanes, Class::Hardware, Class::Tiny] {
            for (steps, count) in [(&plan.train, plan.batch_size), (&plan.evaluate, plan.evaluation_batch_size)] {
                for step in steps {
                    let layout = layout_of(&step.op.source(class))?;
                    let groups = step.op.workgroups(&Batch { count: count as u32, ..BATCH }, layout.tile);
                    let (x, y) = grid(groups).ok_or_else(|| format!("{}: {groups} workgroups", step.label))?;
                    let covered = u64::from(x) * u64::from(y) >= groups && x.max(y) <= 65_535;
                    ensure(covered, || format!("{}: {groups} workgroups as {x} × {y}", step.label))?;
                    (largest, folded) = (groups.max(largest), folded + usize::from(y > 1));
                }
            }
        }
    }
    // Shapes that never need a second dimension would prove nothing.
    ensure(largest > 1_000_000 && folded > 10, || format!("at most {largest} workgroups, {folded} grids folded"))
}

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let on_each = |name: &str, check: fn(&Shader) -> Result<(), Failed>| Trial::test(name, move || every_shader(check));
    let mut trials = vec![
        on_each("every_shader_parses_and_validates", parses_and_validates),
        Trial::test("every_shader_fits_the_arguments_and_immediates_of_its_op", || every_op(fits_its_op)),
        on_each("no_shader_takes_more_workgroup_memory_than_every_device_has", fits_into_workgroup_memory),
        Trial::test("every_kernel_begins_with_its_formula", || every_op(begins_with_its_formula)),
        on_each("every_shader_can_be_written_as_msl", msl_takes_it),
        on_each("every_shader_can_be_written_as_hlsl", hlsl_takes_it),
        on_each("every_shader_can_be_written_as_spirv", |shader| spirv(shader).map(|_| ())),
    ];
    let name = "no_dispatch_is_beyond_65535_workgroups_a_dimension";
    trials.push(Trial::test(name, no_dispatch_is_beyond_65535_workgroups_a_dimension));
    trials.push(Trial::test("tiles_fit_the_work", tiles_fit_the_work));
    trials.push(Trial::test("a_tile_larger_than_the_workgroup_memory_is_noticed", a_larger_tile_does_not_fit));
    let missing = (Command::new("spirv-val").arg("--version").output().err())
        .map(|error| format!("spirv-val does not run ({error}); install spirv-tools"));
    trials
        .push(require::trial("spirv_val_accepts_every_shader", missing.clone(), || every_shader(spirv_val_accepts_it)));
    trials.push(require::trial("spirv_val_refuses_a_broken_module", missing, spirv_val_refuses_a_broken_module));
    libtest_mimic::run(&arguments, trials).exit();
}
