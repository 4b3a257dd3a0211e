//! `ctc-wgpu-web-bindgen IN.wasm OUT_DIR`: the wasm with its JavaScript module and types beside it.

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [wasm, folder] = arguments.as_slice() else {
        eprintln!("usage: ctc-wgpu-web-bindgen IN.wasm OUT_DIR");
        return ExitCode::from(2);
    };
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(wasm)
        .typescript(true)
        // `init()` without an argument then finds the wasm beside the module.
        .omit_default_module_path(false);
    let made = bindgen.web(true).and_then(|web| web.generate(folder));
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
