//! The commands on an adapter: which one a name means, and what they say of it.

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::keys::tensor;
use crate::place::Place;
use crate::{ensure, good, json, require};

pub fn trials() -> Vec<Trial> {
    let missing = match wgrad::gpu::adapters() {
        Ok(adapters) if adapters.is_empty() => Some("there is no adapter".to_owned()),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    let trial = |name: &str, test: fn() -> Result<(), Failed>| {
        require::trial(&format!("adapters::{name}"), missing.clone(), test)
    };
    vec![
        trial("the_tour_verifies_and_times_the_best_adapter", tour),
        trial("a_device_is_named_by_its_number_a_part_of_its_name_or_as_the_best", by_name),
        trial("the_variables_of_wgpu_are_honoured", variables),
        trial("bench_has_a_line_for_each_device", bench),
        trial("a_run_that_is_resumed_elsewhere_says_so", elsewhere),
        trial("start_weights_do_not_depend_on_the_device", start_weights),
    ]
}

/// The adapters as `wgrad devices` lists them.
fn listed(place: &Place, variables: &[(&str, &str)]) -> Result<Vec<Value>, Failed> {
    let said = place.run_with(variables, "devices --json");
    ensure(said.code == 0, &said.err)?;
    said.out.lines().map(json).collect()
}

fn first(place: &Place) -> Result<(String, bool), Failed> {
    let list = listed(place, &[])?;
    let name = list.first().and_then(|line| line["name"].as_str()).ok_or("no adapter is listed")?;
    Ok((name.to_owned(), list[0]["software"] == true))
}

fn tour() -> Result<(), Failed> {
    let place = Place::new("tour");
    let (name, is_software) = first(&place)?;
    let said = good(&place, "--device auto")?;
    ensure(said.out.contains("1. Training: the built-in digits"), &said.out)?;
    let heading = said.out.lines().find(|line| line.starts_with(&format!("2. Verification: {name}")));
    let heading = heading.ok_or_else(|| said.out.clone())?;
    ensure(heading.contains("(software") == is_software, heading)?;
    let all = said.out.lines().find(|line| line.starts_with("all ")).ok_or("nothing was compared")?;
    let count: u64 = all.split(' ').nth(1).unwrap_or_default().replace(',', "").parse()?;
    ensure(count > 100_000, all)?;
    for begin in ["3. Timing", "CPU  ", "GPU  ", "The "] {
        ensure(said.out.lines().any(|line| line.starts_with(begin)), format!("no `{begin}`: {}", said.out))?;
    }
    ensure(said.out.contains("What to type next") && place.names("").is_empty(), said.out)
}

fn by_name() -> Result<(), Failed> {
    let place = Place::new("by-name");
    let (name, is_software) = first(&place)?;
    // A part out of the middle, in another case.
    let part: String = name.chars().skip(1).take(5).collect::<String>().to_uppercase();
    for (i, device) in ["gpu", "0", part.as_str(), "auto"].into_iter().enumerate() {
        let run = format!("run{i}");
        let said = good(&place, &format!("train digits --hidden 8 --epochs 1 --out {run} --device '{device}'"))?;
        let metrics = json(&place.text(&format!("{run}/metrics.json")))?;
        let on_adapter = metrics["adapter"].as_str().is_some_and(|adapter| adapter.starts_with(&name));
        let expected = if device == "auto" && is_software { "cpu" } else { "gpu" };
        ensure(metrics["device"] == expected && on_adapter == (expected == "gpu"), format!("{device}: {metrics}"))?;
        // What was chosen is said, and how to choose otherwise where nobody did.
        let told = said.out.lines().find(|line| line.starts_with("device: ")).ok_or("no device is named")?;
        ensure(told.contains(metrics["adapter"].as_str().unwrap_or("?")), told)?;
        ensure(told.contains("override with --device") == (device == "auto"), told)?;
    }
    Ok(())
}

fn variables() -> Result<(), Failed> {
    let place = Place::new("variables");
    let all = listed(&place, &[])?;
    let (name, backend) = (&all[0]["name"], all[0]["backend"].as_str().ok_or("no backend")?);
    let same = listed(&place, &[("WGPU_BACKEND", backend)])?;
    ensure(same.iter().all(|line| line["backend"] == backend) && same[0]["name"] == *name, format!("{same:?}"))?;
    let other = if backend == "metal" { "vulkan" } else { "metal" };
    ensure(listed(&place, &[("WGPU_BACKEND", other)])?.is_empty(), format!("{other} is not here"))?;
    let said = place.run_with(&[("WGPU_BACKEND", other)], "verify digits --device gpu");
    ensure(said.code == 5 && said.err.contains("adapter was found"), said.err)?;
    let named = listed(&place, &[("WGPU_ADAPTER_NAME", name.as_str().unwrap_or_default())])?;
    ensure(named.iter().all(|line| line["name"] == *name), format!("{named:?}"))?;
    let said = place.run_with(&[("WGPU_ADAPTER_NAME", "of nobody")], "verify digits --device gpu");
    ensure(said.code == 5 && said.err.contains("no adapter's name contains `of nobody`"), said.err)?;
    // Which order it means is tested beside the list itself; here, that it is read and does no harm.
    ensure(listed(&place, &[("WGPU_POWER_PREF", "low")])?.len() == all.len(), "adapters are lost")
}

fn bench() -> Result<(), Failed> {
    let place = Place::new("bench");
    let said = good(&place, "bench --layers 20-12-3 --batch-size 16 --steps 5 --device cpu,gpu --json")?;
    let lines: Vec<Value> = said.out.lines().map(json).collect::<Result<_, _>>()?;
    let devices: Vec<&Value> = lines.iter().map(|line| &line["device"]).collect();
    ensure(devices == ["cpu", "gpu"], format!("{devices:?}"))?;
    for line in &lines {
        let positive = ["startup_ms", "ms_per_step", "samples_per_second", "gflops", "device_bytes"];
        ensure(positive.iter().all(|key| line[key].as_f64().is_some_and(|v| v > 0.0)), line)?;
        ensure(line["verified"] == true && line["layers"] == "20-12-3" && line["batch_size"] == 16, line)?;
    }
    Ok(())
}

fn elsewhere() -> Result<(), Failed> {
    let place = Place::new("elsewhere");
    good(&place, "train digits --hidden 8 --epochs 2 --out run --quiet --device gpu")?;
    let said = good(&place, "train --resume run --epochs 3 --device cpu")?;
    ensure(said.err.contains("not bit for bit"), &said.err)?;
    ensure(place.text("run/history.csv").lines().count() == 4, "an epoch is missing")?;
    let said = good(&place, "train --resume run --epochs 4 --device cpu")?;
    ensure(!said.err.contains("not bit for bit"), format!("it is at home here by now: {}", said.err))
}

fn start_weights() -> Result<(), Failed> {
    let place = Place::new("start");
    let mut weights = Vec::new();
    for device in ["cpu", "gpu"] {
        let flags = "--hidden 8 --epochs 1 --lr 1e-30 --set early_stopping.patience=0 --quiet";
        good(&place, &format!("train digits {flags} --device {device} --out {device}"))?;
        weights.push(tensor(&place, device, "layers.0.weight")?);
    }
    ensure(weights[0] == weights[1], "one seed gives two models before anything was learnt")
}
