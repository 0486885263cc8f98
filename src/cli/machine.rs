//! Facts about this machine for a bug report, without what would tell who sits at it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cpu;
use crate::host::Memory;
use crate::plan;

/// Beginnings of the names of variables that change what a graphics driver or wgrad does.
const VARIABLES: [&str; 16] = [
    "WGRAD_",
    "WGPU_",
    "VK_",
    "VULKAN_",
    "MESA_",
    "LP_",
    "LIBGL_",
    "GALLIUM_",
    "DRI_",
    "MTL_",
    "METAL_",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_",
    "LD_LIBRARY_PATH",
    "RAYON_",
    "RUST_BACKTRACE",
];

/// Takes the user's name and home folder out of texts.
pub(super) struct Privacy {
    home: Option<String>,
    user: Option<String>,
}

impl Privacy {
    pub fn of_this_user() -> Self {
        let variable =
            |names: [&str; 3]| names.into_iter().find_map(|name| std::env::var(name).ok().filter(|v| v.len() > 1));
        let home = variable(["HOME", "USERPROFILE", "HOMEPATH"]);
        let own = |home: &String| Some(Path::new(home).file_name()?.to_str()?.to_owned());
        let user = variable(["USER", "USERNAME", "LOGNAME"]).or_else(|| home.as_ref().and_then(own));
        Privacy { home, user }
    }

    /// The text with `~` for the home folder and `<user>` for the user's name, where it is a word of its own.
    pub fn keep(&self, text: &str) -> String {
        let text = self.home.as_ref().map_or_else(|| text.to_owned(), |home| text.replace(home.as_str(), "~"));
        let Some(user) = &self.user else { return text };
        let mut kept = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(user.as_str()) {
            let (before, after) = (&rest[..at], &rest[at + user.len()..]);
            let is_letter = |c: char| c.is_alphanumeric() || c == '_';
            let inside = before.chars().next_back().is_some_and(is_letter) || after.starts_with(is_letter);
            kept += before;
            kept += if inside { user } else { "<user>" };
            rest = after;
        }
        kept + rest
    }
}

/// The variables that are set, in alphabetical order.
pub(super) fn variables(privacy: &Privacy) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| VARIABLES.iter().any(|start| name.starts_with(start)))
        .map(|(name, value)| (name, privacy.keep(&value)))
        .collect();
    found.sort();
    found
}

/// Versions, system, processor, memory, and where a driver could be.
pub(super) fn system(threads: usize, privacy: &Privacy) -> Vec<(String, String)> {
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let mut facts = vec![
        ("wgrad", format!("{} ({build} build, {})", env!("CARGO_PKG_VERSION"), built_on())),
        ("system", operating_system()),
        ("processor", format!("{} ({})", cpu::processor().adapter, extensions().join(", "))),
        ("threads", threads.to_string()),
        ("memory", memory()),
    ];
    if cfg!(target_os = "linux") {
        facts.push(("device nodes", nodes()));
        facts.push(("Vulkan drivers", drivers()));
    }
    facts.into_iter().map(|(name, value)| (name.to_owned(), privacy.keep(&value))).collect()
}

/// The libraries whose version decides what a driver is asked for.
fn built_on() -> String {
    let manifest: toml::Table = include_str!("../../Cargo.toml").parse().unwrap_or_default();
    let version = |name: &str| {
        let entry = manifest.get("dependencies")?.get(name)?;
        entry.get("version").unwrap_or(entry).as_str().map(|version| format!("{name} {version}"))
    };
    ["wgpu", "naga"].into_iter().filter_map(version).collect::<Vec<_>>().join(", ")
}

fn operating_system() -> String {
    let (os, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|text| !text.is_empty())
    };
    let details = match os {
        "linux" => {
            let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
            let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
            let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
            let kernel = kernel.trim();
            let wsl = if kernel.to_lowercase().contains("microsoft") { ", WSL" } else { "" };
            let container = ["/.dockerenv", "/run/.containerenv"].iter().any(|path| Path::new(path).exists());
            let container = if container { ", in a container" } else { "" };
            Some(format!("{}, kernel {kernel}{wsl}{container}", name.trim_matches('"')))
        }
        "macos" => said("sw_vers", &["-productVersion"]),
        "windows" => said("cmd", &["/C", "ver"]),
        _ => None,
    };
    format!("{os} {architecture}{}", details.map_or_else(String::new, |details| format!(", {details}")))
}

/// Vector extensions that kernels of the CPU path are chosen by.
fn extensions() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let known = [
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("fma", std::arch::is_x86_feature_detected!("fma")),
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ];
        known.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    vec![std::env::consts::ARCH]
}

fn memory() -> String {
    let Some(memory) = Memory::now() else { return "unknown".to_owned() };
    let limit = memory.limit.map_or_else(String::new, |limit| format!(", limited to {}", plan::bytes(limit)));
    format!("{}, {} available{limit}", plan::bytes(memory.total), plan::bytes(memory.available))
}

/// Where the kernel offers GPUs, and whether this user may open them.
fn nodes() -> String {
    let in_folder = |folder: &str, start: &str| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.path().to_string_lossy().into_owned());
        names.filter(|path| path.starts_with(&format!("{folder}/{start}"))).collect()
    };
    let mut found = [in_folder("/dev/dri", "render"), in_folder("/dev", "nvidia"), in_folder("/dev", "dxg")].concat();
    found.retain(|path| !Path::new(path).is_dir());
    found.sort();
    let tell = |path: &String| match fs::File::options().read(true).write(true).open(path) {
        Ok(_) => path.clone(),
        Err(error) => format!("{path} ({error})"),
    };
    if found.is_empty() { "none".into() } else { found.iter().map(tell).collect::<Vec<_>>().join(", ") }
}

/// The manifests in the places where the Vulkan loader looks.
fn drivers() -> String {
    let folders = ["/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/usr/share/vulkan/icd.d"];
    let mut found: Vec<String> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    if found.is_empty() { "none".into() } else { found.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_home_nor_name_of_the_user_is_told() {
        let privacy = Privacy { home: Some("/home/anna".into()), user: Some("anna".into()) };
        let text = "/home/anna/x.json:/media/anna/y, anna, savannah, annabel, C:\\Users\\anna\\z";
        assert_eq!(privacy.keep(text), "~/x.json:/media/<user>/y, <user>, savannah, annabel, C:\\Users\\<user>\\z");
        assert_eq!(Privacy { home: None, user: None }.keep(text), text);
    }

    #[test]
    fn the_versions_are_those_of_the_manifest() {
        let told = built_on();
        assert!(told.starts_with("wgpu ") && told.contains(", naga "), "{told}");
    }
}
