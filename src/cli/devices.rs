//! `wgrad devices`: the adapters of this machine.

use super::print::Printer;
use crate::cpu;
use crate::error::Result;
use crate::gpu;

pub(super) const EXAMPLES: &str = "Examples:
  wgrad devices
  wgrad devices --json";

pub(super) fn run(printer: &Printer) -> Result<()> {
    let adapters = gpu::adapters()?;
    for adapter in &adapters {
        let limits = adapter.limits();
        printer.event(&serde_json::json!({
            "index": adapter.index,
            "name": adapter.name,
            "backend": adapter.backend,
            "driver": adapter.driver,
            "type": adapter.kind,
            "software": adapter.is_software(),
            "limits": limits.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect::<serde_json::Map<_, _>>(),
            "features": adapter.features(),
        }));
        printer.result(format!("{}  {}", adapter.index, adapter.name));
        printer.result(format!("   {} · {} · driver {}", adapter.kind, adapter.backend, adapter.driver));
        for (name, value) in limits {
            printer.result(format!("   {name} {}", crate::plan::grouped(value)));
        }
        printer.result(format!("   features: {}", adapter.features().join(", ")));
    }
    if adapters.is_empty() {
        printer.result("no Vulkan, Metal or DX12 adapter was found; on Debian and Ubuntu, `apt install mesa-vulkan-drivers` adds a software one");
    }
    printer.result(format!("cpu  {} (the CPU path, always there)", cpu::processor().adapter));
    Ok(())
}
