//! Many steps in one dispatch: the kernels of a training list joined to one, whose only workgroup walks through the
//! batches of a call with a barrier after each op. What it computes is what the single kernels compute: its source is
//! made of theirs, parsed, renamed and printed by naga. It needs no device.

use std::collections::BTreeMap;
use std::fmt::Write;

use naga::front::wgsl;
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Binding, BuiltIn, Span, TypeInner};

use super::kernel::layout_of;
use super::memory::arrange;
use super::submits;
use crate::error::{Error, Result};
use crate::ops::{Access, Batch, Class, Tile};
use crate::plan::{Phase, Plan, Step};

/// The kernel of a whole training list.
#[derive(Debug, Clone)]
pub struct Joined {
    /// WGSL.
    pub source: String,
    /// The buffer that each binding shows, by binding number. The binding after them is the table: what changes from
    /// batch to batch, a row for each.
    pub buffers: Vec<usize>,
    /// Loop iterations of an invocation for one batch, at most.
    pub iterations: u64,
    /// Batches of one dispatch.
    pub batches: usize,
    ops: Vec<Place>,
    /// Words of a row of the table.
    row: usize,
}

/// Where a row of the table says how often and with which `Params` an op runs, in words.
#[derive(Debug, Clone, Copy)]
struct Place {
    tile: Tile,
    groups: usize,
    params: usize,
}

/// Invocations of the only workgroup on a processor: one vector of numbers.
pub const VECTOR: u32 = 8;

/// Invocations of the only workgroup on a GPU: as many as the largest workgroup of an op has.
pub const GPU_THREADS: u32 = 64;

/// Invocations of the only workgroup on a class of device.
pub(super) fn threads(class: Class) -> u32 {
    if class == Class::Hardware { GPU_THREADS } else { VECTOR }
}

/// Ops that are joined at most: a driver takes 0.1 to 0.4 s to compile each, and one after the other.
const MOST_OPS: usize = 10;

/// Joins the training list of a plan for a workgroup of so many invocations, [`VECTOR`] or [`GPU_THREADS`]; `None` if
/// an op's workgroups share memory, there are too many ops, or they loop too often.
///
/// # Errors
/// [`Error::Internal`] with naga's message for a shader that it does not take.
pub fn join(plan: &Plan, threads: u32) -> Result<Option<Joined>> {
    if plan.steps(Phase::Train).len() > MOST_OPS {
        return Ok(None);
    }
    let full = Batch { count: plan.batch_size as u32, ..Batch::default() };
    let mut iterations = 1;
    let mut buffers = Buffers::new(plan);
    let mut text = String::new();
    let mut tiles = Vec::new();
    let (mut row, mut body) = (String::from("struct Row {\n"), String::new());
    for (i, step) in plan.steps(Phase::Train).iter().enumerate() {
        let Some(part) = Part::new(i, step, threads, &mut buffers)? else { return Ok(None) };
        text += &part.source;
        // Writing to a String cannot fail.
        let _ = writeln!(row, "    groups{i}: u32,\n    params{i}: op{i}_Params,");
        body += &call(i, &part, threads);
        iterations += part_iterations(step, &full, part.tile, threads);
        tiles.push(part.tile);
    }
    let batches = submits::joined(plan.step_flops(), iterations);
    if batches == 0 {
        return Ok(None);
    }
    text += &buffers.declarations();
    let table = buffers.shown.len();
    let source = format!(
        "{text}{row}}}
@group(0) @binding({table}) var<storage, read> table: array<Row>;
struct Call {{
    batches: u32,
}}
var<immediate> call: Call;

@compute @workgroup_size({threads})
fn main(@builtin(local_invocation_index) lane: u32) {{
    for (var batch = 0u; batch < call.batches; batch++) {{
{body}    }}
}}
"
    );
    let (ops, row) = places(&source, &tiles)?;
    let buffers = buffers.shown.keys().map(|(buffer, _)| *buffer).collect();
    Ok(Some(Joined { source, buffers, iterations, batches, ops, row }))
}

