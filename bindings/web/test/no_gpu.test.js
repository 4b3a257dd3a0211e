// Tests of the WebAssembly module without WebGPU.
import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './dawn.js';

const ctc = await load({ gpu: false });
const batch = [new Float32Array(12), [1, 4, 3], new Int32Array([1, 2]), new Int32Array([2])];

test('without WebGPU the CPU backend computes', async () => {
    const output = await ctc.ctcLossAndGrad(...batch);
    assert.equal(output.backend, 'cpu');
    assert.ok(Math.abs(output.loss[0] - Math.log(81 / 15)) < 1e-6);
});

test('a request for the GPU is an error without WebGPU', async () => {
    await assert.rejects(() => ctc.ctcLossAndGrad(...batch, { backend: 'gpu' }), /no GPU adapter/);
    await assert.rejects(() => ctc.validate(true, () => {}), /no GPU adapter/);
    await assert.rejects(() => ctc.Benchmark.open(true), /no GPU adapter/);
});
