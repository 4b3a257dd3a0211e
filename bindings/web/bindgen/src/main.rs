//! `ctc-wgpu-web-bindgen IN.wasm OUT_DIR` writes the WebAssembly module, its JavaScript module and
//! its TypeScript types to a folder.

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
        // So that `init()` without an argument loads the wasm from the folder of the module.
        .omit_default_module_path(false);
    let result = bindgen.web(true).and_then(|web| web.generate(folder));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
