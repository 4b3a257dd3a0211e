// Makes every pipeline of a file with Tint, by way of Dawn's null backend, which needs no driver: `node tint.mjs FILE`.
//
// FILE is JSON, an array of { name, wgsl, entry, constants }. Each line of what is printed is a complaint, warnings
// included; nothing printed and exit status 0 is consent.

import { readFile } from 'node:fs/promises';
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);
// Kept by name to the end: Dawn aborts where its instance is collected before its device.
const gpu = create(['backend=null']);
const adapter = await gpu.requestAdapter();
// The default limits: those that every browser gives.
const device = await adapter.requestDevice({ requiredFeatures: ['shader-f16', 'subgroups'] });
let complaints = 0;
const complain = (name, text) => {
    complaints += 1;
    console.log(`${name}: ${text}`);
};
// What no scope catches, of which there should be nothing.
device.addEventListener('uncapturederror', (event) => complain('device', event.error.message));

const modules = new Map();

async function compiled(name, wgsl) {
    if (!modules.has(wgsl)) {
        device.pushErrorScope('validation');
        const module = device.createShaderModule({ code: wgsl });
        for (const message of (await module.getCompilationInfo()).messages) {
            complain(name, `${message.lineNum}:${message.linePos}: ${message.type}: ${message.message}`);
        }
        const refused = await device.popErrorScope();
        if (refused) {
            complain(name, 'its text is refused');
        }
        modules.set(wgsl, refused ? null : module);
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
    const refused = await device.popErrorScope();
    if (refused) {
        complain(name, refused.message);
    }
}
device.destroy();
// Dawn's threads would keep the process.
process.exit(complaints > 0 ? 1 : 0);
