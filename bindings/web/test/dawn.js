// Loads the WebAssembly module in Node, with WebGPU by Dawn, which is Chromium's implementation, on
// the software driver SwiftShader.
import fs from 'node:fs';
import { create, globals } from 'webgpu';

const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** Loads the module, with or without WebGPU. */
export async function load({ gpu = true } = {}) {
    if (gpu) {
        if (!fs.existsSync(SWIFTSHADER)) {
            throw new Error(`${SWIFTSHADER} is missing: apt-get install chromium-common`);
        }
        // Restricts Dawn to SwiftShader, so that it does not use a GPU of the machine.
        process.env.VK_ICD_FILENAMES = SWIFTSHADER;
    }
    Object.assign(globalThis, globals);
    // wgpu expects `navigator.gpu` in a window.
    globalThis.Window = class {};
    globalThis.window = globalThis;
    const navigator = gpu ? { gpu: create([]) } : {};
    Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
    const ctc = await import('../dist/pkg/ctc_wgpu_web.js');
    const wasm = new URL('../dist/pkg/ctc_wgpu_web_bg.wasm', import.meta.url);
    await ctc.default({ module_or_path: fs.readFileSync(wasm) });
    return ctc;
}
