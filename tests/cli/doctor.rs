//! `wgrad doctor`: text for a bug report, and whether this machine's devices work.

use serde_json::Value;

use crate::Place;

/// Variables under which no Vulkan driver is found.
const NO_DRIVER: [(&str, &str); 2] =
    [("VK_ICD_FILENAMES", "/nonexistent.json"), ("VK_DRIVER_FILES", "/nonexistent.json")];

#[test]
fn doctor_tests_every_device_and_tells_of_the_machine() {
    let place = Place::new("doctor");
    let said = place.good("doctor");
    for heading in ["### wgrad doctor", "#### Environment", "#### Adapters", "#### Self-tests"] {
        assert!(said.out.contains(heading), "{heading}: {}", said.out);
    }
    assert!(said.out.contains("- device cpu: passed ("), "{}", said.out);
    assert!(said.out.contains(&format!("- wgrad: {}", env!("CARGO_PKG_VERSION"))), "{}", said.out);
    let said = place.good("doctor --json");
    let report: Value = serde_json::from_str(&said.out).expect("one line of JSON");
    assert_eq!((&report["event"], &report["passed"]), (&"doctor".into(), &true.into()));
    let (adapters, tests) = (&report["adapters"], &report["self_tests"]);
    let length = |list: &Value| list.as_array().map_or(0, Vec::len);
    assert_eq!(length(tests), length(adapters) + 1, "each adapter and the CPU: {report}");
    for test in tests.as_array().into_iter().flatten() {
        assert!(test["said"].as_str().is_some_and(|said| said.contains("numbers verified")), "{test}");
    }
}

#[test]
fn doctor_without_any_adapter_tests_the_cpu_and_is_content() {
    let place = Place::new("doctor_cpu");
    let said = place.run_with(&NO_DRIVER, "doctor");
    // Metal and DX12 are not found by way of these variables.
    if cfg!(target_os = "linux") {
        assert!(said.out.contains("no Vulkan, Metal or DX12 adapter was found"), "{}", said.out);
    }
    assert!(said.code == 0 && said.out.contains("- device cpu: passed"), "{}\n{}", said.out, said.err);
}

#[test]
fn doctor_tells_neither_the_users_name_nor_the_home_folder_and_heeds_no_flag_variables() {
    let place = Place::new("doctor_private");
    let variables = [
        ("HOME", "/home/elisabeth"),
        ("USER", "elisabeth"),
        ("VK_LAYER_PATH", "/home/elisabeth/layers:/media/elisabeth/layers"),
        ("WGRAD_EPOCHS", "nonsense"),
        NO_DRIVER[0],
        NO_DRIVER[1],
    ];
    let said = place.run_with(&variables, "doctor");
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("`VK_LAYER_PATH=~/layers:/media/<user>/layers`"), "{}", said.out);
    assert!(said.out.contains("`WGRAD_EPOCHS=nonsense`"), "{}", said.out);
    assert!(!said.out.contains("elisabeth") && !said.err.contains("elisabeth"), "{}", said.out);
}

#[test]
fn a_device_that_fails_is_named_with_exit_code_5() {
    let place = Place::new("doctor_fails");
    let said = place.run_with(&[("WGPU_ADAPTER_NAME", "no such adapter")], "doctor");
    assert_eq!(said.code, 5, "{}", said.out);
    assert!(said.out.contains("- device adapters: **FAILED** with exit code 5"), "{}", said.out);
    assert!(said.out.contains("- device cpu: passed"), "the others are tested all the same: {}", said.out);
    assert!(said.err.contains("WGPU_ADAPTER_NAME"), "{}", said.err);
}
