// The wasm in Node: WebGPU comes from Dawn, the browsers' own implementation, on a software driver, SwiftShader.
import fs from 'node:fs';
import { create, globals } from 'webgpu';

const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** The wasm's module, with WebGPU or without it. */
export async function load({ gpu = true } = {}) {
    if (gpu) {
        if (!fs.existsSync(SWIFTSHADER)) {
            throw new Error(`${SWIFTSHADER} is missing: apt-get install chromium-common`);
        }
        // Read when Dawn looks for drivers, so that a GPU of the machine is not taken instead.
        process.env.VK_ICD_FILENAMES = SWIFTSHADER;
    }
    Object.assign(globalThis, globals);
    // wgpu looks for the GPU of a window.
    globalThis.Window = class {};
    globalThis.window = globalThis;
    const navigator = gpu ? { gpu: create([]) } : {};
    Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
    const ctc = await import('../dist/pkg/ctc_wgpu_web.js');
    const wasm = new URL('../dist/pkg/ctc_wgpu_web_bg.wasm', import.meta.url);
    await ctc.default({ module_or_path: fs.readFileSync(wasm) });
    return ctc;
}