impl Joined {
    /// Bytes of the table.
    pub fn table_bytes(&self) -> u64 {
        (4 * self.row * self.batches) as u64
    }

    /// The table's rows for these batches.
    pub fn table(&self, plan: &Plan, batches: &[Batch]) -> Vec<u32> {
        let mut table = vec![0; self.row * batches.len()];
        for (row, batch) in table.chunks_exact_mut(self.row).zip(batches) {
            for (place, step) in self.ops.iter().zip(plan.steps(Phase::Train)) {
                row[place.groups] = step.op.workgroups(batch, place.tile) as u32;
                let immediates = step.op.immediates(batch);
                let words: &[u32] = bytemuck::cast_slice(immediates.bytes());
                row[place.params..place.params + words.len()].copy_from_slice(words);
            }
        }
        table
    }
}

/// Loop iterations of an invocation that runs one op for a batch, at most: those of [`call`]'s loop and of the op's.
fn part_iterations(step: &Step, batch: &Batch, tile: Tile, threads: u32) -> u64 {
    let calls = |groups: u64| (groups * u64::from(tile.threads)).div_ceil(threads.into());
    let runs = step.op.iterations(Class::Tiny, batch, tile);
    // Ending `call`'s loop goes through the op's loops once.
    let last = 8;
    runs.iter().map(|&(groups, iterations)| calls(groups) * (1 + iterations)).sum::<u64>() + last
}

/// What runs one op for the batch at hand. The workgroup stands for each of the op's, one after the other; where it is
/// larger, for several at a time.
fn call(i: usize, part: &Part, threads: u32) -> String {
    let own = part.tile.threads;
    let arguments = |group: &str, lane: &str| {
        let argument = |&builtin: &BuiltIn| match builtin {
            BuiltIn::WorkGroupId => format!("vec3({group}, 0u, 0u)"),
            BuiltIn::NumWorkGroups => "vec3(groups, 1u, 1u)".to_owned(),
            _ => lane.to_owned(),
        };
        part.arguments.iter().map(argument).collect::<Vec<_>>().join(", ")
    };
    let run = if own >= threads {
        // The number of the group is the same for all lanes, and is seen to be.
        format!("op{i}_main({});", arguments(&format!("first / {own}u"), &format!("first % {own}u + lane")))
    } else {
        let all = arguments(&format!("(first + lane) / {own}u"), &format!("(first + lane) % {own}u"));
        format!("if (first + lane < groups * {own}u) {{ op{i}_main({all}); }}")
    };
    format!(
        "        {{
            op{i}_params = table[batch].params{i};
            let groups = table[batch].groups{i};
            for (var first = 0u; first < groups * {own}u; first += {threads}u) {{
                {run}
            }}
        }}
        storageBarrier();
"
    )
}

/// One op's share of the source.
struct Part {
    source: String,
    tile: Tile,
    /// What its entry point is told, in its order.
    arguments: Vec<BuiltIn>,
}

impl Part {
    /// The op's kernel as functions whose names begin with its number; `None` if its workgroups share memory.
    fn new(number: usize, step: &Step, threads: u32, buffers: &mut Buffers) -> Result<Option<Self>> {
        let source = step.op.source(Class::Tiny);
        let tile = layout_of(&source)?.tile;
        let mut module = wgsl::parse_str(&source).map_err(|error| refused(step, &error.emit_to_string(&source)))?;
        let shares = module.global_variables.iter().any(|(_, variable)| variable.space == AddressSpace::WorkGroup);
        // Of the two sizes of workgroup, one must be a multiple of the other.
        if shares || tile.threads.max(threads) % tile.threads.min(threads) != 0 {
            return Ok(None);
        }
        rename(&mut module, number);
        let shown = own_variables(&mut module, number).map_err(|what| refused(step, &what))?;
        let tensors = step.op.arguments();
        if shown.len() != tensors.len() {
            return Err(refused(step, "it has another number of bindings than its op arguments"));
        }
        let arguments = entry_to_function(&mut module, number).map_err(|what| refused(step, &what))?;
        let mut source = print(&module).map_err(|what| refused(step, &what))?;
        for (Shown { name, element, .. }, argument) in shown.iter().zip(&tensors) {
            let (buffer, first) = buffers.show(argument, element);
            // Every use of a tensor is one of its elements, and an index is a name, a call or in parentheses.
            source = source.replace(&format!("{name}["), &format!("{buffer}[{first}u + "));
        }
        Ok(Some(Part { source, tile, arguments }))
    }
}

