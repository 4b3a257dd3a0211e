// Compiles every pipeline of a file with Tint, through Dawn's null backend, which needs no driver:
// `node tint.mjs FILE`.
//
// FILE is a JSON array of { name, wgsl, entry, constants }. Prints one line per error or warning,
// and exits with 1 if there is one.

import { readFile } from 'node:fs/promises';
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);
// Must stay reachable: Dawn aborts if its instance is collected before its device.
const gpu = create(['backend=null']);
const adapter = await gpu.requestAdapter();
// The default limits, which every browser supports.
const device = await adapter.requestDevice({ requiredFeatures: ['shader-f16', 'subgroups'] });
let problems = 0;
const report = (name, text) => {
    problems += 1;
    console.log(`${name}: ${text}`);
};
// Errors outside any scope, which are not expected.
device.addEventListener('uncapturederror', (event) => report('device', event.error.message));

const modules = new Map();

async function compiled(name, wgsl) {
    if (!modules.has(wgsl)) {
        device.pushErrorScope('validation');
        const module = device.createShaderModule({ code: wgsl });
        for (const message of (await module.getCompilationInfo()).messages) {
            report(name, `${message.lineNum}:${message.linePos}: ${message.type}: ${message.message}`);
        }
        const error = await device.popErrorScope();
        if (error) {
            report(name, 'the source is invalid');
        }
        modules.set(wgsl, error ? null : module);
    }
    return modules.get(wgsl);
}

for (const { name, wgsl, entry, constants } of JSON.parse(await readFile(process.argv[2], 'utf8'))) {
    const module = await compiled(name, wgsl);
    if (!module) {
        continue;
    }
    device.pushErrorScope('validation');
    device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: entry, constants } });
    const error = await device.popErrorScope();
    if (error) {
        report(name, error.message);
    }
}
device.destroy();
// Dawn's threads would keep the process alive.
process.exit(problems > 0 ? 1 : 0);
