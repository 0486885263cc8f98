//! From WGSL to a pipeline: reads bindings, tile and workgroup size from the module, and compiles.

use naga::front::wgsl;

use crate::error::{Error, Result};
use crate::ops::{Access, Tile};

/// What a shader says about itself.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Binding number and whether the kernel writes to it, by binding number.
    pub bindings: Vec<(u32, Access)>,
    /// Bytes of each binding that the device insists on: one element of an array without a length.
    pub least_bytes: Vec<u64>,
    pub tile: Tile,
    /// Bytes of `Params`.
    pub immediates: u32,
}

/// Reads a joined shader.
///
/// # Errors
/// [`Error::Internal`] with naga's message: the shaders are part of wgrad (or of the program that adds its own).
pub fn layout_of(source: &str) -> Result<Layout> {
    let module = wgsl::parse_str(source).map_err(|error| {
        Error::internal(format!("a shader does not parse: {}", error.emit_to_string(source).trim()))
    })?;
    let mut bindings = Vec::new();
    let mut immediates = 0;
    for (_, variable) in module.global_variables.iter() {
        match (variable.space, &variable.binding) {
            (naga::AddressSpace::Storage { access }, Some(binding)) => {
                let writes = access.contains(naga::StorageAccess::STORE);
                let access = if writes { Access::Update } else { Access::Read };
                let bytes = module.types[variable.ty].inner.size(module.to_ctx());
                bindings.push((binding.binding, access, bytes.into()));
            }
            (naga::AddressSpace::Immediate, _) => {
                immediates = module.types[variable.ty].inner.size(module.to_ctx());
            }
            _ => {}
        }
    }
    bindings.sort_by_key(|(binding, ..)| *binding);
    let least_bytes = bindings.iter().map(|&(.., bytes)| bytes).collect();
    let bindings = bindings.into_iter().map(|(binding, access, _)| (binding, access)).collect();
    let entry = module.entry_points.first().ok_or_else(|| Error::internal("a shader has no entry point"))?;
    let threads = entry.workgroup_size.iter().product();
    let constant = |name: &str| {
        let found = module.constants.iter().find(|(_, constant)| constant.name.as_deref() == Some(name));
        found.and_then(|(_, constant)| match module.global_expressions[constant.init] {
            naga::Expression::Literal(naga::Literal::U32(value)) => Some(value),
            _ => None,
        })
    };
    let tile =
        Tile { threads, rows: constant("TILE_ROWS").unwrap_or(1), columns: constant("TILE_COLUMNS").unwrap_or(1) };
    Ok(Layout { bindings, least_bytes, tile, immediates })
}

/// Checks that WGSL which a program brings along is valid by itself, declares no variables, does not loop (see
/// `submits::ITERATIONS`) and has the functions
/// `names`, each from one `vec4<f32>` to one. What else it declares begins with `prefix`, lest a kernel that it is joined
/// to declares the same.
///
/// # Errors
/// [`Error::Usage`] with naga's message, or naming the function that is missing or the name that is another's.
pub fn check_functions(source: &str, names: &[&str], prefix: &str) -> Result<()> {
    let module = wgsl::parse_str(source)
        .map_err(|error| Error::usage(format!("its WGSL does not parse: {}", error.emit_to_string(source).trim())))?;
    if !module.global_variables.is_empty() || !module.entry_points.is_empty() {
        return Err(Error::usage("its WGSL has variables or entry points").remedy("write functions and constants only"));
    }
    if module.functions.iter().any(|(_, function)| has_loop(&function.body)) {
        return Err(Error::usage(
            "its WGSL has a loop, and devices that run shaders on the processor may end loops early",
        )
        .remedy("write each round out"));
    }
    let is_vector = |kind| {
        let scalar = naga::Scalar::F32;
        matches!(module.types[kind].inner, naga::TypeInner::Vector { size: naga::VectorSize::Quad, scalar: own } if own == scalar)
    };
    for name in names {
        let found = module.functions.iter().find(|(_, function)| function.name.as_deref() == Some(*name));
        let fits = found.is_some_and(|(_, function)| {
            let result = function.result.as_ref().is_some_and(|result| is_vector(result.ty));
            result && matches!(&function.arguments[..], [argument] if is_vector(argument.ty))
        });
        if !fits {
            return Err(Error::usage(format!("its WGSL has no `fn {name}(z: vec4<f32>) -> vec4<f32>`"))
                .remedy("write it beside the other one"));
        }
    }
    // Constants without a type are not among naga's: only kernels know whether they are there twice.
    let functions = module.functions.iter().map(|(_, function)| &function.name);
    let constants = module.constants.iter().map(|(_, constant)| &constant.name);
    let types = module.types.iter().map(|(_, kind)| &kind.name);
    let overrides = module.overrides.iter().map(|(_, constant)| &constant.name);
    let mut declared = functions.chain(constants).chain(types).chain(overrides).flatten();
    // naga itself declares types that begin with two underscores, which no name in WGSL may.
    let is_own = |name: &String| [prefix, "__"].iter().any(|start| name.starts_with(start));
    if let Some(name) = declared.find(|name| !names.contains(&name.as_str()) && !is_own(name)) {
        return Err(Error::usage(format!(
            "its WGSL declares `{name}`, which may be wgrad's own name for something else"
        ))
        .remedy(format!("call it {prefix}{name}")));
    }
    let mut validator =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty());
    let valid = validator.validate(&module);
    valid
        .map(|_| ())
        .map_err(|error| Error::usage(format!("its WGSL is not valid: {}", error.emit_to_string(source).trim())))
}