/// Puts the op's number before every global name.
fn rename(module: &mut naga::Module, number: usize) {
    let rename = |name: &mut Option<String>| {
        if let Some(name) = name {
            *name = format!("op{number}_{name}");
        }
    };
    module.constants.iter_mut().for_each(|(_, constant)| rename(&mut constant.name));
    module.functions.iter_mut().for_each(|(_, function)| rename(&mut function.name));
    module.global_variables.iter_mut().for_each(|(_, variable)| rename(&mut variable.name));
    let named: Vec<_> = module.types.iter().filter(|(_, kind)| kind.name.is_some()).map(|(handle, _)| handle).collect();
    for handle in named {
        let mut kind = module.types[handle].clone();
        rename(&mut kind.name);
        module.types.replace(handle, kind);
    }
}

/// A binding of an op's kernel.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    binding: u32,
    name: String,
    /// The kind of its elements.
    element: &'static str,
}

/// Makes `Params` a variable of each invocation, filled from the table, and gives each binding a name that naga prints
/// as it is; the bindings by number.
fn own_variables(module: &mut naga::Module, number: usize) -> std::result::Result<Vec<Shown>, String> {
    let types = &module.types;
    let mut shown = Vec::new();
    for (_, variable) in module.global_variables.iter_mut() {
        match (variable.space, &variable.binding) {
            (AddressSpace::Immediate, _) => {
                (variable.space, variable.name) = (AddressSpace::Private, Some(format!("op{number}_params")));
            }
            (AddressSpace::Storage { .. }, Some(binding)) => {
                let name = format!("{}_tensor", variable.name.clone().unwrap_or_default());
                let element = element(&types[variable.ty].inner, types).ok_or_else(|| format!("{name} is no array"))?;
                shown.push(Shown { binding: binding.binding, name: name.clone(), element });
                variable.name = Some(name);
            }
            _ => {}
        }
    }
    shown.sort();
    Ok(shown)
}

/// Makes the entry point a function; what it is told, in its order.
fn entry_to_function(module: &mut naga::Module, number: usize) -> std::result::Result<Vec<BuiltIn>, String> {
    let mut main = module.entry_points.remove(0).function;
    main.name = Some(format!("op{number}_main"));
    let told = |argument: &mut naga::FunctionArgument| match argument.binding.take() {
        Some(Binding::BuiltIn(
            builtin @ (BuiltIn::WorkGroupId | BuiltIn::NumWorkGroups | BuiltIn::LocalInvocationIndex),
        )) => Ok(builtin),
        other => Err(format!("its entry point wants {other:?}")),
    };
    let arguments = main.arguments.iter_mut().map(told).collect();
    module.functions.append(main, Span::UNDEFINED);
    arguments
}

/// The module as WGSL, without its bindings.
fn print(module: &naga::Module) -> std::result::Result<String, String> {
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::SUBGROUP);
    validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    let info = validator.validate(module).map_err(|error| format!("{error:?}"))?;
    let flags = naga::back::wgsl::WriterFlags::empty();
    let text = naga::back::wgsl::write_string(module, &info, flags).map_err(|error| error.to_string())?;
    let declares = |line: &&str| line.starts_with("@group(") || line.starts_with("var<storage");
    Ok(text.lines().filter(|line| !declares(line)).map(|line| format!("{line}\n")).collect())
}

fn refused(step: &Step, why: &str) -> Error {
    Error::internal(format!("the kernel of `{}` cannot be joined: {}", step.label, why.trim()))
}