/// Whether a loop is among these statements or within them.
fn has_loop(block: &naga::Block) -> bool {
    block.iter().any(|statement| match statement {
        naga::Statement::Loop { .. } => true,
        naga::Statement::Block(block) => has_loop(block),
        naga::Statement::If { accept, reject, .. } => has_loop(accept) || has_loop(reject),
        naga::Statement::Switch { cases, .. } => cases.iter().any(|case| has_loop(&case.body)),
        _ => false,
    })
}

/// A compiled shader.
#[derive(Debug)]
pub struct Kernel {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) group_layout: wgpu::BindGroupLayout,
    /// What it says about itself.
    pub layout: Layout,
}

impl Kernel {
    /// Compiles a joined shader. `checked` keeps the device's own bounds checks, which cost 1.5 to 100 times the speed;
    /// tests run every kernel both ways.
    pub(super) fn compile(device: &wgpu::Device, name: &str, source: &str, checked: bool) -> Result<Self> {
        let layout = layout_of(source)?;
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(source.into()) };
        let checks =
            if checked { wgpu::ShaderRuntimeChecks::checked() } else { wgpu::ShaderRuntimeChecks::unchecked() };
        // SAFETY: the shaders index by sizes that the plan's check and the ops' grids keep within their tensors; the
        // kernel tests run each of them with checks on and with canaries around every tensor.
        let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
        let entries: Vec<wgpu::BindGroupLayoutEntry> = layout
            .bindings
            .iter()
            .map(|&(binding, access)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage { read_only: access == Access::Read },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let group_layout =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(name), entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &[Some(&group_layout)],
            immediate_size: layout.immediates.next_multiple_of(4),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: None,
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &[],
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Ok(Kernel { pipeline, group_layout, layout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wgsl_of_a_program_declares_names_of_its_own_only() {
        let check = |declared: &str| {
            let source = format!("{declared}\nfn f(z: vec4<f32>) -> vec4<f32> {{ return modf(z).fract; }}");
            check_functions(&source, &["f"], "own_")
        };
        check("const own_half: f32 = 0.5; struct own_pair { a: f32 } fn own_help(x: f32) -> f32 { return x; }")
            .unwrap();
        for (declared, name) in [
            ("const half: f32 = 0.5;", "half"),
            ("struct Params { a: f32 } fn own_help(p: Params) -> f32 { return p.a; }", "Params"),
            ("override speed: f32 = 1.0;", "speed"),
            ("fn loaded(x: f32) -> f32 { return x; }", "loaded"),
        ] {
            let said = check(declared).unwrap_err().to_string();
            assert!(said.contains(&format!("`{name}`")) && said.ends_with(&format!("call it own_{name}")), "{said}");
        }
    }

    #[test]
    fn wgsl_of_a_program_with_a_loop_anywhere_is_refused() {
        let check = |body: &str| {
            let source = format!(
                "fn own_help(x: f32) -> f32 {{ var y = x; {body} return y; }}
                fn f(z: vec4<f32>) -> vec4<f32> {{ return z * own_help(z.x); }}"
            );
            check_functions(&source, &["f"], "own_")
        };
        check("if y > 1.0 { y = 1.0; } switch i32(y) { case 1: { y = 2.0; } default: {} }").unwrap();
        let round = "for (var i = 0; i < 9; i++) { y *= 0.5; }";
        for body in [
            round.to_owned(),
            "while y > 1.0 { y *= 0.5; }".to_owned(),
            format!("if y > 1.0 {{ {round} }}"),
            format!("if y > 1.0 {{ }} else {{ {{ {round} }} }}"),
            format!("switch i32(y) {{ case 1: {{ }} default: {{ {round} }} }}"),
        ] {
            let said = check(&body).unwrap_err().to_string();
            assert!(said.contains("has a loop") && said.ends_with("write each round out"), "{body}: {said}");
        }
    }
}