/// What a runtime-sized array of numbers holds.
fn element(inner: &TypeInner, types: &naga::UniqueArena<naga::Type>) -> Option<&'static str> {
    let TypeInner::Array { base, .. } = inner else { return None };
    match types[*base].inner {
        TypeInner::Vector { size: naga::VectorSize::Quad, scalar: naga::Scalar::F32 } => Some("vec4<f32>"),
        TypeInner::Scalar(naga::Scalar::F32) => Some("f32"),
        TypeInner::Scalar(naga::Scalar::U32) => Some("u32"),
        _ => None,
    }
}

/// The buffers that the ops are shown. Each is bound once for each kind of element, whatever tensors lie in it, so that
/// a compiler sees that what one op writes another one reads.
struct Buffers {
    places: Vec<(usize, u64)>,
    written: Vec<bool>,
    /// By buffer and kind of element.
    shown: BTreeMap<(usize, String), ()>,
}

impl Buffers {
    fn new(plan: &Plan) -> Self {
        let (places, sizes) = arrange(plan);
        let places: Vec<(usize, u64)> = places.iter().map(|place| (place.buffer, place.offset)).collect();
        let mut written = vec![false; sizes.len()];
        for argument in plan.steps(Phase::Train).iter().flat_map(|step| step.op.arguments()) {
            if argument.access != Access::Read {
                plan.bound(argument.binding).iter().for_each(|id| written[places[id.0].0] = true);
            }
        }
        Buffers { places, written, shown: BTreeMap::new() }
    }

    /// The name of the buffer in which an argument lies, and its first element there.
    fn show(&mut self, argument: &crate::ops::Argument, element: &str) -> (String, u64) {
        let (crate::ops::Binding::Tensor(first) | crate::ops::Binding::Flat(first, _)) = argument.binding;
        let (buffer, offset) = self.places[first.0];
        self.shown.insert((buffer, element.to_owned()), ());
        (name(buffer, element), offset / if element == "vec4<f32>" { 16 } else { 4 })
    }

    fn declarations(&self) -> String {
        let declare = |(binding, (buffer, element)): (usize, &(usize, String))| {
            let access = if self.written[*buffer] { "read_write" } else { "read" };
            let name = name(*buffer, element);
            format!("@group(0) @binding({binding}) var<storage, {access}> {name}: array<{element}>;\n")
        };
        self.shown.keys().enumerate().map(declare).collect()
    }
}

fn name(buffer: usize, element: &str) -> String {
    let kind = if element == "vec4<f32>" { "vectors" } else { element };
    format!("buffer{buffer}_{kind}")
}

/// Where the members of a row lie, and its words.
fn places(source: &str, tiles: &[Tile]) -> Result<(Vec<Place>, usize)> {
    let module = wgsl::parse_str(source).map_err(|error| {
        Error::internal(format!("a joined kernel does not parse: {}", error.emit_to_string(source).trim()))
    })?;
    let row = module.types.iter().find(|(_, kind)| kind.name.as_deref() == Some("Row"));
    let Some((row, TypeInner::Struct { members, .. })) = row.map(|(handle, kind)| (handle, &kind.inner)) else {
        return Err(Error::internal("a joined kernel has no table"));
    };
    let offset = |name: String| {
        let member = members.iter().find(|member| member.name.as_ref() == Some(&name));
        member
            .map(|member| member.offset as usize / 4)
            .ok_or_else(|| Error::internal(format!("no {name} in the table")))
    };
    let place = |(i, &tile): (usize, &Tile)| {
        Ok(Place { tile, groups: offset(format!("groups{i}"))?, params: offset(format!("params{i}"))? })
    };
    let stride = module.types.iter().find_map(|(_, kind)| match kind.inner {
        TypeInner::Array { base, stride, .. } if base == row => Some(stride as usize / 4),
        _ => None,
    });
    let stride = stride.ok_or_else(|| Error::internal("a joined kernel has no table"))?;
    Ok((tiles.iter().enumerate().map(place).collect::<Result<_>>()?, stride))
}
